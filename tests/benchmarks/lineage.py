"""How an archive holds up when a campaign has gone on for a very long time.

    python -m tests.benchmarks.lineage --models 1000000 --json OUT

Builds a synthetic colony (two parents a model, a genome of 72 genes as the shipped founders have, a
hash, a death, and what the search had learned in every generation), all of it through the leases
that campaigns write through, and measures it:

- `archive_mb`: the file;
- `births_per_s`: committed births, in broods of 28 as campaigns breed them, when all are there;
- `open_s`: opening and the first query, in a fresh process that has imported what it needs;
- `ancestors_s`: everybody that the newest model descends from; `pedigree_ms`: five generations of
  them; `shares_s`: each founder's part in everybody; all from arrays that were read once;
- `reader_rss_mb`: the most memory that a fresh process had which did all of the reading.

`limits` has what each may be, `of_limit` the measured part of that (below 1 is within), and `peers`
what the same takes by other means in the same run.
"""

import argparse
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from lineage import Archive
from lineage.records import (
    Birth,
    Block,
    Death,
    Event,
    Founder,
    Generation,
    GenerationRecord,
    Parent,
    SearchRecord,
)
from tests.benchmarks.harness import told

FOUNDERS = 9
BLOCKS = 9
GENES = (FOUNDERS - 1) * BLOCKS
WINDOW = 3000
"""Parents are among so many that were born last."""

BROOD = 28
"""Births in a generation of a campaign with default settings."""

LIMITS = {
    "archive_mb": 1000.0,
    "births_per_s": 100.0,
    "ancestors_s": 0.3,
    "pedigree_ms": 5.0,
    "shares_s": 1.0,
    "open_s": 0.3,
    "reader_rss_mb": 300.0,
}

READER = """
import json, statistics, sys, time
from pathlib import Path
from lineage.archive.archive import Archive
from lineage.ancestry.sparse import SparseAncestry

def timed(work, times=1):
    took = []
    for _ in range(times):
        start = time.perf_counter()
        result = work()
        took.append(time.perf_counter() - start)
    return statistics.median(took), result

def first_query():
    archive = Archive(Path(sys.argv[1]))
    return archive, archive.newest_id()

open_s, (archive, newest) = timed(first_query)
read_s, whole = timed(archive.parent_edges)
ancestry = SparseAncestry(whole)
ancestors_s, found = timed(lambda: ancestry.ancestors(newest), 5)
pedigree_s, few = timed(lambda: ancestry.ancestors(newest, depth=5), 5)
shares_s, shares = timed(ancestry.founder_shares)
assert abs(float(shares[newest].sum()) - 1) < 1e-3
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({
    "open_s": open_s, "ancestors_s": ancestors_s, "pedigree_ms": 1e3 * pedigree_s,
    "shares_s": shares_s, "reader_rss_mb": int(peak.split()[1]) / 1e3,
    "read_parent_edges_s": read_s, "ancestors": len(found), "relatives_in_pedigree": len(few),
}))
"""

ANCESTORS_IN_SQL = """
WITH RECURSIVE ancestors (id) AS (
    SELECT parent FROM parents WHERE child = $model
    UNION SELECT parent FROM ancestors JOIN parents ON child = id
) SELECT count(*) FROM ancestors
"""


def found(path: Path) -> Archive:
    """An archive with nothing but its founders."""
    return Archive.create(
        path,
        seed=0,
        config={},
        founders=[
            Founder(f"founder-{n}", f"/founders/{n}", hashlib.sha256(b"%d" % n).hexdigest())
            for n in range(FOUNDERS)
        ],
        basis=range(1, FOUNDERS),
        blocks=[Block(f"block-{n}", 1000) for n in range(BLOCKS)],
    )


