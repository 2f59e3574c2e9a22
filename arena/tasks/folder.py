"""Tasks as folders: `task.toml` and one JSONL file per split.

`task.toml` names the task and says how its items are asked and its answers marked
(`arena.tasks.description`). Each line of a split is an item (`arena.tasks.rows`): `prompt` or
`messages`; `key`, `keys` or `choices`; `id`, and `statement` ("The capital of France is {}.").
Items without a key are for judges to decide.

Models are bred on `search`, the champion is chosen on `selection`, and `test` is sealed: a file is
opened when its split is asked for and not before, and only `report` asks.

A task with a generator makes fresh search items from a seed, so that a campaign does not breed
for a fixed list of questions; a task without one samples its search items from the file.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from arena.errors import TaskError
from arena.tasks.asking import AS_THEY_ARE, Asking
from arena.tasks.description import Description
from arena.tasks.generators import SPLITS, sample_items
from arena.tasks.lines import read_rows
from arena.tasks.marking import AS_IT_STANDS, Marking
from arena.tasks.rows import item_of
from arena.tasks.sampling import Sampling
from arena.tasks.steps import AnswerSteps
from arena.tasks.task import Questions
from lineage.records import Item


@dataclass(frozen=True)
class FolderTask(Questions):
    """A task in a folder; items are read when they are needed.

    Attributes:
        name: unique among the tasks of a campaign.
        kind: `skill` (some founder was made for it) or `composite` (none was).
        description: one line for people.
        folder: where the split files lie.
        generator: name in `arena.tasks.generators.GENERATORS`, or None.
        stop: text that ends an answer, or several; None means the tokenizer's end-of-sequence
            token.
        longest: tokens that an answer may take, at most; None leaves it to the evaluator.
        score: how choices are scored, a name in `arena.tasks.choice_scores.CHOICE_SCORES`.
        asking: whether items are asked as chats, and with how many examples.
        marking: what finds the answer, and what makes it right.
        sampling: how answers are sampled; None where one is decoded greedily.
        steps: what a colony without keys asks one after the other for a label; None: all at once.
    """

    name: str
    kind: str
    description: str
    folder: Path
    generator: str | None = None
    stop: str | tuple[str, ...] | None = None
    longest: int | None = None
    score: str = "likelihood"
    asking: Asking = AS_THEY_ARE
    marking: Marking = AS_IT_STANDS
    sampling: Sampling | None = None
    steps: AnswerSteps | None = None

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        """All items of a split, from its file; or `limit` of them sampled for a seed.

        Search items are made for the seed if there is a generator.

        Raises:
            TaskError: the file is missing, empty, or has a broken line (named by number).
        """
        if split == "search" and seed is not None and limit is not None and self.generator:
            made = sample_items(self.generator, split, seed, limit)
            return self._asked(
                [
                    Item(f"{self.name}/search/{seed}/{number}", self.name, split, prompt, key)
                    for number, (prompt, key) in enumerate(made)
                ]
            )
        items = self._read(split)
        if seed is not None:
            items = random.Random(f"{self.name}/{seed}").sample(items, len(items))
        return self._asked(items[:limit])

    def step(self, item: Item, answers: Sequence[str]) -> Item | None:
        """What is asked next for a label of an item, see `Task`."""
        if self.steps is None or len(answers) == len(self.steps.prompts):
            return None
        prompt = self.steps.prompt(self._plain(item), answers)
        if prompt is None:
            return None
        own = Item(f"{item.id}>{len(answers) + 1}", self.name, item.split, prompt, None)
        return replace(self.asking, shots=0).asked(own)

    def _plain(self, item: Item) -> str:
        """The prompt of an item; of a chat, what the user said last."""
        return item.messages[-1].content if item.messages else item.prompt

    def _asked(self, items: list[Item]) -> list[Item]:
        """Items as models are asked them."""
        pool = self._read("search") if self.asking.shots else []
        stop = self.stop if isinstance(self.stop, str) else (self.stop or ("",))[0]
        return [self.asking.asked(item, pool, stop) for item in items]

    def missing(self) -> str | None:
        """A message about the first split whose file is missing, without opening any; or None."""
        paths = (self._path(split) for split in SPLITS)
        return next((f"{path} is missing" for path in paths if not path.is_file()), None)

    def where(self, item: Item) -> str | None:
        """The file and line (`FILE:LINE`) of an item; None for one that a generator made."""
        if item.split not in SPLITS or not self._path(item.split).is_file():
            return None
        for number, row in read_rows(self._path(item.split)):
            if f"{self.name}/{item.split}/{row.get('id', number)}" == item.id:
                return f"{self._path(item.split)}:{number}"
        return None

    def _path(self, split: str) -> Path:
        return self.folder / f"{split}.jsonl"

    def _read(self, split: str) -> list[Item]:
        if split not in SPLITS:
            raise TaskError(f"no split {split!r}; there are {', '.join(SPLITS)}")
        path = self._path(split)
        items: dict[str, Item] = {}
        lines: dict[str, int] = {}
        for number, row in read_rows(path):
            item = item_of(f"{path}:{number}", number, row, self.name, split, self.folder)
            if item.id in items:
                raise TaskError(
                    f"{path}:{number}: the id {item.id!r} is used before, in line {lines[item.id]}"
                )
            items[item.id], lines[item.id] = item, number
        if not items:
            raise TaskError(f"{path} holds no items")
        return list(items.values())


def folder_task(folder: Path) -> FolderTask:
    """Load the task described by `folder/task.toml`.

    Raises:
        TaskError: the folder or its description is missing, broken or has an unknown key.
    """
    described = Description.read(folder / "task.toml")
    return FolderTask(
        name=described.text("name", folder.name),
        kind=described.text("kind", "skill"),
        description=described.text("description", ""),
        folder=folder,
        generator=described.generator,
        stop=described.stop,
        longest=described.longest,
        score=described.score,
        asking=described.asking,
        marking=described.marking,
        sampling=described.sampling,
        steps=described.steps,
    )
