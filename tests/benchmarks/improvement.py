"""A colony that improves itself without any key: the shipped founders, on tasks without keys.

    python -m tests.benchmarks.improvement --json OUT

Search and selection items have no key, and the tasks make no fresh ones. Only what is measured in
the end has keys: the sealed test split. Everybody may spend the same item evaluations, answers
included: one model on one item counts 1, and 3 with a backward pass.

- keyless is a campaign by labels as users run it ([search] merit = "jury"): the surest answers of
  its own models. Its champion is chosen by agreement with labels of the selection split.
- control is the same campaign with all labels kept, right or wrong: what the filter is worth.
- merging_alone descends once on the coefficients of slices, on the labels of the keyless campaign's
  founders, and reports where it ends: what breeding is worth.
- With --ensembles all founders are asked for every test item, without any merging: the surest
  answer is right how often, the one that most give, and any of them.

Labels are audited by keys that no campaign had: "right" tells how many of them are right.
"""

import json
import os
import shutil
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does, before torch loads

import numpy as np

from arena.errors import TaskError
from arena.tasks.answers import canonical
from lineage import Archive
from lineage.queries.labels import labelled_items
from lineage.records import Floats
from population.campaign.context import Context
from population.campaign.loop import Campaign
from population.campaign.opening_context import found_archive, open_context
from population.campaign.session import open_session
from population.campaign.state import PopulationState
from population.config import Budget, Config, load_config, shipped_data
from population.errors import PopulationError
from population.evaluation.backward_pass import COST
from population.evaluation.evaluator import Evaluator
from population.evaluation.intervals import scores_by_task
from population.evaluation.pool import EvaluatorPool
from population.gradient.descent import (
    START,
    DescentSettings,
    descend_together,
    new_descent,
    sampler_of,
)
from population.weights.materialise import Materialiser, State
from tests.benchmarks.harness import (
    BenchmarkError,
    Method,
    Results,
    Run,
    Trail,
    checkpoints,
    chosen,
    interval,
    parser_of,
    positive,
    run_all,
    told,
)
from tests.benchmarks.search import changed, measured

CHECKPOINTS = (12_500, 25_000, 60_000)
"""Item evaluations after which the incumbents are remembered; and at the end."""

ITEMS = 16
"""Labelled items of a step of the single descent."""

OPEN_SPLITS = ("search", "selection")


