"""Whether lm-evaluation-harness says the same of a model, whoever runs it.

Its own model of transformers (`HFLM`, one item at a time) and `colony` answer the same tasks of all
four output types, and are compared item by item: what is counted has to be equal, log-likelihoods
up to the rounding of fp32 (batches of another shape add in another order).
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from population.harness.models.colony_lm import ColonyLM
from tests.conftest import SHIPPED
from tests.harness_tasks import OUTPUT_TYPES, write_task

FEW_SHOT = """
fewshot_split: validation
num_fewshot: 2
"""


@dataclass(frozen=True)
class Agreement:
    """How two models of the harness compare on a task.

    Attributes:
        task: its name.
        items: how many there are, a filter of the task each.
        differing: how many have another count, text or choice.
        farthest: the largest difference of two log-likelihoods, relative to their size.
        result: of the metric that is told, the mean over items.
    """

    task: str
    items: int
    differing: int
    farthest: float
    result: float


def write_tasks(folder: Path, items: int) -> list[Path]:
    """A task of each output type; the choices and the answers once more with examples."""
    counts = {"validation": 8, "test": items}
    shown = ("multiple_choice", "generate_until")
    return [write_task(folder, kind, counts) for kind in OUTPUT_TYPES] + [
        write_task(folder, kind, counts, FEW_SHOT, f"{kind}_shown") for kind in shown
    ]


def run(model: Any, tasks: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """What the harness notes of each item, by task."""
    made = simple_evaluate(
        model=model,
        tasks=[str(path) for path in tasks],
        task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=0,
    )
    assert made is not None
    samples: dict[str, list[dict[str, Any]]] = made["samples"]
    return samples


def compare(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], task: str) -> Agreement:
    """Two runs of a task, item by item."""
    key = lambda sample: (sample["doc_id"], sample["filter"])  # noqa: E731
    pairs = list(zip(sorted(ours, key=key), sorted(theirs, key=key), strict=True))
    farthest = max(
        (
            abs(mine - other) / max(1.0, abs(other))
            for one, two in pairs
            for mine, other in zip(_numbers(one), _numbers(two), strict=True)
        ),
        default=0.0,
    )
    told = next(name for name in ("acc", "exact_match", "bits_per_byte") if name in ours[0])
    values = [one[told] for one, _ in pairs]
    return Agreement(
        task,
        len(pairs),
        sum(_counted(one) != _counted(two) for one, two in pairs),
        farthest,
        sum(value if isinstance(value, float | int) else -value[0] for value in values)
        / sum(1 if isinstance(value, float | int) else value[1] for value in values),
    )


def _numbers(sample: dict[str, Any]) -> list[float]:
    """The log-likelihoods of an item."""
    flat = [answer for answers in sample["resps"] for answer in answers]
    return [
        float(answer[0] if isinstance(answer, tuple) else answer)
        for answer in flat
        if not isinstance(answer, str)
    ]


def _counted(sample: dict[str, Any]) -> object:
    """All else that is noted of it."""
    flat = [answer for answers in sample["resps"] for answer in answers]
    metrics = {name: sample[name] for name in sample["metrics"]}
    return (
        sample["arguments"],
        [
            answer[1] if isinstance(answer, tuple) else answer
            for answer in flat
            if not isinstance(answer, float)
        ],
        {name: value for name, value in metrics.items() if isinstance(value, int | float)}
        if "perplexity" not in metrics
        else metrics["acc"],
    )


def agreements(folder: Path, model: Path, items: int) -> list[Agreement]:
    """Let both answer.

    Args:
        folder: for tasks and data.
        model: a checkpoint.
        items: of each task.
    """
    tasks = write_tasks(folder, items)
    ours = run(ColonyLM(str(model), dtype="float32", device="cpu"), tasks)
    theirs = run(HFLM(str(model), dtype="float32", device="cpu", batch_size=1), tasks)
    assert ours.keys() == theirs.keys()
    return [compare(ours[task], theirs[task], task) for task in ours]


def main() -> None:
    """Compare, and print what came of each task as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=SHIPPED / "founders" / "reverse")
    parser.add_argument("--items", type=int, default=200, help="of each task")
    parser.add_argument("--json", type=Path, help="write the result to this file as well")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = agreements(Path(folder), given.model, given.items)
    result = json.dumps({"model": str(given.model), "tasks": [vars(row) for row in rows]}, indent=2)
    sys.stdout.write(result + "\n")
    if given.json:
        given.json.write_text(result, encoding="utf-8")


if __name__ == "__main__":
    main()
