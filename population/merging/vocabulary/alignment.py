"""The merged vocabulary, and which row of every model stands at each of its rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from population.errors import CheckpointError
from population.merging.vocabulary.overrides import TokenSource, override_rows
from population.merging.vocabulary.tokenizer import Tokenizer
from population.merging.vocabulary.union import check_union
from population.models.added_tokens import token_settings

Rows: TypeAlias = NDArray[np.int64]
TokenizerSource: TypeAlias = Literal["union", "base"] | int


@dataclass(frozen=True, eq=False)
class Fallback:
    """What stands in for rows that a model lacks: means over rows of others.

    The k-th of the `targets`, which ascend, is the mean over rows `sources[j]` of models
    `models[j]` for j from `starts[k]` to `starts[k + 1]`, each model at most once; zero if there
    are none.
    """

    targets: Rows
    starts: Rows
    models: Rows
    sources: Rows


@dataclass(frozen=True, eq=False)
class Alignment:
    """A merged vocabulary, and how the embedding of every model is brought to it.

    Attributes:
        size: Rows of the merged embedding, padding included.
        tokens: The merged vocabulary.
        rows: For every model, its own row for each row of the merged embedding, or -1.
        used: Whether a row of the merged embedding belongs to a token.
        fallback: Where the rows of tokens come from in models that lack them.
        row_counts: For every model, the rows of its embedding.
        chosen: The model whose tokenizer is taken, or extended.
        added: Added tokens that the chosen tokenizer gains, with their settings.
    """

    size: int
    tokens: Mapping[str, int]
    rows: tuple[Rows, ...]
    used: NDArray[np.bool_]
    fallback: Fallback
    row_counts: tuple[int, ...]
    chosen: int
    added: Mapping[str, Mapping[str, Any]]

    @property
    def identical(self) -> bool:
        """Whether every model's embedding is aligned already."""
        identity = np.arange(self.size)
        return all(
            height == self.size and np.array_equal(rows, identity)
            for height, rows in zip(self.row_counts, self.rows, strict=True)
        )

    def needs_padding(self, model: int) -> bool:
        """Whether `aligned_rows` wants the model's `padding_row`."""
        return bool((~self.used & (self.rows[model] < 0)).any())


