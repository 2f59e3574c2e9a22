"""Validation of commands: the reason why one is refused, in a line that says what would help."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import duckdb

from lineage.archive.generation_writer import last_generation
from lineage.records import Command, CommandKind, allowance_of

CULLED = "culled"
"""The cause of death of a model that was culled by command."""

UNPINNED_PLACES = 3
"""Places that cannot be pinned: those of the champion, of the newest centre of the search and of
the centre's origin. Without them no newborn model could live."""

MIN_OFFSPRING = 2
"""Offspring that must stay living, so that there are parents to breed from."""

_MODELS_NAMED = {"pin": 1, "unpin": 1, "cull": 1, "mate": 2}
"""How many models a command names; other commands name none."""

PINNED = """
SELECT model FROM (SELECT unnest(models) AS model, kind, id FROM orders WHERE kind IN
    ('pin', 'unpin') AND (outcome = 'done' OR ($ahead AND outcome IS NULL)))
GROUP BY model HAVING arg_max(kind, id) = 'pin' ORDER BY model
"""
PAUSED = """
SELECT kind FROM orders WHERE kind IN ('pause', 'resume')
    AND (outcome = 'done' OR ($ahead AND outcome IS NULL)) ORDER BY id DESC LIMIT 1
"""
"""The newest command decides. With $ahead open commands count as if they were done."""


@dataclass(frozen=True)
class NamedModel:
    """A model that a command names.

    Attributes:
        id: of the model.
        founder: whether it was brought in, not bred.
        label: a founder's name or `#id`.
        died: the generation in which it became a fossil; None while it lives.
        cause: of its death; None while it lives.
    """

    id: int
    founder: bool
    label: str
    died: int | None
    cause: str | None


@dataclass(frozen=True)
class CommandContext:
    """The state of an archive, as far as commands are validated against it.

    Attributes:
        champion: its id, if there is one.
        origin: id of the model that the search starts its steps from, if there is one.
        offspring: number of living offspring, without those that are to be culled.
        pinned: ids of the pinned models.
        to_cull: by model id, the id of the open command to cull it; empty unless open commands
            count as done.
        paused: whether the campaign is paused.
        has_base: whether the founders have a base model.
        has_routes: whether genomes are paths through layers.
    """

    champion: int | None
    origin: int | None
    offspring: int
    pinned: frozenset[int]
    to_cull: Mapping[int, int]
    paused: bool
    has_base: bool
    has_routes: bool


def refusal(db: duckdb.DuckDBPyConnection, command: Command, *, ahead: bool = False) -> str | None:
    """Why a command is refused, or None if it may be carried out.

    Args:
        db: a lease of the archive.
        command: what is asked.
        ahead: whether open commands count as done, as they do when a command is submitted.
    """
    lookup = partial(_named_model, db)
    context = command_context(db, ahead=ahead)
    return objection(context, command.kind, command.models, lookup, command.argument)


def objection(
    now: CommandContext,
    kind: CommandKind,
    models: Sequence[int],
    lookup: Callable[[int], NamedModel | None],
    argument: str | None,
) -> str | None:
    """Why a command would be refused in a known context, or None; needs no lease.

    Args:
        now: the context.
        kind: of the command.
        models: ids of the models that it names.
        lookup: gives a model by id; None for an id that no model has.
        argument: see `lineage.records.Command`.
    """
    if len(models) != (expected := _MODELS_NAMED.get(kind, 0)):
        return f"{kind} names {expected} models, not {len(models)}"
    rows = [lookup(model) for model in models]
    reasons = (_not_commandable(now, model, row) for model, row in zip(models, rows, strict=True))
    if reason := next((reason for reason in reasons if reason), None):
        return reason
    rule = _RULES.get(kind)
    return rule(now, [row for row in rows if row], argument) if rule else None


def _not_commandable(now: CommandContext, model: int, row: NamedModel | None) -> str | None:
    if row is None:
        return f"no model is #{model}; `colony models` lists them all"
    if row.died is not None:
        return (
            f"{row.label} is a fossil since generation {row.died} ({row.cause}); "
            "commands name living models only"
        )
    if model in now.to_cull:
        return f"{row.label} is to be culled (command {now.to_cull[model]})"
    return None


