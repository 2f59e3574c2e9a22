"""Whether `colony trace` finds out what blind merges were made of.

Merges of the shipped founders are made with random parents and coefficients, linear ones,
task arithmetic, TIES, DARE, and merges of merges; in half of them one parent is hidden from the
candidates. Printed: F1 of the parents, by method and with a parent hidden or not; the largest error
of a coefficient of linear merges; how often a hidden parent, or that none is hidden, was noticed.

    python -m tests.benchmarks.trace --merges 200 --json trace.json
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from population.merging.merge import merge as run_merge
from population.merging.recipe_files import read_recipe
from population.models.checkpoints import Checkpoint
from population.models.sources import open_source
from population.tracing.results import Trace
from population.tracing.trace import trace

FOUNDERS = Path(__file__).parents[2] / "data" / "founders"
METHODS = ("linear", "task_arithmetic", "ties", "dare_linear", "dare_ties", "grandchild")
LINEAR = {"linear", "task_arithmetic", "grandchild"}


@dataclass(frozen=True)
class Blind:
    """A merge whose making is known to the benchmark alone.

    Attributes:
        method: how it was made.
        weights: of the founders that took part, by index.
        checkpoint: what came of it.
    """

    method: str
    weights: dict[int, float]
    checkpoint: Checkpoint


def blind_merge(
    method: str, founders: Sequence[Path], seed: int, folder: Path, dtype: str = "bfloat16"
) -> Blind:
    """A merge with 2 to 4 random parents, weights of 0.1 to 0.8, and random densities."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 5))
    chosen = [int(n) for n in np.sort(rng.choice(np.arange(1, len(founders)), count, False))]
    weights = rng.uniform(0.1, 0.8, count)
    density = float(rng.choice([0.3, 0.5, 0.7]))
    if method == "grandchild":
        first = _merge("task_arithmetic", founders, chosen[:-1], weights[:-1], None, folder, dtype)
        share = float(rng.uniform(0.3, 0.7))
        sources = [first, founders[chosen[-1]]]
        text = _text("linear", None, sources, [share, 1.0 - share], None, dtype)
        made = dict(zip(chosen[:-1], share * weights[:-1], strict=True)) | {chosen[-1]: 1 - share}
        return Blind(method, made, open_source(str(_run(text, folder / "child"))))
    sparse = None if method in LINEAR else density
    path = _merge(method, founders, chosen, weights, sparse, folder, dtype)
    scale = weights.sum() if method == "linear" else 1.0
    made = dict(zip(chosen, weights / scale, strict=True))
    return Blind(method, made, open_source(str(path)))


def _merge(
    method: str,
    founders: Sequence[Path],
    chosen: Sequence[int],
    weights: Sequence[float],
    density: float | None,
    folder: Path,
    dtype: str,
) -> Path:
    sources = [founders[n] for n in chosen]
    base = None if method == "linear" else founders[0]
    return _run(_text(method, base, sources, weights, density, dtype), folder / method)


def _text(
    method: str,
    base: Path | None,
    sources: Sequence[Path],
    weights: Sequence[float],
    density: float | None,
    dtype: str,
) -> str:
    models = [
        {
            "model": str(source),
            "parameters": {"weight": float(weight)} | ({"density": density} if density else {}),
        }
        for source, weight in zip(sources, weights, strict=True)
    ]
    whole = {"merge_method": method, "models": models, "dtype": dtype}
    return str(yaml.safe_dump(whole | ({"base_model": str(base)} if base else {})))


def _run(text: str, out: Path) -> Path:
    recipe = out.with_suffix(".yml")
    recipe.write_text(text, encoding="utf-8")
    run_merge(read_recipe(recipe), out, threads=1)
    return out


def main() -> None:
    """Trace blind merges and print what was found as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--merges", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    paths = sorted(path for path in FOUNDERS.iterdir() if path.is_dir())
    paths.sort(key=lambda path: path.name != "base")
    founders = [open_source(str(path)) for path in paths]
    found = _Found()
    for number in range(arguments.merges):
        method, seed = METHODS[number % len(METHODS)], 1000 * arguments.seed + number
        with tempfile.TemporaryDirectory() as folder:
            blind = blind_merge(method, paths, seed, Path(folder))
            hidden = sorted(blind.weights)[0] if number // len(METHODS) % 2 else None
            among = [each for row, each in enumerate(founders) if row != hidden]
            start = time.perf_counter()
            result = trace(blind.checkpoint, among)
            found.add(blind, founders, hidden, result, time.perf_counter() - start)
    summary = json.dumps({"trace": found.summary()}, indent=2)
    print(summary)  # noqa: T201
    if arguments.json:
        arguments.json.write_text(summary + "\n", encoding="utf-8")


class _Found:
    """Counts of what was found, by method and with a parent hidden or not."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._seconds: list[float] = []

    def add(
        self,
        blind: Blind,
        founders: Sequence[Checkpoint],
        hidden: int | None,
        result: Trace,
        seconds: float,
    ) -> None:
        """Count one trace."""
        names = {founders[row].name: weight for row, weight in blind.weights.items()}
        true = names.keys() - {founders[row].name for row in (hidden,) if row is not None}
        named = {parent.name: parent.coefficient for parent in result.parents}
        key = blind.method + (", a parent hidden" if hidden is not None else "")
        counts = self._counts[key]
        counts["true"].append(len(true & named.keys()))
        counts["false"].append(len(named.keys() - true))
        counts["overlooked"].append(len(true - named.keys()))
        counts["noticed"].append(result.missing == (hidden is not None))
        if blind.method in LINEAR and hidden is None:
            counts["error"].append(max(abs(named.get(n, 0.0) - names[n]) for n in true))
        self._seconds.append(seconds)

    def summary(self) -> dict[str, object]:
        """F1 of linear merges, the largest error of a coefficient, and all by method."""
        linear = [c for key, c in self._counts.items() if key.split(",")[0] in LINEAR]
        hidden = [c for key, c in self._counts.items() if "hidden" in key]
        shown = [c for key, c in self._counts.items() if "hidden" not in key]
        return {
            "f1": _f1(linear),
            "f1_all": _f1(list(self._counts.values())),
            "error": max((e for c in linear for e in c["error"]), default=None),
            "hidden_found": float(np.mean([n for c in hidden for n in c["noticed"]] or [np.nan])),
            "complete_found": float(np.mean([n for c in shown for n in c["noticed"]])),
            "seconds": float(np.mean(self._seconds)),
            "by_method": {
                key: {
                    "merges": len(c["true"]),
                    "f1": _f1([c]),
                    "noticed": float(np.mean(c["noticed"])),
                }
                for key, c in sorted(self._counts.items())
            },
        }


def _f1(counts: Sequence[dict[str, list[float]]]) -> float:
    true, wrong = (sum(sum(c[key]) for c in counts) for key in ("true", "false"))
    overlooked = sum(sum(c["overlooked"]) for c in counts)
    return float(2 * true / (2 * true + wrong + overlooked))


if __name__ == "__main__":
    main()
