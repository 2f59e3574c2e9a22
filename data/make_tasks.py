"""Deal the task files that ship with the project.

    python data/make_tasks.py --out data/tasks

The same items every time. Prompts of different splits can never coincide: see
`arena.tasks.generators.split_of`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from arena.tasks.generators import GENERATORS, Generator, sample_items

SIZES = {"search": 64, "selection": 40, "test": 100}
SEED = 0


def main() -> None:
    """Write a folder for every task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder for the tasks")
    make_tasks(parser.parse_args().out)


def make_tasks(out: Path) -> None:
    """Write a folder for every task: what it is, and its items by split."""
    for generator in GENERATORS.values():
        folder = out / generator.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "task.toml").write_text(card(generator), encoding="utf-8")
        for split, size in SIZES.items():
            text = items(generator.name, split, size)
            (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")


def card(generator: Generator) -> str:
    """The TOML that says what a task is; JSON strings are TOML strings."""
    facts = {
        "name": generator.name,
        "kind": generator.kind,
        "description": generator.description,
        "generator": generator.name,
    }
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in facts.items())


def items(name: str, split: str, size: int) -> str:
    """The items of a split, one JSON object a line."""
    rows = (
        {"id": f"{name}-{split}-{number:04}", "prompt": prompt, "key": key}
        for number, (prompt, key) in enumerate(sample_items(name, split, SEED, size), start=1)
    )
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    main()
