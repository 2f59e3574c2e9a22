"""Opens tasks of the harness by reference: `my_task.yaml`, `arc_easy`, `gsm8k:METRIC,FILTER`."""

from pathlib import Path

from arena.tasks import Task
from population.config.harness_references import YAML, split_metric
from population.harness.library import harness
from population.harness.tasks.finding import task_file


def open_task(reference: str, seed: int, most: int) -> Task:
    """Open a task of the harness.

    Args:
        reference: a YAML file or the name of one of the harness's own tasks, see `split_metric`.
        seed: cuts a task that lacks splits, and draws where there are too many documents.
        most: documents of an open split, at most.

    Raises:
        TaskError: there is no such task, or it cannot be used.
        PopulationError: the harness is not installed.
    """
    name, rest = split_metric(reference)
    metric, _, filtered = rest.removeprefix(":").partition(",")
    for module in ("lm_eval.api.task", "datasets"):
        harness(module, f"[tasks] lm_eval: {name!r}")
    from population.harness.tasks.documents import DocumentChoice, Documents  # noqa: PLC0415 - a second
    from population.harness.tasks.task import HarnessTask  # noqa: PLC0415 - likewise

    path = Path(name) if name.endswith(YAML) else task_file(name)
    return HarnessTask(
        Documents(path, DocumentChoice(seed, most)), metric or None, filtered or None
    )