def chapter(rng: np.random.Generator, generation: int, first: int, size: int) -> GenerationRecord:
    """A generation: two older parents for every child; half of a brood dies as it is born."""
    oldest = max(1, first - WINDOW)
    mothers = rng.integers(oldest, first - 1, size)
    pairs = np.stack([mothers, rng.integers(mothers + 1, first)], axis=1)
    shares = rng.uniform(0.05, 0.95, size)
    genomes = rng.normal(0.3, 0.3, (size, GENES))
    births = tuple(
        Birth(
            first + row,
            ("emitter", "blend", "slerp", "gate")[row % 4],
            (
                Parent(int(pairs[row, 0]), float(shares[row]), "first"),
                Parent(int(pairs[row, 1]), 1.0 - float(shares[row]), "mate"),
            ),
            genomes[row],
            hashlib.sha256(b"%d" % (first + row)).hexdigest(),
        )
        for row in range(size)
    )
    learned = rng.normal(size=(4, GENES))
    return GenerationRecord(
        Generation(generation, 0, 1288, 0.6, 0.5, first, 3.5, 0.8, 3.4, 0.8, 0.3, 0.7),
        births=births,
        deaths=tuple(Death(birth.id, "unpromising") for birth in births[size // 2 :]),
        events=(Event("champion", first, f"#{first} is champion"),),
        search=SearchRecord(first, generation, 0, 0, 1.0, *learned),
    )


def grown(archive: Archive, models: int, brood: int) -> float:
    """Let an archive grow to so many models; committed births a second on the way."""
    rng = np.random.default_rng(0)
    start, generation, first = time.perf_counter(), 0, archive.newest_id() + 1
    while first <= models:
        size = min(brood, models - first + 1)
        archive.commit(chapter(rng, generation, first, size))
        generation, first = generation + 1, first + size
        if generation % 100 == 0:
            rate = first / (time.perf_counter() - start)
            left = f"{first:,} models, {(models - first) / rate:.0f} s left"
            sys.stderr.write(left + "\n")
    return (models - FOUNDERS) / (time.perf_counter() - start)


def births_per_s(archive: Archive, commits: int) -> float:
    """Committed births a second, by the median of some commits of a campaign's brood."""
    rng = np.random.default_rng(1)
    generation, first = len(archive.generations()), archive.newest_id() + 1
    took = []
    for number in range(commits):
        made = chapter(rng, generation + number, first + number * BROOD, BROOD)
        start = time.perf_counter()
        archive.commit(made)
        took.append(time.perf_counter() - start)
    return BROOD / statistics.median(took)


def peers(path: Path, newest: int) -> dict[str, float]:
    """The same by other means: ancestors by a recursive query, a birth by a connection each."""
    start = time.perf_counter()
    with duckdb.connect(str(path), read_only=True, config={"threads": 1}) as db:
        opened = time.perf_counter()
        db.execute(ANCESTORS_IN_SQL, {"model": newest}).fetchall()
        answered = time.perf_counter()
    return {"connect_s": opened - start, "ancestors_in_sql_s": answered - opened}


def measured(models: int, brood: int, commits: int, folder: Path) -> dict[str, Any]:
    """All measurements of a colony of so many models that is built in a folder."""
    path = folder / "colony.duckdb"
    archive = found(path)
    built = grown(archive, models, brood)
    megabytes = path.stat().st_size / 1e6
    archive.close()
    reader = json.loads(
        subprocess.run(
            [sys.executable, "-c", READER, str(path)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        ).stdout
    )
    others = peers(path, models)
    values = {"archive_mb": megabytes, **reader}
    values["births_per_s"] = births_per_s(Archive(path), commits)
    return {
        **{name: values.pop(name) for name in LIMITS},
        "models": models,
        "limits": LIMITS,
        "peers": {**others, "births_per_s_in_large_broods": built},
        "details": values,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=1_000_000)
    parser.add_argument("--brood", type=int, default=1000, help="births a commit while it is built")
    parser.add_argument("--commits", type=int, default=40, help="commits to take the median of")
    parser.add_argument("--folder", type=Path, help="where to build; default: a temporary one")
    parser.add_argument("--json", type=Path, help="write the result there as well")
    chosen = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="colony-lineage-", dir=chosen.folder))
    try:
        result = measured(chosen.models, chosen.brood, chosen.commits, folder)
    finally:
        shutil.rmtree(folder)
    result["of_limit"] = {
        name: limit / result[name] if name == "births_per_s" else result[name] / limit
        for name, limit in LIMITS.items()
    }
    told(result, chosen.json)


if __name__ == "__main__":
    main()
