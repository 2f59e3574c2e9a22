"""The archive: all models, living and fossil, and everything that was learned about them.

Verbs: `Archive.create` starts one, `commit` adds a generation (all of it or nothing), and the rest
reads. Every method is one lease of the file, so any number of processes can watch.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np

from lineage.ancestry.ancestry import Ancestry, ancestry_of
from lineage.ancestry.parent_edges import ParentEdges, read_parent_edges
from lineage.archive.creation import create_tables, insert_founder
from lineage.archive.generation_writer import (
    insert,
    last_generation,
    texts,
    write_generation,
    write_round,
)
from lineage.archive.integrity import contradictions
from lineage.errors import ArchiveError
from lineage.filters.language import suggestion
from lineage.migrations import migrate
from lineage.records import (
    Block,
    Event,
    Floats,
    Founder,
    Generation,
    GenerationRecord,
    Item,
    Model,
    OperatorRecord,
    Parent,
    Rating,
    Round,
    Scores,
    SearchRecord,
)
from lineage.storage.atomic_file import drafted
from lineage.storage.connection import ArchiveConnection
from lineage.storage.locations import check_free

if TYPE_CHECKING:
    import networkx

Connection = duckdb.DuckDBPyConnection


_MODELS = """
SELECT id, kind, name, generation, operator, weights_sha256, died, cause,
       parents, shares, roles::VARCHAR[]
