"""Records of items and of how models score on them."""

from dataclasses import dataclass

from lineage.records.arrays import Floats


@dataclass(frozen=True)
class Item:
    """An item: a prompt, with or without a key.

    Attributes:
        id: unique in an archive.
        task: name of its task.
        split: `search`, `selection` or `test`.
        prompt: what models are asked.
        key: the right answer, or None where only judges can tell.
        statement: a text with one {} in which judges read the answers, or None.
        plain: whether the prompt holds answers of models, so that control tokens in it are text.
    """

    id: str
    task: str
    split: str
    prompt: str
    key: str | None
    statement: str | None = None
    plain: bool = False


@dataclass(frozen=True)
class Scores:
    """Scores of several models on the same items.

    Attributes:
        models: ids, the rows.
        items: ids, the columns.
        exact: shape `[models, items]`: 1 where greedy decoding gives the key, else 0.
        probability: shape `[models, items]`: that the model, sampled, gives the key.
    """

    models: tuple[int, ...]
    items: tuple[str, ...]
    exact: Floats
    probability: Floats