def without_keys(tasks: Path, target: Path) -> dict[str, str]:
    """Copy task folders without the keys of search and selection items; those keys, by item.

    Args:
        tasks: a folder of task folders.
        target: where the copies are to lie.
    """
    keys = {}
    for folder in sorted(path.parent for path in tasks.glob("*/task.toml")):
        copy = target / folder.name
        copy.mkdir(parents=True)
        text = (folder / "task.toml").read_text(encoding="utf-8").splitlines()
        # What a generator makes has keys.
        lines = [line for line in text if not line.startswith("generator")]
        (copy / "task.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        shutil.copy(folder / "test.jsonl", copy)
        for split in OPEN_SPLITS:
            lines = (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
            rows = [json.loads(line) for line in lines]
            keys |= {f"{folder.name}/{split}/{row['id']}": row.pop("key") for row in rows}
            text = [json.dumps(row, ensure_ascii=False) for row in rows]
            (copy / f"{split}.jsonl").write_text("\n".join(text) + "\n", encoding="utf-8")
    return keys


class Improvement:
    """The methods, and what they have in common.

    Args:
        config: of the campaigns; its tasks have no keys but in the test split.
        budget: item evaluations of each run.
        keys: by item, to audit labels with.
    """

    def __init__(self, config: Config, budget: int, keys: dict[str, str]) -> None:
        self.config, self.budget, self._keys = config, budget, keys

    def campaign(self, kept: float, seed: int, tell: Callable[[int], None]) -> Run:
        """A campaign by labels; it reports its champion."""
        settings = changed(arena={"kept": kept}, run={"seed": seed})
        context = open_context(settings(self.config))
        trail = self._trail(context, tell)

        def note(state: PopulationState) -> None:
            champion = state.ids.index(state.breeding.champion)
            trail.tell(state.spent, state.breeding.members.genomes[champion])

        with TemporaryDirectory() as folder, trail.clock():
            archive = found_archive(Path(folder) / "colony.duckdb", context)
            limit = Budget(item_evaluations=self.budget)
            Campaign(archive, context, limit, on_generation=note).run()
            right = self._right(archive)
        run = measured(context, context.factory.maker, trail)
        return replace(run, scores={**run.scores, "right": {str(self.budget): right}})

    def descent(self, seed: int, tell: Callable[[int], None]) -> Run:
        """One descent on the coefficients of slices, on the labels of the founders."""
        context = open_context(changed(run={"seed": seed})(self.config))
        trail, factory, settings = self._trail(context, tell), context.factory, context.config
        with TemporaryDirectory() as folder, trail.clock():
            archive = found_archive(Path(folder) / "colony.duckdb", context)
            session = open_session(archive, context, lambda done, total, what: None)
            items = session.items.teaching(0)
            trail.pay(session.clock.read()[3])
            maker = Materialiser(
                factory.founders, factory.basis, factory.layout, 1, rounded=False,
                threads=settings.run.threads,
            )  # fmt: skip
            steps = (self.budget - trail.spent) // (COST * len(sampler_of(items, ITEMS)(seed, 0)))
            downhill = DescentSettings(
                settings.gradient.rate, steps, low=settings.search.lowest,
                high=settings.search.highest,
            )  # fmt: skip
            pool = EvaluatorPool(context.evaluator.clone("float32"), 1, evaluators=1)
            shape = len(factory.basis.vectors), len(factory.layout.blocks)
            (taken,) = descend_together(
                pool,
                maker,
                [new_descent(np.full(shape, START), seed)],
                [sampler_of(items, ITEMS)],
                [downhill],
                steps,
            )
            for step in taken:
                trail.tell(trail.spent + COST * step.items, step.descent.genome)
        return measured(context, factory.maker, trail)

    def ensembles(self) -> dict[str, float]:
        """What all founders answer together on the test split, mean over tasks."""
        context = open_context(self.config)
        test = context.split("test")
        asked = [replace(item, key=None) for item in test]

        def answers(number: int, evaluator: Evaluator, state: State) -> list[tuple[str, float]]:
            return evaluator.answer_confidently(asked)

        genomes = [context.genome_of_founder(row) for row in range(len(context.founders))]
        said = context.map_models(genomes, answers)
        texts = np.array([[canonical(text) for text, _ in own] for own in said])
        sure = np.array([[confidence for _, confidence in own] for own in said])
        keys = np.array([canonical(item.key or "") for item in test])
        voted = [Counter(column).most_common(1)[0][0] for column in texts.T]
        tasks = [item.task for item in test]
        return {
            "most_confident": _mean(
                texts[sure.argmax(axis=0), np.arange(len(test))] == keys, tasks
            ),
            "votes": _mean(np.array(voted) == keys, tasks),
            "oracle": _mean((texts == keys).any(axis=0), tasks),
        }

    def _trail(self, context: Context, tell: Callable[[int], None]) -> Trail:
        return Trail(checkpoints(CHECKPOINTS, self.budget), context.genome_of_founder(0), tell)

    def _right(self, archive: Archive) -> float:
        """How many of the kept labels are right."""
        kept = [one for one in labelled_items(archive) if one.label.kept]
        return float(
            np.mean(
                [canonical(one.label.answer) == canonical(self._keys[one.item.id]) for one in kept]
            )
        )


def _mean(right: Floats | np.ndarray[Any, np.dtype[np.bool_]], tasks: list[str]) -> float:
    by_task = scores_by_task(right.astype(float), tasks)
    return float(np.mean([own.mean() for own in by_task.values()]))


def methods(benchmark: Improvement) -> dict[str, Method]:
    """All methods, by name."""
    kept = benchmark.config.arena.kept
    return {
        "keyless": partial(benchmark.campaign, kept),
        "control": partial(benchmark.campaign, 1.0),
        "merging_alone": benchmark.descent,
    }


def summary(results: Results, budget: int) -> dict[str, Any]:
    """The test score of each seed at the end, with means and intervals, and how labels did."""
    found: dict[str, Any] = {}
    for name, kept in results.as_json()["methods"].items():
        scores = kept["test"][str(budget)]
        mean, low, high = interval(scores)
        found[name] = scores
        found[f"{name}_mean"] = {"mean": mean, "low": low, "high": high}
        found[f"{name}_spent"] = kept["spent"]
        if "right" in kept:
            found[f"{name}_labels_right"] = kept["right"][str(budget)]
    return found


def main(arguments: list[str]) -> None:
    """Run the benchmark from a command line."""
    asked = _parsed(arguments)
    with TemporaryDirectory() as folder:
        tasks = Path(folder) / "tasks"
        keys = without_keys(shipped_data() / "tasks", tasks)
        config = load_config(
            {
                "search": {"merit": "jury"},
                "tasks": {"paths": [str(tasks / "*")]},
                "run": {"threads": asked.threads},
            }
        )
        benchmark = Improvement(config, asked.budget, keys)
        runs = asked.json.with_name(f"{asked.json.name}.runs") if asked.json else None
        results = Results(runs, {"budget": asked.budget, "arena": config.arena.model_dump()})
        run_all(chosen(methods(benchmark), asked.methods), asked.seeds, asked.budget, results)
        together = {"ensembles": benchmark.ensembles()} if asked.ensembles else {}
        told(summary(results, asked.budget) | together, asked.json)


def _parsed(arguments: list[str]) -> Namespace:
    parser = parser_of(__doc__)
    parser.set_defaults(seeds=5)
    parser.add_argument("--budget", type=positive, default=25_000, help="item evaluations of a run")
    parser.add_argument(
        "--ensembles", action="store_true", help="also ask all founders for every test item"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (BenchmarkError, PopulationError, TaskError) as error:
        sys.exit(f"improvement: {error}")
