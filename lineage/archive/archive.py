"""The archive: all models, living and fossil, with their scores, ratings and events.

`Archive.create` starts one, `Archive.commit` adds a generation (all of it or nothing), and most
other methods read. Every method is one lease of the file, so that any number of processes can read.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np

from lineage.ancestry.ancestry import Ancestry, ancestry_of
from lineage.ancestry.parent_edges import ParentEdges, read_parent_edges
from lineage.archive.creation import create_tables, insert_founder
from lineage.archive.generation_writer import (
    last_generation,
    write_generation,
    write_round,
    write_sha256,
)
from lineage.archive.integrity import contradictions
from lineage.archive.model_rows import find_model, read_models
from lineage.archive.score_rows import (
    read_report_scores,
    read_scores,
    read_task_means,
    write_report_scores,
)
from lineage.errors import ArchiveError
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
    Rating,
    Round,
    Scores,
    SearchRecord,
    stored_item,
)
from lineage.storage.atomic_file import drafted
from lineage.storage.lease import ArchiveConnection
from lineage.storage.locations import check_free, founder_path

if TYPE_CHECKING:
    import networkx

Connection = duckdb.DuckDBPyConnection


class Archive:
    """An archive that exists.

    Args:
        path: of the database file.
        on_wait: called with a sentence when another process has to be waited for, or an archive of
            an earlier schema is migrated.

    Attributes:
        path: of the database file.

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
        """Open an archive that exists.

        Args:
            path: of the database file.
            on_wait: see the class.

        Raises:
            ArchiveError: the file is missing, corrupt, not an archive, or of a newer schema.

        >>> Archive.open(archive.path).newest_id() == archive.newest_id()
        True
        """
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
            path: of the new file, which must not exist; its folder must.
            seed: the campaign's seed.
            config: the validated configuration, stored as JSON.
            founders: with their checkpoints and hashes.
            basis: for each row of a genome, the index into `founders` of its task vector.
            blocks: the columns of a genome.
            on_wait: see the class.

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
        """Close the connection; the file itself is not held between leases."""
        self._store.close()

    def reading(self) -> AbstractContextManager[Connection]:
        """A lease for reading: a context that gives a DuckDB connection, for one transaction.

        Raises:
            ArchiveError: the archive cannot be read; see `ArchiveConnection.read`.

        >>> with archive.reading() as db:
        ...     db.execute("SELECT count(*) > 0 FROM models WHERE died IS NULL").fetchall()
        [(True,)]
        """
        return self._store.read()

    def writing(self) -> AbstractContextManager[Connection]:
        """A lease for writing: as `reading`, committed on leaving and rolled back on an error.

        Raises:
            ArchiveError: the archive cannot be written; see `ArchiveConnection.write`.
        """
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
        """Keep what a report measured of some weights (row 0 of `scored`), see `report_scores`.

        Raises:
            ArchiveError: the archive cannot be written.
        """
        with self._store.write() as db:
            write_report_scores(db, weights_sha256, items, scored)

    def save_sha256(self, model: int, sha256: str) -> None:
        """Keep the SHA-256 of a model's weights, which births are recorded without.

        Raises:
            ArchiveError: the archive cannot be written.
        """
        with self._store.write() as db:
            write_sha256(db, model, sha256)

    # The campaign

    def campaign(self) -> tuple[int, dict[str, Any]]:
        """The campaign's seed and its configuration.

        Raises:
            ArchiveError: something else has written to the archive, and they are damaged.
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
        """Change the configuration in the middle of a campaign.

        Args:
            config: the new one.
            detail: what was changed and why, for the event that records it.
        """
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
        """(generation, event), oldest first; the last `limit` of them if given."""
        rows = self._rows("SELECT generation, kind, model, detail FROM events ORDER BY rowid")
        return [(row[0], Event(*row[1:])) for row in rows[-limit if limit else None :]]

    # Models

    def models(
        self, *, living: bool | None = None, ids: Iterable[int] | None = None
    ) -> list[Model]:
        """Models with their parents, by id.

        Args:
            living: the living only, or the fossils only; None for both.
            ids: of these models only; ids that no model has are left out.

        >>> [model.kind for model in archive.models(ids=[1, 2])]
        ['founder', 'founder']
        """
        with self._store.read() as db:
            return read_models(db, ids, living)

    def find(self, reference: str) -> Model:
        """The model that a person means.

        Args:
            reference: an id, `#id`, a founder's name, `champion`, or at least 4 first characters of
                a SHA-256 or a fingerprint.

        Raises:
            ArchiveError: no model fits, or more than one.

        >>> archive.find("#12").id
        12
        """
        with self._store.read() as db:
            return find_model(db, self.path, reference)

    def parent_edges(self) -> ParentEdges:
        """The parent edges of all models, as arrays."""
        with self._store.read() as db:
            return read_parent_edges(db)

    def ancestry(self) -> Ancestry:
        """Ancestry of all models: a networkx graph, or sparse arrays for large archives.

        >>> ancestry = archive.ancestry()
        >>> founders = ancestry.founders.tolist()
        >>> set(founders) <= set(ancestry.ancestors(ancestry.newest).tolist() + founders)
        True
        """
        return ancestry_of(self.parent_edges())

    def graph(
        self,
        ids: Iterable[int] | None = None,
        *,
        living: bool | None = None,
        ancestors_of: int | None = None,
    ) -> "networkx.DiGraph":
        """Ancestry as a `networkx.DiGraph`, with an edge from each parent to its child.

        Nodes are ids; their attributes, and `share` and `role` of edges, are plain values (see
        `lineage.ancestry.graph.graph`), so that every writer of networkx takes the graph. Models
        have to fit all that is asked; parents that are left out have no edges.

        Args:
            ids: of these models only; ids that no model has are left out.
            living: the living only, or the fossils only; None for both.
            ancestors_of: this model and its ancestors only.

        Raises:
            ArchiveError: there is no model `ancestors_of`.

        >>> import networkx as nx
        >>> champion = archive.find("champion").id
        >>> line = archive.graph(ancestors_of=champion)
        >>> set(line) == {champion} | nx.ancestors(archive.graph(), champion)
        True
        >>> first = next(iter(nx.topological_generations(line)))
        >>> all(line.nodes[model]["kind"] == "founder" for model in first)
        True
        """
        from lineage.ancestry.graph import graph  # noqa: PLC0415 - a fifth of a second

        if ancestors_of is not None:
            if not 0 < ancestors_of <= self.newest_id():
                raise ArchiveError(
                    f"no model is #{ancestors_of} in {self.path}; its ids go from 1 to "
                    f"{self.newest_id()}"
                )
            line = {ancestors_of, *self.ancestry().ancestors(ancestors_of).tolist()}
            ids = line if ids is None else line & set(ids)
        return graph(self.models(ids=ids, living=living))

    def relation(self, query: str, parameters: Any = None) -> duckdb.DuckDBPyRelation:
        """The result of a query as a relation in memory, independent of the archive.

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
        """The highest id of all models."""
        return int(self._rows("SELECT max(id) FROM models")[0][0])

    def offspring(self) -> list[int]:
        """Ids of all offspring, ascending."""
        return [
            row[0]
            for row in self._rows("SELECT id FROM models WHERE kind = 'offspring' ORDER BY id")
        ]

    def with_weights(self, sha256: str) -> list[Model]:
        """Models with these weights, by id; different recipes may make the same weights.

        Those whose SHA-256 was never computed are recognised by the fingerprint of one that has it.
        """
        ids = self._rows(
            "SELECT id FROM models WHERE weights_sha256 = $sha OR (weights_sha256 IS NULL AND "
            "fingerprint IN (SELECT fingerprint FROM models WHERE weights_sha256 = $sha))",
            {"sha": sha256},
        )
        return self.models(ids=[row[0] for row in ids])

    def keyframes(self) -> list[str]:
        """SHA-256 of the weights of all models that were ever champion."""
        return [
            row[0]
            for row in self._rows(
                "SELECT DISTINCT weights_sha256 FROM models "
                "WHERE id IN (SELECT champion FROM generations) AND weights_sha256 IS NOT NULL "
                "ORDER BY ALL"
            )
        ]

    def founder_hashes(self) -> dict[int, str]:
        """SHA-256 of the founders' weights, by model id; every founder has one."""
        return dict(
            self._rows("SELECT id, weights_sha256 FROM models WHERE kind = 'founder' ORDER BY id")
        )

    def founder_paths(self) -> dict[int, str]:
        """Paths of the founders' checkpoints, by model id."""
        rows = self._rows("SELECT model, path FROM recipes WHERE method = 'source' ORDER BY model")
        return {model: founder_path(self.path, stored) for model, stored in rows}

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
        """The genomes of some offspring, in the order given: shape `[ids, genes]`.

        Those that were born before a founder joined have zeros for what that added.

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
        genes = max((len(genome) for genome in rows.values()), default=0)
        genomes = np.zeros((len(ids), genes))
        for row, model in enumerate(ids):
            genomes[row, : len(rows[model])] = rows[model]
        return genomes

    def search(self, generation: int) -> SearchRecord:
        """The state of the evolution strategy after a generation.

        Raises:
            ArchiveError: the archive has none for that generation.
        """
        rows = self._rows("SELECT * EXCLUDE (generation) FROM searches WHERE generation = ?",
                          [generation])  # fmt: skip
        if not rows:
            raise ArchiveError(f"{self.path}: generation {generation} has no search to go on from")
        *numbers, centre, average, gradient, square = rows[0]
        return SearchRecord(*numbers, *map(np.array, (centre, average, gradient, square)))

    def operators(self, generation: int) -> list[OperatorRecord]:
        """The bandit's statistics of every operator after a generation, by name."""
        return [
            OperatorRecord(*row)
            for row in self._rows(
                "SELECT * EXCLUDE (generation) FROM operators WHERE generation = ? "
                "ORDER BY operator",
                [generation],
            )
        ]

    def children_counts(self) -> dict[int, int]:
        """Number of children by id, of the models that have any."""
        return dict(self._rows("SELECT parent, count(*) FROM parents GROUP BY parent"))

    # Scores

    def panel(self, epoch: int) -> list[Item]:
        """The panel of an epoch: its search items, in their order."""
        rows = self._rows(
            "SELECT id, task, split, prompt, key, statement, details "
            "FROM panels JOIN items ON item = id WHERE epoch = ? ORDER BY position",
            [epoch],
        )
        return [stored_item(*row) for row in rows]

    def scores(self, ids: Sequence[int], items: Sequence[str]) -> Scores:
        """Scores of models on items, shape `[ids, items]`; NaN where a model was not scored.

        Args:
            ids: of the models, the rows.
            items: ids of the items, the columns.
        """
        with self._store.read() as db:
            return read_scores(db, ids, items)

    def task_means(
        self, split: str, ids: Iterable[int] | None = None
    ) -> dict[int, dict[str, tuple[float, float]]]:
        """Mean (exact match, probability) by model and task over the items of a split.

        Args:
            split: `search` or `selection`.
            ids: of these models only; None for all that were scored there.

        >>> means = archive.task_means("selection", [archive.find("champion").id])
        >>> all(0 <= exact <= 1 for by_task in means.values() for exact, _ in by_task.values())
        True
        """
        with self._store.read() as db:
            return read_task_means(db, split, ids)

    def report_scores(self, weights_sha256: str, items: Sequence[str]) -> Scores | None:
        """What an earlier report measured of these weights; None unless all items are there."""
        with self._store.read() as db:
            return read_report_scores(db, weights_sha256, items)

    # The arena

    def ratings(self, generation: int) -> dict[int, Rating]:
        """The ratings after a generation and the offline rounds that followed it, by model.

        The prior of a rating is where the next round on the same panel starts from. That round
        counts the panel's matches again, but not those of offline rounds, so the prior includes
        what these changed.
        """
        rows = self._rows(
            "SELECT model, arg_max(rating, round), arg_max(deviation, round), "
            "arg_min(r.prior, round) + coalesce(sum(rating - prior) FILTER (epoch IS NULL), 0) "
            "FROM ratings r JOIN rounds USING (round) WHERE generation = ? "
            "GROUP BY model ORDER BY model",
            [generation],
        )
        return {row[0]: Rating(*row) for row in rows}

    def commit_round(self, round_: Round) -> int:
        """Add an offline round, one that belongs to no generation.

        Returns:
            Its number.

        Raises:
            ArchiveError: no generation is complete yet.
        """
        last = self.latest()
        if last is None:
            raise ArchiveError(f"{self.path}: no generation is complete yet, so nobody can play")
        with self._store.write() as db:
            return write_round(db, round_, last.generation, None)

    def inconsistencies(self) -> list[str]:
        """Rows that contradict each other, in words; reads every table, so that damage is found."""
        with self._store.read() as db:
            return contradictions(db)

    def _rows(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        with self._store.read() as db:
            return db.execute(query, parameters).fetchall()
