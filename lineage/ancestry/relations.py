"""How two models are related: coefficients, common ancestors, and the shortest path."""

from collections.abc import Callable
from dataclasses import dataclass

from lineage.ancestry.ancestry import Ancestry
from lineage.ancestry.coefficients import inbreedings, relationships


@dataclass(frozen=True)
class CommonAncestor:
    """A common ancestor of two models; a model counts as its own ancestor.

    Attributes:
        model: id of the ancestor.
        steps: the fewest generations up to it from either model.
        parts: its share in either model by ancestry, in [0, 1].
    """

    model: int
    steps: tuple[int, int]
    parts: tuple[float, float]


@dataclass(frozen=True)
class Relation:
    """How two models are related.

    Attributes:
        models: ids of the two.
        relationship: coefficient of relationship, in [0, 1].
        kinship: coefficient of kinship (phi), in [0, 1].
        inbreeding: Wright's coefficient of either.
        common: all common ancestors, the nearest first.
        path: ids on the shortest path from one to the other, up and then down; None if unrelated.
    """

    models: tuple[int, int]
    relationship: float
    kinship: float
    inbreeding: tuple[float, float]
    common: tuple[CommonAncestor, ...]
    path: tuple[int, ...] | None


def relation(
    ancestry: Ancestry, a: int, b: int, progress: Callable[[int, int], None] | None = None
) -> Relation:
    """The relation of two models.

    The nearest common ancestor has the fewest steps to both together; of equals the youngest comes
    first, so that the first of `common` is the one that `path` leads through.

    Args:
        ancestry: ancestry of the whole archive.
        a: an id.
        b: another, or the same.
        progress: called with (done, total) now and then.
    """
    phi = ancestry.kinship((a, b), progress)
    from_a, from_b = ancestry.steps_up(a), ancestry.steps_up(b)
    in_a, in_b = ancestry.contributions([a]), ancestry.contributions([b])
    common = sorted(from_a.keys() & from_b.keys(), key=lambda m: (from_a[m] + from_b[m], -m))
    path, inbreeding = ancestry.path(a, b), inbreedings(phi)
    return Relation(
        (a, b),
        float(relationships(phi)[0, 1]),
        float(phi[0, 1]),
        (float(inbreeding[0]), float(inbreeding[1])),
        tuple(
            CommonAncestor(m, (from_a[m], from_b[m]), (float(in_a[m]), float(in_b[m])))
            for m in common
        ),
        None if path is None else tuple(path),
    )
