"""Vocabularies: every row of the merged embedding is the row that the rule says, and texts work."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Library
from transformers import AutoTokenizer

from population.errors import CheckpointError
from population.vocabulary import (
    Alignment,
    Matrix,
    Read,
    Rows,
    Tokenizer,
    TokenSource,
    align,
    aligned_rows,
    padding_row,
    read_tokenizer,
    token_sources,
    write_tokenizer,
)

PROSE = [
    "the cat sat on the mat and the dog sat on the cat",
    "a dog and a cat and another dog, all of them sitting together on the mat",
    "nothing together with something is something, another thing is nothing",
] * 5
CODE = [
    "def append(self, value): self.values.append(value); return self.values",
    "for value in self.values: print(value, self.values[value])",
    "class Values(list): def __init__(self, values): self.values = list(values)",
] * 5
WIDTH = 3


def bpe(
    texts: Sequence[str], size: int = 320, special: Sequence[str] = ("<eos>",), split: str = ""
) -> Library:
    tokenizer = Library(models.BPE())
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = bytewise
    if split:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(split), "isolated"), bytewise]
        )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(special),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def words(vocabulary: Mapping[str, int]) -> Library:
    tokenizer = Library(models.WordLevel(dict(vocabulary), unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def unigram(pieces: Sequence[tuple[str, float]]) -> Library:
    tokenizer = Library(models.Unigram(list(pieces), unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Tokenizer]:
    """Saves a tokenizer as a model's folder and reads it as that of a model with some rows."""

    def make(library: Library, name: str, rows: int | None = None, **config: Any) -> Tokenizer:
        folder = tmp_path / name
        folder.mkdir()
        library.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **config})
        )
        return read_tokenizer(folder, name, library.get_vocab_size() if rows is None else rows)

    return make


Save = Callable[..., Tokenizer]


def embeddings(tokenizers: Sequence[Tokenizer], seed: int = 0) -> list[Matrix]:
    draw = np.random.default_rng(seed)
    return [draw.normal(size=(one.rows, WIDTH)).astype(np.float32) for one in tokenizers]


def reader(matrices: Sequence[Matrix]) -> Read:
    def read(model: int, rows: Rows) -> Matrix:
        assert len(rows) == 0 or (rows.min() >= 0 and rows.max() < len(matrices[model]))
        taken: Matrix = matrices[model][rows]
        return taken

    return read


def whole(alignment: Alignment, model: int, matrices: Sequence[Matrix]) -> Matrix:
    return aligned_rows(alignment, model, 0, alignment.size, reader(matrices))


def obvious(
    alignment: Alignment,
    model: int,
    tokenizers: Sequence[Tokenizer],
    matrices: Sequence[Matrix],
    base: int | None = None,
    overrides: Mapping[str, TokenSource] | None = None,
) -> Matrix:
    """The same, token by token."""
    out = np.zeros((alignment.size, WIDTH), np.float32)
    overrides = overrides or {}
    for token, row in alignment.tokens.items():
        having = [k for k, one in enumerate(tokenizers) if token in one.tokens]
        override = overrides.get(token)
        if model in having and not (override and override.force):
            source = [(model, tokenizers[model].tokens[token])]
        elif override and override.model is None:
            source = []
        elif override and override.token_id is not None:
            source = [(override.model, override.token_id)]
        elif override:
            donor = override.model
            source = [(donor, tokenizers[donor].tokens[override.token or token])]
        elif base is not None and base in having:
            source = [(base, tokenizers[base].tokens[token])]
        else:
            source = [(k, tokenizers[k].tokens[token]) for k in having]
        for donor, place in source:
            out[row] += matrices[donor][place]
        out[row] /= max(len(source), 1)
    used = sorted(set(alignment.tokens.values()))
    mean = out[used].mean(axis=0, dtype=np.float64)
    theirs = set(tokenizers[model].tokens.values())
    for row in set(range(alignment.size)) - set(used):
        own = row < tokenizers[model].rows and row not in theirs
        out[row] = matrices[model][row] if own else mean
    return out


