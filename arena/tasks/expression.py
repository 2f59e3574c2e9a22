"""Regular expressions that people give, which must not take for ever.

An expression such as `(a+)+$` backtracks for longer than anybody lives where a model says the same
letter over and over. So expressions run in a library that can give up, are tried on such answers
when a task is opened, and read no more than the first `LONGEST` letters of an answer.
"""

from collections import deque

import regex

from arena.errors import TaskError

LONGEST = 2_000
"""Letters of an answer that are read."""

TRIAL_S = 3.0
"""An expression that takes longer on one of the answers that it is tried on is refused. What is not
hopeless takes less than a tenth of it."""

PATIENCE_S = 20.0
"""How long one answer may take in a campaign. Not reached by what has passed the trial, so that
nothing depends on how busy a machine is."""

_TRIALS = tuple(
    (text * LONGEST)[:LONGEST] + end
    for text in ("a", "1", " ", "ab", "a ", "1,", "#", "x=1\n")
    for end in ("", "!")
)


class Expression:
    """A regular expression that finds an answer in what a model says.

    Args:
        pattern: as people write it, in the syntax of Python's `re`.

    Raises:
        TaskError: it is none, or it takes too long.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        try:
            self._compiled = regex.compile(pattern)
        except (regex.error, RecursionError, OverflowError) as error:
            raise TaskError(f"is no regular expression: {error}") from None
        for text in _TRIALS:
            try:
                self._last(text, TRIAL_S)
            except TimeoutError:
                raise TaskError(
                    f"takes too long on an answer such as {text[:12]!r}... repeated: a repeat "
                    "within a repeat tries every way to share the letters out; write it with one"
                ) from None

    def find(self, text: str) -> str | None:
        """What it finds last in a text: its first group, or all of it; None if nothing.

        Raises:
            TaskError: it takes too long.
        """
        try:
            return self._last(text[:LONGEST], PATIENCE_S)
        except TimeoutError:
            raise TaskError(f"the expression {self.pattern!r} takes too long") from None

    def _last(self, text: str, seconds: float) -> str | None:
        found = deque(self._compiled.finditer(text, timeout=seconds), maxlen=1)
        return found[0].group(1 if self._compiled.groups else 0) or "" if found else None
