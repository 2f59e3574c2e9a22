"""Greedy decoding of many prompts at once, in bounded memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from arena.tasks.correctness import can_become
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
    """

    prompt: EncodedPrompt
    max_tokens: int
    stops: tuple[str, ...] = ()
    only_answer: str | None = None
    ends: tuple[int, ...] = ()


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
    with narrowed(model):
        out = model.generate(
            tokens.to(device),
            attention_mask=mask.to(device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=fill,
            eos_token_id=sorted(ends),
            stopping_criteria=stopping,
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
