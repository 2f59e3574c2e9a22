"""The fields of the filter language, as SQL expressions over `models m` and joined tables.

An expression holds no value: names that people type are parameters of the joined tables.
"""

from dataclasses import dataclass
from typing import Literal

from lineage.points import MIDDLE, POINT, UNIT

Kind = Literal["number", "text", "flag"]

Argument = Literal["none", "task", "founder", "model"]
"""What stands after the colon: nothing, a task's name, a founder's, or any model."""


@dataclass(frozen=True)
class FilterField:
    """A field of the filter language.

    Attributes:
        kind: what it is compared with; a flag is true or false by itself.
        meaning: a line for people.
        sql: the expression, in which `j` is the joined table.
        join: a query with a row per model (`model`, `value`), in which `$argument` is the argument.
        argument: what stands after the colon.
        relation: the relation whose models the ancestry has to find, if there is one.
    """

    kind: Kind
    meaning: str
    sql: str
    join: str = ""
    argument: Argument = "none"
    relation: Literal["", "share", "ancestors", "descendants", "parents", "children"] = ""


_EXACT = (
    "SELECT model, avg(mean) AS value FROM (SELECT model, task, avg(exact) AS mean "
    "FROM scores JOIN items ON item = items.id WHERE $where GROUP BY model, task) GROUP BY model"
)
"""Exact match: the mean over tasks of the mean over items."""

_SEARCH = _EXACT.replace("$where", "split = 'search'")
_SELECTION = _EXACT.replace("$where", "split = 'selection'")
_TASK = _EXACT.replace("$where", "task = $argument")
_FITNESS = (
    "SELECT model, avg(mean) AS value FROM (SELECT model, task, "
    "avg(0.5 * (exact + probability)) AS mean FROM scores JOIN items ON item = items.id "
    "WHERE split = 'search' GROUP BY model, task) GROUP BY model"
)
_SCORE = _FITNESS.replace("'search'", "'selection'")
_RATING = (
    f"SELECT model, {MIDDLE} + {POINT} * arg_max(rating, round) AS value "  # noqa: S608
    "FROM ratings GROUP BY model"
)
_CHILDREN = (
    "SELECT parent AS model, count(*) AS value FROM (SELECT unnest(parents) AS parent FROM models) "
    "GROUP BY parent"
)

FIELDS = {
    "id": FilterField("number", "number of the model", "m.id"),
    "gen": FilterField("number", "generation it was born in (also: born)", "m.generation"),
    "born": FilterField("number", "the same as gen", "m.generation"),
    "died": FilterField("number", "generation it became a fossil in", "m.died"),
    "children": FilterField("number", "how many it has", "coalesce(j.value, 0)", _CHILDREN),
    "parents": FilterField("number", "how many it has", "len(m.parents)"),
    "fitness": FilterField("number", "mean merit on search items, 0 to 1", "j.value", _FITNESS),
    "score": FilterField(
        "number", "mean merit on the selection split, 0 to 1: what crowns champions",
        "j.value", _SCORE,
    ),
    "rating": FilterField(
        "number", f"strength in the arena, in {UNIT}", "j.value", _RATING
    ),
    "search": FilterField("number", "exact match on search items", "j.value", _SEARCH),
    "selection": FilterField(
        "number", "exact match on the selection split", "j.value", _SELECTION
    ),
    "task": FilterField(
        "number",
        "exact match on the items of a task",
        "j.value",
        _TASK,
        argument="task",
    ),
    "founder": FilterField(
        "number",
        "a founder's part in it by descent, 0 to 1; without a name: is a founder",
        "j.value",
        argument="founder",
        relation="share",
    ),
    "operator": FilterField("text", "how it was made", "m.operator"),
    "cause": FilterField("text", "what it died of", "m.cause"),
    "name": FilterField("text", "a founder's name", "m.name"),
    "hash": FilterField(
        "text",
        "SHA-256 of its weights, or their fingerprint where it was not computed",
        "coalesce(m.weights_sha256, m.fingerprint)",
    ),
    "fingerprint": FilterField("text", "fingerprint of its weights", "m.fingerprint"),
    "living": FilterField("flag", "may be picked as a parent", "m.died IS NULL"),
    "fossil": FilterField("flag", "kept as a recipe only", "m.died IS NOT NULL"),
    "offspring": FilterField("flag", "was bred, not brought in", "m.kind = 'offspring'"),
    "champion": FilterField(
        "flag",
        "was champion of any generation",
        "m.id IN (SELECT champion FROM generations)",
    ),
    "ancestor-of": FilterField(
        "flag", "a model descends from it", "j.model IS NOT NULL",
        argument="model", relation="ancestors",
    ),
    "descendant-of": FilterField(
        "flag", "it descends from a model", "j.model IS NOT NULL",
        argument="model", relation="descendants",
    ),
    "parent-of": FilterField(
        "flag", "is a parent of a model", "j.model IS NOT NULL",
        argument="model", relation="parents",
    ),
    "child-of": FilterField(
        "flag", "is a child of a model", "j.model IS NOT NULL",
        argument="model", relation="children",
    ),
}  # fmt: skip

IS_FOUNDER = FilterField("flag", "was brought in, not bred", "m.kind = 'founder'")
"""What `founder` means without a name."""
