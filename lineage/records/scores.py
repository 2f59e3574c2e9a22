"""Records of how models score on items."""

from dataclasses import dataclass

from lineage.records.arrays import Floats


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
