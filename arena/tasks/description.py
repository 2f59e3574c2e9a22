"""What a `task.toml` says: its keys, checked."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arena.errors import TaskError
from arena.tasks.asking import Asking
from arena.tasks.choice_scores import CHOICE_SCORES
from arena.tasks.comparisons import EXACT, comparison_of
from arena.tasks.extractors import Extractor, extractor_of
from arena.tasks.extractors.expression import Expression
from arena.tasks.generators import GENERATORS
from arena.tasks.marking import DEFAULT_TOLERANCE, Marking
from arena.tasks.sampling import DEFAULT_TEMPERATURE, Sampling
from arena.tasks.steps import AnswerSteps

LONGEST = 100_000
"""Tokens of an answer that a task may ask for, at most."""

MOST_SAMPLES = 1_000
"""Samples of an item, at most: each takes the time of an answer."""

HOTTEST = 100.0
"""The highest temperature of samples: beyond, all tokens are as likely."""

MOST_SHOTS = 100
"""Examples before an item, at most."""

MOST_STEPS = 16
"""Steps to an answer, at most: each takes the time of an answer."""

_TEXTS = ("name", "kind", "description", "generator", "answer", "extract", "compare", "system",
          "reads")  # fmt: skip
_SAMPLING = ("samples", "pass_at", "temperature")
KNOWN = (*_TEXTS, "stop", "longest", "chat", "shots", "score", "tolerance", "steps",
         *_SAMPLING)  # fmt: skip


class Description:
    """The keys of a `task.toml`, or of another place that says the same.

    Args:
        values: by key.
        where: they stand, for messages.

    Raises:
        TaskError: there is an unknown key or a wrong value.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values, self._where = values, where
        if unknown := sorted(set(self._values) - set(KNOWN)):
            raise self._wrong(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(KNOWN))}")
        for key in _TEXTS:
            if not isinstance(self._values.get(key, ""), str):
                raise self._wrong(f"{key!r} must be a text")

    @classmethod
    def read(cls, path: Path) -> "Description":
        """The description in a file.

        Args:
            path: of the file.

        Raises:
            TaskError: it is missing or broken, or has an unknown key or a wrong value.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (FileNotFoundError, NotADirectoryError):
            raise TaskError(f"{path.parent} is not a task: it has no task.toml") from None
        except (OSError, ValueError, RecursionError) as error:  # also a number of 5,000 digits
            raise TaskError(f"{path} cannot be read: {error}") from None
        return cls(values, str(path))

    def text(self, key: str, default: str) -> str:
        """A text; what is given instead where there is none."""
        return str(self._values.get(key, default))

    @property
    def generator(self) -> str | None:
        """The generator that it names; None if it has none.

        Raises:
            TaskError: there is no such generator.
        """
        name: str | None = self._values.get("generator")
        if name is not None and name not in GENERATORS:
            raise self._wrong(f"no generator {name!r}; there are {', '.join(sorted(GENERATORS))}")
        return name

    @property
    def stop(self) -> str | tuple[str, ...] | None:
        """The texts of which each ends an answer; one, several, or none.

        Raises:
            TaskError: it is empty, or something else than texts.
        """
        stop = self._values.get("stop")
        if stop is None or (isinstance(stop, str) and stop):
            return stop
        if isinstance(stop, list) and stop and all(isinstance(s, str) and s for s in stop):
            return tuple(stop)
        if stop == "":
            raise self._wrong("'stop' is empty; leave it out to end at the end of sequence")
        raise self._wrong(f"'stop' must be a text or a list of texts, got {stop!r:.60}")

    @property
    def longest(self) -> int | None:
        """Tokens that an answer may take; None leaves it to the evaluator.

        Raises:
            TaskError: it is no whole number within the bounds.
        """
        return self._number("longest", 1, LONGEST, "of tokens ")

    @property
    def score(self) -> str:
        """How choices are scored.

        Raises:
            TaskError: there is no such score.
        """
        score = self._values.get("score", "likelihood")
        if score not in CHOICE_SCORES:
            raise self._wrong(f"'score' must be {' or '.join(CHOICE_SCORES)}, got {score!r:.60}")
        return str(score)

    @property
    def asking(self) -> Asking:
        """How items are asked.

        Raises:
            TaskError: a value is of the wrong kind, or out of bounds.
        """
        chat, system = self._values.get("chat", False), self._values.get("system")
        if not isinstance(chat, bool):
            raise self._wrong(f"'chat' must be true or false, got {chat!r:.60}")
        if system == "":
            raise self._wrong("'system' is empty; leave it out for chats without one")
        return Asking(chat, system, self._number("shots", 0, MOST_SHOTS, "") or 0)

    @property
    def marking(self) -> Marking:
        """How answers are marked.

        Raises:
            TaskError: there is no such comparison or extractor, or two keys exclude each other.
        """
        compare, tolerance = self._values.get("compare"), self._values.get("tolerance")
        try:
            comparison = EXACT if compare is None else comparison_of(compare)
        except TaskError as error:
            raise self._wrong(f"'compare' {error}") from None
        if tolerance is not None and not comparison.tolerant:
            raise self._wrong("'tolerance' goes with compare = \"numeric\"")
        if tolerance is None:
            tolerance = DEFAULT_TOLERANCE
        elif type(tolerance) not in (int, float) or not 0.0 <= tolerance < float("inf"):
            raise self._wrong(f"'tolerance' must be a number from 0, got {tolerance!r:.60}")
        return Marking(self._extractor, comparison, float(tolerance))

    @property
    def sampling(self) -> Sampling | None:
        """How answers are sampled; None where one is decoded greedily.

        Raises:
            TaskError: a value is out of bounds, or says nothing without `samples`.
        """
        samples = self._number("samples", 1, MOST_SAMPLES, "")
        if samples is None:
            for key in _SAMPLING:
                if key in self._values:
                    raise self._wrong(f"{key!r} goes with 'samples', the number of answers drawn")
            return None
        temperature = self._values.get("temperature", DEFAULT_TEMPERATURE)
        if type(temperature) not in (int, float) or not 0.0 < temperature <= HOTTEST:
            raise self._wrong(
                f"'temperature' must be a number above 0 and up to {HOTTEST:g}, "
                f"got {temperature!r:.60}"
            )
        pass_at = self._number("pass_at", 1, samples, "(no more than 'samples') ")
        return Sampling(samples, pass_at or 1, float(temperature))

    @property
    def steps(self) -> AnswerSteps | None:
        """What is asked one after the other to answer an item; None where it is asked at once.

        Raises:
            TaskError: they are no list of texts, or have names without a value.
        """
        prompts, reads = self._values.get("steps"), self._values.get("reads")
        if prompts is None:
            if reads is not None:
                raise self._wrong("'reads' goes with 'steps', the prompts to ask in turn")
            return None
        if not (isinstance(prompts, list) and all(isinstance(one, str) for one in prompts)):
            raise self._wrong(f"'steps' must be a list of prompts, got {prompts!r:.60}")
        if not 1 <= len(prompts) <= MOST_STEPS:
            raise self._wrong(f"'steps' must be from 1 to {MOST_STEPS} prompts")
        try:
            return AnswerSteps(tuple(prompts), reads)
        except TaskError as error:
            raise self._wrong(str(error)) from None

    @property
    def _extractor(self) -> Extractor | None:
        pattern, name = self._values.get("answer"), self._values.get("extract")
        if pattern is not None and name is not None:
            raise self._wrong("'answer' is an expression, 'extract' names an extractor; have one")
        try:
            if pattern is not None:
                return Expression(pattern)
            return None if name is None else extractor_of(name)
        except TaskError as error:
            raise self._wrong(f"{'extract' if pattern is None else 'answer'!r} {error}") from None

    def _number(self, key: str, least: int, most: int, what: str) -> int | None:
        number = self._values.get(key)
        if number is not None and (type(number) is not int or not least <= number <= most):
            raise self._wrong(
                f"{key!r} must be a whole number {what}from {least} to {most:,}, got {number!r:.60}"
            )
        return number

    def _wrong(self, what: str) -> TaskError:
        return TaskError(f"{self._where}: {what}")
