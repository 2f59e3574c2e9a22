"""Scenes made by seed: what is in them, what can be asked about them, and their pictures.

A scene is a grid of nine cells. A cell is empty, holds a shape in a colour, or a digit that
somebody wrote (scikit-learn's data set of 8x8 pixels). A language model reads a scene as a list of
words, a vision-language model sees it as a picture of 24x24 pixels; questions about both are the
same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

Picture = npt.NDArray[np.uint8]

CELL, SIDE = 8, 3
"""Pixels along a cell, and cells along a scene."""

COLOURS = {
    "red": ("赤", (220, 40, 40)),
    "green": ("緑", (40, 180, 60)),
    "blue": ("青", (50, 80, 230)),
    "yellow": ("黄", (230, 210, 50)),
}
SHAPES = {
    "circle": ("円", "circles"),
    "square": ("四角", "squares"),
    "triangle": ("三角", "triangles"),
}
ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
KANJI = tuple("〇一二三四五六七八九")
PLUS = range(1, 4)
"""What is added in questions that calculate."""

TRAINED_DIGITS = 1200
"""Written digits that models may be taught on; the others are for selection and test."""


Cell = tuple[str, str] | int | None


def _words(cell: Cell) -> str:
    if cell is None:
        return ". ."
    return f"digit {ENGLISH[cell]}" if isinstance(cell, int) else " ".join(cell)


@dataclass(frozen=True)
class Scene:
    """What is where.

    Attributes:
        cells: nine, row by row: a pair (colour, shape), a digit, or None for an empty cell.
        written: which of scikit-learn's pictures of its digit is shown.
    """

    cells: tuple[Cell, ...]
    written: int

    @property
    def shapes(self) -> list[tuple[str, str]]:
        """The coloured shapes."""
        return [cell for cell in self.cells if isinstance(cell, tuple)]

    @property
    def digit(self) -> int:
        """The digit."""
        return next(cell for cell in self.cells if isinstance(cell, int))

    @property
    def text(self) -> str:
        """The scene in words, as language models read it."""
        return " , ".join(_words(cell) for cell in self.cells if cell is not None) + " ."

    @property
    def table(self) -> list[list[str]]:
        """All nine cells in words, two for each."""
        return [_words(cell).split() for cell in self.cells]


@dataclass(frozen=True)
class Question:
    """A question about a scene, in two languages.

    Attributes:
        english: the question.
        japanese: the same.
        number: the answer, where it is one.
        colour: the answer, where it is one.
    """

    english: str
    japanese: str
    number: int | None = None
    colour: str | None = None

    def answer(self, language: str) -> str:
        """The answer in "english" or "japanese"."""
        if self.number is not None:
            return (ENGLISH if language == "english" else KANJI)[self.number]
        assert self.colour is not None
        return self.colour if language == "english" else COLOURS[self.colour][0]

    def prompt(self, scene: str, language: str) -> str:
        """A prompt: a scene, or what stands for its picture, and the question."""
        asked = self.english if language == "english" else self.japanese
        return f"{scene} {asked} {'answer' if language == 'english' else '答え'} :"


def scene(rng: random.Random, most: int = 6, *, held_out: bool = False) -> Scene:
    """A scene with one digit and up to `most` shapes; perhaps a digit that nobody was taught."""
    shown = [
        (rng.choice(list(COLOURS)), rng.choice(list(SHAPES))) for _ in range(rng.randint(1, most))
    ]
    _, labels = written_digits()
    first, stop = (TRAINED_DIGITS, len(labels)) if held_out else (0, TRAINED_DIGITS)
    written = rng.randrange(first, stop)
    cells: list[Cell] = [*shown, int(labels[written])]
    cells += [None] * (SIDE * SIDE - len(cells))
    rng.shuffle(cells)
    return Scene(tuple(cells), written)


def _count(rng: random.Random, of: Scene) -> Question:
    if rng.random() < 0.5:
        shape = rng.choice(list(SHAPES))
        japanese, plural = SHAPES[shape]
        count = sum(shown == shape for _, shown in of.shapes)
        return Question(f"how many {plural} ?", f"{japanese} は いくつ ?", count)
    colour = rng.choice(list(COLOURS))
    count = sum(shown == colour for shown, _ in of.shapes)
    return Question(f"how many {colour} ?", f"{COLOURS[colour][0]} は いくつ ?", count)


def _colour(rng: random.Random, of: Scene) -> Question | None:
    kinds = [shape for _, shape in of.shapes]
    single = [(colour, shape) for colour, shape in of.shapes if kinds.count(shape) == 1]
    if not single:
        return None
    colour, shape = rng.choice(single)
    japanese, _ = SHAPES[shape]
    return Question(f"color of the {shape} ?", f"{japanese} は 何色 ?", colour=colour)


def _digit(_rng: random.Random, of: Scene) -> Question:
    return Question("which digit ?", "数字 は 何 ?", of.digit)


def _plus(rng: random.Random, of: Scene) -> Question | None:
    more = rng.choice(PLUS)
    if of.digit + more > 9:
        return None
    return Question(
        f"which digit plus {ENGLISH[more]} ?", f"数字 足す {KANJI[more]} は 何 ?", of.digit + more
    )


KINDS: dict[str, Callable[[random.Random, Scene], Question | None]] = {
    "count": _count,
    "colour": _colour,
    "digit": _digit,
    "plus": _plus,
}
"""What can be asked; None where a scene has no such question."""


def questions(
    rng: random.Random, kinds: Sequence[str], count: int, **about: Any
) -> list[tuple[Scene, Question]]:
    """Questions of some kinds, in turn, about scenes of their own.

    Args:
        rng: makes them.
        kinds: names in `KINDS`.
        count: how many.
        about: what scenes are like, see `scene`.
    """
    made: list[tuple[Scene, Question]] = []
    while len(made) < count:
        shown = scene(rng, **about)
        question = KINDS[kinds[len(made) % len(kinds)]](rng, shown)
        if question is not None:
            made.append((shown, question))
    return made


@cache
def written_digits() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """scikit-learn's digits: pictures of shape (digits, 8, 8) in [0, 16], and their labels."""
    data = load_digits()
    return data.images, data.target


