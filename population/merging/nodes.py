"""Nodes of a merge's graph, and helpers for all kinds of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from threading import local
from typing import Any, Protocol, runtime_checkable

from population.errors import RecipeError
from population.merging.backends import Backend
from population.merging.lazy_tensors import Affine, LazyTensor, StreamedTensor, load
from population.models.architectures import architecture_of, layer_of
from population.models.dtypes import F32, F64, Dtype

TensorNames = tuple[str, ...]


@dataclass(frozen=True)
class Spec:
    """The shape and stored dtype of a tensor."""

    shape: tuple[int, ...]
    dtype: Dtype

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.dtype.size


class Node(Protocol):
    """A model of the graph.

    Attributes:
        name: as the recipe has it.
        height: nested steps, this one included, that are computed one after the other.
    """

    name: str
    height: int
    """How many steps below it, and with it, are computed one after the other."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Its config.json."""

    @property
    def tensors(self) -> Mapping[str, Spec]:
        """Its tensors, by name."""

    @property
    def depths(self) -> Mapping[str, float]:
        """The relative depth of each tensor: 0 in the first layer and outside, 1 in the last."""

    @property
    def copied(self) -> Set[str]:
        """The tensors that are no weights, and can only be copied."""

    def lazy_tensor(self, tensor: str, backend: Backend) -> LazyTensor:
        """One of its tensors, not computed yet."""

    def copy_of(self, tensor: str) -> tuple[Node, str]:
        """The source and the name of a tensor that cannot be merged, such as a counter."""


@runtime_checkable
class Copyable(Node, Protocol):
    """A model whose tensors lie in files."""

    def digest(self, tensor: str) -> bytes:
        """A hash over a tensor's shape, dtype and bytes."""

    def value(self, tensor: str) -> Any:
        """A tensor's elements as they are stored, in its shape."""


COUNTER = "num_batches_tracked"


def rereadable(node: Node, tensor: str, backend: Backend) -> LazyTensor:
    """A tensor that may be read again and in any order.

    What has to be in memory for that is loaded once per output tensor and thread: where steps share
    ancestors, computing them anew each time would double with every step.
    """
    memo: dict[tuple[int, str], LazyTensor] = _THREAD.__dict__.setdefault("held", {})
    key = (id(node), tensor)
    if key in memo:
        return memo[key]
    operand = node.lazy_tensor(tensor, backend)
    if isinstance(operand, StreamedTensor | Affine):
        operand = memo[key] = load(operand, backend)
    return operand


def clear_thread_cache() -> None:
    """Drop what this thread loaded for an output tensor."""
    _THREAD.__dict__.pop("held", None)


_THREAD = local()


def widest_dtype(dtypes: Sequence[Dtype]) -> Dtype:
    """The dtype that holds all of the given ones, as torch promotes them."""
    codes = {dtype.code for dtype in dtypes}
    if len(codes) == 1 or not all(dtype.floating for dtype in dtypes):
        return dtypes[0]
    return F64 if "F64" in codes else F32


def index_to_copy(origins: Sequence[tuple[Node, str]]) -> int | None:
    """The index of the tensor to copy among tensors that cannot be merged; None if they differ.

    Of counters of batches it is the largest: they only tell how long a model was trained.

    Args:
        origins: (source, tensor name) of each.
    """
    stored = [(node, name) for node, name in origins if isinstance(node, Copyable)]
    if len(stored) < len(origins) or len({node.digest(name) for node, name in stored}) == 1:
        return 0
    if not all(name.endswith(COUNTER) and not node.tensors[name].shape for node, name in stored):
        return None
    counts = [int(node.value(name)) for node, name in stored]
    return counts.index(max(counts))


def first_different(pairs: Sequence[tuple[Node, str]], origins: Sequence[tuple[Node, str]]) -> Node:
    """The first model whose tensor differs from the first one's.

    Args:
        pairs: (model, tensor name) of each.
        origins: (source, tensor name) that each is copied from.
    """
    digests = [node.digest(name) for node, name in origins if isinstance(node, Copyable)]
    return next(
        node for (node, _), digest in zip(pairs, digests, strict=True) if digest != digests[0]
    )


def corresponding_tensor(node: Node, name: str, reference: Node) -> str:
    """The tensor of a model that corresponds to one of the reference's.

    A tied head corresponds to the embeddings.

    Raises:
        RecipeError: there is none.
    """
    if name in node.tensors:
        return name
    architecture = architecture_of(node.config)
    if architecture is not None and name.endswith("lm_head.weight"):
        embeddings = [n for n in node.tensors if n.endswith(architecture.embedding)]
        if embeddings:
            return embeddings[0]
    raise RecipeError(
        f"{node.name!r} has no tensor {name}, which {reference.name!r} has; models that are merged "
        "need the same tensors (colony inspect shows them)"
    )


def depths_of(tensors: Mapping[str, Spec], config: Mapping[str, Any]) -> dict[str, float]:
    """The relative depth of tensors: 0 in the first layer and outside of all, 1 in the last.

    Args:
        tensors: by name.
        config: the model's config.json.
    """
    architecture = architecture_of(config)
    layers = {n: None if architecture is None else layer_of(architecture, n) for n in tensors}
    last = max((layer for layer in layers.values() if layer is not None), default=0)
    return {
        name: 0.0 if layer is None else layer / last if last else 1.0
        for name, layer in layers.items()
    }
