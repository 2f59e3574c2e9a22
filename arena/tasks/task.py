"""What a task is: items by split, the form of an answer, and whether a key tells it right."""

from collections.abc import Sequence
from typing import Protocol

from arena.tasks.answers import canonical
from lineage.records import Item


class Task(Protocol):
    """Something that a colony is to become good at. A player need not speak text of any kind.

    To bring your own: a folder (see `arena.tasks.folder`), or anything that offers this, named by
    file (`my_tasks.py:riddles`) or by entry point (`plugin:riddles`). `Questions` is a base for it.

    Two more attributes may be there: `literal`, whether an answer is right if and only if it is the
    key (otherwise every answer is heard and `verify` asked), and `longest`, the tokens that an
    answer may take where that is not so.
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
    def stop(self) -> str | None:
        """Text that ends an answer; None means the tokenizer's end-of-sequence token."""
        ...

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        """Items of a split: all in their order, or `limit` of them drawn for a seed.

        The same arguments always give the same items. Campaigns draw search items for many seeds
        and read the whole of `selection`; `test` is sealed, and only `report` asks for it.

        Raises:
            TaskError: there are none.
        """
        ...

    def extract(self, item: Item, raw: str) -> str:
        """The canonical form of what a model said: all that verifiers and judges get to see."""
        ...

    def verify(self, item: Item, answer: str) -> float | None:
        """How right an extracted answer is, in [0, 1]; None where only judges can tell."""
        ...


class Questions:
    """A task on texts with at most one key an item: the defaults of `extract` and `verify`."""

    @property
    def literal(self) -> bool:
        """Whether an answer is right if and only if it is the key, in canonical form.

        That is so unless a task has an `extract` or a `verify` of its own. Then models are heard
        to the end and the task is asked; otherwise one forward pass tells whether they say the key.
        """
        own = {name: getattr(self, name) for name in ("extract", "verify")}
        return all(
            getattr(method, "__func__", None) is getattr(Questions, name)
            for name, method in own.items()
        )

    def extract(self, item: Item, raw: str) -> str:
        """The whole answer, in canonical form."""
        return canonical(raw)

    def verify(self, item: Item, answer: str) -> float | None:
        """Whether it is the key, letter by letter."""
        return None if item.key is None else float(answer == self.extract(item, item.key))


def each_of(count: int, tasks: int) -> int:
    """How many items of each task make about `count`: at least one."""
    return max(1, round(count / tasks))


def deal_panel(tasks: Sequence[Task], seed: int, count: int) -> list[Item]:
    """A panel: about `count` search items spread evenly over the tasks (at least one of each)."""
    each = each_of(count, len(tasks))
    return [item for task in tasks for item in task.items("search", seed, each)]
