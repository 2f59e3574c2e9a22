"""Whether a colony learns what lies beyond its founders: `colony run --study`, and without.

    python -m tests.benchmarks.study --json OUT

No key is used. Sixteen tasks: the shipped twelve, and four composites that no founder was ever
shown, whose labels the colony makes in steps. Everybody has the same seed's labels of generation 0
and may spend the same item evaluations, studies included.

- study is what `colony run --study` does.
- merging_alone is the same campaign without studies.
- at_once also studies, but the composites have no steps: labels are what founders answer at once.

What is measured in the end is the champion on the sealed test split, which has keys: its mean over
all tasks, and over the four composites.
"""

import os
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does, before torch loads

import numpy as np

from arena.errors import TaskError
from lineage.queries.studies import studies
from population.campaign.context import genome_of
from population.campaign.loop import Campaign
from population.campaign.opening_context import found_archive, open_context
from population.config import Budget, Config, load_config, shipped_data
from population.errors import PopulationError
from population.evaluation.intervals import scores_by_task
from tests.benchmarks.harness import (
    BenchmarkError,
    Method,
    Results,
    Run,
    chosen,
    parser_of,
    positive,
    run_all,
    told,
)

COMPOSITES = "composites"


def without_steps(tasks: Path, target: Path) -> None:
    """Copy task folders whose items are then asked at once."""
    for folder in sorted(path.parent for path in tasks.glob("*/task.toml")):
        shutil.copytree(folder, target / folder.name)
        described = target / folder.name / "task.toml"
        lines = described.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if not line.startswith(("steps", "reads"))]
        described.write_text("\n".join(kept) + "\n", encoding="utf-8")


def run(config: Config, budget: int, seed: int, tell: Callable[[int], None]) -> Run:
    """A campaign, and what its champion does on the sealed test split."""
    asked = config.model_copy(update={"run": config.run.model_copy(update={"seed": seed})})
    started = time.perf_counter()
    with TemporaryDirectory() as folder:
        archive = found_archive(Path(folder) / "colony.duckdb", open_context(asked))
        campaign = Campaign(
            archive,
            open_context(asked),
            Budget(item_evaluations=budget),
            on_generation=lambda state: tell(state.spent),
        )
        campaign.run()
        seconds, context = time.perf_counter() - started, campaign.context
        crowned = archive.generations()[-1].champion
        (champion,) = archive.models(ids=[crowned])
        test = context.split("test")
        genome = genome_of(archive, context, champion)
        scores = context.score([genome], context.evaluator.prepare_keys(test))
        spent = sum(past.evaluations for past in archive.generations())
        learned = len(studies(archive))
    by_task = scores_by_task(scores.exact[0], [item.task for item in test])
    means = {task: float(own.mean()) for task, own in by_task.items()}
    new = {path.name for path in (shipped_data() / COMPOSITES).iterdir()}
    at = str(budget)
    found = {
        "test": {at: float(np.mean(list(means.values())))},
        COMPOSITES: {at: float(np.mean([means[task] for task in new]))},
        "studies": {at: float(learned)},
    }
    found |= {f"test/{task}": {at: mean} for task, mean in means.items()}
    return Run(found, seconds, spent)


def methods(config: Config, at_once: Config, budget: int) -> dict[str, Method]:
    """All methods, by name."""
    never = config.study.model_copy(update={"every": 0})
    return {
        "study": partial(run, config, budget),
        "merging_alone": partial(run, config.model_copy(update={"study": never}), budget),
        "at_once": partial(run, at_once, budget),
    }


def main(arguments: list[str]) -> None:
    """Run the benchmark from a command line."""
    asked = _parsed(arguments)
    config = load_config(shipped_data() / "study.toml")
    config = config.model_copy(
        update={"run": config.run.model_copy(update={"threads": asked.threads})}
    )
    with TemporaryDirectory() as folder:
        without_steps(shipped_data() / COMPOSITES, Path(folder))
        paths = [path for path in config.tasks.paths if Path(path).parent.name != COMPOSITES]
        paths += sorted(str(path) for path in Path(folder).iterdir())
        tasks = config.tasks.model_copy(update={"paths": paths})
        at_once = config.model_copy(update={"tasks": tasks})
        results = Results(asked.json, {"budget": asked.budget, "study": vars(config.study)})
        run_all(
            chosen(methods(config, at_once, asked.budget), asked.methods),
            asked.seeds,
            asked.budget,
            results,
        )
    told(results.as_json(), None)


def _parsed(arguments: list[str]) -> Namespace:
    parser = parser_of(__doc__)
    parser.set_defaults(seeds=5)
    parser.add_argument(
        "--budget", type=positive, default=120_000, help="item evaluations of a run"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (BenchmarkError, PopulationError, TaskError) as error:
        sys.exit(f"study: {error}")
