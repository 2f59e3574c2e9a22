"""The tasks of the campaign: a folder for each skill and composite, asked as chats.

    python data/examples/smollm2/make_tasks.py tasks

The same items every time; those of different splits are different questions. A campaign asks them
in the chat template of its founders.
"""

import argparse
import json
from pathlib import Path

from skills import SIZES, SKILLS, Exercise, items_of


def main() -> None:
    """Write a folder for every task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the folder for the tasks")
    make_tasks(parser.parse_args().out)


def make_tasks(out: Path, sizes: dict[str, int] = SIZES) -> None:
    """Write a folder for every task: what it is, and its items by split."""
    for name, skill in SKILLS.items():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        card = {
            "name": name,
            "kind": "skill" if skill.steps else "composite",
            "description": skill.description,
        }
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in card.items())
        (folder / "task.toml").write_text(text, encoding="utf-8")
        for split, asked in items_of(name, sizes).items():
            rows = (
                _row(f"{name}-{split}-{number:03}", question)
                for number, question in enumerate(asked, start=1)
            )
            (folder / f"{split}.jsonl").write_text("".join(rows), encoding="utf-8")


def _row(name: str, question: Exercise) -> str:
    row = {"id": name, "messages": question.messages, "key": question.key}
    return json.dumps(row, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
