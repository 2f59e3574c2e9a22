"""How fast ratings are refitted from a database of matches, and whether their intervals hold.

    python -m tests.benchmarks.ratings --json OUT

- `refit_1e3`, `refit_1e5`: CPU seconds to rate 1e3 and 1e5 contestants from 1e6 matches (a fifth
  of them ties), weighted by the trust in their judges: summed by pair in DuckDB, fitted, and with
  deviations. `clustered_1e3`, `clustered_1e5`: the same with deviations clustered by item, from the
  matches themselves.
- `coverage`: the share of 95 % intervals that hold the truth where 40 contestants answer 30 items
  once and three judges compare all of their answers; `naive_coverage`: of those that take matches
  for independent.

Everything runs on one thread. `of_limit` has the measured part of what each may take (below 1 is
within), and `peers` what other libraries take for the same fit in the same run, without deviations,
in seconds and as ratios to ours; evalica with weights and Davidson's ties, arena-rank, where it is
installed, with neither.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from threadpoolctl import threadpool_limits

from arena.judges.votes import Integers
from arena.ratings import Matches, Pairs, Ratings, fit, pairs_of
from lineage.records import Floats
from tests.benchmarks.harness import positive, told

MATCHES, JUDGES, ITEMS, NU = 1_000_000, 50, 1000, 0.5
SIZES = {"1e3": 1000, "1e5": 100_000}
LIMITS = {"refit_1e3": 1.0, "refit_1e5": 3.0}
MEMORY = 16 << 30
"""Bytes that a peer may ask for: more is an answer as well."""

BY_PAIR = """
SELECT least(a, b) AS a, greatest(a, b) AS b, sum(trust) AS weight,
       sum(trust * CASE WHEN a < b THEN score ELSE 1 - score END) AS score,
       sum(CASE WHEN score = 0.5 THEN trust ELSE 0 END) AS ties
FROM matches JOIN trust USING (judge) GROUP BY ALL
"""

MATCH_BY_MATCH = "SELECT a, b, item, score, trust FROM matches JOIN trust USING (judge)"

PEER = """
from threadpoolctl import threadpool_limits
from tests.benchmarks import ratings
with threadpool_limits(1):
    print(ratings.{peer}(*ratings.random_matches({size})))
"""


# Matches


def random_matches(size: int) -> tuple[Matches, Integers, Floats]:
    """Independent matches between random contestants, who judged them, and the trust in judges."""
    rng = np.random.default_rng(size)
    strength = rng.normal(size=size)
    a = rng.integers(0, size, MATCHES)
    b = (a + rng.integers(1, size, MATCHES)) % size
    odds = np.exp((strength[a] - strength[b]) / 2.0)
    drawn = rng.random(MATCHES) * (odds + 1.0 / odds + NU)
    score = np.where(drawn < odds, 1.0, np.where(drawn < odds + NU, 0.5, 0.0))
    item, judge = rng.integers(0, ITEMS, MATCHES), rng.integers(0, JUDGES, MATCHES)
    return Matches(a, b, item, score, np.ones(MATCHES)), judge, rng.uniform(0.2, 1.0, JUDGES)


def cached_answers(
    rng: np.random.Generator, contestants: int, items: int = 30, judges: int = 3
) -> tuple[Floats, Matches]:
    """All pairs of answers to items before all judges: each contestant answers an item once.

    A judge prefers what it finds better; how good an answer is, is theta_i plus a part that belongs
    to the answer and one that belongs to the judge. The sum of both is a Gumbel variable, the half
    of another one and of the logarithm of a positive stable one (Kanter 1975), so that over items
    P(i beats k) is exactly logistic in theta_i - theta_k, and the true strengths are known.
    """
    strength = rng.normal(size=contestants)
    angle = rng.uniform(0.0, np.pi, (items, 1, contestants))
    scale = rng.exponential(size=angle.shape)
    stable = np.sin(angle / 2.0) ** 2 / np.sin(angle) ** 2 / scale
    noise = np.log(stable) / 2.0 + rng.gumbel(size=(items, judges, contestants)) / 2.0
    found = strength + noise
    i, k = np.triu_indices(contestants, 1)
    score = (found[:, :, i] > found[:, :, k]).astype(np.float64)
    item, _, pair = (axis.ravel() for axis in np.indices(score.shape))
    return strength, Matches(i[pair], k[pair], item, score.ravel(), np.ones(score.size))


# What we take


def refit_1e3() -> float:
    """CPU seconds for 1e3 contestants, summed by pair in SQL."""
    return refit(SIZES["1e3"], from_sums)


def refit_1e5() -> float:
    """CPU seconds for 1e5 contestants, summed by pair in SQL."""
    return refit(SIZES["1e5"], from_sums)


def clustered_1e3() -> float:
    """CPU seconds for 1e3 contestants, with deviations clustered by item."""
    return refit(SIZES["1e3"], from_matches)


def clustered_1e5() -> float:
    """CPU seconds for 1e5 contestants, with deviations clustered by item."""
    return refit(SIZES["1e5"], from_matches)


def refit(
    size: int, rated: Callable[[duckdb.DuckDBPyConnection, int], Ratings], times: int = 3
) -> float:
    """CPU seconds, the median of some times, from a table of matches to ratings."""
    took = []
    with duckdb.connect(config={"threads": 1}) as db, threadpool_limits(1):
        matches, judge, trust = random_matches(size)
        fill(db, "matches", **vars(matches), judge=judge)
        fill(db, "trust", judge=np.arange(JUDGES), trust=trust)
        for _ in range(times):
            start = time.process_time()
            rated(db, size)
            took.append(time.process_time() - start)
    return statistics.median(took)


def fill(db: duckdb.DuckDBPyConnection, table: str, **columns: Any) -> None:
    """Make a table of columns."""
    db.register("columns", columns)
    db.execute(f"CREATE TABLE {table} AS SELECT * FROM columns")
    db.unregister("columns")


def from_sums(db: duckdb.DuckDBPyConnection, size: int) -> Ratings:
    """Rate from what the database summed by pair."""
    found = db.execute(BY_PAIR).fetchnumpy()
    return fit(Pairs(**found), np.zeros(size))


def from_matches(db: duckdb.DuckDBPyConnection, size: int) -> Ratings:
    """Rate from every match, with its item."""
    found = db.execute(MATCH_BY_MATCH).fetchnumpy()
    weight = found.pop("trust")
    return fit(Matches(weight=weight, **found), np.zeros(size))


# Whether intervals hold


def coverage(seeds: int = 20, contestants: int = 40) -> tuple[float, float]:
    """The share of 95 % intervals that hold the truth: clustered by item, and by matches alone."""
    held, naive = [], []
    for seed in range(seeds):
        strength, matches = cached_answers(np.random.default_rng(seed), contestants)
        rated = fit(matches, np.zeros(contestants))
        off = np.abs(rated.strength - (strength - strength.mean()))
        held.append(off < 1.96 * rated.deviation)
        naive.append(off < 1.96 * fit(pairs_of(matches), np.zeros(contestants)).deviation)
    return float(np.mean(held)), float(np.mean(naive))


# What others take


def evalica(matches: Matches, judge: Integers, trust: Floats) -> float:
    """CPU seconds of evalica's fit with ties, from the kind of columns that it takes."""
    library = import_module("evalica")
    win, loss, tie = library.Winner.X, library.Winner.Y, library.Winner.Draw
    winners = [win if s == 1.0 else loss if s == 0.0 else tie for s in matches.score.tolist()]
    a, b, weights = matches.a.tolist(), matches.b.tolist(), trust[judge].tolist()
    start = time.process_time()
    library.newman(a, b, winners, weights=weights)
    return time.process_time() - start


