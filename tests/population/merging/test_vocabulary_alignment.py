"""Every row of the merged embedding is the row that the rule says."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library
from tokenizers import processors

from population.merging.vocabulary import (
    Tokenizer,
    TokenSource,
    align,
    aligned_rows,
    padding_row,
    token_sources,
    write_tokenizer,
)
from tests.vocabulary_helpers import (
    CODE,
    PROSE,
    WIDTH,
    Save,
    bpe,
    check,
    embeddings,
    reader,
    refused,
    saver,
    whole,
    words,
    written,
)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    return saver(tmp_path)


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


# Several vocabularies, or one of them.


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


# Padding.


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


# Refusals.


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


def test_only_special_tokens_differ_between_other_types(save: Save) -> None:
    # Nothing ordinary is missing, so it does not matter that one cuts texts in another way.
    base, other = save(bpe(PROSE), "base"), save(bpe(PROSE, 321, ("<eos>", "<x>"), " "), "other")
    ordinary = {token for token in other.tokens if token not in base.tokens} - {"<x>"}
    if not ordinary:
        assert align([base, other]).size == base.rows + 1
    else:
        refused(lambda: align([base, other]), "pre_tokenizer")


def test_a_token_without_a_row_that_every_text_needs(save: Save) -> None:
    library = bpe(PROSE)
    library.add_special_tokens(["<s>"])
    row = library.token_to_id("<s>")
    library.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", row)]
    )
    base = save(library, "base", rows=row)
    refused(lambda: align([base]), f"puts token id {row} into every text", f"only {row} rows")


def test_numbers_that_cannot_be(save: Save) -> None:
    one = save(bpe(PROSE), "one")
    refused(lambda: align([]), "at least one")
    refused(lambda: align([one], base=1), "base: expected the number of one of 1 models, found 1")
    refused(lambda: align([one], source=2), "tokenizer source: expected the number")
    refused(lambda: align([one], source="all"), "union, base or a model, found 'all'")
    refused(lambda: align([one], pad_to_multiple_of=0), "1 or more, found 0")


# Slicing.


def made(vocabulary: Sequence[str], rows: int) -> Tokenizer:
    ids = {token: row for row, token in enumerate(vocabulary)}
    return Tokenizer(
        name="made",
        folder=Path("nowhere"),
        data={"model": {"type": "WordLevel", "vocab": ids}, "added_tokens": []},
        tokens={token: row for token, row in ids.items() if row < rows},
        rows=rows,
        out_of_range={token: row for token, row in ids.items() if row >= rows},
    )


vocabularies = st.lists(
    st.tuples(
        st.lists(st.sampled_from("abcdefghij"), unique=True, min_size=1), st.integers(1, 14)
    ).map(lambda drawn: made(*drawn)),
    min_size=1,
    max_size=4,
)


@pytest.mark.slow
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
