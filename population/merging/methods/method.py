"""The interface of merge methods.

There are two kinds. A `Combination` gives a weighted sum of its models, with weights that follow
from the settings and from lengths and angles; so it works on coordinates and never sees a tensor
(see `Subspace`), and combinations of combinations collapse into one weighted sum of the sources,
however deep they are. A `Streamed` method looks at every element, chunk by chunk.

Methods are pure. Arrays may be numpy's or torch's: they are used through the array API standard
(data-apis.org/array-api), so the same code runs on a CPU without torch and on a GPU with it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from population.errors import RecipeError

Array = Any
"""fp32 or fp64, numpy's or torch's."""

Floats = npt.NDArray[np.float64]


def namespace(array: Array) -> Any:
    """The array API namespace of an array of any shape: numpy's or torch's functions."""
    kind = type(array)
    if kind not in _NAMESPACES:
        _NAMESPACES[kind] = array_namespace(array)
    return _NAMESPACES[kind]


_NAMESPACES: dict[type, Any] = {}

BaseRole = Literal["ignored", "optional", "required"]
Axis = Literal["tensor", "rows", "columns"]


@dataclass(frozen=True)
class Parameter:
    """A setting of a method.

    Attributes:
        name: as in mergekit.
        meaning: one line.
        default: None if it must be given.
        per_model: given for each model, or once.
        low: the smallest valid value.
        high: the largest valid value.
        in_mergekit: whether mergekit has it too; where not, its YAML does not reach it.
    """

    name: str
    meaning: str
    default: float | bool | None = None
    per_model: bool = False
    low: float = -np.inf
    high: float = np.inf
    in_mergekit: bool = True


WEIGHT = Parameter("weight", "how much of this model", per_model=True)
NORMALIZE = Parameter("normalize", "divide by the sum of the weights", default=False)
LAMBDA = Parameter("lambda", "scale of the merged task vectors", default=1.0)
RESCALE = Parameter("rescale", "give what is kept the L1 norm of the whole", default=False)
DENSITY = Parameter(
    "density", "share of each task vector that is kept", 1.0, per_model=True, low=0, high=1
)
INT8_MASK = Parameter("int8_mask", "accepted and without effect", default=False)


@dataclass(frozen=True)
class Settings:
    """The parameters of a method, resolved, for a number of units (tensors, or parts of them).

    Attributes:
        values: by parameter name: shape [units], or [units, models] for those given per model.
            What does not apply (the weight of a base) is NaN.
        compat: repeat mergekit's faults too, see `population.merging.methods`.
    """

    values: Mapping[str, Floats]
    compat: bool = False

    def __getitem__(self, name: str) -> Floats:
        return self.values[name]

    def one(self, name: str) -> float:
        """The value for the only unit."""
        return float(self.values[name][0])

    def each(self, name: str) -> list[float]:
        """The values per model for the only unit."""
        return [float(value) for value in self.values[name][0]]


@dataclass(frozen=True)
class Subspace:
    """Models as vectors over a common basis, unit by unit, with the basis' inner products.

    Lengths and angles between weighted sums follow from the Gram matrix of the summands, so
    spherical methods need no weights, only this.

    Attributes:
        models: shape [models, units, basis]: the models to merge, without the base.
        base: shape [units, basis], or None.
        gram: shape [units, basis, basis], or None for a method that does not ask for it.
    """

    models: Floats
    base: Floats | None
    gram: Floats | None

    def dot(self, one: Floats, other: Floats) -> Floats:
        """Inner products of vectors of shape [units, basis]: shape [units]."""
        assert self.gram is not None
        product: Floats = np.einsum("ub,ubc,uc->u", one, self.gram, other, optimize=True)
        return product

    def norm(self, vector: Floats) -> Floats:
        """Lengths of a vector of shape [units, basis]: shape [units]."""
        return np.sqrt(np.maximum(self.dot(vector, vector), 0.0))

    def offsets(self) -> Floats:
        """The models minus the base if there is one: shape [models, units, basis]."""
        return self.models if self.base is None else self.models - self.base


@dataclass(frozen=True)
class Chunk:
    """Some whole rows of all inputs.

    Attributes:
        start: the first row.
        stop: the row after the last.
        base: shape [rows, columns], or None if there is no base.
        models: the others, in order; shape [rows, columns] each.
    """

    start: int
    stop: int
    base: Array
    models: Sequence[Array]


class Group(Protocol):
    """The inputs of one output tensor, as a matrix whose rows are its last dimension."""

    @property
    def rows(self) -> int:
        """Number of rows."""

    @property
    def columns(self) -> int:
        """Number of columns."""

    @property
    def count(self) -> int:
        """How many models there are beside the base."""

    def chunks(self, only: int | None = None) -> Iterator[Chunk]:
        """Chunks of all rows; with `only`, of the base and that model alone."""

    def random(self, model: int) -> np.random.SFC64:
        """The random bits of this tensor and model, from their beginning."""


class Method(ABC):
    """A merge method.

    Attributes:
        name: as in mergekit.
        source: the paper or page that defines it.
        base: whether a base model is ignored, optional or required.
        counts: how many models beside the base it takes, at least and at most.
        parameters: its settings.
        random: whether it draws random numbers.
    """

    name: str
    source: str
    base: BaseRole = "required"
    counts: tuple[int, int] = (1, 1 << 30)
    parameters: tuple[Parameter, ...] = ()
    random: bool = False

    def check(self, models: int, base: bool, where: str) -> None:
        """Make sure that the number of inputs is valid.

        Args:
            models: how many there are beside the base.
            base: whether there is a base.
            where: what the message begins with.

        Raises:
            RecipeError: it is not; states what the method takes.
        """
        if self.base == "required" and not base:
            raise RecipeError(f"{where}: {self.name} needs a base_model")
        low, high = self.counts
        if not low <= models <= high:
            wanted = (
                f"{low}" if low == high else f"at least {low}" if high > 99 else f"at most {high}"
            )
            raise RecipeError(
                f"{where}: {self.name} takes {wanted} model{'s' * (wanted != '1')} beside the "
                f"base, got {models}"
            )


class Combination(Method):
    """A method whose result is a weighted sum of its models.

    Attributes:
        needs_gram: whether `combine` uses lengths or angles.
    """

    needs_gram: bool = False

    def axis(self, settings: Settings) -> Axis:
        """Over what lengths and angles are computed: the tensor, or each row or column."""
        del settings
        return "tensor"

    @abstractmethod
    def combine(self, span: Subspace, settings: Settings) -> Floats:
        """The merged model as a vector over the same basis.

        Args:
            span: the models; units of one axis each.
            settings: of the method.

        Returns:
            Shape [units, basis].
        """


class Streamed(Method):
    """A method that works on every element."""

    @abstractmethod
    def prepare(self, group: Group, settings: Settings) -> Callable[[Chunk], Array]:
        """Pass over the inputs as often as needed, and return the function that merges one chunk.

        Args:
            group: the inputs of one output tensor.
            settings: of the method, for one unit.

        Returns:
            A function from a chunk to merged rows, shape [rows, columns]; it is called for all
            chunks, in order.
        """
