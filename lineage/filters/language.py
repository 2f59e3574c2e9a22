"""The parser of the filter language: from text to a tree of conditions."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from lineage.errors import ArchiveError
from lineage.escaping import escaped

LONGEST = 2_000
"""Characters of a filter, at most."""

DEEPEST = 50
"""Brackets and negations within each other, at most; the parser is recursive."""


class FilterError(ArchiveError):
    """A filter is wrong; the message says what, points at it, and suggests what may be meant.

    Args:
        message: what is wrong.
        text: of the filter.
        at: index in the text that the message points at.
    """

    def __init__(self, message: str, text: str, at: int) -> None:
        shown = "".join(sign if sign.isprintable() else " " for sign in text)
        super().__init__(f"{message}\n  {shown}\n  {' ' * at}^")


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for the nearest known word, or an empty text if none is near.

    >>> suggestion("fitnes", ["fitness", "rating"])
    '; did you mean fitness?'
    """
    spelled: dict[str, str] = {}
    for name in known:
        spelled.setdefault(name.lower(), name)
    near = get_close_matches(word.lower(), list(spelled), n=1, cutoff=0.5)
    return f"; did you mean {escaped(spelled[near[0]])}?" if near else ""


@dataclass(frozen=True)
class Condition:
    """A field, compared with a value; or a field alone, which is true or false by itself.

    Attributes:
        field: its name.
        argument: what follows the colon, or None.
        operator: of the comparison, or None.
        value: to compare with, as it was written.
        at: index in the text where the field begins.
        value_at: index where the value begins.
    """

    field: str
    argument: str | None
    operator: str | None
    value: str
    at: int
    value_at: int


@dataclass(frozen=True)
class Not:
    """The negation of an expression."""

    part: "Expression"


@dataclass(frozen=True)
class Several:
    """All of some expressions (`and`), or any of them (`or`)."""

    word: Literal["and", "or"]
    parts: tuple["Expression", ...]


Expression = Condition | Not | Several

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<sign>[()]) |
        (?P<operator><=|>=|!=|==|[<>=~]) |
        (?P<colon>:) |
        (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*') |
        (?P<word>[^\s()<>=!~:"']+)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int
    end: int


def parsed(text: str) -> Expression:
    """Parse a filter.

    Raises:
        FilterError: it is too long, or has a wrong syntax; the message points at the place.

    >>> parsed("gen>100 and not living")
    Several(word='and', parts=(Condition(field='gen', argument=None, operator='>', value='100', \
at=0, value_at=4), Not(part=Condition(field='living', argument=None, operator=None, value='', \
at=16, value_at=16))))
    """
    if len(text) > LONGEST:
        raise FilterError(f"a filter has at most {LONGEST:,} characters", text[:60] + "…", 60)
    return _Parser(text).whole()


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            what = "a quote that is never closed" if text[at] in "\"'" else f"{text[at]!r} here"
            raise FilterError(f"a filter cannot have {what}", text, at)
        kind = match.lastgroup
        tokens.append(_Token(kind, match[kind], match.start(kind), match.end()))
        at = match.end()
    return [*tokens, _Token("end", "", len(text), len(text))]


class _Parser:
    """Recursive descent, a method for each rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> Expression:
        expression = self._filter()
        if self._peek.kind != "end":
            raise self._error(f"expected `and`, `or` or the end, not {self._peek.text!r}")
        return expression

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek
        self._next += token.kind != "end"
        return token

    def _error(self, message: str, at: int | None = None) -> FilterError:
        return FilterError(message, self._text, self._peek.at if at is None else at)

    def _is_word(self, *words: str) -> bool:
        return self._peek.kind == "word" and self._peek.text.lower() in words

    def _filter(self) -> Expression:
        return self._joined("or", lambda: self._joined("and", self._factor))

    def _joined(self, word: Literal["and", "or"], part: Callable[[], Expression]) -> Expression:
        parts = [part()]
        while self._is_word(word):
            self._take()
            parts.append(part())
        return parts[0] if len(parts) == 1 else Several(word, tuple(parts))

    def _factor(self) -> Expression:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(f"more than {DEEPEST} brackets within each other")
        try:
            if self._is_word("not"):
                self._take()
                return Not(self._factor())
            if self._peek.text == "(" and self._peek.kind == "sign":
                opened = self._take()
                inside = self._filter()
                if self._peek.text != ")":
                    raise self._error("this bracket is never closed", opened.at)
                self._take()
                return inside
            return self._condition()
        finally:
            self._depth -= 1

    def _condition(self) -> Condition:
        if self._peek.kind != "word" or self._is_word("and", "or"):
            raise self._error(
                "expected a field" + (f", not {self._peek.text!r}" if self._peek.text else "")
            )
        name, argument = self._take(), None
        if self._peek.kind == "colon":
            self._take()
            argument = self._value(f"expected a name after {name.text}:")[0]
        if self._peek.kind != "operator":
            return Condition(name.text.lower(), argument, None, "", name.at, name.at)
        operator = self._take().text
        value, at = self._value(f"expected a value after {operator}")
        operator = "=" if operator == "==" else operator
        return Condition(name.text.lower(), argument, operator, value, name.at, at)

    def _value(self, otherwise: str) -> tuple[str, int]:
        if self._peek.kind not in {"word", "text"}:
            raise self._error(otherwise)
        token = self._take()
        if token.kind == "text":
            return re.sub(r"\\(.)", r"\1", token.text[1:-1]), token.at
        return token.text, token.at
