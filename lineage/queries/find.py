"""Finding models by a filter (see `lineage.filters`), as one SQL statement with parameters."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import duckdb
import numpy as np

from lineage.ancestry.ancestry import Ancestry
from lineage.archive.archive import Archive
from lineage.cleanup import afterwards
from lineage.errors import ArchiveError
from lineage.filters.fields import FIELDS, IS_FOUNDER, FilterField
from lineage.filters.language import Condition, Expression, FilterError, Not, parsed, suggestion


@dataclass(frozen=True)
class FoundModel:
    """The models that a filter matches.

    Attributes:
        ids: of the first models, sorted as asked.
        count: number of all models that match.
        fields: the numbers and texts that the filter names, as they were written.
        values: by field, its value for each of `ids`.
    """

    ids: list[int]
    count: int
    fields: tuple[str, ...]
    values: dict[str, list[Any]]


def find(
    archive: Archive,
    text: str,
    *,
    sort: str = "fitness",
    ascending: bool = False,
    limit: int | None = None,
) -> FoundModel:
    """The models that match a filter.

    Args:
        archive: where to look.
        text: the filter; an empty one matches all models.
        sort: a field of numbers or texts; models without a value come last.
        ascending: the smallest first.
        limit: list so many at most.

    Raises:
        FilterError: the filter or `sort` is wrong; the message points at it.

    >>> found = find(archive, "living and not founder", sort="fitness", limit=3)
    >>> len(found.ids), found.count > 3
    (3, True)
    """
    query = _Query(archive, text)
    where = query.condition(parsed(text)) if text.strip() else "true"
    by = _Query(archive, sort, query.tables, query.parameters)
    order = by.named(parsed(sort))
    shown = {name: sql for name, sql in (query.shown | by.shown).items() if name != "id"}
    columns = "".join(f", {sql}" for sql in shown.values())
    joins = " ".join(
        f"LEFT JOIN ({table.sql}) {table.alias} ON {table.alias}.model = m.id"
        for table in query.tables.values()
    )
    direction = "ASC" if ascending else "DESC"
    statement = (
        f"SELECT m.id, count(*) OVER (){columns} FROM models m {joins} WHERE {where} "  # noqa: S608
        f"ORDER BY {order} {direction} NULLS LAST, m.id DESC"
    )
    if limit is not None:
        statement += f" LIMIT {int(limit)}"
    with archive.reading() as db, _registered(db, query.tables):
        rows = db.execute(statement, query.parameters).fetchall()
    return FoundModel(
        [row[0] for row in rows],
        rows[0][1] if rows else 0,
        tuple(shown),
        {name: [row[2 + at] for row in rows] for at, name in enumerate(shown)},
    )


@dataclass(frozen=True)
class _Table:
    """A table to join; `rows` are what it selects from, if they come from no table."""

    alias: str
    sql: str
    rows: dict[str, Any] | None = None


@dataclass
class _Query:
    """Builds expressions of SQL, and gathers the tables and parameters that they need."""

    archive: Archive
    text: str
    tables: dict[tuple[str, str | None], _Table] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    _ancestry: Ancestry | None = None

    def condition(self, tree: Expression) -> str:
        """An expression that is true or false, never unknown."""
        if isinstance(tree, Condition):
            return self._compared(tree)
        if isinstance(tree, Not):
            return f"(NOT {self.condition(tree.part)})"
        return "(" + f" {tree.word} ".join(self.condition(part) for part in tree.parts) + ")"

    def named(self, tree: Expression) -> str:
        """The expression of a field alone, to sort by."""
        if not isinstance(tree, Condition) or tree.operator is not None:
            raise FilterError("sort by a single field", self.text, 0)
        field_ = self._field(tree)
        sql = self._expression(tree, field_)
        if field_.kind != "flag":
            self.shown[_written(tree)] = sql
        return sql

    def _compared(self, condition: Condition) -> str:
        field_ = self._field(condition)
        sql = self._expression(condition, field_)
        if field_.kind == "flag":
            if condition.operator is not None:
                raise self._error(
                    f"{condition.field} is true or false; nothing to compare", condition
                )
            return f"({sql})"
        if condition.operator is None:
            raise self._error(
                f"{condition.field} must be compared, as in {_example(condition)}", condition
            )
        self.shown[_written(condition)] = sql
        value = self._value(condition, field_)
        if condition.operator == "~":
            if field_.kind == "number":
                raise self._error(f"{condition.field} is a number; ~ is for texts", condition)
            return f"coalesce(contains(lower({sql}), lower({self._parameter(value)})), false)"
        return f"coalesce({sql} {condition.operator} {self._parameter(value)}, false)"

    def _field(self, condition: Condition) -> FilterField:
        field_ = FIELDS.get(condition.field)
        if field_ is None:
            near = suggestion(condition.field, FIELDS)
            raise self._error(
                f"no field is named {condition.field!r}"
                f"{near or '; there are ' + ', '.join(FIELDS)}",
                condition,
            )
        if (
            field_.argument == "founder"
            and condition.argument is None
            and condition.operator is None
        ):
            return IS_FOUNDER
        if field_.argument != "none" and condition.argument is None:
            raise self._error(
                f"{condition.field} needs a name, as in {_example(condition)}", condition
            )
        if field_.argument == "none" and condition.argument is not None:
            raise self._error(f"{condition.field} takes no name", condition)
        return field_

    def _value(self, condition: Condition, field_: FilterField) -> float | str:
        if field_.kind == "text":
            return condition.value
        plain = condition.value.removeprefix("#").replace("_", "")
        try:
            number = float(plain.removesuffix("%"))
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise FilterError(
                f"{condition.field} is compared with a number, not {condition.value!r}",
                self.text,
                condition.value_at,
            )
        return number / 100.0 if plain.endswith("%") else number

    def _expression(self, condition: Condition, field_: FilterField) -> str:
        if not field_.join and not field_.relation:
            return field_.sql
        key = (condition.field, condition.argument)
        if key not in self.tables:
            alias = f"j{len(self.tables)}"
            if field_.relation:
                rows = self._related(condition, field_.relation)
                self.tables[key] = _Table(alias, f"SELECT * FROM rows_{alias}", rows)  # noqa: S608
            else:
                sql = field_.join
                if field_.argument == "task":
                    name = self._parameter(self._task(condition))
                    sql = sql.replace("$argument", name)
                self.tables[key] = _Table(alias, sql)
        return field_.sql.replace("j.", self.tables[key].alias + ".")

    def _related(self, condition: Condition, relation: str) -> dict[str, Any]:
        """Models and values that the ancestry finds, as columns."""
        self._ancestry = self._ancestry or self.archive.ancestry()
        ancestry, name = self._ancestry, condition.argument or ""
        if relation == "share":
            founders = {
                row.name: row.id for row in self.archive.models(ids=ancestry.founders.tolist())
            }
            if name not in founders:
                near = suggestion(name, [founder for founder in founders if founder])
                raise self._error(f"no founder is named {name!r}{near}", condition)
            column = ancestry.founders.tolist().index(founders[name])
            shares = ancestry.founder_shares()[1:, column].astype(np.float64)
            return {"model": np.arange(1, ancestry.newest + 1), "value": shares}
        try:
            model = self.archive.find(name).id
        except ArchiveError as error:
            raise self._error(str(error), condition) from None
        if relation == "ancestors":
            ids = ancestry.ancestors(model)
        elif relation == "descendants":
            ids = ancestry.descendants(model)
        elif relation == "parents":
            ids = ancestry.ancestors(model, 1)
        else:
            ids = ancestry.descendants(model, 1)
        return {"model": ids}

    def _task(self, condition: Condition) -> str:
        with self.archive.reading() as db:
            rows = db.execute("SELECT DISTINCT task FROM items ORDER BY task").fetchall()
        tasks = [task for (task,) in rows]
        name = condition.argument or ""
        if name not in tasks:
            raise self._error(f"no task is named {name!r}{suggestion(name, tasks)}", condition)
        return name

    def _parameter(self, value: float | str) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"

    def _error(self, message: str, condition: Condition) -> FilterError:
        return FilterError(message, self.text, condition.at)


@contextmanager
def _registered(
    db: duckdb.DuckDBPyConnection, tables: dict[tuple[str, str | None], _Table]
) -> Iterator[None]:
    """Rows that come from no table, for one statement."""
    with_rows = {f"rows_{table.alias}": table.rows for table in tables.values() if table.rows}
    with ExitStack() as stack:
        for name, rows in with_rows.items():
            db.register(name, rows)
            stack.enter_context(afterwards(partial(db.unregister, name)))
        yield


def _written(condition: Condition) -> str:
    return (
        condition.field if condition.argument is None else f"{condition.field}:{condition.argument}"
    )


def _example(condition: Condition) -> str:
    examples = {"task": "task:kanji>0.8", "founder": "founder:kanji>0.2"}
    if condition.field in examples:
        return examples[condition.field]
    field_ = FIELDS[condition.field]
    if field_.argument == "model":
        return f"{condition.field}:#12"
    return f"{condition.field}>10" if field_.kind == "number" else f"{condition.field}=blend"
