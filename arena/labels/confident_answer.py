"""A model's own answer to an item, and how sure the model is of it."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ConfidentAnswer:
    """An answer that a model decoded greedily.

    Attributes:
        item: id.
        task: name of the item's task.
        model: id.
        text: as the model wrote it, without its end.
        confidence: mean log-probability of its tokens, the end included, in nats; 0 is sure, and
            minus infinity is an answer that did not end, which can be no label.
    """

    item: str
    task: str
    model: int
    text: str
    confidence: float

    @property
    def sureness(self) -> float:
        """The geometric mean of the probabilities of its tokens, in [0, 1]."""
        return math.exp(self.confidence)
