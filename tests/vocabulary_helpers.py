"""What the tests of vocabularies share: tokenizers made in a line, and the rule, token by token."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Library

from population.errors import CheckpointError
from population.merging.vocabulary import (
    Alignment,
    Matrix,
    RowReader,
    Rows,
    Tokenizer,
    TokenSource,
    aligned_rows,
    read_tokenizer,
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
Save = Callable[..., Tokenizer]


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


def saver(into: Path) -> Save:
    """Saves a tokenizer as a model's folder and reads it as that of a model with some rows."""

    def make(library: Library, name: str, rows: int | None = None, **config: Any) -> Tokenizer:
        folder = into / name
        folder.mkdir()
        library.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **config})
        )
        return read_tokenizer(folder, name, library.get_vocab_size() if rows is None else rows)

    return make


def embeddings(tokenizers: Sequence[Tokenizer], seed: int = 0) -> list[Matrix]:
    draw = np.random.default_rng(seed)
    return [draw.normal(size=(one.rows, WIDTH)).astype(np.float32) for one in tokenizers]


def reader(matrices: Sequence[Matrix]) -> RowReader:
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
