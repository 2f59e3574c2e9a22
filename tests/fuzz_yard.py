"""What the fuzz tests start from: models of a few kilobytes, tasks, a configuration, an archive."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fork_server import ForkServer
from tests.fuzzing import Calls

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "mat",
    "red",
    "blue",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
]
SPECIAL = ("<s>", "</s>", "<unk>")
SPLITS = ("search", "selection", "test")

CONFIG: dict[str, dict[str, Any]] = {
    "founders": {"base": "base"},
    "tasks": {},
    "budget": {"item_evaluations": 200, "generations": 1},
    "search": {"population": 4, "brood": 4, "items": 2, "panel": 4, "family": 2},
    "gradient": {"steps": 2, "items": 2},
    "gate": {"enabled": False},
    "arena": {"items": 4, "judges": 1},
    "run": {"threads": 1, "device": "cpu"},
    "weights": {"quota_gb": 0.01},
}


@dataclass(frozen=True)
class Yard:
    """Where good files lie, which no test changes."""

    folder: Path

    @property
    def founders(self) -> Path:
        return self.folder / "founders"

    @property
    def tasks(self) -> Path:
        return self.folder / "tasks"

    def config(self, **changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """A campaign of a second, as a value."""
        whole = {section: {**CONFIG[section], **changes.get(section, {})} for section in CONFIG}
        whole["founders"].setdefault("paths", [f"{self.founders}/*"])
        whole["tasks"].setdefault("paths", [f"{self.tasks}/*"])
        return whole


def make_founder(folder: Path, seed: int, layers: int = 2) -> None:
    """A tiny random Llama with a word-level tokenizer."""
    import torch
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    torch.manual_seed(seed)
    settings = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=None,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(settings).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


def make_task(folder: Path, items: int = 12) -> None:
    folder.mkdir(parents=True)
    (folder / "task.toml").write_text(f'name = "{folder.name}"\ndescription = "words"\n')
    for number, split in enumerate(SPLITS):
        rows = (
            {
                "prompt": " ".join(WORDS[(row * 5 + word * 3 + number) % 18] for word in range(4)),
                "key": WORDS[(row + number) % 18],
            }
            for row in range(items)
        )
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def toml(value: object) -> str:
    """A configuration as TOML."""
    assert isinstance(value, dict)
    lines: list[str] = []
    for section, settings in value.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(setting)}" for key, setting in settings.items()]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def yard(made_once: Callable[..., Path]) -> Yard:
    def make(folder: Path) -> None:
        for seed, name in enumerate(("base", "one", "two")):
            make_founder(folder / "founders" / name, seed)
        for name in ("copy", "[bold]odd"):
            make_task(folder / "tasks" / name)

    return Yard(made_once("yard", make))


@pytest.fixture(scope="session")
def calls(fork_server: ForkServer) -> Calls:
    return Calls(fork_server)


@pytest.fixture(scope="session")
def grown(yard: Yard, calls: Calls, made_once: Callable[..., Path]) -> Path:
    """An archive of two generations of the tiny campaign, with orders and weights beside it."""

    def make(folder: Path) -> None:
        # So many steps that the champion is no founder.
        budget = {"generations": 2, "item_evaluations": 5_000}
        config = yard.config(budget=budget, gradient={"steps": 24, "items": 4})
        (folder / "my.toml").write_text(toml(config))
        shown = calls(
            "run", "my.toml", "--archive", "a.duckdb", "--headless", "--no-report", folder=folder
        )
        assert shown.code == 0, shown.err
        assert calls("pin", "champion", "--archive", "a.duckdb", folder=folder).code == 0

    return made_once("grown", make) / "a.duckdb"


def odd_places(folder: Path) -> tuple[str, ...]:
    """Fill a folder with what is no file, or not the one that was meant; the names of all."""
    (folder / "folder").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "x").write_text("x")
    (folder / "empty").write_bytes(b"")
    (folder / "text.txt").write_text("some text\n")
    (folder / "noise").write_bytes(bytes(range(256)) * 40)
    os.mkfifo(folder / "fifo")
    (folder / "dangling").symlink_to(folder / "nowhere" / "at" / "all")
    (folder / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as bound:
        before = Path.cwd()
        os.chdir(folder)
        bound.bind("socket")
        os.chdir(before)
    (folder / "[bold]name").mkdir()
    return (
        "folder", "full", "empty", "text.txt", "noise", "fifo", "dangling", "loop", "socket",
        "[bold]name", "full/x", "full/none", "text.txt/x", "missing", "missing/x", ".", "..", "/",
    )  # fmt: skip


def copied_archive(source: Path, folder: Path) -> Path:
    """An archive with what lies beside it, as a copy."""
    for path in source.parent.glob(source.name + "*"):
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        else:
            shutil.copy(path, folder / path.name)
    return folder / source.name