def check(
    alignment: Alignment,
    tokenizers: Sequence[Tokenizer],
    base: int | None = None,
    overrides: Mapping[str, TokenSource] | None = None,
) -> list[Matrix]:
    """Compare every model's embedding with the obvious one; return them."""
    matrices = embeddings(tokenizers)
    found = []
    for model in range(len(tokenizers)):
        out = whole(alignment, model, matrices)
        assert out.dtype == np.float32
        expected = obvious(alignment, model, tokenizers, matrices, base, overrides)
        np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6)
        found.append(out)
    return found


def written(alignment: Alignment, tokenizers: Sequence[Tokenizer], into: Path) -> Library:
    write_tokenizer(alignment, tokenizers, into)
    library = Library.from_file(str(into / "tokenizer.json"))
    assert library.get_vocab(with_added_tokens=True) == dict(alignment.tokens)
    return library


def refused(act: Callable[[], object], *parts: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


# The same vocabulary.


def test_the_same_tokenizer_leaves_everything_as_it_is(save: Save, tmp_path: Path) -> None:
    tokenizers = [save(bpe(PROSE), name, rows=330) for name in "ab"]
    alignment = align(tokenizers)
    assert alignment.identical
    assert alignment.size == 330
    matrices = embeddings(tokenizers)
    for model in range(2):
        assert not alignment.needs_padding(model)
        np.testing.assert_array_equal(whole(alignment, model, matrices), matrices[model])
    write_tokenizer(alignment, tokenizers, tmp_path / "out")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()


def test_other_ids_for_the_same_tokens_align_exactly(save: Save, tmp_path: Path) -> None:
    first = save(bpe(PROSE), "first")
    data = json.loads(json.dumps(first.data))
    order = np.random.default_rng(1).permutation(first.rows)
    model = data["model"]
    model["vocab"] = {token: int(order[row]) for token, row in model["vocab"].items()}
    for entry in data["added_tokens"]:
        entry["id"] = int(order[entry["id"]])
    second = save(Library.from_str(json.dumps(data)), "second")
    alignment = align([first, second])
    assert not alignment.identical
    assert alignment.tokens == first.tokens
    matrix = embeddings([first])[0]
    shuffled = np.empty_like(matrix)
    shuffled[order] = matrix
    for model_number in range(2):
        out = whole(alignment, model_number, [matrix, shuffled])
        np.testing.assert_array_equal(out, matrix)


def test_more_rows_than_the_merged_embedding_is_not_identical(save: Save) -> None:
    small, big = save(bpe(PROSE), "small", rows=330), save(bpe(PROSE), "big", rows=340)
    assert not align([small, big]).identical
    assert align([small, big]).size == 330
    assert align([small, big], source=1).size == 340
    check(align([small, big], source=1), [small, big])


# The union.


def test_union_of_two_bpe_vocabularies(save: Save, tmp_path: Path) -> None:
    prose, code = save(bpe(PROSE), "prose"), save(bpe(CODE), "code")
    for base in (None, 0):
        alignment = align([prose, code], base=base)
        assert alignment.tokens.keys() == prose.tokens.keys() | code.tokens.keys()
        assert prose.tokens.items() <= alignment.tokens.items()
        check(alignment, [prose, code], base)
    merged = written(alignment, [prose, code], tmp_path / "out")
    before = Library.from_file(str(tmp_path / "prose" / "tokenizer.json"))
    texts = ["the mat on the dog", "日本 ü 77", "<eos>the<eos>"]
    same = 0
    for text in [*texts, *PROSE[:3], *" ".join(PROSE[:3]).split()]:
        ids = merged.encode(text).ids
        assert merged.decode(ids) == before.decode(before.encode(text).ids)
        if max(ids) < prose.rows:  # no new token occurs
            assert ids == before.encode(text).ids
            same += 1
        else:
            assert text not in texts
    assert same > 30
    for text in CODE[:3]:
        assert merged.decode(merged.encode(text).ids) == text
        assert len(merged.encode(text).ids) < len(before.encode(text).ids)
    # No ordinary token matches in the middle of words: none is an added token.
    assert [token.content for token in merged.get_added_tokens_decoder().values()] == ["<eos>"]


def test_new_tokens_are_reached_even_where_earlier_merges_cut_otherwise(
    save: Save, tmp_path: Path
) -> None:
    def tiny(merges: list[tuple[str, str]]) -> Library:
        vocabulary = {character: row for row, character in enumerate("abcd")}
        for left, right in merges:
            vocabulary[left + right] = len(vocabulary)
        return Library(models.BPE(vocabulary, merges))

    first = save(tiny([("b", "c")]), "first")
    second = save(tiny([("a", "b"), ("ab", "c"), ("abc", "d")]), "second")
    merged = written(align([first, second]), [first, second], tmp_path / "out")
    assert merged.encode("bc").tokens == ["bc"]
    assert merged.encode("abc").tokens == ["abc"]  # a + bc, which neither has
    assert merged.encode("abcd").tokens == ["abcd"]
    assert merged.encode("ab").tokens == ["ab"]
    assert merged.encode("bcd").tokens == ["bc", "d"]


def test_merges_written_as_text_are_understood(save: Save, tmp_path: Path) -> None:
    tokenizers = []
    for name, texts in (("prose", PROSE), ("code", CODE)):
        one = save(bpe(texts), name)
        data = json.loads((one.folder / "tokenizer.json").read_text())
        data["model"]["merges"] = [" ".join(merge) for merge in data["model"]["merges"]]
        del data["model"]["type"]
        (one.folder / "tokenizer.json").write_text(json.dumps(data))
        tokenizers.append(read_tokenizer(one.folder, name, one.rows))
    tokenizers[0] = save(bpe(PROSE), "again")
    merged = written(align(tokenizers), tokenizers, tmp_path / "out")
    assert merged.encode("self.values").tokens == bpe(CODE).encode("self.values").tokens


def test_three_models_average_what_the_base_lacks(save: Save) -> None:
    vocabularies: list[dict[str, int]] = [
        {"<unk>": 0, "a": 1, "b": 2},
        {"<unk>": 0, "c": 1, "a": 2, "d": 3},
        {"d": 0, "<unk>": 1, "b": 2, "e": 3},
    ]
    tokenizers = [save(words(one), f"m{k}") for k, one in enumerate(vocabularies)]
    alignment = align(tokenizers, base=0)
    assert list(alignment.tokens) == ["<unk>", "a", "b", "c", "d", "e"]
    assert list(alignment.tokens.values()) == list(range(6))
    first, second, third = check(alignment, tokenizers, base=0)
    matrices = embeddings(tokenizers)
    np.testing.assert_array_equal(first[3], matrices[1][1])  # the only one that has it
    np.testing.assert_allclose(first[4], (matrices[1][3] + matrices[2][0]) / 2)
    np.testing.assert_array_equal(second[2], matrices[0][2])  # the base's, not the mean
    np.testing.assert_array_equal(third[4], matrices[2][0])  # its own
    without = check(align(tokenizers), tokenizers)
    np.testing.assert_allclose(without[1][2], (matrices[0][2] + matrices[2][2]) / 2)


def test_union_extends_words_and_pieces(save: Save, tmp_path: Path) -> None:
    first = save(words({"<unk>": 0, "cat": 1}), "first")
    second = save(words({"dog": 0, "<unk>": 1, "cat": 2}), "second")
    merged = written(align([first, second]), [first, second], tmp_path / "words")
    assert merged.encode("cat dog cow").ids == [1, 2, 0]

    ours = unigram([("<unk>", 0.0), ("▁", -3.0), ("c", -4.0), ("a", -4.0), ("t", -4.0)])
    ours.add_special_tokens(["<s>"])
    theirs = unigram([("<unk>", 0.0), ("▁", -3.0), ("▁cat", -2.0), ("dog", -2.5)])
    third, fourth = save(ours, "third"), save(theirs, "fourth")
    alignment = align([third, fourth], base=0)
    check(alignment, [third, fourth], base=0)
    merged = written(alignment, [third, fourth], tmp_path / "pieces")
    assert merged.encode("cat dog").tokens == ["▁cat", "▁", "dog"]
    assert merged.encode("act").ids == ours.encode("act").ids
    assert merged.token_to_id("<s>") == ours.token_to_id("<s>")
    assert merged.encode("<s>").tokens[-1] == "<s>"
    pieces = json.loads(merged.to_str())["model"]["vocab"]
    assert ["dog", -2.5] in pieces


def test_special_tokens_of_others_stay_special(save: Save, tmp_path: Path) -> None:
    first = bpe(PROSE, special=("<eos>", "<|user|>"))
    data = json.loads(first.to_str())
    data["added_tokens"] = data["added_tokens"][:1]  # here <|user|> is ordinary
    base = save(Library.from_str(json.dumps(data)), "base", rows=400, eos_token="<eos>")
    second = bpe(CODE, special=("<eos>", "<|user|>", "<|end|>"))
    second.add_tokens([AddedToken("  ", normalized=False, lstrip=False)])
    second.add_tokens([AddedToken("sat", single_word=True)])
    chat = save(second, "chat")
    alignment = align([base, chat], base=0)
    assert alignment.size == 400  # the new tokens found room in the padding
    check(alignment, [base, chat], base=0)
    merged = written(alignment, [base, chat], tmp_path / "out")
    added = merged.get_added_tokens_decoder()
    assert {token.content for token in added.values()} == {"<eos>", "<|user|>", "<|end|>", "  "} | (
        set() if "sat" in base.tokens else {"sat"}
    )
    end = added[merged.token_to_id("<|end|>")]
    assert end.special
    assert not end.normalized
    assert not added[merged.token_to_id("  ")].special
    assert merged.encode("the<|end|>cat<|user|>").tokens == [
        *base_tokens(base, "the"),
        "<|end|>",
        *base_tokens(base, "cat"),
        "<|user|>",
    ]
    assert merged.decode(merged.encode("the cat<|end|>").ids) == "the cat"


def base_tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    tokens: list[str] = (
        Library.from_file(str(tokenizer.folder / "tokenizer.json")).encode(text).tokens
    )
    return tokens


def test_only_special_tokens_differ_between_other_types(save: Save) -> None:
    # Nothing ordinary is missing, so it does not matter that one cuts texts in another way.
    base, other = save(bpe(PROSE), "base"), save(bpe(PROSE, 321, ("<eos>", "<x>"), " "), "other")
    ordinary = {token for token in other.tokens if token not in base.tokens} - {"<x>"}
    if not ordinary:
        assert align([base, other]).size == base.rows + 1
    else:
        refused(lambda: align([base, other]), "pre_tokenizer")


# One model's vocabulary.


def test_the_base_as_the_source(save: Save, tmp_path: Path) -> None:
    prose, code = save(bpe(PROSE), "prose"), save(bpe(CODE), "code", rows=350)
    alignment = align([prose, code], base=0, source="base")
    assert alignment.tokens == prose.tokens
    assert alignment.size == prose.rows
    check(alignment, [prose, code], base=0)
    other = align([prose, code], base=0, source=1)
    assert other.tokens == code.tokens
    assert other.size == 350
    check(other, [prose, code], base=0)
    write_tokenizer(other, [prose, code], tmp_path / "out")
    same = (tmp_path / "out" / "tokenizer.json", tmp_path / "code" / "tokenizer.json")
    assert same[0].read_bytes() == same[1].read_bytes()


def test_padding_to_a_multiple(save: Save) -> None:
    prose, code = save(bpe(PROSE), "prose"), save(bpe(CODE), "code")
    alignment = align([prose, code], pad_to_multiple_of=64)
    assert alignment.size % 64 == 0
    assert 0 <= alignment.size - len(alignment.tokens) < 64
    found = check(alignment, [prose, code])
    matrices = embeddings([prose, code])
    for model, out in enumerate(found):
        assert alignment.needs_padding(model)
        real = out[: len(alignment.tokens)].mean(axis=0)
        np.testing.assert_allclose(out[-1], real, atol=1e-6)
        for chunk in (1, 7, 8192):
            row = padding_row(alignment, model, reader(matrices), chunk)
            np.testing.assert_allclose(row, real, atol=1e-6)


def test_padding_rows_that_a_model_has_stay(save: Save) -> None:
    tokenizers = [save(bpe(PROSE), "a", rows=330), save(bpe(PROSE), "b", rows=325)]
    alignment = align(tokenizers, pad_to_multiple_of=64)
    assert alignment.size == 384
    first, second = check(alignment, tokenizers)
    matrices = embeddings(tokenizers)
    np.testing.assert_array_equal(first[:330], matrices[0])
    np.testing.assert_array_equal(second[:325], matrices[1])


# Overrides.


def test_overrides(save: Save) -> None:
    first = save(words({"<unk>": 0, "a": 1, "b": 2}), "first")
    second = save(words({"<unk>": 0, "a": 1, "c": 2, "d": 3}), "second", rows=6)
    both = [first, second]
    matrices = embeddings(both)
    overrides = token_sources(
        {
            "a": {"source": "second", "force": True},
            "b": {"source": {"kind": "zero"}},
            "c": {"source": {"kind": "model_token", "model": "first", "token": "b"}},
            "d": {
                "source": {"kind": "model_token", "model": "second", "token_id": 5},
                "force": True,
            },
        },
        ["first", "second"],
    )
    assert overrides["a"] == TokenSource(1, force=True)
    alignment = align(both, base=0, overrides=overrides)
    ours, theirs = check(alignment, both, base=0, overrides=overrides)
    row = alignment.tokens
    for out in (ours, theirs):
        np.testing.assert_array_equal(out[row["a"]], matrices[1][1])
        np.testing.assert_array_equal(out[row["d"]], matrices[1][5])
    np.testing.assert_array_equal(ours[row["b"]], matrices[0][2])
    np.testing.assert_array_equal(theirs[row["b"]], np.zeros(WIDTH))
    np.testing.assert_array_equal(ours[row["c"]], matrices[0][2])
    np.testing.assert_array_equal(theirs[row["c"]], matrices[1][2])
    assert not alignment.identical
    forced = {"b": TokenSource(None, force=True)}
    for out in check(align(both, 0, overrides=forced), both, 0, forced):
        np.testing.assert_array_equal(out[row["b"]], np.zeros(WIDTH))


def test_an_override_brings_a_token_into_the_vocabulary(save: Save, tmp_path: Path) -> None:
    first = save(bpe(PROSE), "first")
    second = save(bpe(PROSE, 321, special=("<eos>", "<|end|>")), "second")
    overrides = {"<|end|>": TokenSource(1), "<mine>": TokenSource(0, token="<eos>")}
    alignment = align([first, second], 0, "base", overrides)
    assert len(alignment.tokens) == len(first.tokens) + 2
    found = check(alignment, [first, second], 0, overrides)
    np.testing.assert_array_equal(found[0][alignment.tokens["<mine>"]], found[0][0])
    merged = written(alignment, [first, second], tmp_path / "out")
    added = merged.get_added_tokens_decoder()
    assert added[alignment.tokens["<|end|>"]].special
    assert not added[alignment.tokens["<mine>"]].special
    assert merged.encode("<mine>").ids == [alignment.tokens["<mine>"]]


def test_overrides_that_cannot_be(save: Save) -> None:
    first = save(words({"<unk>": 0, "a": 1}), "first")
    second = save(words({"<unk>": 0, "b": 1}), "second", rows=1)

    def one(**override: Any) -> Callable[[], object]:
        return lambda: align([first, second], overrides={"a": TokenSource(**override)})

    refused(one(model=1), "'a'", "vocabulary of second", "no such token")
    refused(one(model=1, token="b"), "beyond the 1 rows")
    refused(one(model=1, token_id=1), "below the 1 rows of second, found 1")
    refused(one(model=2), "one of 2 models, found 2")
    for wrong in (
        {},
        {"source": "first", "weight": 1},
        {"source": {"kind": "nil"}},
        {"source": {"kind": "model_token", "model": "first"}},
        {"source": {"kind": "model_token", "model": "first", "token": "a", "token_id": 1}},
        {"source": "first", "force": "yes"},
    ):
        refused(lambda wrong=wrong: token_sources({"a": wrong}, ["first"]), "expected a source")
    refused(lambda: token_sources({"a": {"source": "third"}}, ["first"]), "found 'third'")


# Tokens that have no row.


def test_tokens_beyond_the_embedding_are_dropped(save: Save, tmp_path: Path) -> None:
    library = bpe(PROSE)
    library.add_special_tokens(["[PAD]"])
    size = library.get_vocab_size()
    base = save(library, "base", rows=size - 3, pad_token="[PAD]", eos_token="<eos>")
    assert len(base.beyond) == 3
    whole_one = save(library, "whole", eos_token="<eos>")
    merged = written(align([base, whole_one], source="base"), [base, whole_one], tmp_path / "out")
    assert merged.token_to_id("[PAD]") is None
    assert max(merged.encode(text).ids[0] for text in PROSE) < size - 3
    config = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert "pad_token" not in config
    assert config["eos_token"] == "<eos>"
    check(align([base, whole_one], 0), [base, whole_one], 0)
    # Others have rows for them, so in the union they are back, and so is their role.
    merged = written(align([base, whole_one], 0), [base, whole_one], tmp_path / "union")
    assert merged.get_added_tokens_decoder()[merged.token_to_id("[PAD]")].special
    config = json.loads((tmp_path / "union" / "tokenizer_config.json").read_text())
    assert config["pad_token"] == "[PAD]"


def test_a_token_without_a_row_that_every_text_needs(save: Save) -> None:
    library = bpe(PROSE)
    library.add_special_tokens(["<s>"])
    row = library.token_to_id("<s>")
    library.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", row)]
    )
    base = save(library, "base", rows=row)
    refused(lambda: align([base]), f"puts token id {row} into every text", f"only {row} rows")


