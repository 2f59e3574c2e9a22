"""Sparsified task vectors of founders, as masks that are made once and kept while there is room.

The merge engine decides what is kept of a task vector; here are the masks of what it decided. They
depend on founder, tensor, density and seed, and not on the weights of a merge, so siblings, and the
steps of a descent, share them.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from population.bred_methods import SCE
from population.merging.backends import Numpy
from population.merging.lazy_tensors import MethodInputs
from population.merging.methods.method import Settings
from population.merging.methods.sce import offsets, select_elements
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


@dataclass(frozen=True)
class Selected:
    """What SCE selects of all task vectors in a tensor.

    Attributes:
        kept: which elements, flat; None for all of them.
        energies: by row of the task vectors, see `SelectedElements`.
    """

    kept: npt.NDArray[np.bool_] | None
    energies: tuple[float, ...]


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
        self._basis = basis
        self._leaves = [
            Leaf(name, founder) for name, founder in zip(basis.founders, founders, strict=True)
        ]
        self._kept = _Recent[Sparsified | Selected](room)

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
        made = self._kept.get(key, lambda: self._made(tensor, vector, method, density, seed))
        assert isinstance(made, Sparsified)
        return made

    def selected(self, tensor: str, taking: Sequence[int], share: float) -> Selected:
        """What SCE selects of a tensor of the task vectors.

        Args:
            tensor: its name.
            taking: rows of the task vectors that take part, one at least.
            share: of the elements.
        """
        key = (SCE, tensor, tuple(taking), share)
        found = self._kept.get(key, lambda: self._selected(tensor, taking, share))
        assert isinstance(found, Selected)
        return found

    def _made(self, tensor: str, vector: int, method: str, density: float, seed: int) -> Sparsified:
        """As the merge engine sparsifies it, chunk by chunk."""
        inputs = self._inputs(tensor, [vector], seed)
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

    def _selected(self, tensor: str, taking: Sequence[int], share: float) -> Selected:
        """As the merge engine selects it, chunk by chunk."""
        inputs = self._inputs(tensor, range(len(self._basis.vectors)), 0)
        found = select_elements(inputs, taking, share)
        mask_of, masks = found.mask_of(), []
        for chunk in inputs.chunks() if share < 1.0 else ():
            parts = offsets(chunk)
            masks.append(np.ravel(mask_of([parts[row] for row in taking])))
        inputs.release()
        return Selected(np.concatenate(masks) if masks else None, found.energies)

    def _inputs(self, tensor: str, vectors: Sequence[int], seed: int) -> MethodInputs:
        """A tensor of some task vectors as the merge engine sees it."""
        backend, base = Numpy(), self._basis.base
        assert base is not None
        leaves = [self._leaves[self._basis.vectors[vector]] for vector in vectors]
        return MethodInputs(
            base=self._leaves[base].lazy_tensor(tensor, backend),
            models=tuple(leaf.lazy_tensor(tensor, backend) for leaf in leaves),
            seed=seed,
            tensor=tensor,
            names=tuple(leaf.name for leaf in leaves),
            size=backend.chunk,
        )


Kept = TypeVar("Kept", bound=Sparsified | Selected)


class _Recent(Generic[Kept]):
    """What was found out about task vectors, as long as its masks have room; the oldest makes room.

    Args:
        room: bytes of masks.
    """

    def __init__(self, room: int) -> None:
        self._room, self._size = room, 0
        self._known: OrderedDict[tuple[Any, ...], Kept] = OrderedDict()
        self._lock = Lock()

    def get(self, key: tuple[Any, ...], make: Callable[[], Kept]) -> Kept:
        """What is known by a key, or what is made now."""
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        made = make()
        with self._lock:
            if key not in self._known:
                self._known[key] = made
                self._size += _bytes(made)
            while self._size > self._room and len(self._known) > 1:
                _, oldest = self._known.popitem(last=False)
                self._size -= _bytes(oldest)
        return made


def _bytes(found: Sparsified | Selected) -> int:
    return 0 if found.kept is None else found.kept.nbytes
