"""Models of different vocabularies are merged row by row, token for token."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer as Library
from tokenizers import models as token_models
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from tests.merge_helpers import linear, merged, recipe_of, refused
from tests.model_zoo import SMALL, load


def wordy(folder: Path, words: list[str], seed: int, tied: bool = False) -> Path:
    """A tiny Llama whose vocabulary is some words."""
    torch.manual_seed(seed)
    settings = SMALL | {"vocab_size": len(words), "tie_word_embeddings": tied}
    AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **settings)).save_pretrained(
        folder
    )
    library = Library(
        token_models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>")
    )
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    library.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>"})
    )
    return folder


@pytest.mark.parametrize("tied", [False, True])
def test_vocabularies_are_joined_row_by_row(tied: bool, tmp_path: Path) -> None:
    words = {
        "a": ["<unk>", "the", "cat", "sat", "mat"],
        "b": ["<unk>", "dog", "the", "ran", "cat", "off"],
    }
    sources = {
        name: wordy(tmp_path / name, vocabulary, seed, tied)
        for seed, (name, vocabulary) in enumerate(words.items())
    }
    step = linear({"a": 0.25, "b": 0.75})
    merged(recipe_of(sources, step, tokenizer={"source": "union"}), tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    model = load(tmp_path / "out")
    assert set(tokenizer.get_vocab()) == set(words["a"]) | set(words["b"])
    assert model.config.vocab_size == len(tokenizer) == 8
    assert tokenizer.convert_ids_to_tokens(tokenizer("the dog sat off").input_ids) == [
        "the",
        "dog",
        "sat",
        "off",
    ]
    before = {name: load(folder) for name, folder in sources.items()}
    for get in ("get_input_embeddings", "get_output_embeddings"):
        rows = {name: getattr(m, get)().weight for name, m in before.items()}
        found = getattr(model, get)().weight
        for word, row in tokenizer.get_vocab().items():
            # Who lacks a word borrows its row from the one that has it.
            a, b = (
                rows[name][words[name].index(word)]
                if word in words[name]
                else rows[other][words[other].index(word)]
                for name, other in (("a", "b"), ("b", "a"))
            )
            torch.testing.assert_close(found[row], 0.25 * a + 0.75 * b)
    tied_now = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert tied_now == tied


def test_other_choices_of_a_vocabulary(tmp_path: Path) -> None:
    sources = {
        "a": wordy(tmp_path / "a", ["<unk>", "the", "cat"], 0),
        "b": wordy(tmp_path / "b", ["<unk>", "dog", "the", "ran", "cat"], 1),
    }
    step = {"method": "task_arithmetic", "base": "a", "models": ["b"], "parameters": {"weight": 1}}
    refused(
        lambda: merged(recipe_of(sources, step), tmp_path / "no"),
        "'b' has another tokenizer than 'a'",
        '"tokenizer": {"source": "union"}',
        "tokenizer_source",
    )
    refused(
        lambda: merged(recipe_of(sources, step, tokenizer={"source": "c"}), tmp_path / "no"),
        "tokenizer source 'c' is neither union nor base nor a source",
    )
    assert not (tmp_path / "no").exists()
    for source, size in (("base", 3), ("b", 5)):
        out = tmp_path / source / "out"
        merged(recipe_of(sources, step, tokenizer={"source": source}), out)
        assert load(out).config.vocab_size == len(AutoTokenizer.from_pretrained(out)) == size
    tokens = {"<new>": {"source": {"kind": "zero"}}}
    choice = {"source": "union", "pad_to_multiple_of": 8, "tokens": tokens}
    merged(recipe_of(sources, step, tokenizer=choice), tmp_path / "padded")
    model = load(tmp_path / "padded")
    assert model.config.vocab_size == 8
    row = AutoTokenizer.from_pretrained(tmp_path / "padded").get_vocab()["<new>"]
    assert (model.get_input_embeddings().weight[row] == 0).all()
