"""Tasks as folders: `task.toml` and one JSONL file per split.

`task.toml` names the task (name, kind, description, stop), and how to read an answer (`answer`: a
regular expression whose first group, or whole match, is what counts; the last match of several).
Each line of a split is an item: `prompt`, and optionally `key`, `id` and `statement`
("The capital of France is {}."). Items without a key are for judges to decide.

Models are bred on `search`, the champion is chosen on `selection`, and `test` is sealed: a file is
opened when its split is asked for and not before, and only `report` asks.

A task with a generator deals fresh search items from a seed, so that a campaign does not breed
for a fixed list of questions; a task without one draws its search items from the file.
"""

import json
import random
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arena.answers import canonical
from arena.errors import TaskError
from arena.generators import GENERATORS, SPLITS, deal
from arena.tasks.task import Questions
from lineage.records import Item


@dataclass(frozen=True)
class FolderTask(Questions):
    """One task, as described by its folder; items are read when they are asked for.

    Attributes:
        name: unique among the tasks of a campaign.
        kind: `skill` (some founder was made for it) or `composite` (none was).
        description: one line for people.
        folder: where the split files lie.
        generator: name in `arena.generators.GENERATORS`, or None.
        stop: text that ends an answer; None means the tokenizer's end-of-sequence token.
        answer: a regular expression that finds the answer in what a model says.
    """

    name: str
    kind: str
    description: str
    folder: Path
    generator: str | None = None
    stop: str | None = None
    answer: re.Pattern[str] | None = None

    @property
    def literal(self) -> bool:
        """Whether an answer is right if and only if it is the key: none has to be found in it."""
        return (
            self.answer is None
            and type(self).extract is FolderTask.extract
            and type(self).verify is Questions.verify
        )

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        """All items of a split, from its file; or `limit` of them drawn for a seed.

        Search items are made for the seed if there is a generator.

        Raises:
            TaskError: the file is missing, empty, or has a broken line (named by number).
        """
        if split == "search" and seed is not None and limit is not None and self.generator:
            return [
                Item(f"{self.name}/search/{seed}/{number}", self.name, split, prompt, key)
                for number, (prompt, key) in enumerate(deal(self.generator, split, seed, limit))
            ]
        items = self._read(split)
        if seed is not None:
            items = random.Random(f"{self.name}/{seed}").sample(items, len(items))
        return items[:limit]

    def extract(self, item: Item, raw: str) -> str:
        """What the task's regular expression finds last, or everything, in canonical form."""
        found = list(self.answer.finditer(raw)) if self.answer else []
        if not found:
            return canonical(raw)
        last = found[-1]
        return canonical(last.group(1 if last.re.groups else 0) or "")

    def _read(self, split: str) -> list[Item]:
        if split not in SPLITS:
            raise TaskError(f"no split {split!r}; there are {', '.join(SPLITS)}")
        path = self.folder / f"{split}.jsonl"
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            raise TaskError(f"{path} is missing; a task needs one JSONL file per split") from None
        except (OSError, UnicodeDecodeError) as error:
            raise TaskError(f"{path} cannot be read: {error}") from None
        items = [
            self._parsed(path, number, line, split)
            for number, line in enumerate(lines, start=1)
            if line.strip()
        ]
        if not items:
            raise TaskError(f"{path} holds no items")
        repeated, times = Counter(item.id for item in items).most_common(1)[0]
        if times > 1:
            raise TaskError(f"{path}: the id {repeated!r} is used {times} times")
        return items

    def _parsed(self, path: Path, number: int, line: str, split: str) -> Item:
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise TaskError(f"{where}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise TaskError(f"{where}: expected an object, got {type(row).__name__}")
        texts = {}
        for name in ("prompt", "key", "statement"):
            value = row.get(name)
            if value is None and name != "prompt":
                continue
            if not isinstance(value, str) or not value:
                raise TaskError(f"{where}: expected a non-empty text {name!r}, got {value!r}")
            texts[name] = value
        if texts.get("statement", "{}").count("{}") != 1:
            raise TaskError(f"{where}: a statement holds one {{}}, where the answer goes")
        identity = f"{self.name}/{split}/{row.get('id', number)}"
        return Item(
            identity, self.name, split, texts["prompt"], texts.get("key"), texts.get("statement")
        )


def folder_task(folder: Path) -> FolderTask:
    """The task described by `folder/task.toml`.

    Raises:
        TaskError: the folder or its description is missing, broken or has an unknown key.
    """
    path = folder / "task.toml"
    try:
        described: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise TaskError(f"{folder} is not a task: it has no task.toml") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TaskError(f"{path} cannot be read: {error}") from None
    known = {"name", "kind", "description", "generator", "stop", "answer"}
    if unknown := sorted(set(described) - known):
        raise TaskError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    if wrong := [key for key, value in described.items() if not isinstance(value, str)]:
        raise TaskError(f"{path}: {wrong[0]!r} must be a text")
    generator = described.get("generator")
    if generator is not None and generator not in GENERATORS:
        raise TaskError(
            f"{path}: no generator {generator!r}; there are {', '.join(sorted(GENERATORS))}"
        )
    pattern = described.get("answer")
    try:
        answer = None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise TaskError(f"{path}: 'answer' is no regular expression: {error}") from None
    return FolderTask(
        name=described.get("name", folder.name),
        kind=described.get("kind", "skill"),
        description=described.get("description", ""),
        folder=folder,
        generator=generator,
        stop=described.get("stop"),
        answer=answer,
    )
