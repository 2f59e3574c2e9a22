"""Answering: greedy decoding, many prompts at once, in memory that has a bound."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from arena.tasks.verdict import may_become
from population.evaluation.encoding import Opened, Speech
from population.evaluation.output_head import narrowed


@dataclass(frozen=True)
class Prompt:
    """What is asked of greedy decoding.

    Attributes:
        opened: the prompt, as the model gets it.
        limit: tokens that the answer may take.
        stop: text that ends it, if any.
        wanted: the only answer that is worth finishing, if any; once it cannot come, nothing does.
    """

    opened: Opened
    limit: int
    stop: str | None = None
    wanted: str | None = None


def decoded(
    model: Any,
    speech: Speech,
    prompts: Sequence[Prompt],
    *,
    longest: int,
    tokens: int,
    device: torch.device,
) -> list[list[int]]:
    """The tokens that a model says greedily behind each prompt, up to its end or its limit.

    Prompts that fit together are decoded together, in their order; if they do not, those of similar
    length are. Who has no room for its whole answer is decoded alone, so that nobody is cut short
    for others' sake.

    Args:
        model: a causal language model of transformers.
        speech: its tokenizer.
        prompts: what is asked.
        longest: tokens that the model reads.
        tokens: in a batch at most, answers included.
        device: where the model is.
    """
    said: list[list[int]] = [[] for _ in prompts]
    width = max((len(prompt.opened.ids) for prompt in prompts), default=0)
    limit = max((prompt.limit for prompt in prompts), default=0)
    together = [n for n, p in enumerate(prompts) if len(p.opened.ids) + limit <= longest]
    alone = [n for n, p in enumerate(prompts) if longest - limit < len(p.opened.ids) < longest]
    if together and len(together) * (width + limit) > tokens:
        together.sort(key=lambda number: (len(prompts[number].opened.ids), number))
    batches: list[list[int]] = []
    widest = 0
    for number in together:
        widest = max(widest, len(prompts[number].opened.ids))
        if not batches or (len(batches[-1]) + 1) * (widest + limit) > tokens:
            batches.append([])
            widest = len(prompts[number].opened.ids)
        batches[-1].append(number)
    for batch in [*batches, *([number] for number in alone)]:
        own = [prompts[number] for number in batch]
        room = longest - max(len(prompt.opened.ids) for prompt in own)
        for number, ids in zip(
            batch, _together(model, speech, own, min(limit, room), device), strict=True
        ):
            said[number] = ids
    return said


def _together(
    model: Any, speech: Speech, prompts: Sequence[Prompt], limit: int, device: torch.device
) -> list[list[int]]:
    width, fill = max(len(prompt.opened.ids) for prompt in prompts), speech.end
    empty = [width - len(prompt.opened.ids) for prompt in prompts]
    pairs = list(zip(empty, (list(prompt.opened.ids) for prompt in prompts), strict=True))
    tokens = torch.tensor([[fill] * before + ids for before, ids in pairs])
    mask = torch.tensor([[0] * before + [1] * len(ids) for before, ids in pairs])
    stopping = StoppingCriteriaList()
    if any(prompt.stop or prompt.wanted is not None for prompt in prompts):
        stopping.append(_Stopped(speech, prompts, width))
    with narrowed(model):
        out = model.generate(
            tokens.to(device),
            attention_mask=mask.to(device),
            max_new_tokens=limit,
            do_sample=False,
            pad_token_id=fill,
            eos_token_id=fill,
            stopping_criteria=stopping,
        ).cpu()
    rows: list[list[int]] = out[:, width:].tolist()
    return rows


class _Stopped(StoppingCriteria):  # type: ignore[misc]
    """Whose stop text has come, or cannot be right any more; what follows would be thrown away."""

    def __init__(self, speech: Speech, prompts: Sequence[Prompt], width: int) -> None:
        self._speech, self._prompts, self._width = speech, prompts, width

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        rows = input_ids[:, self._width :].tolist()
        ended = []
        for prompt, row in zip(self._prompts, rows, strict=True):
            stop = prompt.stop or ""
            # A token is a byte at least, and the text before the newest ones was looked at.
            near = self._speech.text(prompt.opened, row[-4 * len(stop) - 4 :]) if stop else ""
            done = bool(stop) and stop in near
            if not done and prompt.wanted is not None and self._speech.end not in row:
                done = not may_become(self._speech.text(prompt.opened, row), prompt.wanted)
            ended.append(done)
        return torch.tensor(ended, device=input_ids.device)
