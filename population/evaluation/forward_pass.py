"""The forward pass: a network reads given answers; how likely, and whether, it would give them.

Teacher forcing: greedy decoding gives an answer if and only if the arg-max at every position of the
answer, in ONE forward pass over prompt and answer, is the answer's token. So scoring a model on all
items is a few batched passes and no decoding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lineage.records import Floats
from population.evaluation.batching import Batch, PreparedItems
from population.evaluation.output_head import log_probabilities, logits_at

Integers = np.ndarray[Any, np.dtype[np.int64]]


Reader = Callable[[Any, PreparedItems], torch.Tensor]


@dataclass(frozen=True)
class AnswersRead:
    """What a forward pass tells of the answers of some questions. All of shape (questions,).

    Attributes:
        exact: shape (questions,): 1 where greedy decoding gives the answer, else 0.
        log_likelihood: shape (questions,): log-probability of the answer in nats, minus infinity
            where it is not finite.
        matched: shape (questions,): tokens of the answer before the first that greedy decoding
            would not give.
        instead: shape (questions,): the token that it would give there.
    """

    exact: Floats
    log_likelihood: Floats
    matched: Integers
    instead: Integers


def read_answers(model: Any, prepared: PreparedItems, reader: Reader | None = None) -> AnswersRead:
    """Let a network read all prepared answers.

    Batches are made once and shared by all models, which also fixes the arithmetic: the same
    weights on the same items give the same bits whenever they are read.

    Args:
        model: a causal language model of transformers, on the device of the batches.
        prepared: answers, or running texts.
        reader: does what `read_batches` does, in another way.
    """
    exact = np.zeros(prepared.size)
    log_likelihood = np.full(prepared.size, -np.inf)
    matched, instead = np.zeros((2, prepared.size), dtype=np.int64)
    if prepared.batches:
        with torch.inference_mode():
            # One transfer: each of them waits for the device.
            read = (reader or read_batches)(model, prepared).cpu().double().numpy()
        rows = np.concatenate([batch.rows for batch in prepared.batches])
        exact[rows], log_likelihood[rows], matched[rows], instead[rows] = read
    return AnswersRead(exact, log_likelihood, matched, instead)


def read_batches(
    model: Any, prepared: PreparedItems, cache: Callable[[], Any] = lambda: None
) -> torch.Tensor:
    """What a network makes of all batches, on its device: fp32, shape (4, sequences).

    Rows are those of `AnswersRead`: whether an answer is exact, its log-likelihood, the tokens that
    match, and the token instead. Nothing here waits for the device.

    Args:
        model: a causal language model of transformers.
        prepared: answers, or running texts; one at least.
        cache: makes an empty key-value cache for each batch; by default there is none.
    """
    batches = [_read_batch(model, batch, cache()) for batch in prepared.batches]
    return torch.cat(batches, dim=1)


def _read_batch(model: Any, batch: Batch, cache: Any) -> torch.Tensor:
    options = {**batch.shown, **({} if cache is None else {"past_key_values": cache})}
    logits = logits_at(model, batch.tokens, batch.logit_positions, **options)
    targets, places = batch.targets, batch.target_positions
    greedy = targets.flatten().index_copy(0, places, logits.argmax(dim=-1)).view_as(targets)
    logs = torch.zeros_like(targets, dtype=torch.float32).flatten()
    logs = logs.index_copy(0, places, log_probabilities(logits, targets.flatten()[places]))
    total = torch.nan_to_num(logs.view_as(targets).sum(dim=1), nan=-torch.inf)
    differs = greedy != targets
    exact = ~differs.any(dim=1) & torch.isfinite(total)
    first_difference = differs.int().argmax(dim=1)
    instead = greedy.gather(1, first_difference[:, None])[:, 0]
    # A token's number is exact in fp32: no vocabulary has 2^24 tokens.
    return torch.stack(
        [exact.float(), total, (first_difference - batch.answer_start).float(), instead.float()]
    )
