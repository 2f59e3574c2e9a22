"""The tasks of a campaign, without items that no model could answer; no split is opened yet."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from arena import Task, TaskError, load_tasks
from arena.tasks.guarded import Guarded
from population.campaign.usable_items import Readers, Usable
from population.config import Tasks
from population.failures import FailureLog


class OpenedTasks:
    """Tasks that a campaign may ask.

    Args:
        settings: where the tasks are, and what becomes of items that cannot be asked.
        founder: the folder of a founder: its config and tokenizer serve for all.
        failures: is told what is left out, and what the tasks' own code raises.
        keyed: whether models are scored by keys.
    """

    def __init__(
        self, settings: Tasks, founder: Path, failures: FailureLog, *, keyed: bool
    ) -> None:
        self._settings, self._founder, self._failures = settings, founder, failures
        self._keyed = keyed

    @cached_property
    def tasks(self) -> Sequence[Task]:
        """The tasks, without items that no model could answer."""
        return [Guarded(task, self._failures.add) for task in self._usable]

    @cached_property
    def readers(self) -> Readers:
        """What decides which items models can answer."""
        stops = {task.name: task.stop for task in self._named if task.stop is not None}
        return Readers(self._founder, stops, keyed=self._keyed)

    @cached_property
    def _usable(self) -> list[Usable]:
        return [Usable(task, self.readers.fault, self._failures.add) for task in self._named]

    @cached_property
    def _named(self) -> list[Task]:
        return load_tasks(self._settings.paths)

    def check(self) -> list[str]:
        """Look at every item of the open splits; what was left out, a sentence for each task.

        Raises:
            TaskError: a file is missing or broken, or items cannot be asked and are not to be
                left out.
        """
        for task in self._usable:
            task.check()
        complaints = [sentence for task in self._usable if (sentence := task.complaint())]
        if complaints and self._settings.unusable == "refuse":
            raise TaskError(
                f'{complaints[0]}; mend or remove it, or set [tasks] unusable = "leave out"'
            )
        return complaints
