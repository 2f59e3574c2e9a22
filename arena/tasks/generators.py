"""Tasks that make their own items: small text skills, and composites of two of them.

An item is a short prompt such as ``rev:abcde=`` and the key that answers it, ``edcba``. Every
generator draws items from a ``random.Random``, so a campaign can sample as many fresh ones as it
likes, and always the same ones for the same seed.

A skill is either an *operation* (reverse, rotate, double, sort, add) or a *notation* (capitals, a
secret alphabet, kanji numerals). A composite asks for one of each at once.

Full items are what campaigns are judged by. The easy form of an operation is short; that of a
notation uses half of the symbols only. Easy items help to train founders, and are never sampled.

Which split an item belongs to is a function of its prompt. So a search item, with any seed, can
never be a selection item or a sealed test item, and the sealed items need not be read to be sure of
it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from string import ascii_lowercase
from typing import Literal, Protocol

__all__ = ["GENERATORS", "SPLITS", "Generator", "sample_items", "split_of"]

SPLITS = ("search", "selection", "test")

LETTERS = ascii_lowercase
DIGITS = "0123456789"
KANJI = "〇一二三四五六七八九"

_SPLIT_BY_REMAINDER = ("search",) * 6 + ("selection",) * 2 + ("test",) * 2
_TO_CIPHER = str.maketrans(LETTERS, "qjxmtzbwkdvhpcfnoysaeglriu")
_TO_OTHER_SCRIPT = str.maketrans(DIGITS + KANJI, KANJI + DIGITS)
_PATIENCE = 1000  # draws in a row that bring nothing new, before a split counts as used up


class Draw(Protocol):
    """Draws one item as (prompt, key), in its easy or its full form."""

    def __call__(self, rng: random.Random, easy: bool = False) -> tuple[str, str]: ...


@dataclass(frozen=True)
class Generator:
    """A task that makes its own items.

    Attributes:
        name: of the task.
        kind: one skill, or a composite of two.
        description: one line for people.
        draw: makes an item.
    """

    name: str
    kind: Literal["skill", "composite"]
    description: str
    draw: Draw


def split_of(prompt: str) -> str:
    """The split that a prompt belongs to: six in ten search, two selection, two test.

    >>> split_of("rev:abcde=") in SPLITS
    True
    """
    digest = blake2b(prompt.encode(), digest_size=8).digest()
    return _SPLIT_BY_REMAINDER[int.from_bytes(digest, "big") % 10]


def sample_items(name: str, split: str, seed: int, count: int) -> list[tuple[str, str]]:
    """Draw distinct full items of one split; the same arguments give the same items.

    Args:
        name: of a generator in `GENERATORS`.
        split: in `SPLITS`.
        seed: of the draw.
        count: number of items.

    Returns:
        (prompt, key) of each item.

    Raises:
        ValueError: the generator or the split is unknown, or has too few items.

    >>> prompt, key = sample_items("reverse", "search", seed=1, count=1)[0]
    >>> prompt == f"rev:{key[::-1]}="
    True
    """
    if name not in GENERATORS:
        raise ValueError(f"no task is called {name!r}; there are {', '.join(GENERATORS)}")
    if split not in SPLITS:
        raise ValueError(f"no split is called {split!r}; there are {', '.join(SPLITS)}")
    draw = GENERATORS[name].draw
    rng = random.Random(f"{name}/{split}/{seed}")
    drawn: dict[str, str] = {}
    failures = 0
    while len(drawn) < count:
        prompt, key = draw(rng)
        if split_of(prompt) == split and prompt not in drawn:
            drawn[prompt] = key
            failures = 0
        elif (failures := failures + 1) > _PATIENCE:
            raise ValueError(
                f"{name} has too few {split} items: {count} wanted, {len(drawn)} found"
            )
    return list(drawn.items())


# What a skill does to a text.


def reverse(text: str) -> str:
    """The symbols backwards."""
    return text[::-1]


def rotate(text: str) -> str:
    """The first two symbols moved to the end."""
    return text[2:] + text[:2]


def double(text: str) -> str:
    """Every symbol twice."""
    return "".join(symbol * 2 for symbol in text)


def sort(text: str) -> str:
    """The symbols in order."""
    return "".join(sorted(text))


def encipher(text: str) -> str:
    """Every letter replaced by its partner in a fixed secret alphabet."""
    return text.translate(_TO_CIPHER)


def change_script(text: str) -> str:
    """Digits in kanji, and kanji in digits: 407 becomes 四〇七, and 四〇七 becomes 407."""
    return text.translate(_TO_OTHER_SCRIPT)


OPERATIONS: dict[str, Callable[[str], str]] = {
    "rev": reverse,
    "rot": rotate,
    "dbl": double,
    "srt": sort,
}
NOTATIONS: dict[str, Callable[[str], str]] = {
    "cap": str.upper,
    "enc": encipher,
    "kan": change_script,
}


def apply(tags: Iterable[str], text: str) -> str:
    """The text after the operations and notations that the tags name, one after the other.

    Raises:
        KeyError: a tag names none.

    >>> apply(["rev", "cap"], "abc")
    'CBA'
    """
    for tag in tags:
        text = (OPERATIONS | NOTATIONS)[tag](text)
    return text


# How items are drawn.


def _rewriting(tags: str, longest: int, *alphabets: str) -> Draw:
    """Items that ask for a text over one of the alphabets to be rewritten as the tags say."""
    parts = tags.split(".")
    is_operation = not OPERATIONS.keys().isdisjoint(parts)
    is_notation = not NOTATIONS.keys().isdisjoint(parts)

    def draw(rng: random.Random, easy: bool = False) -> tuple[str, str]:
        alphabet = rng.choice(alphabets)
        if easy and is_notation:
            alphabet = alphabet[: len(alphabet) // 2]
        shortest = 2 if easy else longest - 1
        length = rng.randint(shortest, 3 if easy and is_operation else longest)
        text = "".join(rng.choices(alphabet, k=length))
        return f"{tags}:{text}=", apply(parts, text)

    return draw


def _sum(rng: random.Random, easy: bool = False) -> tuple[str, str]:
    """A sum of two numbers: of two digits each, or of one when easy."""
    low, high = (0, 9) if easy else (10, 99)
    left, right = rng.randint(low, high), rng.randint(low, high)
    return f"sum:{left}+{right}=", str(left + right)


def _kanji_sum(rng: random.Random, easy: bool = False) -> tuple[str, str]:
    """A sum written in kanji numerals; no digit is greater than four when easy."""
    prompt, key = _sum(rng, easy)
    while easy and not set("56789").isdisjoint(prompt + key):
        prompt, key = _sum(rng, easy)
    return change_script(prompt), change_script(key)


GENERATORS: dict[str, Generator] = {
    generator.name: generator
    for generator in (
        Generator(
            "reverse",
            "skill",
            "Write the letters backwards.",
            _rewriting("rev", 6, LETTERS),
        ),
        Generator("rotate", "skill", "Move two letters to the end.", _rewriting("rot", 6, LETTERS)),
        Generator("double", "skill", "Write every letter twice.", _rewriting("dbl", 5, LETTERS)),
        Generator("sort", "skill", "Put the letters in order.", _rewriting("srt", 6, LETTERS)),
        Generator("sum", "skill", "Add two numbers of two digits.", _sum),
        Generator("capital", "skill", "Write in capitals.", _rewriting("cap", 6, LETTERS)),
        Generator(
            "cipher",
            "skill",
            "Write in a fixed secret alphabet.",
            _rewriting("enc", 6, LETTERS),
        ),
        Generator(
            "kanji",
            "skill",
            "Write digits in kanji, and kanji in digits.",
            _rewriting("kan", 6, DIGITS, KANJI),
        ),
        Generator("kanji-sum", "composite", "Add two numbers in kanji numerals.", _kanji_sum),
        Generator(
            "reverse-capital",
            "composite",
            "Write the letters backwards and in capitals.",
            _rewriting("rev.cap", 6, LETTERS),
        ),
        Generator(
            "rotate-cipher",
            "composite",
            "Move two letters to the end and write in the secret alphabet.",
            _rewriting("rot.enc", 6, LETTERS),
        ),
        Generator(
            "reverse-kanji",
            "composite",
            "Write the digits backwards and in kanji.",
            _rewriting("rev.kan", 6, DIGITS),
        ),
    )
}
