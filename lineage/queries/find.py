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
    _descent: Ancestry | None = None

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
        found = self._field(tree)
        sql = self._expression(tree, found)
        if found.kind != "flag":
            self.shown[_written(tree)] = sql
        return sql

    def _compared(self, asked: Condition) -> str:
        found = self._field(asked)
        sql = self._expression(asked, found)
        if found.kind == "flag":
            if asked.operator is not None:
                raise self._error(f"{asked.field} is true or false; nothing to compare", asked)
            return f"({sql})"
        if asked.operator is None:
            raise self._error(f"{asked.field} must be compared, as in {_example(asked)}", asked)
        self.shown[_written(asked)] = sql
        value = self._value(asked, found)
        if asked.operator == "~":
            if found.kind == "number":
                raise self._error(f"{asked.field} is a number; ~ is for texts", asked)
            return f"coalesce(contains(lower({sql}), lower({self._parameter(value)})), false)"
        return f"coalesce({sql} {asked.operator} {self._parameter(value)}, false)"

    def _field(self, asked: Condition) -> FilterField:
        found = FIELDS.get(asked.field)
        if found is None:
            near = suggestion(asked.field, FIELDS)
            raise self._error(
                f"no field is named {asked.field!r}{near or '; there are ' + ', '.join(FIELDS)}",
                asked,
            )
        if found.argument == "founder" and asked.argument is None and asked.operator is None:
            return IS_FOUNDER
        if found.argument != "none" and asked.argument is None:
            raise self._error(f"{asked.field} needs a name, as in {_example(asked)}", asked)
        if found.argument == "none" and asked.argument is not None:
            raise self._error(f"{asked.field} takes no name", asked)
        return found

    def _value(self, asked: Condition, found: FilterField) -> float | str:
        if found.kind == "text":
            return asked.value
        plain = asked.value.removeprefix("#").replace("_", "")
        try:
            number = float(plain.removesuffix("%"))
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise FilterError(
                f"{asked.field} is compared with a number, not {asked.value!r}",
                self.text,
                asked.value_at,
            )
        return number / 100.0 if plain.endswith("%") else number

    def _expression(self, asked: Condition, found: FilterField) -> str:
        if not found.join and not found.relation:
            return found.sql
        key = (asked.field, asked.argument)
        if key not in self.tables:
            alias = f"j{len(self.tables)}"
            if found.relation:
                rows = self._related(asked, found.relation)
                self.tables[key] = _Table(alias, f"SELECT * FROM rows_{alias}", rows)  # noqa: S608
            else:
                sql = found.join
                if found.argument == "task":
                    name = self._parameter(self._task(asked))
                    sql = sql.replace("$argument", name)
                self.tables[key] = _Table(alias, sql)
        return found.sql.replace("j.", self.tables[key].alias + ".")

    def _related(self, asked: Condition, relation: str) -> dict[str, Any]:
        """Models and values that the pedigree knows, as columns."""
        self._descent = self._descent or self.archive.ancestry()
        descent, name = self._descent, asked.argument or ""
        if relation == "share":
            founders = {
                row.name: row.id for row in self.archive.models(ids=descent.founders.tolist())
            }
            if name not in founders:
                near = suggestion(name, [founder for founder in founders if founder])
                raise self._error(f"no founder is named {name!r}{near}", asked)
            column = descent.founders.tolist().index(founders[name])
            shares = descent.founder_shares()[1:, column].astype(np.float64)
            return {"model": np.arange(1, descent.newest + 1), "value": shares}
        try:
            model = self.archive.find(name).id
        except ArchiveError as error:
            raise self._error(str(error), asked) from None
        if relation == "ancestors":
            ids = descent.ancestors(model)
        elif relation == "descendants":
            ids = descent.descendants(model)
        elif relation == "parents":
            ids = descent.ancestors(model, 1)
        else:
            ids = descent.descendants(model, 1)
        return {"model": ids}

    def _task(self, asked: Condition) -> str:
        with self.archive.reading() as db:
            rows = db.execute("SELECT DISTINCT task FROM items ORDER BY task").fetchall()
        tasks = [task for (task,) in rows]
        name = asked.argument or ""
        if name not in tasks:
            raise self._error(f"no task is named {name!r}{suggestion(name, tasks)}", asked)
        return name

    def _parameter(self, value: float | str) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"

    def _error(self, message: str, asked: Condition) -> FilterError:
        return FilterError(message, self.text, asked.at)


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


def _written(asked: Condition) -> str:
    return asked.field if asked.argument is None else f"{asked.field}:{asked.argument}"


def _example(asked: Condition) -> str:
    examples = {"task": "task:kanji>0.8", "founder": "founder:kanji>0.2"}
    if asked.field in examples:
        return examples[asked.field]
    found = FIELDS[asked.field]
    if found.argument == "model":
        return f"{asked.field}:#12"
    return f"{asked.field}>10" if found.kind == "number" else f"{asked.field}=blend"