def test_tokens_that_only_the_configuration_mentions(save: Save, tmp_path: Path) -> None:
    library = bpe(PROSE)
    size = library.get_vocab_size()
    entry = {"content": "<x>", "special": True, "normalized": False}
    base = save(
        library, "base", size + 5, pad_token="[PAD]", added_tokens_decoder={str(size): entry}
    )
    assert base.tokens["<x>"] == size
    assert base.tokens["[PAD]"] == size + 1
    loaded = AutoTokenizer.from_pretrained(base.folder)
    assert loaded.get_vocab() == dict(base.tokens)
    written(align([base], 0), [base], tmp_path / "out")
    again = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert again.get_vocab() == dict(base.tokens)
    assert again.pad_token_id == size + 1


def test_ids_are_those_that_loading_gives(save: Save) -> None:
    one = save(words({"<unk>": 0, "a": 1}), "one")
    data = json.loads(json.dumps(one.data))
    entry = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    data["added_tokens"] = [{"id": 7, "content": "<x>", "special": True, **entry}]
    (one.folder / "tokenizer.json").write_text(json.dumps(data))
    assert read_tokenizer(one.folder, "one", 3).tokens == {"<unk>": 0, "a": 1, "<x>": 2}


# Refusals.


def test_what_is_no_fast_tokenizer(tmp_path: Path) -> None:
    refused(
        lambda: read_tokenizer(tmp_path, "m", 9),
        "m: expected tokenizer.json",
        "no tokenizer at all",
    )
    (tmp_path / "tokenizer.model").write_bytes(b"\0")
    refused(lambda: read_tokenizer(tmp_path, "m", 9), "found only tokenizer.model", "AutoTokenizer")
    file = tmp_path / "tokenizer.json"
    for text, part in (
        ("{", "cannot be read"),
        ("[]", "expected a JSON object"),
        ("{}", "expected a fast tokenizer"),
        ('{"model": {"type": "Tekken", "vocab": {}}}', "Tekken"),
        ('{"model": {"type": "BPE", "vocab": {"a": 5}}}', "does not load"),
    ):
        file.write_text(text)
        refused(lambda: read_tokenizer(tmp_path, "m", 9), part)


