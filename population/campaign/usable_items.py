"""Leaves out items that no model could answer, before they are sampled.

An item that is longer than the models' context, or a key that the tokenizer cannot spell, would
stop a campaign in whatever generation samples it, and again whenever it is resumed. So items are
checked as they leave their task. A new campaign is refused if its files hold such items, unless
`[tasks] unusable = "leave out"`; later ones are left out, with a message.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from transformers import AutoConfig

from arena.errors import TaskError
from arena.tasks import Task
from arena.tasks.answers import canonical
from arena.tasks.choice_scores import choice_score_of
from arena.tasks.correctness import correctness, is_literal, scoring_path
from arena.tasks.sampling import Sampling
from lineage.records import Item
from population.errors import CheckpointError
from population.evaluation.examinations import Examiner, examiner_of
from population.evaluation.networks import context_length_of
from population.evaluation.prompt_tokenizer import PromptTokenizer, Stops
from population.models.chat_templates import ChatTemplate

Fault = Callable[[Task, Item], str | None]
"""Why nobody could answer an item of a task; None if somebody could."""

FEW = 5
"""Items left out of a split together that are told one by one; of more, their number is told."""

OPEN = ("search", "selection")
"""The splits that may be looked at before a campaign."""


@dataclass(frozen=True)
class LeftOut:
    """An item that is not asked.

    Attributes:
        item: which.
        reason: why.
    """

    item: Item
    reason: str


@dataclass
class Usable:
    """A task without the items that no model could answer.

    Attributes:
        task: the task itself.
        fault: tells what is wrong with an item.
        tell: called with sentences about what is left out, the same for the same items.
        left_out: by split and id, what was left out so far.
        chats: whether there were chats among its items.
        paths: how models are scored on its items, in words.
    """

    task: Task
    fault: Fault
    tell: Callable[[str], None] = lambda sentence: None
    left_out: dict[str, dict[str, LeftOut]] = field(default_factory=dict)
    chats: bool = False
    paths: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The task's."""
        return self.task.name

    @property
    def kind(self) -> str:
        """The task's."""
        return self.task.kind

    @property
    def description(self) -> str:
        """The task's."""
        return self.task.description

    @property
    def stop(self) -> str | tuple[str, ...] | None:
        """The task's."""
        return self.task.stop

    @property
    def literal(self) -> bool:
        """The task's."""
        return is_literal(self.task)

    @property
    def longest(self) -> int | None:
        """The task's, if it has any."""
        longest: int | None = getattr(self.task, "longest", None)
        return longest

    @property
    def score(self) -> str:
        """The task's."""
        return str(getattr(self.task, "score", "likelihood"))

    @property
    def sampling(self) -> Sampling | None:
        """The task's, if it has any."""
        sampling: Sampling | None = getattr(self.task, "sampling", None)
        return sampling

    @property
    def examiner(self) -> Examiner | None:
        """The task's, if it has any."""
        return examiner_of(self.task)

    def extract(self, item: Item, raw: str) -> str:
        """The task's."""
        return self.task.extract(item, raw)

    def verify(self, item: Item, answer: str) -> float | None:
        """The task's."""
        return self.task.verify(item, answer)

    def step(self, item: Item, answers: Sequence[str]) -> Item | None:
        """What is asked next for a label, after some answers, if the task has steps."""
        step = getattr(self.task, "step", None)
        return None if step is None else step(item, answers)

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        """The items that can be asked, in the task's order; others replace those left out.

        Args:
            split: of the task.
            seed: for tasks that make or draw their items.
            limit: how many items at most.

        Raises:
            TaskError: there are none.
        """
        asked = limit
        while True:
            items = self.task.items(split, seed, asked)
            good = self._good(split, items)
            if limit is None or asked is None or len(good) >= min(limit, len(items)):
                break
            # What is drawn for a seed begins alike however much is drawn; once, in vain, is enough.
            more = 2 * asked + 8
            if len(items) < asked or more > 64 * (limit + 8):
                break
            asked = more
        if not good and items:
            first = next(iter(self.left_out[split].values()))
            raise TaskError(
                f"task {self.name!r}: no {split} item can be asked; {first.item.id} {first.reason}"
            )
        return good[:limit]

    def _good(self, split: str, items: list[Item]) -> list[Item]:
        out = self.left_out.setdefault(split, {})
        self.chats = self.chats or any(item.messages for item in items)
        self.paths |= {scoring_path(self, item) for item in items}
        good: dict[str, Item] = {}
        new = []
        for item in items:
            reason = "has the id of another item" if item.id in good else self._wrong(item)
            if not reason:
                good[item.id] = item
            elif item.id not in out:
                out[item.id] = LeftOut(item, reason)
                new.append(out[item.id])
        for left in new[:FEW]:
            self.tell(f"item {left.item.id} is left out: it {left.reason}")
        if more := new[FEW:]:
            self.tell(
                f"{len(more):,} other {split} items of task {self.name} are left out: the first, "
                f"{more[0].item.id}, {more[0].reason}"
            )
        return list(good.values())

    def _wrong(self, item: Item) -> str | None:
        if item.task != self.name:
            return f"says that it is of task {item.task!r}"
        try:
            return self.fault(self.task, item)
        except (TaskError, UnicodeError, TypeError, ValueError) as error:
            return f"cannot be used: {error}"

    def check(self) -> None:
        """Look at every item of the open splits; `left_out` tells what was found.

        The sealed split stays so: it is only made sure that there is one.

        Raises:
            TaskError: a file is missing or broken, or a split has nothing that can be asked.
        """
        missing = getattr(self.task, "missing", None)
        if callable(missing) and (what := missing()):
            raise TaskError(f"{what}; a task needs one JSONL file per split")
        for split in OPEN:
            self.items(split)

    def complaint(self) -> str | None:
        """What was left out, in a sentence; None if nothing was."""
        out = [left for split in self.left_out.values() for left in split.values()]
        if not out:
            return None
        first, where = out[0], getattr(self.task, "where", None)
        place = where(first.item) if callable(where) else None
        return (
            f"task {self.name!r}: {len(out)} item{'s' if len(out) > 1 else ''} "
            f"cannot be asked; the first, {place or first.item.id}, {first.reason}"
        )


