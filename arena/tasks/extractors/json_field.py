"""The field of a JSON object that a model writes, wherever in its answer."""

import json
from dataclasses import dataclass

LONGEST = 10_000
"""Characters of an answer that are read."""


@dataclass(frozen=True)
class JsonField:
    """Finds a field in the last JSON object that has it.

    Attributes:
        name: of the field; `a.b` is field b of the object in field a.

    >>> JsonField("answer").find('First {"answer": 3}, no: {"why": "", "answer": [4, "x"]}.')
    '[4, "x"]'
    """

    name: str

    def find(self, text: str) -> str | None:
        """The value as text: a text as it is, all else as JSON; None where there is none."""
        decoder, found = json.JSONDecoder(), None
        text, place = text[:LONGEST], 0
        while (place := text.find("{", place)) >= 0:
            try:
                value, place = decoder.raw_decode(text, place)
            except (ValueError, RecursionError):
                place += 1
                continue
            for part in self.name.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            if value is not None:
                found = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return found