def test_vocabularies_that_do_not_join(save: Save, tmp_path: Path) -> None:
    base = save(bpe(PROSE), "base")
    word = save(words({"<unk>": 0, "cow": 1}), "word")
    digits = save(bpe(CODE, split=r"\d"), "digits")
    refused(
        lambda: align([base, word]),
        "word has 2 tokens that base lacks",
        'model type "BPE" in both, found "WordLevel"',
        "tokenizer source: base",
    )
    refused(lambda: align([base, digits]), "digits has", "pre_tokenizer")
    alignment = align([base, word], 0, "base")
    check(alignment, [base, word], 0)
    merged = written(align([word, base], 0, "base"), [word, base], tmp_path / "out")
    assert merged.encode("cow").ids == [1]


def test_numbers_that_cannot_be(save: Save) -> None:
    one = save(bpe(PROSE), "one")
    refused(lambda: align([]), "at least one")
    refused(lambda: align([one], base=1), "base: expected the number of one of 1 models, found 1")
    refused(lambda: align([one], source=2), "tokenizer source: expected the number")
    refused(lambda: align([one], source="all"), "union, base or a model, found 'all'")
    refused(lambda: align([one], pad_to_multiple_of=0), "1 or more, found 0")


# Loading and slicing.


def test_transformers_loads_the_union(save: Save, tmp_path: Path) -> None:
    base = save(bpe(PROSE), "base", eos_token="<eos>", added_tokens_decoder={})
    (base.folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    (base.folder / "merges.txt").write_text("stale soon")
    code = save(bpe(CODE, special=("<eos>", "<|end|>")), "code")
    out = tmp_path / "out"
    merged = written(align([base, code], 0), [base, code], out)
    loaded = AutoTokenizer.from_pretrained(out)
    assert loaded.get_vocab() == merged.get_vocab(with_added_tokens=True)
    for text in (*PROSE[:2], *CODE[:2], "the<|end|>cat"):
        assert loaded.encode(text) == merged.encode(text).ids
        assert loaded.decode(loaded.encode(text)) == text
    assert loaded.eos_token == "<eos>"
    assert loaded.apply_chat_template([{"role": "user", "content": "hm"}], tokenize=False) == "hm"
    assert not (out / "merges.txt").exists()
    config = json.loads((out / "tokenizer_config.json").read_text())
    ids = {int(row): entry["content"] for row, entry in config["added_tokens_decoder"].items()}
    assert ids == {0: "<eos>", merged.token_to_id("<|end|>"): "<|end|>"}


def made(vocabulary: Sequence[str], rows: int) -> Tokenizer:
    ids = {token: row for row, token in enumerate(vocabulary)}
    return Tokenizer(
        name="made",
        folder=Path("nowhere"),
        data={"model": {"type": "WordLevel", "vocab": ids}, "added_tokens": []},
        tokens={token: row for token, row in ids.items() if row < rows},
        rows=rows,
        beyond={token: row for token, row in ids.items() if row >= rows},
    )


vocabularies = st.lists(
    st.tuples(
        st.lists(st.sampled_from("abcdefghij"), unique=True, min_size=1), st.integers(1, 14)
    ).map(lambda drawn: made(*drawn)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(vocabularies, st.data())
def test_any_slice_is_a_slice_of_the_whole(
    tokenizers: list[Tokenizer], data: st.DataObject
) -> None:
    numbers = st.integers(0, len(tokenizers) - 1)
    base = data.draw(st.none() | numbers)
    source = data.draw(st.sampled_from(["union", "base"]) | numbers)
    donor = data.draw(numbers)
    override = data.draw(
        st.builds(TokenSource, st.none(), force=st.booleans())
        | st.builds(
            TokenSource,
            st.just(donor),
            token_id=st.integers(0, tokenizers[donor].rows - 1),
            force=st.booleans(),
        )
    )
    overrides = data.draw(st.dictionaries(st.sampled_from("abcxy"), st.just(override), max_size=2))
    multiple = data.draw(st.none() | st.integers(1, 8))
    alignment = align(tokenizers, base, source, overrides, multiple)
    found = check(alignment, tokenizers, base, overrides)
    read = reader(embeddings(tokenizers))
    for model, out in enumerate(found):
        start = data.draw(st.integers(0, alignment.size))
        stop = data.draw(st.integers(start, alignment.size))
        padding = padding_row(alignment, model, read)
        for given_padding in (None, padding):
            part = aligned_rows(alignment, model, start, stop, read, given_padding)
            np.testing.assert_array_equal(part, out[start:stop])
    if alignment.identical:
        for out, matrix in zip(found, embeddings(tokenizers), strict=True):
            np.testing.assert_array_equal(out, matrix)
