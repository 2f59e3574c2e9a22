"""The protocol of tasks, and `Questions`, a base for tasks with keys."""

from collections.abc import Sequence
from typing import Protocol

from arena.tasks.marking import AS_IT_STANDS, Marking
from lineage.records import Item


class Task(Protocol):
    """A task: items in three splits, and code that extracts and verifies answers.

    To bring your own: a folder (see `arena.tasks.folder`), or an object with these methods, named
    by file (`my_tasks.py:riddles`) or by entry point (`plugin:riddles`). `Questions` is a base.

    More attributes are optional: `literal`, whether an answer is right if and only if it is a
    key (otherwise every answer is decoded in full and given to `verify`), `longest`, the tokens
    that an answer may take where that is not so, `score`, how the choices of items are scored,
    `sampling`, how several answers are sampled (`arena.tasks.sampling`), `step`, what is asked
    next, after some answers, for a label of an item that nobody can answer at once
    (`arena.tasks.steps`), and `examiner`, what says itself which texts models read or continue
    and what that is worth (`population.evaluation.examinations`).
    """

    @property
    def name(self) -> str:
        """Unique among the tasks of a campaign."""
        ...

    @property
    def kind(self) -> str:
        """`skill` (some founder was made for it) or `composite` (none was)."""
        ...

    @property
    def description(self) -> str:
        """One line for people."""
        ...

    @property
    def stop(self) -> str | tuple[str, ...] | None:
        """Text that ends an answer, or several; None: the tokenizer's end-of-sequence token."""
        ...

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        """Items of a split: all in their order, or `limit` of them sampled for a seed.

        The same arguments always give the same items. Campaigns sample search items for many seeds
        and read the whole of `selection`; `test` is sealed, and only the report reads it.

        Args:
            split: `search`, `selection` or `test`.
            seed: of the sample; None for all items in their order.
            limit: number of items, at most.

        Raises:
            TaskError: there are none.
        """
        ...

    def extract(self, item: Item, raw: str) -> str:
        """The canonical form of a model's output, which is all that verifiers and judges see."""
        ...

    def verify(self, item: Item, answer: str) -> float | None:
        """How right an extracted answer is, in [0, 1]; None where only judges can tell."""
        ...


class Questions:
    """A base for tasks on texts with keys: `literal`, `extract` and `verify`, by `marking`.

    >>> class Doubling(Questions):
    ...     name, kind, description, stop = "doubling", "skill", "Double a number.", None
    >>> item = Item("doubling/search/2", "doubling", "search", "2*2=", "4")
    >>> Doubling().verify(item, Doubling().extract(item, " 4 "))
    1.0
    >>> Doubling().literal
    True
    """

    marking: Marking = AS_IT_STANDS
    """What finds the answer in what a model says, and what makes it right."""

    @property
    def literal(self) -> bool:
        """Whether an answer is right if and only if it is a key, in canonical form.

        That is so unless a task overrides `extract` or `verify`, has a `marking` of another kind,
        or samples several answers. Then answers are decoded in full and given to the task;
        otherwise one forward pass tells whether a model gives the key.
        """
        own = {name: getattr(self, name) for name in ("extract", "verify")}
        return (
            self.marking.literal
            and getattr(self, "sampling", None) is None
            and all(
                getattr(method, "__func__", None) is getattr(Questions, name)
                for name, method in own.items()
            )
        )

    def extract(self, item: Item, raw: str) -> str:
        """What counts of a model's output, in canonical form; by `marking`."""
        return self.marking.found(item, raw)

    def verify(self, item: Item, answer: str) -> float | None:
        """How right an answer is, in [0, 1]; None without a key; by `marking`."""
        keys = [self.extract(item, key) for key in item.accepted]
        return self.marking.rated(item, answer, keys)


def items_per_task(count: int, tasks: int) -> int:
    """Number of items of each task that make about `count` in all; at least one.

    >>> items_per_task(100, tasks=12)
    8
    """
    return max(1, round(count / tasks))


def sample_panel(tasks: Sequence[Task], seed: int, count: int) -> list[Item]:
    """Sample a panel: about `count` search items, equally many of each task and at least one.

    Args:
        tasks: all of them.
        seed: of the sample.
        count: number of items in all.
    """
    each = items_per_task(count, len(tasks))
    return [item for task in tasks for item in task.items("search", seed, each)]
