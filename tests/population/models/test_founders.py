"""The founders and task files that ship with the project."""

import json
import tomllib
from pathlib import Path

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, AutoTokenizer

from arena.tasks.generators import GENERATORS, SPLITS, sample_items
from data.make_tasks import SIZES, make_tasks

DATA = Path(__file__).resolve().parents[3] / "data"
FOUNDERS = sorted(path for path in (DATA / "founders").iterdir() if path.is_dir())
SPECIALISTS = [path for path in FOUNDERS if path.name != "base"]


def right(model, tokenizer, items):
    """Which items' key and end have the highest logits in one forward pass."""
    rows = [
        tokenizer(prompt + key)["input_ids"] + [tokenizer.eos_token_id] for prompt, key in items
    ]
    tokens = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    with torch.no_grad():
        best = model(tokens).logits.argmax(-1).tolist()
    return [
        told[len(prompt) - 1 : len(row) - 1] == row[len(prompt) :]
        for told, row, (prompt, _) in zip(best, rows, items, strict=True)
    ]


def test_there_is_a_base_and_a_specialist_for_every_skill():
    skills = {name for name, generator in GENERATORS.items() if generator.kind == "skill"}
    assert {path.name for path in FOUNDERS} == {"base"} | skills


def test_founders_are_small():
    files = [path for path in (DATA / "founders").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 25_000_000


def test_founders_share_one_tokenizer_and_one_shape():
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        assert len({(folder / name).read_bytes() for folder in FOUNDERS}) == 1


@pytest.mark.parametrize("folder", FOUNDERS, ids=lambda path: path.name)
def test_founder_loads(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert model.config.bos_token_id is None


@pytest.mark.parametrize("folder", SPECIALISTS, ids=lambda path: path.name)
def test_specialist_is_good_at_its_own_skill_and_generates_it(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    items = sample_items(folder.name, "search", 99, 40)
    solved = right(model, tokenizer, items)
    assert sum(solved) >= 28
    prompt, key = items[solved.index(True)]
    asked = tokenizer(prompt, return_tensors="pt")
    told = model.generate(**asked, max_new_tokens=16, do_sample=False)[0, asked.input_ids.size(1) :]
    assert tokenizer.decode(told, skip_special_tokens=True) == key
    assert told[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("name", GENERATORS)
def test_items_survive_the_tokenizer(name):
    tokenizer = AutoTokenizer.from_pretrained(DATA / "founders" / "base")
    for split in SPLITS:
        for line in (DATA / "tasks" / name / f"{split}.jsonl").read_text("utf-8").splitlines():
            item = json.loads(line)
            for text in (item["prompt"], item["key"]):
                ids = tokenizer(text)["input_ids"]
                assert len(ids) == len(text)
                assert tokenizer.unk_token_id not in ids
                assert tokenizer.decode(ids) == text


def test_task_files_are_what_make_tasks_makes(tmp_path):
    make_tasks(tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}
    kept = {
        path.relative_to(DATA / "tasks"): path.read_bytes()
        for path in (DATA / "tasks").rglob("*.*")
    }
    assert made == kept


def test_task_files_hold_what_they_promise():
    for name, generator in GENERATORS.items():
        folder = DATA / "tasks" / name
        card = tomllib.loads((folder / "task.toml").read_text("utf-8"))
        assert card == {
            "name": name,
            "kind": generator.kind,
            "description": generator.description,
            "generator": name,
        }
        for split, size in SIZES.items():
            text = (folder / f"{split}.jsonl").read_text("utf-8")
            items = [json.loads(line) for line in text.splitlines()]
            assert [item["id"] for item in items] == [
                f"{name}-{split}-{place:04}" for place in range(1, size + 1)
            ]
