"""Tasks: what models are asked, in three splits that are kept apart.

A task is a folder: `task.toml` (name, kind, description, optionally a generator) and one JSONL
file per split. Models are bred on `search`, the champion is chosen on `selection`, and `test` is
sealed: a file is opened when its split is asked for and not before, and only `report` asks.

A task with a generator deals fresh search items from a seed, so that a campaign does not breed
for a fixed list of questions; a task without one draws its search items from the file.
"""

import json
import random
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from arena.errors import TaskError
from arena.generators import GENERATORS, SPLITS, deal
from lineage.records import Item


@dataclass(frozen=True)
class Task:
    """One task, as described by its folder; items are read when they are asked for.

    Attributes:
        name: unique among the tasks of a campaign.
        kind: `skill` (some founder was made for it) or `composite` (none was).
        description: one line for people.
        folder: where the split files lie.
        generator: name in `arena.generators.GENERATORS`, or None.
        stop: text that ends an answer; None means the tokenizer's end-of-sequence token.
    """

    name: str
    kind: str
    description: str
    folder: Path
    generator: str | None = None
    stop: str | None = None

    def items(self, split: str) -> list[Item]:
        """All items of a split, from its file.

        Raises:
            TaskError: the file is missing, empty, or has a broken line (named by number).
        """
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

    def deal(self, seed: int, count: int) -> list[Item]:
        """`count` search items for a seed: fresh ones from a generator, else drawn from the file.

        The same (task, seed, count) always deals the same items.
        """
        if self.generator is None:
            items = self.items("search")
            order = random.Random(f"{self.name}/{seed}")
            return order.sample(items, min(count, len(items)))
        return [
            Item(f"{self.name}/search/{seed}/{number}", self.name, "search", prompt, key)
            for number, (prompt, key) in enumerate(deal(self.generator, "search", seed, count))
        ]

    def _parsed(self, path: Path, number: int, line: str, split: str) -> Item:
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise TaskError(f"{where}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise TaskError(f"{where}: expected an object, got {type(row).__name__}")
        texts = {}
        for name in ("prompt", "key"):
            value = row.get(name)
            if not isinstance(value, str) or not value:
                raise TaskError(f"{where}: expected a non-empty text {name!r}, got {value!r}")
            texts[name] = value
        identity = str(row.get("id", number))
        return Item(f"{self.name}/{split}/{identity}", self.name, split, **texts)


def load_task(folder: Path) -> Task:
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
    known = {"name", "kind", "description", "generator", "stop"}
    if unknown := sorted(set(described) - known):
        raise TaskError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    if wrong := [key for key, value in described.items() if not isinstance(value, str)]:
        raise TaskError(f"{path}: {wrong[0]!r} must be a text")
    name = described.get("name", folder.name)
    if "/" in name:
        raise TaskError(f"{path}: a task's name cannot hold a '/', got {name!r}")
    generator = described.get("generator")
    if generator is not None and generator not in GENERATORS:
        raise TaskError(
            f"{path}: no generator {generator!r}; there are {', '.join(sorted(GENERATORS))}"
        )
    return Task(
        name=name,
        kind=described.get("kind", "skill"),
        description=described.get("description", ""),
        folder=folder,
        generator=generator,
        stop=described.get("stop"),
    )


def load_tasks(folders: Iterable[Path]) -> list[Task]:
    """Several tasks, by name.

    Raises:
        TaskError: one cannot be loaded, two share a name, or there are none.
    """
    tasks = sorted((load_task(folder) for folder in folders), key=lambda task: task.name)
    for task, following in pairwise(tasks):
        if task.name == following.name:
            raise TaskError(
                f"two tasks are named {task.name!r}: {task.folder} and {following.folder}"
            )
    if not tasks:
        raise TaskError("no tasks: name at least one folder that holds a task.toml")
    return tasks


def each_of(count: int, tasks: int) -> int:
    """How many items of each task make about `count`: at least one."""
    return max(1, round(count / tasks))


def deal_panel(tasks: Sequence[Task], seed: int, count: int) -> list[Item]:
    """A panel: about `count` search items spread evenly over the tasks (at least one of each)."""
    each = each_of(count, len(tasks))
    return [item for task in tasks for item in task.deal(seed, each)]
