"""How two models are related: how closely, through whom, and by which way."""

from collections.abc import Callable
from dataclasses import dataclass

from lineage.ancestry.ancestry import Ancestry
from lineage.ancestry.coefficients import inbreedings, relationships


@dataclass(frozen=True)
class CommonAncestor:
    """Somebody both descend from; a model counts as its own ancestor.

    Attributes:
        model: who.
        steps: generations up to it from either.
        parts: how much of either comes down from it.
    """

    model: int
    steps: tuple[int, int]
    parts: tuple[float, float]


@dataclass(frozen=True)
class Relation:
    """How two models are related.

    Attributes:
        models: the two.
        relationship: coefficient of relationship, in [0, 1].
        kinship: coefficient of kinship (phi), in [0, 1].
        inbreeding: Wright's coefficient of either.
        common: all common ancestors, the nearest first.
        path: the shortest way from the one to the other, up and then down; None if unrelated.
    """

    models: tuple[int, int]
    relationship: float
    kinship: float
    inbreeding: tuple[float, float]
    common: tuple[CommonAncestor, ...]
    path: tuple[int, ...] | None


def relation(
    descent: Ancestry, a: int, b: int, told: Callable[[int, int], None] | None = None
) -> Relation:
    """How two models are related.

    The nearest common ancestor has the fewest steps to both together; of equals the youngest comes
    first, so that the first of `common` is the one that `path` leads through.

    Args:
        descent: of the whole archive.
        a: an id.
        b: another, or the same.
        told: hears (done, total) now and then.
    """
    phi = descent.kinship((a, b), told)
    above, beyond = descent.steps_up(a), descent.steps_up(b)
    in_a, in_b = descent.contributions([a]), descent.contributions([b])
    shared = sorted(above.keys() & beyond.keys(), key=lambda m: (above[m] + beyond[m], -m))
    way, inbred = descent.path(a, b), inbreedings(phi)
    return Relation(
        (a, b),
        float(relationships(phi)[0, 1]),
        float(phi[0, 1]),
        (float(inbred[0]), float(inbred[1])),
        tuple(
            CommonAncestor(m, (above[m], beyond[m]), (float(in_a[m]), float(in_b[m])))
            for m in shared
        ),
        None if way is None else tuple(way),
    )