def _pausing(now: CommandContext, _: Sequence[NamedModel], __: str | None) -> str | None:
    return "the campaign is paused already" if now.paused else None


def _resuming(now: CommandContext, _: Sequence[NamedModel], __: str | None) -> str | None:
    return None if now.paused else "the campaign is not paused"


def _pinning(now: CommandContext, named: Sequence[NamedModel], _: str | None) -> str | None:
    (model,) = named
    if model.founder:
        return f"{model.label} is a founder, and founders keep their place anyway"
    if model.id in now.pinned:
        return f"{model.label} is pinned already"
    most = max(0, now.offspring - UNPINNED_PLACES)
    if len(now.pinned) < most:
        return None
    return (
        f"of {now.offspring} living offspring {most} may be pinned, and {len(now.pinned)} are; "
        "unpin one first"
    )


def _unpinning(now: CommandContext, named: Sequence[NamedModel], _: str | None) -> str | None:
    return None if named[0].id in now.pinned else f"{named[0].label} is not pinned"


def _culling(now: CommandContext, named: Sequence[NamedModel], _: str | None) -> str | None:
    (model,) = named
    reasons = {
        "is a founder; the recipes of all others need it": model.founder,
        "is the champion; only a better one takes its place": model.id == now.champion,
        "is where the search stands, whose next steps descend from it; it may be culled once the "
        "search has moved on": model.id == now.origin,
        "is pinned; unpin it first": model.id in now.pinned,
        f"is one of {now.offspring} living offspring, and a colony needs {MIN_OFFSPRING} to "
        "breed from": now.offspring <= MIN_OFFSPRING,
    }
    return next((f"{model.label} {why}" for why, applies in reasons.items() if applies), None)


def _mating(_: CommandContext, named: Sequence[NamedModel], __: str | None) -> str | None:
    one, other = named
    return f"{one.label} cannot mate with itself" if one == other else None


def _budget(_: CommandContext, __: Sequence[NamedModel], argument: str | None) -> str | None:
    if allowance_of(argument):
        return None
    return (
        "a budget is a positive number of item evaluations (500000), of minutes (90m), of tokens "
        f"(3000000t) or several of these (500000 90m), not {argument!r}"
    )


def _adding(now: CommandContext, _: Sequence[NamedModel], path: str | None) -> str | None:
    if now.has_routes:
        return (
            "this colony breeds paths through the layers of its founders, which stand in a fixed "
            "row; a founder can only be added where coefficients are bred"
        )
    if not now.has_base:
        return (
            "these founders have no base, so every recipe is relative to their average, which "
            "another founder would move; start a new campaign with all of them"
        )
    if not path:
        return "where does the founder lie? a folder, a hub id, or BASE+ADAPTER"
    return None


_RULES: dict[
    CommandKind, Callable[[CommandContext, Sequence[NamedModel], str | None], str | None]
] = {
    "pause": _pausing,
    "resume": _resuming,
    "pin": _pinning,
    "unpin": _unpinning,
    "cull": _culling,
    "mate": _mating,
    "budget": _budget,
    "add-founder": _adding,
}


def command_context(db: duckdb.DuckDBPyConnection, *, ahead: bool) -> CommandContext:
    """The context that a command is validated in.

    Args:
        db: a lease of the archive.
        ahead: whether open commands count as done.
    """
    last = last_generation(db)
    to_cull = dict(
        db.execute(
            "SELECT models[1], id FROM orders WHERE kind = 'cull' AND outcome IS NULL AND $ahead",
            {"ahead": ahead},
        ).fetchall()
    )
    ((champion, origin, offspring, has_base, has_routes),) = db.execute(
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
    return CommandContext(
        champion,
        origin,
        offspring - len(to_cull),
        frozenset(row[0] for row in db.execute(PINNED, {"ahead": ahead}).fetchall()),
        to_cull,
        db.execute(PAUSED, {"ahead": ahead}).fetchone() == ("pause",),
        has_base,
        has_routes,
    )


def _named_model(db: duckdb.DuckDBPyConnection, model: int) -> NamedModel | None:
    rows = db.execute(
        "SELECT id, kind = 'founder', coalesce(name, '#' || id), died, cause FROM models "
        "WHERE id = ?",
        [model],
    ).fetchall()
    return NamedModel(*rows[0]) if rows else None
