"""The champion of a campaign against its founders, and against merges of them by other methods.

    python data/examples/smollm2/compare_merges.py smollm2.duckdb

Each method is tried with a few scales and densities, all models with weight 1. The best of each
method on the selection split is measured on the test split, as champion and founders are.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file
from skills import SKILLS

from lineage.records import Floats, Item
from population import Campaign, merge
from population.campaign.context import Context, genome_of
from population.evaluation.intervals import mean_by_task, mean_over_tasks
from population.merging.methods import METHODS
from population.merging.recipe import Recipe
from population.weights.materialise import State

GRID: dict[str, list[dict[str, float]]] = {
    "task_arithmetic": [{"lambda": scale} for scale in (0.3, 0.5, 0.7, 1.0)],
    "ties": [{"density": 0.2, "lambda": scale} for scale in (1.0, 2.0)],
    "dare_linear": [{"density": 0.5, "lambda": scale} for scale in (0.4, 0.6, 0.8)],
    "dare_ties": [{"density": 0.5, "lambda": scale} for scale in (0.4, 0.8)],
    "della": [{"density": 0.5, "lambda": scale} for scale in (1.0, 2.0)],
    "breadcrumbs": [{"density": 0.9, "lambda": 0.6}],
    "sce": [{"select_topk": 0.5}],
    "model_stock": [{}],
    "karcher": [{}],
}
"""What is tried, by method: parameters beside the weights of the models."""


@dataclass(frozen=True)
class MergeTried:
    """A merge and how it does on the selection split."""

    method: str
    parameters: dict[str, float]
    selection: float

    @property
    def words(self) -> str:
        """Its parameters, in a few words."""
        return ", ".join(f"{name} {value:g}" for name, value in self.parameters.items()) or "-"


class Comparison:
    """Makes merges of the founders of a campaign, and scores them as its report scores models.

    Args:
        campaign: with a champion.
        scratch: a folder with room for a model.
    """

    def __init__(self, campaign: Campaign, scratch: Path) -> None:
        self.context: Context = campaign.context
        founders, base = campaign.context.founders, campaign.context.factory.basis.base
        if base is None:
            raise SystemExit("these founders have no base, which most of the methods need")
        paths = campaign.archive.founder_paths().values()
        self._sources = {
            founder.name: {"path": path} for founder, path in zip(founders, paths, strict=True)
        }
        self._base = founders[base].name
        self._file = scratch / "merged.safetensors"

    def merged(self, method: str, parameters: dict[str, float]) -> State:
        """The weights that a method makes of all specialists, each with weight 1."""
        specialists = [name for name in self._sources if name != self._base]
        known = {parameter.name for parameter in METHODS[method].parameters}
        step: dict[str, Any] = {
            "name": "merged",
            "method": method,
            "base": self._base if METHODS[method].base != "ignored" else None,
            "models": specialists,
            "parameters": parameters | ({"weight": 1.0} if "weight" in known else {}),
        }
        recipe = {"recipe": 1, "sources": self._sources, "steps": [step]}
        self._file.unlink(missing_ok=True)
        merge(Recipe.model_validate(recipe), self._file, threads=self.context.config.run.threads)
        return load_file(self._file)

    def score_of(self, genome: Floats, items: Sequence[Item]) -> Floats:
        """Exact match of the model of a genome, shape (items,)."""
        (state,) = self.context.factory.maker.siblings([genome])
        return self.score(state, items)

    def score(self, state: State, items: Sequence[Item]) -> Floats:
        """Exact match of a model, shape (items,)."""
        evaluator = self.context.evaluator
        evaluator.load_weights(state)
        return evaluator.score(evaluator.prepare_keys(items))[0]


def main() -> None:
    """Try everything on the selection split, and the best of each method on the test split."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, help="of the campaign, with a champion")
    campaign = Campaign.open(parser.parse_args().archive)
    with tempfile.TemporaryDirectory(prefix="merges-") as scratch:
        compare(campaign, Comparison(campaign, Path(scratch)))


def compare(
    campaign: Campaign, comparison: Comparison, grid: dict[str, list[dict[str, float]]] = GRID
) -> None:
    """Print how the best merge of each method does against the champion.

    Args:
        campaign: with a champion.
        comparison: of its founders.
        grid: what is tried, see `GRID`.
    """
    selection = campaign.context.split("selection")
    tried: list[MergeTried] = []
    total, started = sum(map(len, grid.values())), time.monotonic()
    for method, settings in grid.items():
        for parameters in settings:
            exact = comparison.score(comparison.merged(method, parameters), selection)
            mean = mean_over_tasks(exact, [item.task for item in selection]).mean
            tried.append(MergeTried(method, parameters, mean))
            left = (time.monotonic() - started) * (total / len(tried) - 1)
            print(f"{method} {tried[-1].words}: {mean:.3f} on selection, left {left:.0f} s")
    best = [
        max((one for one in tried if one.method == method), key=lambda one: one.selection)
        for method in grid
    ]
    test = campaign.context.split("test")
    champion = campaign.archive.find("champion")
    own = comparison.score_of(genome_of(campaign.archive, campaign.context, champion), test)
    table = _table(test)
    table.add_row(*_row(f"champion {champion.label}", own, own, test))
    for number, founder in enumerate(campaign.context.founders):
        exact = comparison.score_of(campaign.context.genome_of_founder(number), test)
        table.add_row(*_row(founder.name, exact, own, test))
    for one in sorted(best, key=lambda one: -one.selection):
        exact = comparison.score(comparison.merged(one.method, one.parameters), test)
        table.add_row(*_row(f"{one.method}, {one.words}", exact, own, test))
    Console().print(table)


def _table(items: Sequence[Item]) -> Table:
    table = Table(title="Exact match on test, with 95 % intervals; lead: the champion's, paired")
    for column in ("merge", "mean", "lead", *_composites(items)):
        table.add_column(column)
    return table


def _composites(items: Sequence[Item]) -> list[str]:
    return [task for task in dict.fromkeys(item.task for item in items) if not SKILLS[task].steps]


def _row(name: str, exact: Floats, champion: Floats, items: Sequence[Item]) -> list[str]:
    tasks = [item.task for item in items]
    lead = "" if exact is champion else str(mean_over_tasks(champion - exact, tasks))
    means = mean_by_task(exact, tasks)
    parts = [str(means[task]) for task in _composites(items)]
    return [name, str(mean_over_tasks(exact, tasks)), lead, *parts]


if __name__ == "__main__":
    main()
