"""Whether checkpoints can be merged: one architecture, one shape, one tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from population.errors import CheckpointError
from population.models.checkpoints import Checkpoint
from population.models.config_comparison import config_differences
from population.models.tokenizer_sameness import same_tokens


def check_compatible(founders: Sequence[Checkpoint]) -> None:
    """Make sure that founders can be merged: one architecture, one shape, one tokenizer.

    Raises:
        CheckpointError: names the first difference, what was expected and what was found.
    """
    first = founders[0]
    for other in founders[1:]:
        for difference in config_differences(first.config, other.config):
            raise CheckpointError(
                f"founder {other.name!r}: expected {difference.key} {difference.first!r} as in "
                f"{first.name!r}, got {difference.second!r}; founders of one colony share one "
                "architecture"
            )
        for key in sorted(first.tensors.keys() | other.tensors.keys()):
            expected, actual = first.tensors.get(key), other.tensors.get(key)
            if expected is None or actual is None:
                owner, lacking = (first, other) if actual is None else (other, first)
                raise CheckpointError(
                    f"founder {lacking.name!r} has no tensor {key}, which {owner.name!r} has"
                )
            if expected.shape != actual.shape:
                raise CheckpointError(
                    f"founder {other.name!r}: expected {key} of shape {list(expected.shape)} as in "
                    f"{first.name!r}, got {list(actual.shape)}"
                )
            if not (expected.dtype.floating and actual.dtype.floating):
                _check_copied(first, other, key)
        if not same_vocabulary(first, other):
            raise CheckpointError(
                f"founder {other.name!r} has another tokenizer than {first.name!r}; "
                "the same token would mean different things in their merge"
            )


def _check_copied(first: Checkpoint, other: Checkpoint, key: str) -> None:
    """Make sure that both have the same counter, mask or indices: there is no mean of these."""
    expected, actual = first.tensors[key], other.tensors[key]
    if expected.dtype is not actual.dtype or not np.array_equal(first.raw(key), other.raw(key)):
        raise CheckpointError(
            f"founder {other.name!r}: {key} ({actual.dtype.name}) is another than in "
            f"{first.name!r}; it is no weight (a counter, a mask or indices), so there is no "
            "mean of both; make them equal, or leave one of these founders out"
        )


def same_vocabulary(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two checkpoints turn the same text into the same tokens.

    Raises:
        CheckpointError: one has no tokenizer, or a broken one.
    """
    return same_tokens(one.path, other.path, (one.name, other.name))
