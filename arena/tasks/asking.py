"""How a task asks its items: as they stand or as chats, with solved examples before them or not."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from arena.errors import TaskError
from arena.tasks.chats import transcript
from lineage.records import Item, Message

BETWEEN = "\n\n"
"""What stands between examples in a prompt."""


@dataclass(frozen=True)
class Asking:
    """How a task asks its items.

    Attributes:
        chat: whether plain prompts are asked as what a user says in a chat.
        system: the system message of chats that have none of their own; plain prompts become chats.
        shots: solved search items that stand before each item, never the item itself.
    """

    chat: bool = False
    system: str | None = None
    shots: int = 0

    def asked(self, item: Item, pool: Sequence[Item] = (), end: str = "") -> Item:
        """An item as models are asked it.

        Args:
            item: as it is written.
            pool: the search items that examples are drawn from, as they are written.
            end: what ends an answer in a prompt.

        Raises:
            TaskError: there are fewer examples than are wanted.
        """
        if item.images and self.shots:
            raise TaskError(f"task {item.task!r}: 'shots' are text; items with images have none")
        examples = self._examples(item, pool) if self.shots else []
        turns = self._turns(item)
        if not turns:
            before = "".join(f"{e.prompt}{e.key}{end}{BETWEEN}" for e in examples)
            return replace(item, prompt=before + item.prompt) if before else item
        first = turns[: int(turns[0].role == "system")]
        shown = [
            turn
            for example in examples
            for turn in (
                *(turn for turn in self._turns(example) if turn.role != "system"),
                Message("assistant", example.key or ""),
            )
        ]
        turns = (*first, *shown, *turns[len(first) :])
        if turns == item.messages:
            return item
        return replace(item, prompt=transcript(turns), messages=turns)

    def _turns(self, item: Item) -> tuple[Message, ...]:
        turns = item.messages
        if not turns and (self.chat or self.system is not None):
            turns = (Message("user", item.prompt),)
        if turns and self.system is not None and turns[0].role != "system":
            turns = (Message("system", self.system), *turns)
        return turns

    def _examples(self, item: Item, pool: Sequence[Item]) -> list[Item]:
        """Examples for an item, the same whenever it is asked."""
        usable = [
            example
            for example in pool
            if example.key is not None
            and example.id != item.id
            and (example.prompt, example.messages) != (item.prompt, item.messages)
            and bool(example.messages) == bool(item.messages)
        ]
        if len(usable) < self.shots:
            raise TaskError(
                f"task {item.task!r}: 'shots' asks for {self.shots} examples, and of its search "
                f"items with a key there are {len(usable)} beside item {item.id}"
            )
        return random.Random(f"shots/{item.id}").sample(usable, self.shots)


AS_THEY_ARE = Asking()
"""Items are asked as they are written."""