class Readers:
    """The tokenizer and context length of all models, which decide what items they can answer.

    Args:
        path: a founder's folder: its config and tokenizer serve for all.
        stops: the texts that end an answer, by task.
        template: that chats are asked in; None for the founder's own, if it has one.
        keyed: whether models are scored by keys.
    """

    def __init__(
        self,
        path: Path,
        stops: Stops,
        template: ChatTemplate | None = None,
        *,
        keyed: bool,
    ) -> None:
        self._path, self._stops, self._template, self._keyed = path, stops, template, keyed

    @cached_property
    def tokenizer(self) -> PromptTokenizer:
        """The tokenizer.

        Raises:
            CheckpointError: transformers cannot use it.
        """
        try:
            return PromptTokenizer(self._path, self._stops, self._template)
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(f"{self._path}: transformers cannot use it: {reason}") from None

    @cached_property
    def longest(self) -> int:
        """Tokens that the models read.

        Raises:
            CheckpointError: transformers cannot use the founder's config.
        """
        try:
            return context_length_of(
                AutoConfig.from_pretrained(self._path, trust_remote_code=False)
            )
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(f"{self._path}: transformers cannot use it: {reason}") from None

    def fault(self, task: Task, item: Item) -> str | None:
        """Why nobody could answer an item of a task; None if somebody could."""
        key, literal, tokenizer = item.key, is_literal(task), self.tokenizer
        if key is None and self._keyed and (literal or correctness(task, item, "") is None):
            return (
                "has no key to score models by; "
                'with [search] merit = "jury" the colony judges itself'
            )
        if item.choices:
            if len({canonical(choice) for choice in item.choices}) < len(item.choices):
                return f"has choices that read the same: {item.choices!r:.60}"
            choice_score_of(task)
        elif literal:
            for text in item.accepted:
                if wrong := self._fault_of_key(item, text):
                    return wrong
        for choice in item.choices:
            if odd := tokenizer.unencodable_part(item, choice):
                return f"has a choice for which the tokenizer has no tokens: {odd!r:.40}"
        prompt = tokenizer.encode_prompt(item)
        texts = item.choices or item.accepted
        length = len(prompt.ids) + max(
            [1, *(len(tokenizer.encode_answer(item, text, prompt)) for text in texts)]
        )
        if length > self.longest:
            return f"takes {length} tokens, the models read {self.longest}"
        return None

    def _fault_of_key(self, item: Item, key: str) -> str | None:
        """What is wrong with a key that an answer has to be."""
        if not canonical(key):
            return f"has a key that says nothing, {key!r:.40}"
        for stop in self.tokenizer.stop_texts(item):
            if stop in key:
                return f"has a key with the stop text {stop!r} in it, which would end it"
        if odd := self.tokenizer.unencodable_part(item, key):
            return f"has a key for which the tokenizer has no tokens: {odd!r:.40}"
        return None
