"""Tasks as folders: `task.toml` and one JSONL file per split.

`task.toml` names the task (name, kind, description, stop), and how to read an answer (`answer`: a
regular expression whose first group, or whole match, is what counts; the last match of several;
`longest`: tokens that an answer may take until then).
Each line of a split is an item: `prompt`, and optionally `key`, `id` and `statement`
("The capital of France is {}."). Items without a key are for judges to decide.

Models are bred on `search`, the champion is chosen on `selection`, and `test` is sealed: a file is
opened when its split is asked for and not before, and only `report` asks.

A task with a generator makes fresh search items from a seed, so that a campaign does not breed
for a fixed list of questions; a task without one samples its search items from the file.
"""

import random
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arena.errors import TaskError
from arena.tasks.answers import canonical
from arena.tasks.expression import Expression
from arena.tasks.generators import GENERATORS, SPLITS, sample_items
from arena.tasks.lines import Row, checked_text, read_rows
from arena.tasks.task import Questions
from lineage.records import Item

LONGEST = 100_000
"""Tokens of an answer that a task may ask for, at most."""


@dataclass(frozen=True)
class FolderTask(Questions):
    """A task in a folder; items are read when they are needed.

    Attributes:
        name: unique among the tasks of a campaign.
        kind: `skill` (some founder was made for it) or `composite` (none was).
        description: one line for people.
        folder: where the split files lie.
        generator: name in `arena.tasks.generators.GENERATORS`, or None.
        stop: text that ends an answer; None means the tokenizer's end-of-sequence token.
        answer: a regular expression that finds the answer in the output of a model.
        longest: tokens that an answer may take, at most; None leaves it to the evaluator.
    """

    name: str
    kind: str
    description: str
    folder: Path
    generator: str | None = None
    stop: str | None = None
    answer: Expression | None = None
    longest: int | None = None

    @property
    def literal(self) -> bool:
        """Whether an answer is right if and only if it is the key: none has to be found in it."""
        return (
            self.answer is None
            and type(self).extract is FolderTask.extract
            and type(self).verify is Questions.verify
        )

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        """All items of a split, from its file; or `limit` of them sampled for a seed.

        Search items are made for the seed if there is a generator.

        Raises:
            TaskError: the file is missing, empty, or has a broken line (named by number).
        """
        if split == "search" and seed is not None and limit is not None and self.generator:
            made = sample_items(self.generator, split, seed, limit)
            return [
                Item(f"{self.name}/search/{seed}/{number}", self.name, split, prompt, key)
                for number, (prompt, key) in enumerate(made)
            ]
        items = self._read(split)
        if seed is not None:
            items = random.Random(f"{self.name}/{seed}").sample(items, len(items))
        return items[:limit]

    def extract(self, item: Item, raw: str) -> str:
        """The last match of the task's regular expression, or all, in canonical form.

        Raises:
            TaskError: the expression takes too long.
        """
        match = self.answer.find(raw) if self.answer else None
        return canonical(raw if match is None else match)

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
            item = self._parsed(f"{path}:{number}", number, row, split)
            if item.id in items:
                raise TaskError(
                    f"{path}:{number}: the id {item.id!r} is used before, in line {lines[item.id]}"
                )
            items[item.id], lines[item.id] = item, number
        if not items:
            raise TaskError(f"{path} holds no items")
        return list(items.values())

    def _parsed(self, where: str, number: int, row: Row, split: str) -> Item:
        texts = {
            name: checked_text(where, name, row.get(name))
            for name in ("prompt", "key", "statement")
            if name == "prompt" or row.get(name) is not None
        }
        if texts.get("statement", "{}").count("{}") != 1:
            raise TaskError(f"{where}: a statement holds one {{}}, where the answer goes")
        own = row.get("id")
        if own is None:
            own = number
        elif isinstance(own, bool) or not isinstance(own, str | int) or own == "":
            raise TaskError(f"{where}: expected a text or a whole number 'id', got {own!r:.60}")
        elif isinstance(own, str):
            checked_text(where, "id", own)
        identity = f"{self.name}/{split}/{own}"
        return Item(
            identity, self.name, split, texts["prompt"], texts.get("key"), texts.get("statement")
        )


def folder_task(folder: Path) -> FolderTask:
    """Load the task described by `folder/task.toml`.

    Raises:
        TaskError: the folder or its description is missing, broken or has an unknown key.
    """
    path = folder / "task.toml"
    try:
        described: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        raise TaskError(f"{folder} is not a task: it has no task.toml") from None
    except (OSError, ValueError, RecursionError) as error:  # also a number of 5,000 digits
        raise TaskError(f"{path} cannot be read: {error}") from None
    known = {"name", "kind", "description", "generator", "stop", "answer", "longest"}
    if unknown := sorted(set(described) - known):
        raise TaskError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    longest = described.pop("longest", None)
    if longest is not None and (type(longest) is not int or not 0 < longest <= LONGEST):
        raise TaskError(
            f"{path}: 'longest' must be a whole number of tokens from 1 to {LONGEST:,}, "
            f"got {longest!r:.60}"
        )
    if wrong := [key for key, value in described.items() if not isinstance(value, str)]:
        raise TaskError(f"{path}: {wrong[0]!r} must be a text")
    if described.get("stop") == "":
        raise TaskError(f"{path}: 'stop' is empty; leave it out to end at the end of sequence")
    generator = described.get("generator")
    if generator is not None and generator not in GENERATORS:
        raise TaskError(
            f"{path}: no generator {generator!r}; there are {', '.join(sorted(GENERATORS))}"
        )
    pattern = described.get("answer")
    try:
        answer = None if pattern is None else Expression(pattern)
    except TaskError as error:
        raise TaskError(f"{path}: 'answer' {error}") from None
    return FolderTask(
        name=described.get("name", folder.name),
        kind=described.get("kind", "skill"),
        description=described.get("description", ""),
        folder=folder,
        generator=generator,
        stop=described.get("stop"),
        answer=answer,
        longest=longest,
    )
