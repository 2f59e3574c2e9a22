"""A trial: whether a model can do here what a campaign will ask of it.

transformers loads more than can be worked with: an architecture may have no place for a tensor, may
not decode several prompts together, or may take no gradients in evaluation mode. What fails is said
by name, before anything is written.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout

import torch

from lineage.records import Item
from population.errors import CheckpointError
from population.evaluation.evaluator import Evaluator
from population.failures import one_line
from population.models.checkpoints import Checkpoint
from population.weights.materialise import State

ITEMS = (
    Item("trial/search/1", "trial", "search", "1+1=", "2"),
    Item("trial/search/2", "trial", "search", "What is 10+10? Answer: ", "20"),
)
"""Prompts of two lengths."""


def try_out(evaluator: Evaluator, state: State, items: Sequence[Item], name: str) -> None:
    """Let a model read and answer.

    Args:
        evaluator: that becomes the model.
        state: the model's weights.
        items: to be asked together, of different lengths.
        name: of the model, for messages.

    Raises:
        CheckpointError: it cannot; says what fails.
    """
    _attempt(name, evaluator, "take these weights", lambda: evaluator.load_weights(state))
    texts = evaluator.prepare_texts(items)
    _attempt(name, evaluator, "read", lambda: evaluator.surprise(texts))
    _attempt(name, evaluator, "answer", lambda: evaluator.answer_freely(items, beyond=2))


def try_gradient(evaluator: Evaluator, state: State, items: Sequence[Item], name: str) -> None:
    """Take the gradient of a model on some items with keys; arguments as for `try_out`.

    Raises:
        CheckpointError: there is none; says what fails.
    """
    keys = evaluator.prepare_targets(items)
    _attempt(
        name,
        evaluator,
        "take gradient steps",
        lambda: evaluator.loss(state, keys, lambda weight, gradient: None),
    )


def what_runs(checkpoint: Checkpoint) -> str:
    """Whether a checkpoint can be a founder of a campaign, as `colony inspect --run` says it."""
    with redirect_stdout(sys.stderr):  # some architectures print what they ignore
        try:
            stored = getattr(torch, checkpoint.dtype.name)
            evaluator = Evaluator(checkpoint.path, stored=stored, dtype="float32", device="cpu")
            state = {name: checkpoint.tensor(name) for name in checkpoint.tensors}
            try_out(evaluator, state, ITEMS, checkpoint.name)
        except CheckpointError as error:
            return f"no: {error}"
        try:
            try_gradient(evaluator, state, ITEMS, checkpoint.name)
        except CheckpointError as error:
            return f"yes, without gradients: {error}"
    return "yes"


def _attempt(name: str, evaluator: Evaluator, what: str, act: Callable[[], object]) -> None:
    try:
        act()
    except Exception as error:  # noqa: BLE001 - each architecture fails in its own way
        raise CheckpointError(
            f"{name!r}: {evaluator.architecture} cannot {what} here: {one_line(error).rstrip('.')}"
        ) from None