def arena_rank(matches: Matches, judge: Integers, trust: Floats) -> float:
    """CPU seconds of arena-rank, which weighs nothing and takes ties for half a win."""
    models = import_module("arena_rank.models.bradley_terry")
    data = import_module("arena_rank.utils.data_utils")
    columns = {"model_a": matches.a, "model_b": matches.b, "winner": matches.score}
    table = import_module("pandas").DataFrame(columns)
    start = time.process_time()
    dataset = data.PairDataset.from_pandas(table, outcome_map=float)
    models.BradleyTerry(dataset.n_competitors).fit(dataset)
    return time.process_time() - start


def peer(name: str, size: int) -> dict[str, Any]:
    """What a library takes in a process of its own, which may die of it."""
    if find_spec(name) is None:
        return {"cpu_s": None, "why": "not installed"}
    run = subprocess.run(
        [sys.executable, "-c", PEER.format(peer=name, size=size)],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        preexec_fn=_modest,
    )
    if run.returncode:
        said = [line for line in run.stderr.splitlines() if line.strip()] or ["no word"]
        # Who is killed says why and then where; an exception says where and then why.
        why = said[0 if run.returncode < 0 else -1]
        return {"cpu_s": None, "why": f"ended with {run.returncode}: {why}"}
    return {"cpu_s": float(run.stdout)}


def _modest() -> None:
    """One processor, and no more memory than a computer has: a library may ask for 80 GB."""
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def measured(seeds: int) -> dict[str, Any]:
    """Everything, as JSON has it."""
    result: dict[str, Any] = {
        made.__name__: made() for made in (refit_1e3, refit_1e5, clustered_1e3, clustered_1e5)
    }
    result["coverage"], result["naive_coverage"] = coverage(seeds)
    result["limits"] = LIMITS
    result["of_limit"] = {name: result[name] / limit for name, limit in LIMITS.items()}
    result["peers"] = {}
    for name in ("evalica", "arena_rank"):
        for label, size in SIZES.items():
            found = peer(name, size)
            if found["cpu_s"] is not None:
                found["of_ours"] = found["cpu_s"] / result[f"refit_{label}"]
            result["peers"][f"{name}_{label}"] = found
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=positive, default=50, help="simulations of coverage")
    parser.add_argument("--json", type=Path, help="write the result there as well")
    chosen = parser.parse_args(arguments)
    told(measured(chosen.seeds), chosen.json)


if __name__ == "__main__":
    main()
