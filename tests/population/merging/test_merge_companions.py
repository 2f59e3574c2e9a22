"""The files beside the weights agree with each other, and transformers is asked whether they do."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast

from population.merging import checker as checking
from population.merging.checker import Checker
from population.merging.library_check import compare_faults, find_faults
from population.merging.special_ids import TokenIds, with_ids
from population.models.opening import open_checkpoint
from tests.merge_helpers import LLAMA, linear, llama_shapes, merged, recipe_of, refused, write_llama

WORDS = [*"abcdefghijklmn"]


def speaker(folder: Path, special: list[str], roles: dict[str, str], **config: Any) -> Path:
    """A tiny Llama with a word-level tokenizer of its own."""
    write_llama(folder, seed=len(special), layers=1)
    (folder / "tokenizer_config.json").unlink()
    vocabulary = {token: row for row, token in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles).save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    for name in ("lm_head.weight", "model.embed_tokens.weight"):
        tensors[name] = tensors[name][: len(vocabulary)].copy()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    told = LLAMA | {"num_hidden_layers": 1, "vocab_size": len(vocabulary)} | config
    (folder / "config.json").write_text(json.dumps(told))
    return folder


def pair(folder: Path) -> dict[str, Path]:
    base = speaker(
        folder / "base",
        ["<s>", "</s>", "<unk>"],
        {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        bos_token_id=0,
        eos_token_id=1,
        torch_dtype="float32",
    )
    (base / "generation_config.json").write_text('{"bos_token_id": 0, "eos_token_id": [1]}')
    chat = speaker(
        folder / "chat",
        ["<|im_end|>", "<pad>", "<s>", "</s>", "<unk>"],
        {"bos_token": "<s>", "eos_token": "<|im_end|>", "pad_token": "<pad>", "unk_token": "<unk>"},
        bos_token_id=2,
        eos_token_id=0,
        pad_token_id=1,
    )
    (chat / "generation_config.json").write_text(
        '{"bos_token_id": 2, "eos_token_id": [0, 3], "pad_token_id": 1, "temperature": 0.7}'
    )
    return {"base": base, "chat": chat}


@pytest.mark.parametrize("first", ["base", "chat"])
@pytest.mark.parametrize("source", ["base", "chat", "union"])
def test_special_ids_are_those_of_the_tokenizer_that_is_written(
    source: str, first: str, tmp_path: Path
) -> None:
    sources = pair(tmp_path)
    order = ["base", "chat"] if first == "base" else ["chat", "base"]
    step = linear(dict.fromkeys(order, 0.5))
    recipe = recipe_of(sources, step, tokenizer={"source": source}, dtype="bfloat16")
    out = merged(recipe, tmp_path / "out").folder
    config, said = AutoConfig.from_pretrained(out), GenerationConfig.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    for role in ("bos", "eos", "pad"):
        number = getattr(tokenizer, f"{role}_token_id")
        if number is None:
            continue
        assert getattr(config, f"{role}_token_id") == number
        stated = getattr(said, f"{role}_token_id")
        assert number in (stated if isinstance(stated, list) else [stated])
    assert config.vocab_size == load_rows(out)
    told = json.loads((out / "config.json").read_text())
    assert {told[key] for key in ("dtype", "torch_dtype") if key in told} == {"bfloat16"}
    if source == "chat":
        assert said.eos_token_id == [0, 3]


def load_rows(folder: Path) -> int:
    header = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(header[:8], "little")
    shape: list[int] = json.loads(header[8 : 8 + length])["model.embed_tokens.weight"]["shape"]
    return shape[0]


def test_ids_move_with_their_tokens() -> None:
    own = TokenIds({"<s>": 0, "</s>": 1, "<img>": 5}, {"eos": "</s>"})
    taken = TokenIds({"</s>": 7, "<s>": 3}, {"eos": "</s>"})
    ids = {"eos_token_id": [1, 5], "bos_token_id": 0, "image_token_id": 5, "pad_token_id": None}
    settings = {**ids, "suppress_tokens": [1], "hidden_size": 8}
    found = with_ids(settings, own, taken, {})
    assert found == {"eos_token_id": [7], "bos_token_id": 3, "hidden_size": 8}
    assert with_ids(settings, own, own, None) == settings  # the same tokenizer


SHAPES = llama_shapes(1)


def laid(folder: Path) -> Path:
    write_llama(folder, layers=1)
    return folder


def test_complaints_name_both_files(tmp_path: Path) -> None:
    folder = laid(tmp_path / "a")
    assert find_faults(folder, SHAPES) == {}
    lacking = {name: shape for name, shape in SHAPES.items() if name != "model.norm.weight"}
    (text,) = (find_faults(folder, lacking) or {}).values()
    assert text == "model.safetensors lacks model.norm.weight, which config.json asks for"
    (text,) = (find_faults(folder, SHAPES | {"model.norm.weight": (9,)}) or {}).values()
    assert "shape [9]" in text
    assert "[8]" in text
    (text,) = (find_faults(folder, SHAPES | {"model.more": (2,)}) or {}).values()
    assert "model.more" in text
    (folder / "generation_config.json").write_text('{"eos_token_id": 3}')
    (text,) = (find_faults(folder, SHAPES) or {}).values()
    assert text.startswith("generation_config.json says eos_token_id 3")
    assert "tokenizer_config.json has the id 1" in text


def test_what_the_source_has_wrong_is_not_blamed_on_the_result(tmp_path: Path) -> None:
    source, result = laid(tmp_path / "a"), laid(tmp_path / "b")
    more = SHAPES | {"model.more": (2,)}
    ours, theirs = compare_faults(result, more, source, SHAPES)
    assert (len(ours), theirs) == (1, [])
    ours, theirs = compare_faults(result, more, source, more)
    assert (ours, len(theirs)) == ([], 1)


def test_only_what_is_too_much_in_another_source_may_be_so_in_the_result(tmp_path: Path) -> None:
    source, result, other = (laid(tmp_path / name) for name in "abc")
    more = SHAPES | {"model.more": (2,)}
    ours, theirs = compare_faults(result, more, source, SHAPES, [(other, SHAPES), (other, more)])
    assert (ours, len(theirs)) == ([], 1)
    # Another layer is right where the config has it, and so wrong where it has not.
    deep = SHAPES | {
        name.replace("layers.0", "layers.1"): shape
        for name, shape in SHAPES.items()
        if "layers.0" in name
    }
    told = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(told | {"num_hidden_layers": 2}))
    assert find_faults(other, deep) == {}
    ours, theirs = compare_faults(result, deep, source, SHAPES, [(other, deep)])
    assert (len(ours), theirs) == (len(deep) - len(SHAPES), [])
    # Nor does another source excuse what is lacking.
    lacking = {name: shape for name, shape in SHAPES.items() if name != "model.norm.weight"}
    ours, theirs = compare_faults(result, lacking, source, SHAPES, [(other, lacking)])
    assert (len(ours), theirs) == (1, [])
    (other / "config.json").unlink()
    assert compare_faults(result, more, source, SHAPES, [(other, more)])[0] == []


FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("AutoModelForMaskedLM", {}),
    "roberta": ("AutoModelForMaskedLM", {}),
    "modernbert": ("AutoModelForMaskedLM", {"pad_token_id": 0}),
    "distilbert": (
        "AutoModelForMaskedLM",
        {"dim": 16, "hidden_dim": 24, "n_layers": 2, "n_heads": 2},
    ),
    "t5": ("AutoModelForSeq2SeqLM", {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2}),
    "bart": (
        "AutoModelForSeq2SeqLM",
        {
            "d_model": 16,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_ffn_dim": 8,
            "decoder_ffn_dim": 8,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "max_position_embeddings": 16,
        },
    ),
    "gpt2": ("AutoModelForCausalLM", {"n_embd": 16, "n_layer": 2, "n_head": 2}),
    "gemma": ("AutoModelForCausalLM", {"num_key_value_heads": 2, "head_dim": 4}),
    "opt": ("AutoModelForCausalLM", {"ffn_dim": 24, "word_embed_proj_dim": 16}),
}
SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    **{f"{role}_token_id": row for row, role in enumerate(("pad", "bos", "eos", "cls", "sep"))},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_library_ties_is_neither_lacking_nor_untied(family: str, tmp_path: Path) -> None:
    loader, settings = FAMILIES[family]
    unknown = {"dim", "d_model", "n_embd"} & settings.keys()
    sizes = {"vocab_size": 40} if unknown else SIZES
    sources = {}
    for seed, name in enumerate("ab"):
        torch.manual_seed(seed)
        config = AutoConfig.for_model(family, **(sizes | settings))
        model = getattr(transformers, loader).from_config(config)
        model.save_pretrained(tmp_path / name)
        sources[name] = tmp_path / name
    shapes = {n: h.shape for n, h in open_checkpoint(sources["a"]).tensors.items()}
    assert find_faults(sources["a"], shapes) == {}
    out = merged(recipe_of(sources, linear({"a": 0.5, "b": 0.5})), tmp_path / "out").folder
    one, other, both = (
        getattr(transformers, loader).from_pretrained(folder).state_dict()
        for folder in (*sources.values(), out)
    )
    for key, value in both.items():
        torch.testing.assert_close(value, (one[key] + other[key]) / 2)
    was, made = (json.loads((f / "config.json").read_text()) for f in (sources["a"], out))
    assert made.get("tie_word_embeddings") == was.get("tie_word_embeddings")


def test_models_that_transformers_does_not_know_are_passed_over(tmp_path: Path) -> None:
    folder = laid(tmp_path / "a")
    (folder / "config.json").write_text('{"model_type": "not-yet"}')
    assert find_faults(folder, SHAPES) is None
    (folder / "config.json").write_text(json.dumps(LLAMA | {"num_attention_heads": "many"}))
    assert list(find_faults(folder, SHAPES) or ()) == ["config"]


def test_a_result_that_transformers_would_not_load_is_not_written(tmp_path: Path) -> None:
    sources = {name: laid(tmp_path / name) for name in "ab"}
    recipe = recipe_of(sources, linear({"a": 0.5, "b": 0.5}), chat_template="{{ x")
    made = merged(recipe, tmp_path / "fine")  # a template is text until somebody uses it
    assert made.folder.is_dir()
    with Checker() as checker:
        source = tmp_path / "a"
        shutil.copytree(source, tmp_path / "draft")
        told = json.loads((source / "config.json").read_text())
        (tmp_path / "draft" / "config.json").write_text(json.dumps(told | {"hidden_size": 16}))
        checker.submit(tmp_path / "draft", SHAPES, open_checkpoint(source))
        refused(checker.result, "config.json asks for", "nothing was written")


def test_what_was_found_without_fault_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked = list[Path]()

    def compare(folder: Path, *rest: Any) -> tuple[list[str], list[str]]:
        asked.append(folder)
        return compare_faults(folder, *rest)

    monkeypatch.setattr(checking, "compare_faults", compare)
    one, other = laid(tmp_path / "a"), laid(tmp_path / "b")
    broken = {name: [9, 9] if name == "lm_head.weight" else size for name, size in SHAPES.items()}

    def check(folder: Path, shapes: Any) -> list[str]:
        with Checker() as asking:
            asking.submit(folder, shapes, open_checkpoint(one))
            return asking.result()

    assert check(one, SHAPES) == check(other, SHAPES) == []
    assert asked == [one]
    for _ in range(2):
        refused(lambda: check(other, broken), "config.json asks for")
    assert asked == [one, other, other]
    told = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(told | {"rms_norm_eps": 1e-4}))
    assert check(other, SHAPES) == []
    assert len(asked) == 4


def test_where_torch_is_not_loaded_another_process_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    laid(tmp_path / "a")
    laid(tmp_path / "b")
    told = json.loads((tmp_path / "b" / "config.json").read_text())
    (tmp_path / "b" / "config.json").write_text(json.dumps(told | {"hidden_size": 16}))
    code = """
