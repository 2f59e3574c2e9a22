"""Tasks about pictures of scenes, in folders: four ask in Japanese, one in English.

    python data/examples/vision/make_tasks.py tasks

A second or two. Pictures lie in `tasks/pictures`, one for each scene, and are shared by the tasks.
Scenes of the three splits are made from seeds of their own, and those of `selection` and `test`
show digits that no founder was taught.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from scenes import KINDS, Question, Scene, picture, scene

SIZES = {"search": 600, "selection": 120, "test": 300}
"""Scenes of each split, of which a task asks about those that have an answer to its question."""


@dataclass(frozen=True)
class About:
    """A task.

    Attributes:
        kinds: what is asked, in turn; see `scenes.KINDS`.
        language: of question and answer.
        description: a line for people.
    """

    kinds: tuple[str, ...]
    language: str
    description: str


TASKS = {
    "ja-count": About(("count",), "japanese", "How many shapes of a kind, or of a colour."),
    "ja-colour": About(("colour",), "japanese", "The colour of a shape."),
    "ja-digit": About(("digit",), "japanese", "Which digit was written."),
    "ja-plus": About(("plus",), "japanese", "The digit that was written, and some more."),
    "english": About(("count", "colour", "digit"), "english", "The same facts, in English."),
}


def main() -> None:
    """Write all tasks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="where each task gets a folder of its name")
    parser.add_argument("--part", type=float, default=1.0, help="of the usual number of scenes")
    options = parser.parse_args()
    write(options.out, options.part)


def write(out: Path, part: float = 1.0) -> None:
    """Write pictures and tasks into a folder.

    Args:
        out: the folder.
        part: how many scenes of the usual number.
    """
    shown = {split: _scenes(split, max(8, round(part * size))) for split, size in SIZES.items()}
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    for split, scenes in shown.items():
        for number, one in enumerate(scenes):
            Image.fromarray(picture(one, 2 * 10**6)).save(
                out / "pictures" / f"{split}-{number}.png"
            )
    for name, about in TASKS.items():
        (out / name).mkdir(exist_ok=True)
        kind = "skill" if about.language == "english" else "composite"
        (out / name / "task.toml").write_text(
            f'name = "{name}"\nkind = "{kind}"\ndescription = "{about.description}"\n',
            encoding="utf-8",
        )
        for split, scenes in shown.items():
            rows = [_row(split, n, question, about) for n, question in _asked(name, about, scenes)]
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (out / name / f"{split}.jsonl").write_text(text, encoding="utf-8")


def _scenes(split: str, count: int) -> list[Scene]:
    rng = random.Random(f"pictures/{split}")
    return [scene(rng, held_out=split != "search") for _ in range(count)]


def _asked(name: str, about: About, scenes: list[Scene]) -> list[tuple[int, Question]]:
    """The number of each scene that there is a question about, and the question."""
    rng = random.Random(name)
    asked = []
    for number, one in enumerate(scenes):
        question = KINDS[about.kinds[len(asked) % len(about.kinds)]](rng, one)
        if question is not None:
            asked.append((number, question))
    return asked


def _row(split: str, number: int, question: Question, about: About) -> dict[str, object]:
    return {
        "id": number,
        "prompt": question.prompt("<image>", about.language),
        "images": [f"../pictures/{split}-{number}.png"],
        "key": question.answer(about.language),
    }


if __name__ == "__main__":
    main()
