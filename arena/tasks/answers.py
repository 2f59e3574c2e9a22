"""The canonical form of an answer, and the question in which a judge reads it.

Evolution attacks its judges: it finds whatever impresses them. So they see only a canonical form,
in the words of the task, and never an instruction channel.
"""

import unicodedata
from dataclasses import replace

from lineage.records import Item

LONGEST_ANSWER = 200
"""Characters of an answer that judges get to see; padding beyond it cannot impress them."""


def canonical(answer: str, longest: int = LONGEST_ANSWER) -> str:
    r"""The form of an answer that judges compare: NFKC, no control characters, bounded length.

    Args:
        answer: as it was given.
        longest: characters that are kept.

    >>> canonical("  Paris,\n France ")
    'Paris, France'
    """
    text = unicodedata.normalize("NFKC", answer)
    text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:longest]


def judge_question(item: Item, answer: str) -> tuple[Item, str]:
    """The item and the continuation whose likelihood tells how a judge finds an answer.

    A statement such as "The capital of France is {}." puts all answers in the same form, which
    tells right from wrong far better than bare words after a question. Without one, the answer
    follows the prompt, with the white space that the key begins with, since canonical answers have
    lost theirs.

    Args:
        item: that was answered.
        answer: in canonical form.

    Returns:
        An item to be asked and the text to be read behind its prompt.

    >>> item = Item("1", "capitals", "search", "Capital of France?", "Paris", "{} it is.")
    >>> question, text = judge_question(item, "Rome")
    >>> question.prompt, text
    ('', 'Rome it is.')
    """
    if item.statement is None:
        key = "" if item.key is None else item.key
        return item, key[: len(key) - len(key.lstrip())] + answer
    before, _, after = item.statement.partition("{}")
    return replace(item, prompt=before, messages=()), answer + after
