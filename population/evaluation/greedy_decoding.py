"""Decoding of many prompts at once, in bounded memory: greedily, or by sampling.

A sample is decoded by given uniform numbers, one for each token: token t is the first one at which
the cumulative probability passes the t-th number. So a sample depends on the model and its numbers
alone, not on what else is in the batch, and models that differ little say the same.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from arena.tasks.correctness import can_become
from population.evaluation.images import batched
from population.evaluation.output_head import narrowed
from population.evaluation.prompt_tokenizer import EncodedPrompt, PromptTokenizer


@dataclass(frozen=True)
class DecodingRequest:
    """A prompt to continue, and when to stop.

    Attributes:
        prompt: as the model gets it.
        max_tokens: tokens that the answer may take.
        stops: texts that end it, whichever comes first.
        only_answer: the only answer that is worth finishing, in canonical form, if any: decoding
            ends as soon as the text cannot become it.
        ends: tokens that end it, beside the tokenizer's end-of-sequence token.
        temperature: of a sample; None for the greedy answer.
        draws: uniform numbers that a sample is decoded by, at least as many as tokens.
    """

    prompt: EncodedPrompt
    max_tokens: int
    stops: tuple[str, ...] = ()
    only_answer: str | None = None
    ends: tuple[int, ...] = ()
    temperature: float | None = None
    draws: tuple[float, ...] = ()


def decode_greedily(
    model: Any,
    tokenizer: PromptTokenizer,
    requests: Sequence[DecodingRequest],
    *,
    context_length: int,
    batch_tokens: int,
    device: torch.device,
    end_ids: Sequence[int] = (),
) -> list[list[int]]:
    """The tokens that a model generates greedily after each prompt, up to their end or limit.

    Prompts that fit together are decoded together, in their order; if they do not, those of similar
    length are. A prompt without room for its whole answer is decoded alone, so that no other answer
    is cut short on its account.

    Args:
        model: a causal language model of transformers.
        tokenizer: the model's.
        requests: prompts to continue.
        context_length: tokens that the model reads.
        batch_tokens: in a batch at most, answers included.
        device: where the model is.
        end_ids: tokens that end an answer beside the tokenizer's end-of-sequence token.
    """
    generated: list[list[int]] = [[] for _ in requests]
    width = max((len(request.prompt.ids) for request in requests), default=0)
    limit = max((request.max_tokens for request in requests), default=0)
    lengths = [len(request.prompt.ids) for request in requests]
    together = [n for n, length in enumerate(lengths) if length + limit <= context_length]
    alone = [n for n, x in enumerate(lengths) if context_length - limit < x < context_length]
    if together and len(together) * (width + limit) > batch_tokens:
        together.sort(key=lambda number: (lengths[number], number))
    batches: list[list[int]] = []
    widest = 0
    for number in together:
        widest = max(widest, lengths[number])
        if not batches or (len(batches[-1]) + 1) * (widest + limit) > batch_tokens:
            batches.append([])
            widest = lengths[number]
        batches[-1].append(number)
    for batch in [*batches, *([number] for number in alone)]:
        room = context_length - max(lengths[number] for number in batch)
        answers = _decode_batch(
            model,
            tokenizer,
            [requests[number] for number in batch],
            min(limit, room),
            device,
            [tokenizer.eos_id, *end_ids],
        )
        for number, ids in zip(batch, answers, strict=True):
            generated[number] = ids
    return generated


def tokens_taken(request: DecodingRequest, ids: Sequence[int], ends: AbstractSet[int]) -> int:
    """Tokens that an answer took: those of the prompt, and its own up to its end.

    Args:
        request: what was asked.
        ids: as decoded; behind its end an answer is filled up to the longest of its batch.
        ends: tokens that end any answer.
    """
    answer = ids[: request.max_tokens]
    last = next((n for n, token in enumerate(answer) if token in ends), len(answer) - 1)
    return len(request.prompt.ids) + last + 1


def _decode_batch(
    model: Any,
    tokenizer: PromptTokenizer,
    requests: Sequence[DecodingRequest],
    max_new_tokens: int,
    device: torch.device,
    end_ids: list[int],
) -> list[list[int]]:
    width, fill = max(len(request.prompt.ids) for request in requests), tokenizer.eos_id
    padding = [width - len(request.prompt.ids) for request in requests]
    pairs = list(zip(padding, (list(request.prompt.ids) for request in requests), strict=True))
    tokens = torch.tensor([[fill] * before + ids for before, ids in pairs])
    mask = torch.tensor([[0] * before + [1] * len(ids) for before, ids in pairs])
    # What ends all of them; what ends some is looked for in each.
    ends = set(end_ids).union(set.intersection(*(set(r.ends) for r in requests)))
    stopping = StoppingCriteriaList()
    if any(r.stops or r.only_answer is not None or not ends.issuperset(r.ends) for r in requests):
        stopping.append(_AnswerDecided(tokenizer, requests, width))
    drawing = LogitsProcessorList()
    if any(request.temperature is not None for request in requests):
        drawing.append(_Drawing(requests, width))
    shown = batched([r.prompt.shown for r in requests], padding, width, device)
    with narrowed(model):
        out = model.generate(
            tokens.to(device),
            **shown,
            attention_mask=mask.to(device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=fill,
            eos_token_id=sorted(ends),
            stopping_criteria=stopping,
            logits_processor=drawing,
        ).cpu()
    rows: list[list[int]] = out[:, width:].tolist()
    return rows


class _AnswerDecided(StoppingCriteria):  # type: ignore[misc]
    """Stops sequences whose stop text has come, or that cannot become the only answer any more."""

    def __init__(
        self, tokenizer: PromptTokenizer, requests: Sequence[DecodingRequest], width: int
    ) -> None:
        self._tokenizer, self._requests, self._width = tokenizer, requests, width

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        rows = input_ids[:, self._width :].tolist()
        decided = []
        for request, row in zip(self._requests, rows, strict=True):
            prompt, done = request.prompt, any(token in request.ends for token in row)
            if not done and request.stops:
                # A token is a byte at least, and the text before the newest ones was looked at.
                newest = row[-4 * max(map(len, request.stops)) - 4 :]
                text = self._tokenizer.decode_after(prompt, newest)
                done = any(stop in text for stop in request.stops)
            if not done and request.only_answer is not None and self._tokenizer.eos_id not in row:
                text = self._tokenizer.decode_after(prompt, row)
                done = not can_become(text, request.only_answer)
            decided.append(done)
        return torch.tensor(decided, device=input_ids.device)


class _Drawing(LogitsProcessor):  # type: ignore[misc]
    """Leaves the one token that a sample's uniform number falls on; greedy answers as they are."""

    def __init__(self, requests: Sequence[DecodingRequest], width: int) -> None:
        self._width = width
        self._rows = [n for n, request in enumerate(requests) if request.temperature is not None]
        sampled = [requests[row] for row in self._rows]
        self._temperatures = torch.tensor([[request.temperature] for request in sampled])
        self._draws = [request.draws for request in sampled]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step, device = input_ids.shape[1] - self._width, scores.device
        numbers = [[draws[min(step, len(draws) - 1)]] for draws in self._draws]
        logits = scores[self._rows].double() / self._temperatures.to(device)
        below = torch.softmax(logits, dim=1).cumsum(dim=1)
        # A share of what the sum came to: rounding never leaves the vocabulary.
        point = torch.tensor(numbers, dtype=below.dtype, device=device) * below[:, -1:]
        token = torch.searchsorted(below, point, right=True).clamp(max=below.shape[1] - 1)
        drawn = scores.clone()
        drawn[self._rows] = -torch.inf
        drawn[torch.tensor(self._rows, device=device)[:, None], token] = 0.0
        return drawn
