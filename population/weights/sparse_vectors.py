"""Sparsified task vectors of founders, as masks that are made once and kept while there is room.

The merge engine decides what is kept of a task vector; here are the masks of what it decided. They
depend on founder, tensor, density and seed, and not on the weights of a merge, so siblings, and the
steps of a descent, share them.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from population.merging.backends import Numpy
from population.merging.lazy_tensors import MethodInputs
from population.merging.methods.method import Settings
from population.merging.source_nodes import Leaf
from population.models.checkpoints import Checkpoint
from population.weights.genomes import Basis
from population.weights.method_settings import settings_of, task_vector_method

MASKS_IN_MEMORY = 1 << 28
"""Bytes of masks that are kept: a byte for each element of a task vector."""


@dataclass(frozen=True)
class Sparsified:
    """What is left of a task vector in a tensor.

    Attributes:
        kept: which elements, flat; None for all of them.
        factor: what is kept is multiplied by this.
    """

    kept: npt.NDArray[np.bool_] | None
    factor: float


WHOLE = Sparsified(None, 1.0)
"""A task vector of which everything is kept."""


class SparseVectors:
    """Sparsifies the task vectors of fixed founders.

    Args:
        founders: compatible checkpoints.
        basis: which of them is the base, and their names, by which random masks are drawn.
        room: bytes of masks that are kept.
    """

    def __init__(
        self, founders: Sequence[Checkpoint], basis: Basis, room: int = MASKS_IN_MEMORY
    ) -> None:
        assert basis.base is not None
        self._basis, self._room = basis, room
        self._leaves = [
            Leaf(name, founder) for name, founder in zip(basis.founders, founders, strict=True)
        ]
        self._kept: OrderedDict[tuple[Any, ...], Sparsified] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def of(self, tensor: str, vector: int, method: str, density: float, seed: int) -> Sparsified:
        """What a method keeps of a tensor of a task vector.

        Args:
            tensor: its name.
            vector: row of the task vector.
            method: its name.
            density: share that is kept.
            seed: of a random mask.
        """
        kind = task_vector_method(method)
        # DARE and its variant with elected signs keep the same, and so on.
        sparsifies: Callable[..., Any] = type(kind).sparsification
        key = (sparsifies, tensor, vector, density, seed if kind.random else 0)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = self._made(tensor, vector, method, density, seed)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._size += 0 if made.kept is None else made.kept.nbytes
            while self._size > self._room and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._size -= 0 if oldest.kept is None else oldest.kept.nbytes
        return made

    def _made(self, tensor: str, vector: int, method: str, density: float, seed: int) -> Sparsified:
        """As the merge engine sparsifies it, chunk by chunk."""
        backend, base = Numpy(), self._basis.base
        assert base is not None
        leaf = self._leaves[self._basis.vectors[vector]]
        inputs = MethodInputs(
            base=self._leaves[base].lazy_tensor(tensor, backend),
            models=(leaf.lazy_tensor(tensor, backend),),
            seed=seed,
            tensor=tensor,
            names=(leaf.name,),
            size=backend.chunk,
        )
        kind = task_vector_method(method)
        values = {name: np.array([[value]]) for name, value in settings_of(method, density).items()}
        for parameter in kind.parameters:
            if not parameter.per_model:
                values[parameter.name] = np.array([float(parameter.default or 0.0)])
        sparsification = kind.sparsification(inputs, 0, Settings(values))
        kept = np.empty((inputs.rows, inputs.columns), bool)
        for chunk in inputs.chunks(only=0):
            (model,) = chunk.models
            out = np.empty_like(model)
            kept[chunk.start : chunk.stop] = sparsification.apply(chunk, model, 1.0, out) != 0
        inputs.release()
        if density >= 1.0:
            return Sparsified(None, sparsification.factor)
        return Sparsified(kept.ravel(), sparsification.factor)
