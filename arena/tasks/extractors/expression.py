"""Regular expressions of users, with a time limit.

An expression such as `(a+)+$` backtracks practically for ever where a model repeats one letter. So
expressions run in a library with a time limit, are tried on such answers when a task is opened, and
read no more than the first `LONGEST` characters of an answer.
"""

from collections import deque

import regex

from arena.errors import TaskError

LONGEST = 2_000
"""Characters of an answer that are read."""

TRIAL_S = 3.0
"""An expression that takes longer on one of the trial answers is refused, in seconds. Usable
expressions take less than a tenth of it."""

PATIENCE_S = 20.0
"""Limit for one answer in a campaign, in seconds. Expressions that passed the trial never reach it,
so that no result depends on how busy a machine is."""

_TRIALS = tuple(
    (text * LONGEST)[:LONGEST] + end
    for text in ("a", "1", " ", "ab", "a ", "1,", "#", "x=1\n")
    for end in ("", "!")
)


class Expression:
    """A regular expression that finds the answer in the output of a model.

    Args:
        pattern: in the syntax of Python's `re`.

    Raises:
        TaskError: the pattern is no regular expression, or takes too long on a trial answer.

    >>> Expression("is ([a-z]+)").find("it is red, no, it is blue.")
    'blue'
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
        """The first group, or all, of the last match in a text; None without a match.

        Raises:
            TaskError: the expression takes too long on this text.
        """
        try:
            return self._last(text[:LONGEST], PATIENCE_S)
        except TimeoutError:
            raise TaskError(f"the expression {self.pattern!r} takes too long") from None

    def _last(self, text: str, seconds: float) -> str | None:
        last = deque(self._compiled.finditer(text, timeout=seconds), maxlen=1)
        return last[0].group(1 if self._compiled.groups else 0) or "" if last else None
