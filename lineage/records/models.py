"""Records of models: founders, parents, births, deaths, and rows as they are read."""

from dataclasses import dataclass, field

from lineage.records.arrays import Floats


@dataclass(frozen=True)
class Block:
    """A column of a genome: a functionally closed part of the network, with its parameter count."""

    name: str
    parameters: int


@dataclass(frozen=True)
class Founder:
    """A model that was brought in.

    Attributes:
        name: unique among the founders.
        path: of its checkpoint, as `colony run` takes it.
        weights_sha256: of its weights, in hexadecimal.
        fingerprint: of its weights; None where models are known by their SHA-256.
    """

    name: str
    path: str
    weights_sha256: str
    fingerprint: str | None = None


def parent_roles(count: int) -> tuple[str, ...]:
    """The roles of so many parents together, the first parent first.

    >>> parent_roles(2), parent_roles(3)
    (('first', 'mate'), ('ensemble', 'ensemble', 'ensemble'))
    """
    return ("first", "mate") if count == 2 else ("ensemble",) * count


@dataclass(frozen=True)
class Parent:
    """One parent of a model.

    Attributes:
        id: of the parent.
        share: its share in the child; shares of all parents sum to 1.
        role: `first`, `mate` or `ensemble`.
    """

    id: int
    share: float
    role: str


@dataclass(frozen=True)
class Birth:
    """A new offspring as it enters the archive.

    Attributes:
        id: its number.
        operator: that made it.
        parents: with their shares.
        genome: shape `[genes]`.
        weights_sha256: of its weights, in hexadecimal, where it was computed.
        method: what the genome means: `linear` (coefficients) or `route` (a path through layers).
        fingerprint: of its weights, in hexadecimal. One of the two has to be there.
    """

    id: int
    operator: str
    parents: tuple[Parent, ...]
    genome: Floats
    weights_sha256: str | None = None
    method: str = "linear"
    fingerprint: str | None = None


@dataclass(frozen=True)
class Death:
    """The death of a model, which becomes a fossil: its id and the cause."""

    id: int
    cause: str


@dataclass(frozen=True)
class Model:
    """A row of the archive: a founder or an offspring, living or fossil.

    Of `weights_sha256` and `fingerprint` at least one is there, see `lineage.storage.schema`.
    """

    id: int
    kind: str
    name: str | None
    generation: int
    operator: str
    weights_sha256: str | None
    died: int | None = None
    cause: str | None = None
    parents: tuple[Parent, ...] = field(default=())
    fingerprint: str | None = None

    @property
    def identity(self) -> str:
        """What tells its weights from others in its archive: the fingerprint, else the SHA-256."""
        return self.fingerprint or self.weights_sha256 or ""

    @property
    def living(self) -> bool:
        """Whether it may be picked as a parent."""
        return self.died is None

    @property
    def label(self) -> str:
        """How people refer to it: a founder by name, an offspring by number."""
        return self.name or f"#{self.id}"