import json, sys
from pathlib import Path
from population.models.opening import open_checkpoint
from population.errors import CheckpointError
from population.merging import checker as checking
from population.merging.checker import Checker
source = open_checkpoint(Path("a"))
shapes = {name: header.shape for name, header in source.tensors.items()}
with Checker() as one, Checker() as other:  # they load side by side
    for folder, checker in (("a", one), ("b", other)):
        checker.submit(Path(folder), shapes, source)
        try:
            print(folder, checker.result())
        except CheckpointError as error:
            print(folder, "refused:", error)
print("torch" in sys.modules)
"""
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n{code}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    first, second, torch = done.stdout.splitlines()
    assert first == "a []"
    assert second.startswith("b refused: the result would not be right: ")
    assert torch == "False"


def test_a_head_that_differs_from_embeddings_is_said_to(tmp_path: Path) -> None:
    sources = {name: write_llama(tmp_path / name, seed=seed) for seed, name in enumerate("ab")}
    for folder in sources.values():
        told = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(told | {"tie_word_embeddings": True}))
    out = merged(recipe_of(sources, linear({"a": 0.5, "b": 0.5})), tmp_path / "out").folder
    assert "lm_head.weight" in load_file(out / "model.safetensors")
    assert json.loads((out / "config.json").read_text())["tie_word_embeddings"] is False