def picture(of: Scene, seed: int = 0) -> Picture:
    """A scene as people see it: shape (24, 24, 3); places and colours are a little noisy."""
    rng = np.random.default_rng((seed, of.written))
    canvas = np.full((SIDE * CELL, SIDE * CELL, 3), 16.0)
    for place, cell in enumerate(of.cells):
        if cell is None:
            continue
        top, left = CELL * (place // SIDE), CELL * (place % SIDE)
        part = canvas[top : top + CELL, left : left + CELL]
        if isinstance(cell, int):
            part[:] = np.maximum(part, written_digits()[0][of.written][..., None] * 15)
        else:
            colour, shape = cell
            mask = _mask(shape, rng.integers(-1, 1, 2))
            part[mask] = np.array(COLOURS[colour][1]) + rng.normal(0, 12, 3)
    canvas += rng.normal(0, 6, canvas.shape)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _mask(shape: str, moved: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Where a shape is within a cell."""
    y, x = np.mgrid[:CELL, :CELL] - (CELL // 2) - moved[:, None, None]
    if shape == "circle":
        return np.asarray((x + 0.5) ** 2 + (y + 0.5) ** 2 <= 9.5)
    if shape == "square":
        return np.asarray((np.abs(x + 0.5) <= 2.5) & (np.abs(y + 0.5) <= 2.5))
    return np.asarray((y >= -3) & (y <= 2) & (np.abs(x + 0.5) <= (y + 3.5) / 2 + 0.2))


_GRAMMAR = ", . ? : how many color of the which digit plus answer は いくつ 何色 数字 何 足す 答え"
WORDS = [
    *COLOURS, *SHAPES, *(plural for _, plural in SHAPES.values()), *ENGLISH,
    *(word for word, _ in COLOURS.values()), *(word for word, _ in SHAPES.values()),
    *KANJI, *_GRAMMAR.split(),
]  # fmt: skip
"""All words of scenes, questions and answers."""
