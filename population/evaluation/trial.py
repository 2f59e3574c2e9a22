"""A trial: whether a model can do here what a campaign will ask of it.

transformers loads more than can be worked with: an architecture may have no place for a tensor, may
not decode several prompts together, or may take no gradients in evaluation mode. What fails is said
by name, before anything is written.
"""

import hashlib
import struct
import sys
import zlib
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from lineage.records import ImageFile, Item
from population.errors import CheckpointError
from population.evaluation.evaluator import Evaluator
from population.failures import one_line
from population.families import family_of
from population.models.checkpoints import Checkpoint
from population.weights.materialise import State

ITEMS = (
    Item("trial/search/1", "trial", "search", "1+1=", "2"),
    Item("trial/search/2", "trial", "search", "What is 10+10? Answer: ", "20"),
)
"""Prompts of two lengths."""


def _grey(side: int) -> bytes:
    """A grey picture as a PNG file."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    rows = (b"\0" + b"\x80" * side) * side
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


GREY = _grey(64)
"""What models that see are asked about."""


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
        without = []
        try:
            try_gradient(evaluator, state, ITEMS, checkpoint.name)
        except CheckpointError as error:
            without.append(f"gradients: {error}")
        if "see" in family_of(checkpoint.config).asks:
            try:
                _try_image(evaluator, state, checkpoint.name)
            except CheckpointError as error:
                without.append(f"images: {error}")
    return f"yes, without {'; without '.join(without)}" if without else "yes"


def _try_image(evaluator: Evaluator, state: State, name: str) -> None:
    """Let a model answer about a grey picture.

    Raises:
        CheckpointError: it cannot; says what fails.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "grey.png"
        path.write_bytes(GREY)
        shown = ImageFile(str(path), hashlib.sha256(GREY).hexdigest())
        items = [replace(item, images=(shown,)) for item in ITEMS]
        _attempt(name, evaluator, "see", lambda: evaluator.prepare_texts(items))
        try_out(evaluator, state, items, name)


def _attempt(name: str, evaluator: Evaluator, what: str, act: Callable[[], object]) -> None:
    try:
        act()
    except Exception as error:  # noqa: BLE001 - each architecture fails in its own way
        raise CheckpointError(
            f"{name!r}: {evaluator.architecture} cannot {what} here: {one_line(error).rstrip('.')}"
        ) from None
