"""The forward pass: a network reads given answers; how likely, and whether, it would give them.

Teacher forcing: greedy decoding gives an answer if and only if the arg-max at every position of the
answer, in ONE forward pass over prompt and answer, is the answer's token. So scoring a model on all
items is a few batched passes and no decoding.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lineage.records import Floats
from population.evaluation.batching import PreparedItems
from population.evaluation.output_head import log_probabilities, logits_at

Integers = np.ndarray[Any, np.dtype[np.int64]]


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


def read_answers(model: Any, prepared: PreparedItems) -> AnswersRead:
    """Let a network read all prepared answers.

    Batches are made once and shared by all models, which also fixes the arithmetic: the same
    weights on the same items give the same bits whenever they are read.

    Args:
        model: a causal language model of transformers, on the device of the batches.
        prepared: answers, or running texts.
    """
    exact = np.zeros(prepared.size)
    log_likelihood = np.full(prepared.size, -np.inf)
    matched, instead = np.zeros((2, prepared.size), dtype=np.int64)
    with torch.inference_mode():
        for batch in prepared.batches:
            logits = logits_at(model, batch.tokens, batch.logit_mask)
            mask = batch.target_mask
            greedy, targets = batch.targets.clone(), batch.targets[mask]
            greedy[mask] = logits.argmax(dim=-1)
            logs = torch.zeros_like(batch.targets, dtype=torch.float32)
            logs[mask] = log_probabilities(logits, targets)
            total = torch.nan_to_num(logs.sum(dim=1), nan=-torch.inf)
            differs = greedy != batch.targets
            all_match = ~differs.any(dim=1) & torch.isfinite(total)
            first_difference = differs.int().argmax(dim=1)
            answer_start = mask.int().argmax(dim=1)
            exact[batch.rows] = all_match.double().cpu().numpy()
            log_likelihood[batch.rows] = total.double().cpu().numpy()
            matched[batch.rows] = (first_difference - answer_start).cpu().numpy()
            instead[batch.rows] = greedy.gather(1, first_difference[:, None])[:, 0].cpu().numpy()
    return AnswersRead(exact, log_likelihood, matched, instead)
