"""Batches: every sequence once, within the limits, with little padding."""

import numpy as np
import pytest
import torch

from population.evaluation.batching import BatchLimits, TokenSequence, batch_by_length


def sequences(lengths: list[int]) -> list[TokenSequence]:
    return [TokenSequence(n, [1] * (length - 1), [2, 3]) for n, length in enumerate(lengths)]


@pytest.mark.parametrize("batch_tokens", [16, 100, 2048])
def test_batches_hold_every_sequence_once_and_stay_within_their_limit(batch_tokens: int) -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(2, 40, 200)]
    limits = BatchLimits(batch_tokens, 64, 100, torch.device("cpu"))
    batches = batch_by_length(sequences(lengths), limits)
    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted(rows) == list(range(200))
    for batch in batches:
        assert batch.tokens.numel() <= max(batch_tokens, batch.tokens.shape[1])
        assert batch.tokens.shape[1] == max(lengths[row] for row in batch.rows)


def test_batches_are_cut_where_that_saves_padding() -> None:
    limits = BatchLimits(2048, 64, 100, torch.device("cpu"))
    even = batch_by_length(sequences([10] * 20 + [11] * 20), limits)
    uneven = batch_by_length(sequences([5] * 20 + [40] * 20), limits)
    assert [batch.tokens.shape for batch in even] == [(40, 11)]
    assert [batch.tokens.shape for batch in uneven] == [(20, 5), (20, 40)]
    elsewhere = BatchLimits(32768, 64, 100, torch.device("meta"))
    assert len(batch_by_length(sequences([5] * 20 + [40] * 20), elsewhere)) == 1
