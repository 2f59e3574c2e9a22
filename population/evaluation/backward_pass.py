"""The backward pass: how unlikely a network finds given answers, and the gradient of that.

The loss is the teacher-forced negative log-likelihood of an answer and its end. One batch is in
memory at a time. Every weight's gradient is handed on, and let go of, as soon as it is complete, so
that with one batch no more than one of them exists; with several they add up in the network first.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from population.evaluation.batching import PreparedItems
from population.evaluation.output_head import log_probabilities, logits_at

COST = 3
"""Item evaluations that an item counts: a backward pass costs two forward passes."""

TakeGradient = Callable[[str, torch.Tensor], None]
"""Called with the name of a weight and its gradient, once for every place that it has."""


def answer_loss(
    model: Any,
    names: Mapping[str, str],
    prepared: PreparedItems,
    take: TakeGradient,
    *,
    recompute: bool = False,
    answers: int | None = None,
) -> float:
    """The mean negative log-likelihood of all prepared answers, in nats, and its gradient.

    Args:
        model: a causal language model of transformers, on the device of the batches.
        names: of the weights in the network's state dict, and what `take` calls them.
        prepared: answers; those of no token count nothing.
        take: called with the gradient of each weight.
        recompute: what layers compute again on the way back instead of keeping it (activation
            checkpointing, Chen et al. 2016, arXiv 1604.06174): less memory, a third more time.
        answers: that the mean is over; by default all that are prepared.
    """
    batches = prepared.batches
    count = answers or sum(len(batch.rows) for batch in batches)
    total = 0.0
    with (
        _leaves(model, names) as leaves,
        _recomputed(model, recompute),
        ExitStack() as hooks,
        torch.enable_grad(),
    ):
        for batch in batches:
            if batch is batches[-1]:
                for name, leaf in leaves:
                    hand_on = partial(_hand_on, take, name)
                    hook = leaf.register_post_accumulate_grad_hook(hand_on)  # type: ignore[no-untyped-call]
                    hooks.callback(hook.remove)
            logits = logits_at(model, batch.tokens, batch.logit_positions, **batch.shown)
            logs = log_probabilities(logits, batch.targets.flatten()[batch.target_positions])
            loss = -logs.sum() / count
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        for name, leaf in leaves:  # which the last batch had no use for
            if leaf.grad is not None:
                _hand_on(take, name, leaf)
    return total


def _hand_on(take: TakeGradient, name: str, leaf: torch.Tensor) -> None:
    gradient, leaf.grad = leaf.grad, None
    if gradient is not None:
        take(name, gradient)


@contextmanager
def _leaves(model: Any, names: Mapping[str, str]) -> Iterator[list[tuple[str, torch.Tensor]]]:
    """A context in which a network's floating weights want gradients."""
    weights = model.state_dict(keep_vars=True)
    found: dict[int, tuple[str, torch.Tensor]] = {}
    for own, name in names.items():
        if weights[own].is_floating_point():
            found.setdefault(id(weights[own]), (name, weights[own]))
    leaves = list(found.values())
    for _, leaf in leaves:
        leaf.requires_grad_(True)
    try:
        yield leaves
    finally:
        for _, leaf in leaves:
            leaf.requires_grad_(False)
            leaf.grad = None


@contextmanager
def _recomputed(model: Any, wanted: bool) -> Iterator[None]:
    """A context in which layers keep their inputs only.

    transformers does this in training mode alone, which would turn on dropout.
    """
    layers = [part for part in model.modules() if isinstance(part, GradientCheckpointingLayer)]
    for layer in layers if wanted else ():
        layer.forward = partial(
            checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False
        )
    try:
        yield
    finally:
        for layer in layers if wanted else ():
            del layer.forward