def align(
    tokenizers: Sequence[Tokenizer],
    base: int | None = None,
    source: TokenizerSource = "union",
    overrides: Mapping[str, TokenSource] | None = None,
    pad_to_multiple_of: int | None = None,
) -> Alignment:
    """Decide on a merged vocabulary and on the row of every model for each of its rows.

    A model that has a token keeps its own row. One that lacks it gets the row of its override; or
    of the only model that has it; or of the base, if that has it; or the mean over all that have
    it; or zero. A row of the merged vocabulary without a token stays what it is in models that have
    it as padding too; in others it is the mean of their rows with tokens.

    Args:
        tokenizers: One per model.
        base: The base model, if there is one. Without one, the first stands in for it as the
            tokenizer that is taken or extended, but not as the donor of rows.
        source: "union" extends the base's tokenizer by the tokens that it lacks, "base" takes it as
            it is, a number takes that model's.
        overrides: Sources of single tokens. Tokens that are nowhere yet are added to the tokenizer.
        pad_to_multiple_of: The rows of the merged embedding are filled up to such a multiple.

    Raises:
        CheckpointError: the tokenizers cannot be joined, or an override has no such source.
    """
    overrides = overrides or {}
    _check_numbers(tokenizers, base, source, overrides, pad_to_multiple_of)
    chosen = source if isinstance(source, int) else (base or 0)
    extended = tokenizers[chosen]
    _check_post_processor(extended)
    tokens = dict(extended.tokens)
    added: dict[str, Mapping[str, Any]] = {}
    next_id = max(tokens.values(), default=-1) + 1
    for number, other in enumerate(tokenizers):
        if source != "union" or number == chosen:
            continue
        missing = sorted(other.tokens.keys() - tokens.keys(), key=other.tokens.__getitem__)
        if ordinary := [token for token in missing if token not in other.added]:
            check_union(extended, other, ordinary)
        tokens.update(zip(missing, range(next_id, next_id + len(missing)), strict=True))
        next_id += len(missing)
        new_tokens = set(missing)
        for token, entry in other.added.items():
            # What is ordinary elsewhere is left so, unless it is special: that has to match.
            is_added = token in extended.added or token in added
            if not is_added and (token in new_tokens or entry.get("special")):
                added[token] = token_settings(entry)
    for token in overrides:
        if token not in tokens:
            tokens[token], next_id = next_id, next_id + 1
            donors = (other.settings(token) for other in (extended, *tokenizers))
            added[token] = token_settings(next(filter(None, donors), {"content": token}))

    size = max(extended.rows, next_id)
    if pad_to_multiple_of:
        size = -(-size // pad_to_multiple_of) * pad_to_multiple_of
    ids = np.fromiter(tokens.values(), np.int64, len(tokens))
    used = np.zeros(size, np.bool_)
    used[ids] = True
    row_of = np.full((len(tokenizers), size), -1, np.int64)
    for number, other in enumerate(tokenizers):
        row_of[number, ids] = [other.tokens.get(token, -1) for token in tokens]
    fallback = _fallback(row_of, used, base, override_rows(tokenizers, tokens, overrides))
    for number, other in enumerate(tokenizers):
        padding = ~used
        padding[other.rows :] = False
        padding[[row for row in other.tokens.values() if row < size]] = False
        row_of[number, padding] = np.flatnonzero(padding)
    return Alignment(
        size=size,
        tokens=tokens,
        rows=tuple(row_of),
        used=used,
        fallback=fallback,
        row_counts=tuple(other.rows for other in tokenizers),
        chosen=chosen,
        added=added,
    )


def _check_numbers(
    tokenizers: Sequence[Tokenizer],
    base: int | None,
    source: TokenizerSource,
    overrides: Mapping[str, TokenSource],
    multiple: int | None,
) -> None:
    if not tokenizers:
        raise CheckpointError("expected at least one tokenizer to align, found none")
    if not isinstance(source, int) and source not in {"union", "base"}:
        raise CheckpointError(
            f"tokenizer source: expected union, base or a model, found {source!r}"
        )
    if multiple is not None and multiple < 1:
        raise CheckpointError(f"pad_to_multiple_of: expected 1 or more, found {multiple}")
    numbers = {"base": base, "tokenizer source": source if isinstance(source, int) else None}
    numbers |= {
        f"source of token {token!r}": override.model for token, override in overrides.items()
    }
    for what, number in numbers.items():
        if number is not None and not 0 <= number < len(tokenizers):
            raise CheckpointError(
                f"{what}: expected the number of one of {len(tokenizers)} models, found {number}"
            )


def _check_post_processor(tokenizer: Tokenizer) -> None:
    if not tokenizer.out_of_range:
        return
    for row in _inserted(tokenizer.data.get("post_processor")):
        if row >= tokenizer.rows:
            raise CheckpointError(
                f"{tokenizer.name}: its tokenizer puts token id {row} into every text, but its "
                f"embedding has only {tokenizer.rows} rows; take another model's tokenizer "
                "(tokenizer source), or mend this one"
            )


def _inserted(part: object) -> Iterator[int]:
    """The ids that a post-processor adds to texts."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "ids" and isinstance(value, list):
                yield from value
            elif key in {"sep", "cls"} and isinstance(value, list) and len(value) == 2:
                yield value[1]
            else:
                yield from _inserted(value)
    elif isinstance(part, list):
        for value in part:
            yield from _inserted(value)


def _fallback(
    own: Rows,
    used: NDArray[np.bool_],
    base: int | None,
    overrides: Sequence[tuple[int, bool, int, int]],
) -> Fallback:
    """Find what stands in for missing rows. Forced rows are taken out of `own`."""
    present = own >= 0
    is_donor = present.copy()
    if base is not None:
        in_base = present[base]
        is_donor[:, in_base] = False
        is_donor[base, in_base] = True
    sources = own
    needed = used & ~present.all(axis=0)
    if overrides:
        sources = own.copy()
        for target, force, donor, row in overrides:
            is_donor[:, target] = False
            if donor >= 0:
                is_donor[donor, target] = True
                sources[donor, target] = row
            if force:
                own[:, target] = -1
                needed[target] = True
    targets = np.flatnonzero(needed)
    position, donors = np.nonzero(is_donor[:, targets].T)
    starts = np.zeros(len(targets) + 1, np.int64)
    np.cumsum(np.bincount(position, minlength=len(targets)), out=starts[1:])
    return Fallback(
        targets=targets,
        starts=starts,
        models=donors.astype(np.int64),
        sources=sources[donors, targets[position]],
    )
