"""What judges get to see of an answer, and how it is put before them.

Evolution attacks its judges: it finds whatever impresses them. So they see only a canonical form,
in the words of the task, and never an instruction channel.
"""

import unicodedata
from dataclasses import replace

from lineage.records import Item

LONGEST_ANSWER = 200
"""Characters of an answer that judges get to see; padding beyond it cannot impress them."""


def canonical(answer: str) -> str:
    """The form of an answer that judges compare: NFKC, no control characters, bounded length."""
    text = unicodedata.normalize("NFKC", answer)
    text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:LONGEST_ANSWER]


def put(item: Item, answer: str) -> tuple[Item, str]:
    """An answer as a judge reads it: the question, or the item's statement, and what follows.

    "The capital of France is {}." lets all answers be read in the same form, which tells right from
    wrong far better than bare words after a question do. White space with which keys begin is a
    matter of form, and canonical answers have lost it.
    """
    if item.statement is None:
        key = "" if item.key is None else item.key
        return item, key[: len(key) - len(key.lstrip())] + answer
    before, _, after = item.statement.partition("{}")
    return replace(item, prompt=before), answer + after
