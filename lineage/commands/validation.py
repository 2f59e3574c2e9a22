"""Which orders are refused, and why: one line that says what is the matter and what would help."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import duckdb

from lineage.allowance import allowance_of
from lineage.archive.generation_writer import last_generation
from lineage.records import Command, OrderKind

CULLED = "culled"
"""The cause of a death that was ordered."""

KEPT_FREE = 3
"""Places that cannot be pinned: the champion's, the newest centre's and that of its origin. Without
them nobody who is born could live."""

FEWEST = 2
"""Offspring that must stay living, for a colony to breed from."""

_NAMES = {"pin": 1, "unpin": 1, "cull": 1, "mate": 2}
"""How many models an order names; others name none."""

PINNED = """
SELECT model FROM (SELECT unnest(models) AS model, kind, id FROM orders WHERE kind IN
    ('pin', 'unpin') AND (outcome = 'done' OR ($ahead AND outcome IS NULL)))
GROUP BY model HAVING arg_max(kind, id) = 'pin' ORDER BY model
"""
PAUSED = """
SELECT kind FROM orders WHERE kind IN ('pause', 'resume')
    AND (outcome = 'done' OR ($ahead AND outcome IS NULL)) ORDER BY id DESC LIMIT 1
"""
"""The last word counts. With $ahead what is still open counts as if it were done."""


@dataclass(frozen=True)
class Named:
    """A model that an order names: `label` is how people call it, `died` None of the living."""

    id: int
    founder: bool
    label: str
    died: int | None
    cause: str | None


@dataclass(frozen=True)
class Affairs:
    """What orders are held against.

    Attributes:
        champion: its id, if there is one.
        origin: id of the model that the search starts its steps from, if there is one.
        offspring: how many are living, without those who are to be culled.
        pinned: ids.
        doomed: by id, the open order to cull it; none unless one looks ahead.
        paused: whether the campaign waits.
        based: whether the founders have a base.
        routed: whether genomes are paths through layers.
    """

    champion: int | None
    origin: int | None
    offspring: int
    pinned: frozenset[int]
    doomed: Mapping[int, int]
    paused: bool
    based: bool
    routed: bool


def refusal(db: duckdb.DuckDBPyConnection, order: Command, *, ahead: bool = False) -> str | None:
    """Why an order is refused, or None.

    Args:
        db: a lease of the archive.
        order: what is asked.
        ahead: whether what is open counts as if it were done, as it does when an order is given.
    """
    named = partial(_named, db)
    return objection(affairs(db, ahead=ahead), order.kind, order.models, named, order.argument)


def objection(
    now: Affairs,
    kind: OrderKind,
    models: Sequence[int],
    named: Callable[[int], Named | None],
    argument: str | None,
) -> str | None:
    """What speaks against an order, or None: whoever knows how things stand needs no lease.

    Args:
        now: how things stand.
        kind: what is asked.
        models: ids of those whom it names.
        named: knows them; None for an id that nobody has.
        argument: see `Command`.
    """
    if len(models) != (wanted := _NAMES.get(kind, 0)):
        return f"{kind} names {wanted} models, not {len(models)}"
    rows = [named(model) for model in models]
    unfit = (_unfit(now, model, row) for model, row in zip(models, rows, strict=True))
    if reason := next((reason for reason in unfit if reason), None):
        return reason
    rule = _RULES.get(kind)
    return rule(now, [row for row in rows if row], argument) if rule else None


def _unfit(now: Affairs, model: int, row: Named | None) -> str | None:
    if row is None:
        return f"no model is #{model}; `colony models` lists them all"
    if row.died is not None:
        return (
            f"{row.label} is a fossil since generation {row.died} ({row.cause}); "
            "only the living take orders"
        )
    if model in now.doomed:
        return f"{row.label} is to be culled (order {now.doomed[model]})"
    return None


def _pausing(now: Affairs, _: Sequence[Named], __: str | None) -> str | None:
    return "the campaign is paused already" if now.paused else None


def _resuming(now: Affairs, _: Sequence[Named], __: str | None) -> str | None:
    return None if now.paused else "the campaign is not paused"


def _pinning(now: Affairs, named: Sequence[Named], _: str | None) -> str | None:
    (model,) = named
    if model.founder:
        return f"{model.label} is a founder, and founders keep their place anyway"
    if model.id in now.pinned:
        return f"{model.label} is pinned already"
    most = max(0, now.offspring - KEPT_FREE)
    if len(now.pinned) < most:
        return None
    return (
        f"of {now.offspring} living offspring {most} may be pinned, and {len(now.pinned)} are; "
        "unpin one first"
    )


def _unpinning(now: Affairs, named: Sequence[Named], _: str | None) -> str | None:
    return None if named[0].id in now.pinned else f"{named[0].label} is not pinned"


def _culling(now: Affairs, named: Sequence[Named], _: str | None) -> str | None:
    (model,) = named
    reasons = {
        "is a founder; the recipes of all others need it": model.founder,
        "is the champion; only a better one takes its place": model.id == now.champion,
        "is where the search stands, whose next steps descend from it; it may be culled once the "
        "search has moved on": model.id == now.origin,
        "is pinned; unpin it first": model.id in now.pinned,
        f"is one of {now.offspring} living offspring, and a colony needs {FEWEST} to breed from": (
            now.offspring <= FEWEST
        ),
    }
    return next((f"{model.label} {why}" for why, applies in reasons.items() if applies), None)


def _mating(_: Affairs, named: Sequence[Named], __: str | None) -> str | None:
    one, other = named
    return f"{one.label} cannot mate with itself" if one == other else None


def _budget(_: Affairs, __: Sequence[Named], argument: str | None) -> str | None:
    if allowance_of(argument):
        return None
    return (
        "a budget is a positive number of item evaluations (500000), of minutes (90m) or both "
        f"(500000 90m), not {argument!r}"
    )


def _adding(now: Affairs, _: Sequence[Named], path: str | None) -> str | None:
    if now.routed:
        return (
            "this colony breeds paths through the layers of its founders, which stand in a fixed "
            "row; a founder can only be added where coefficients are bred"
        )
    if not now.based:
        return (
            "these founders have no base, so every recipe is relative to their average, which "
            "another founder would move; start a new campaign with all of them"
        )
    if not path:
        return "where does the founder lie? a folder, a hub id, or BASE+ADAPTER"
    return None


_RULES: dict[OrderKind, Callable[[Affairs, Sequence[Named], str | None], str | None]] = {
    "pause": _pausing,
    "resume": _resuming,
    "pin": _pinning,
    "unpin": _unpinning,
    "cull": _culling,
    "mate": _mating,
    "budget": _budget,
    "add-founder": _adding,
}


def affairs(db: duckdb.DuckDBPyConnection, *, ahead: bool) -> Affairs:
    """How things stand; with `ahead`, as if all that is open were done."""
    last = last_generation(db)
    doomed = dict(
        db.execute(
            "SELECT models[1], id FROM orders WHERE kind = 'cull' AND outcome IS NULL AND $ahead",
            {"ahead": ahead},
        ).fetchall()
    )
    ((champion, origin, offspring, based, routed),) = db.execute(
        """
        SELECT (SELECT champion FROM generations WHERE generation = $last),
               (SELECT origin FROM searches WHERE generation = $last),
               (SELECT count(*) FROM models WHERE kind = 'offspring' AND died IS NULL),
               (SELECT count(*) FROM basis)
                   < (SELECT count(*) FROM models WHERE kind = 'founder'),
               EXISTS (SELECT 1 FROM models WHERE method = 'route')
        """,
        {"last": last},
    ).fetchall()
    return Affairs(
        champion,
        origin,
        offspring - len(doomed),
        frozenset(row[0] for row in db.execute(PINNED, {"ahead": ahead}).fetchall()),
        doomed,
        db.execute(PAUSED, {"ahead": ahead}).fetchone() == ("pause",),
        based,
        routed,
    )


def _named(db: duckdb.DuckDBPyConnection, model: int) -> Named | None:
    rows = db.execute(
        "SELECT id, kind = 'founder', coalesce(name, '#' || id), died, cause FROM models "
        "WHERE id = ?",
        [model],
    ).fetchall()
    return Named(*rows[0]) if rows else None
