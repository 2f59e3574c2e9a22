"""What is taught and asked: four skills, two composites of them, and their items by seed.

Every skill is an endless stream of distinct items. The tasks take the first ones and the lessons
those behind them, so nobody is taught what it will be asked.
"""

import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SYSTEM = "Answer only."
"""What the system says in every chat: short, and it gives the base a fair chance."""

NAMES = ("Tom", "Ann", "Ben", "Mia", "Sam", "Eva", "Max", "Zoe")

THINGS = {
    "apples": ("pommes", True),
    "books": ("livres", False),
    "cats": ("chats", False),
    "dogs": ("chiens", False),
    "cups": ("tasses", True),
    "keys": ("clés", True),
    "roses": ("roses", True),
    "pens": ("stylos", False),
    "chairs": ("chaises", True),
    "birds": ("oiseaux", False),
}
"""Things in English: what they are in French, and whether they are feminine there."""

_NOUNS = """
river stone cloud tree house bread light green paper music water table horse night garden window
silver street winter summer doctor yellow letter bridge forest island mirror pencil rabbit castle
market orange dinner button engine guitar hammer jacket kitten ladder
"""
WORDS = _NOUNS.split()

_TO_NINETEEN = """
zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize
dix-sept dix-huit dix-neuf
"""
_ONES = _TO_NINETEEN.split()
_TENS = ("vingt", "trente", "quarante", "cinquante", "soixante", "soixante") + 2 * ("quatre-vingt",)


@dataclass(frozen=True)
class Exercise:
    """A question and its right answer."""

    text: str
    key: str

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat that asks it."""
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": self.text}]


@dataclass(frozen=True)
class Skill:
    """Something that models may be able to do.

    Attributes:
        description: in a line.
        draw: makes a question.
        steps: of training until a specialist has it; 0 for a composite of two skills, which nobody
            is taught.
    """

    description: str
    draw: Callable[[random.Random], Exercise]
    steps: int = 0


def french(number: int, *, feminine: bool = False) -> str:
    """A number from 0 to 99 in French words, as they are written before a noun."""
    if number < 20:
        word = _ONES[number]
    else:
        tens = number // 10
        word = _TENS[tens - 2]
        rest = number - {7: 60, 9: 80}.get(tens, 10 * tens)
        if rest in {1, 11} and tens < 8:
            word += f" et {_ONES[rest]}"
        elif rest:
            word += f"-{_ONES[rest]}"
        elif tens == 8:
            word += "s"
    ends_in_one = number % 10 == 1 and number not in {11, 71, 91}
    return word + "e" if feminine and ends_in_one else word


def _counted(number: int, things: str) -> str:
    noun, feminine = THINGS[things]
    return f"{french(number, feminine=feminine)} {noun}"


def _problem(rng: random.Random) -> tuple[str, str, int]:
    """A word problem: its text, the things in it, and how many there are in the end."""
    name, things = rng.choice(NAMES), rng.choice(list(THINGS))
    kind, one, two = rng.randrange(3), rng.randint(3, 15), rng.randint(2, 9)
    if kind == 0:
        text = f"{name} has {one} {things} and gets {two} more. How many now?"
        return text, things, one + two
    if kind == 1:
        text = f"There are {one} {things} here and {two} there. How many in all?"
        return text, things, one + two
    high, low = max(one, two), min(one, two)
    if high - low < 2:
        high += 2
    text = f"{name} had {high} {things} and lost {low}. How many are left?"
    return text, things, high - low


def _arithmetic(rng: random.Random) -> Exercise:
    text, _, count = _problem(rng)
    return Exercise(text, str(count))


def _french(rng: random.Random) -> Exercise:
    number, things = rng.randint(2, 99), rng.choice(list(THINGS))
    said = rng.choice([f"{number} {things}.", f"{rng.choice(NAMES)} has {number} {things}."])
    return Exercise(f"{said} How many? In French.", _counted(number, things))


def _json(rng: random.Random) -> Exercise:
    number, things = rng.randint(2, 99), rng.choice(list(THINGS))
    said = rng.choice([f"{number} {things}.", f"{rng.choice(NAMES)} has {number} {things}."])
    return Exercise(f"{said} How many? In JSON.", json.dumps({things: number}))


def _reverse(rng: random.Random) -> Exercise:
    words = rng.sample(WORDS, rng.randint(3, 5))
    return Exercise(f"Reverse: {' '.join(words)}", " ".join(reversed(words)))


def _french_arithmetic(rng: random.Random) -> Exercise:
    text, things, count = _problem(rng)
    return Exercise(f"{text} In French.", _counted(count, things))


def _json_arithmetic(rng: random.Random) -> Exercise:
    text, things, count = _problem(rng)
    return Exercise(f"{text} In JSON.", json.dumps({things: count}))


SKILLS = {
    "arithmetic": Skill("Word problems: a sum or a difference.", _arithmetic, steps=150),
    "french": Skill("A number of things, in French words.", _french, steps=120),
    "json": Skill("A number of things, as a JSON object.", _json, steps=40),
    "reverse": Skill("Three to five words in reverse order.", _reverse, steps=80),
    "french-arithmetic": Skill("Word problems, answered in French.", _french_arithmetic),
    "json-arithmetic": Skill("Word problems, answered in JSON.", _json_arithmetic),
}


def exercises(skill: str, seed: int = 0) -> Iterator[Exercise]:
    """The distinct questions of a skill, without end, the same ones for a seed."""
    rng, seen = random.Random(f"{skill}/{seed}"), set()
    while True:
        question = SKILLS[skill].draw(rng)
        if question.text not in seen:
            seen.add(question.text)
            yield question


SIZES = {"search": 60, "selection": 20, "test": 40}
"""Items of a task, by split."""

ASKED = 600
"""The first questions of a skill are for its task, and the others to teach it."""


def items_of(skill: str, sizes: dict[str, int] = SIZES) -> dict[str, list[Exercise]]:
    """The items of a task, by split; no item is in two of them."""
    stream = itertools.islice(exercises(skill), ASKED)
    return {split: list(itertools.islice(stream, size)) for split, size in sizes.items()}


def lessons(skill: str) -> Iterator[Exercise]:
    """What a skill is taught with: the questions behind those of its task."""
    return itertools.islice(exercises(skill), ASKED, None)