FROM models
WHERE ($ids IS NULL OR id IN $ids) AND ($living IS NULL OR (died IS NULL) = $living)
ORDER BY id
"""


class Archive:
    """An existing archive.

    Args:
        path: the database file.
        on_wait: told, in a sentence, when another process has to be waited for or an archive of
            an earlier schema is brought forward.

    Raises:
        ArchiveError: the file is missing, corrupt, not an archive, or of a newer schema.
    """

    def __init__(self, path: Path, on_wait: Callable[[str], None] | None = None) -> None:
        self.path = path
        self._store = ArchiveConnection(path, on_wait)
        self._relations = 0
        migrate(self._store, on_wait)

    @classmethod
    def open(cls, path: str | Path, on_wait: Callable[[str], None] | None = None) -> "Archive":
        """Open an archive that exists; see the class for arguments and errors."""
        return cls(Path(path), on_wait)

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        seed: int,
        config: dict[str, Any],
        founders: Sequence[Founder],
        basis: Sequence[int],
        blocks: Sequence[Block],
        on_wait: Callable[[str], None] | None = None,
    ) -> "Archive":
        """Start an archive: founders get the ids 1, 2, ... in the order given.

        Args:
            path: where; the folder must exist, the file must not.
            seed: the campaign's seed.
            config: the validated configuration, stored as JSON.
            founders: the models brought in.
            basis: for each row of a genome, the index into `founders` of its task vector.
            blocks: the columns of a genome.
            on_wait: told once when another process has to be waited for.

        Raises:
            ArchiveError: the file exists already or cannot be written.
        """
        check_free(path)
        with drafted(path) as draft:
            store = ArchiveConnection(draft, on_wait, new=True)
            with store.write() as db:
                create_tables(db, [founder + 1 for founder in basis], blocks)
                db.execute(
                    "INSERT INTO campaigns (id, seed, config) VALUES (1, ?, ?)",
                    [seed, json.dumps(config)],
                )
                for number, founder in enumerate(founders, start=1):
                    insert_founder(db, number, founder)
            store.close()
        return cls(path, on_wait)

    def close(self) -> None:
        """Release what the process holds; the file itself is never held."""
        self._store.close()

    def reading(self) -> AbstractContextManager[Connection]:
        """A lease for questions that have a module of their own, see `lineage.queries`."""
        return self._store.read()

    def writing(self) -> AbstractContextManager[Connection]:
        """A lease for one transaction of another module, see `lineage.commands.definitions`."""
        return self._store.write()

    # Writing

    def commit(self, record: GenerationRecord) -> None:
        """Add a generation in one transaction.

        Raises:
            ArchiveError: the generation is not the next one, or the file cannot be written;
                the archive is then as it was before.
        """
        summary = record.summary
        with self._store.write() as db:
            expected = last_generation(db) + 1
            if summary.generation != expected:
                raise ArchiveError(
                    f"{self.path}: expected generation {expected} next, got {summary.generation}; "
                    "is another campaign writing to this archive?"
                )
            write_generation(db, record)

    def save_report_scores(
        self, weights_sha256: str, items: Sequence[Item], scored: Scores
    ) -> None:
        """Keep what a report measured of one model (row 0 of `scored`), by its weights."""
        with self._store.write() as db:
            insert(
                db,
                "INSERT OR IGNORE INTO report_scores SELECT w, s, t, i, e, p FROM columns",
                w=texts([weights_sha256] * len(items)),
                s=texts(item.split for item in items),
                t=texts(item.task for item in items),
                i=texts(item.id for item in items),
                e=scored.exact[0],
                p=scored.probability[0],
            )

    # The campaign

    def campaign(self) -> tuple[int, dict[str, Any]]:
        """The seed and the configuration that this archive was started with.

        Raises:
            ArchiveError: somebody else has written to the archive, and there is none.
        """
        rows = self._rows("SELECT seed, config FROM campaigns WHERE id = 1")
        try:
            ((seed, text),) = rows
            config = json.loads(text)
            if not isinstance(config, dict):
                raise TypeError(f"its configuration is no object but {type(config).__name__}")
            return int(seed), config
        except (ValueError, TypeError, RecursionError) as error:
            raise ArchiveError(
                f"{self.path} does not say how its campaign was started: {error}; something else "
                "has written to it. Restore a copy; `colony check` says what is whole"
            ) from None

    def intervene(self, config: dict[str, Any], detail: str) -> None:
        """Change the configuration in the middle of a campaign; `detail` tells the events why."""
        with self._store.write() as db:
            last = max(last_generation(db), 0)
            db.execute("UPDATE campaigns SET config = ? WHERE id = 1", [json.dumps(config)])
            db.execute("INSERT INTO events VALUES (?, 'intervention', NULL, ?)", [last, detail])

    def generations(self) -> list[Generation]:
        """All committed generations, oldest first."""
        return [
            Generation(*row) for row in self._rows("SELECT * FROM generations ORDER BY generation")
        ]

    def latest(self) -> Generation | None:
        """The last committed generation, if there is one."""
        rows = self._rows("SELECT * FROM generations ORDER BY generation DESC LIMIT 1")
        return Generation(*rows[0]) if rows else None

    def events(self, limit: int | None = None) -> list[tuple[int, Event]]:
        """(generation, event), oldest first; only the last `limit` if given."""
        rows = self._rows("SELECT generation, kind, model, detail FROM events ORDER BY rowid")
        return [(row[0], Event(*row[1:])) for row in rows[-limit if limit else None :]]

    # Models

    def models(
        self, *, living: bool | None = None, ids: Iterable[int] | None = None
    ) -> list[Model]:
        """Models with their parents, by id; all, the living, the fossils, or some."""
        wanted = None if ids is None else sorted(set(ids))
        rows = self._rows(_MODELS, {"ids": wanted, "living": living})
        return [_model(row) for row in rows]

    def find(self, reference: str) -> Model:
        """The model that a person means.

        An id, `#id`, a founder's name, `champion`, or at least 4 first characters of a hash.

        Raises:
            ArchiveError: nothing, or more than one model, fits.
        """
        asked = reference.strip()
        if asked == "champion":
            last = self.latest()
            if last is None:
                raise ArchiveError(f"{self.path} has no champion yet: no generation is complete")
            asked = str(last.champion)
        number = asked.removeprefix("#")
        found = []
        if number.isascii() and number.isdecimal() and len(number) < 10:
            found = self.models(ids=[int(number)])
        if not found:
            ids = self._rows(
                "SELECT id FROM models WHERE name IN ($name, $text) OR (length($text) >= 4 "
                "AND starts_with(weights_sha256, $text))",
                {"name": reference, "text": asked},
            )
            found = self.models(ids=[row[0] for row in ids])
        if not found:
            raise ArchiveError(
                f"no model {reference!r} in {self.path}{self._nearest(number)}; "
                "`colony models --all` lists them"
            )
        if len(found) > 1:
            raise ArchiveError(
                f"{reference!r} fits {len(found)} models: "
                + ", ".join(model.label for model in found[:5])
            )
        return found[0]

    def _nearest(self, asked: str) -> str:
        """What may have been meant, to be added to a message."""
        if asked.isdecimal():
            return f"; its ids go from 1 to {self.newest_id()}"
        names = self._rows("SELECT name FROM models WHERE name IS NOT NULL ORDER BY id")
        return suggestion(asked, [name for (name,) in names])

    def parent_edges(self) -> ParentEdges:
        """Who descends from whom, of everybody at once, as arrays."""
        with self._store.read() as db:
            return read_parent_edges(db)

    def ancestry(self) -> Ancestry:
        """Who descends from whom, to ask: by a graph, or by arrays where that takes too long."""
        return ancestry_of(self.parent_edges())

    def graph(
        self,
        ids: Iterable[int] | None = None,
        *,
        living: bool | None = None,
        ancestors_of: int | None = None,
    ) -> "networkx.DiGraph":
        """Ancestry as a `networkx.DiGraph`, with an edge from each parent to its child.

        Args:
            ids: of these models only.
            living: of the living only, or of the fossils only.
            ancestors_of: of this model and everyone it descends from.

        Returns:
            What `lineage.ancestry.graph.graph` says, for models that fit all that is asked.
        """
        from lineage.ancestry.graph import graph  # noqa: PLC0415 - a fifth of a second

        if ancestors_of is not None:
            line = {ancestors_of, *self.ancestry().ancestors(ancestors_of).tolist()}
            ids = line if ids is None else line & set(ids)
        return graph(self.models(ids=ids, living=living))

    def relation(self, query: str, parameters: Any = None) -> duckdb.DuckDBPyRelation:
        """What a query finds, as a relation in memory, whatever becomes of the archive.

        A relation goes on as `.df()` (pandas), `.pl()` (polars), `.arrow()`, `.fetchnumpy()` or
        more SQL. `lineage.storage.schema` says which tables and views there are.

        Args:
            query: a SELECT over the archive's tables; it cannot write.
            parameters: for its `?` or `$name`.

        Raises:
            ArchiveError: the query is wrong, or the archive cannot be read.
        """
        self._relations += 1
        name = f"memory.main.relation_{self._relations}"
        with self._store.read() as db:
            db.execute(f"CREATE TABLE {name} AS {query}", parameters)
            apart = db.cursor()  # a connection that no lease waits for
        return apart.table(name)

    def newest_id(self) -> int:
        """The highest id that was ever given."""
        return int(self._rows("SELECT max(id) FROM models")[0][0])

    def offspring(self) -> list[int]:
        """Ids of all that were bred, ascending."""
        return [
            row[0]
            for row in self._rows("SELECT id FROM models WHERE kind = 'offspring' ORDER BY id")
        ]

    def with_weights(self, sha256: str) -> list[Model]:
        """Models that have these weights, by id; different recipes may make the same."""
        ids = self._rows("SELECT id FROM models WHERE weights_sha256 = ?", [sha256])
        return self.models(ids=[row[0] for row in ids])

    def keyframes(self) -> list[str]:
        """Hashes of the weights of everyone who was ever champion."""
        return [
            row[0]
            for row in self._rows(
                "SELECT DISTINCT weights_sha256 FROM models "
                "WHERE id IN (SELECT champion FROM generations) ORDER BY ALL"
            )
        ]

    def founder_paths(self) -> dict[int, str]:
        """Where each founder's checkpoint lies, by model id."""
        return dict(
            self._rows("SELECT model, path FROM recipes WHERE method = 'source' ORDER BY model")
        )

    def basis(self) -> list[int]:
        """For each row of a genome, the founder whose task vector it scales."""
        return [row[0] for row in self._rows("SELECT founder FROM basis ORDER BY position")]

    def blocks(self) -> list[Block]:
        """The columns of a genome."""
        return [
            Block(*row)
            for row in self._rows("SELECT name, parameters FROM blocks ORDER BY position")
        ]

    def genomes(self, ids: Sequence[int]) -> Floats:
        """The genomes of some offspring, in the order given: shape (ids, genes).

        Raises:
            ArchiveError: one of them has no recipe.
        """
        rows = dict(
            self._rows(
                "SELECT model, genome FROM recipes WHERE method <> 'source' AND model IN $ids",
                {"ids": list(ids)},
            )
        )
        if missing := [model for model in ids if model not in rows]:
            raise ArchiveError(f"{self.path}: no recipe for models {missing[:5]}")
        return np.array([rows[model] for model in ids], dtype=np.float64)

    def search(self, generation: int) -> SearchRecord:
        """Where the search stood after a generation.

        Raises:
            ArchiveError: it was not written down.
        """
        rows = self._rows("SELECT * EXCLUDE (generation) FROM searches WHERE generation = ?",
                          [generation])  # fmt: skip
        if not rows:
            raise ArchiveError(f"{self.path}: generation {generation} has no search to go on from")
        *numbers, centre, average, gradient, square = rows[0]
        return SearchRecord(*numbers, *map(np.array, (centre, average, gradient, square)))

    def operators(self, generation: int) -> list[OperatorRecord]:
        """What was known of every operator after a generation."""
        return [
            OperatorRecord(*row)
            for row in self._rows(
                "SELECT * EXCLUDE (generation) FROM operators WHERE generation = ? "
                "ORDER BY operator",
                [generation],
            )
        ]

    def children_counts(self) -> dict[int, int]:
        """How many children each model has had."""
        return dict(self._rows("SELECT parent, count(*) FROM parents GROUP BY parent"))

    # Scores

    def panel(self, epoch: int) -> list[Item]:
        """The search items of an epoch, in the order they were dealt."""
        rows = self._rows(
            "SELECT id, task, split, prompt, key, statement FROM panels JOIN items ON item = id "
            "WHERE epoch = ? ORDER BY position",
            [epoch],
        )
        return [Item(*row) for row in rows]

    def scores(self, ids: Sequence[int], items: Sequence[str]) -> Scores:
        """Scores of models on items; NaN where a model was not scored on an item."""
        with self._store.read() as db:
            columns = db.execute(
                "SELECT list_position($ids, model) - 1 AS row, list_position($items, item) - 1 "
                "AS col, exact, probability FROM scores WHERE model IN $ids AND item IN $items",
                {"ids": list(ids), "items": list(items)},
            ).fetchnumpy()
        exact = np.full((len(ids), len(items)), np.nan)
        probability = exact.copy()
        exact[columns["row"], columns["col"]] = columns["exact"]
        probability[columns["row"], columns["col"]] = columns["probability"]
        return Scores(tuple(ids), tuple(items), exact, probability)

    def task_means(
        self, split: str, ids: Iterable[int] | None = None
    ) -> dict[int, dict[str, tuple[float, float]]]:
        """Mean (exact, probability) per task over all items of a split a model was scored on.

        Of everybody who was scored there, or of some.
        """
        rows = self._rows(
            "SELECT model, task, avg(exact), avg(probability) FROM scores JOIN items ON item = id "
            "WHERE split = $split AND ($ids IS NULL OR model IN $ids) "
            "GROUP BY model, task ORDER BY model, task",
            {"split": split, "ids": None if ids is None else sorted(set(ids))},
        )
        means: dict[int, dict[str, tuple[float, float]]] = {}
        for model, task, exact, probability in rows:
            means.setdefault(model, {})[task] = (exact, probability)
        return means

    def report_scores(self, weights_sha256: str, items: Sequence[str]) -> Scores | None:
        """What an earlier report measured of these weights, or None unless all items are there."""
        rows = {
            row[0]: row[1:]
            for row in self._rows(
                "SELECT item, exact, probability FROM report_scores "
                "WHERE weights_sha256 = $sha AND item IN $items",
                {"sha": weights_sha256, "items": list(items)},
            )
        }
        if len(rows) < len(set(items)):
            return None
        table = np.array([rows[item] for item in items], dtype=np.float64).T
        return Scores((0,), tuple(items), table[:1], table[1:])

    # The arena

    def ratings(self, generation: int) -> dict[int, Rating]:
        """The ratings as they stood after a generation, and after the tournaments that followed it.

        The prior of a rating is where the next round on the same panel starts from: it counts that
        panel's matches again, but not those of a tournament, so what the tournament moved is in it.
        """
        rows = self._rows(
            "SELECT model, arg_max(rating, round), arg_max(deviation, round), "
            "arg_min(r.prior, round) + coalesce(sum(rating - prior) FILTER (epoch IS NULL), 0) "
            "FROM ratings r JOIN rounds USING (round) WHERE generation = ? "
            "GROUP BY model ORDER BY model",
            [generation],
        )
        return {row[0]: Rating(*row) for row in rows}

    def commit_round(self, played: Round) -> int:
        """Add a tournament, a round that belongs to no generation; its number.

        Raises:
            ArchiveError: no generation is complete yet.
        """
        last = self.latest()
        if last is None:
            raise ArchiveError(f"{self.path}: no generation is complete yet, so nobody can play")
        with self._store.write() as db:
            return write_round(db, played, last.generation, None)

    def inconsistencies(self) -> list[str]:
        """Rows that contradict each other, in words; reads every table, so damage shows."""
        with self._store.read() as db:
            return contradictions(db)

    def _rows(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        with self._store.read() as db:
            return db.execute(query, parameters).fetchall()


def _model(row: tuple[Any, ...]) -> Model:
    """A row of `_MODELS`; the parent with the greatest share comes first."""
    *own, parents, shares, roles = row
    links = sorted(zip(parents, shares, roles, strict=True), key=lambda link: (-link[1], link[0]))
    return replace(Model(*own), parents=tuple(Parent(*link) for link in links))
