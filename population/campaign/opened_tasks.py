"""The tasks of a campaign, without items that no model could answer; no split is opened yet."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from arena import Task, TaskError, load_tasks
from arena.tasks.correctness import TEACHER_FORCING
from arena.tasks.guarded import Guarded
from population.campaign.usable_items import Readers, Usable
from population.config import Tasks
from population.failures import FailureLog
from population.harness.tasks.loading import open_task
from population.models.chat_templates import ChatTemplate, shared_template

FEW = 5
"""Names of tasks that are told; of more, their number is."""


class OpenedTasks:
    """Tasks that a campaign may ask.

    Args:
        settings: where the tasks are, and what becomes of items that cannot be asked.
        founders: names and folders of the founders, the base first.
        founder: the folder of a founder: its config and tokenizer serve for all.
        failures: is told what is left out, and what the tasks' own code raises.
        keyed: whether models are scored by keys.
    """

    def __init__(
        self,
        settings: Tasks,
        founders: Sequence[tuple[str, Path]],
        founder: Path,
        failures: FailureLog,
        *,
        keyed: bool,
    ) -> None:
        self._settings, self._founder, self._failures = settings, founder, failures
        self._founders = founders
        self._keyed = keyed

    @cached_property
    def tasks(self) -> Sequence[Task]:
        """The tasks, without items that no model could answer."""
        return [Guarded(task, self._failures.add) for task in self._usable]

    @cached_property
    def readers(self) -> Readers:
        """What decides which items models can answer."""
        stops = {task.name: task.stop for task in self._named if task.stop}
        return Readers(self._founder, stops, self._template, keyed=self._keyed)

    @cached_property
    def _template(self) -> ChatTemplate | None:
        return shared_template(self._founders)

    @cached_property
    def _usable(self) -> list[Usable]:
        return [Usable(task, self.readers.fault, self._failures.add) for task in self._named]

    @cached_property
    def _named(self) -> list[Task]:
        settings = self._settings
        tasks = load_tasks(
            settings.paths,
            [
                (open_task(one, settings.lm_eval_seed, settings.lm_eval_items), one)
                for one in settings.lm_eval
            ],
        )
        names = [task.name for task in tasks]
        if unknown := [name for name in settings.weights if name not in names]:
            raise TaskError(
                f"[tasks] weights: no task is named {unknown[0]!r}; there are {', '.join(names)}"
            )
        return tasks

    def check(self) -> list[str]:
        """Look at every item of the open splits.

        Returns:
            Sentences: whose chat template is used, if any is; how tasks are scored, where not all
            are by teacher forcing; and what was left out of each task.

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
        notes = []
        if self._template and any(task.chats for task in self._usable):
            notes.append(self._template.told())
        if any(task.paths != {TEACHER_FORCING} for task in self._usable):
            paths = sorted({path for task in self._usable for path in task.paths})
            notes.append("models are scored " + "; ".join(map(self._scored, paths)))
        return [*notes, *complaints]

    def _scored(self, path: str) -> str:
        names = [task.name for task in self._usable if path in task.paths]
        shown = names if len(names) <= FEW else [*names[:FEW], f"{len(names) - FEW} more"]
        return f"{path}: {', '.join(shown)}"
