"""What the arena asks of a model. It speaks lm-eval's verbs and knows nothing of torch."""

import unicodedata
from collections.abc import Sequence
from typing import Protocol

from lineage.records import Item

LONGEST_ANSWER = 200
"""Characters of an answer that judges get to see; padding beyond it cannot impress them."""


class Player(Protocol):
    """A model that answers and judges."""

    def generate(self, items: Sequence[Item]) -> list[str]:
        """One raw answer per item, decoded greedily."""
        ...

    def loglikelihood(self, questions: Sequence[tuple[Item, str]]) -> list[float]:
        """For each (item, answer), the log-probability in nats that the model answers so."""
        ...


def canonical(answer: str) -> str:
    """The form of an answer that judges compare: NFKC, no control characters, bounded length."""
    text = unicodedata.normalize("NFKC", answer)
    text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:LONGEST_ANSWER]
