"""Which documents of a task of the harness are for breeding, for choosing and for the report.

Training, validation and test documents are for `search`, `selection` and `test`. A task that lacks
some of these splits is cut by a hash of each document's content, so that what is the same twice
lies in one part, and the same seed cuts the same.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

from arena.errors import TaskError

T = TypeVar("T")


@dataclass(frozen=True)
class SplitPart:
    """A part of a split of the harness.

    Attributes:
        split: the name that its data set has for it.
        low: where the part begins, in [0, 1).
        high: where it ends.
    """

    split: str
    low: float = 0.0
    high: float = 1.0

    @property
    def whole(self) -> bool:
        """Whether it is all of the split."""
        return (self.low, self.high) == (0.0, 1.0)

    def holds(self, content: str, seed: int) -> bool:
        """Whether a document of this content is in this part."""
        if self.whole:
            return True
        digest = blake2b(f"{seed}/{content}".encode(), digest_size=8).digest()
        return self.low <= int.from_bytes(digest, "big") / 2**64 < self.high


def parts_of(splits: Sequence[str | None], where: str) -> Mapping[str, SplitPart]:
    """Where the items of each of our splits come from.

    >>> parts_of(["train", None, "test"], "my task")["selection"]
    SplitPart(split='train', low=0.8, high=1.0)

    Args:
        splits: what the task names as its training, validation and test split; None for none.
        where: what messages begin with.

    Raises:
        TaskError: there is no split at all.
    """
    named = list(dict.fromkeys(name for name in splits if name))
    if not named:
        raise TaskError(f"{where}: it names no training_split, validation_split or test_split")
    if len(named) == 3:
        cuts = [SplitPart(name) for name in named]
    elif len(named) == 2:
        cuts = [SplitPart(named[0], 0.0, 0.8), SplitPart(named[0], 0.8, 1.0), SplitPart(named[1])]
    else:
        bounds = ((0.0, 0.6), (0.6, 0.8), (0.8, 1.0))
        cuts = [SplitPart(named[0], low, high) for low, high in bounds]
    return dict(zip(("search", "selection", "test"), cuts, strict=True))


def without_those_of(
    documents: Iterable[T], content: Callable[[T], str], taken: Iterable[frozenset[str]]
) -> list[T]:
    """Documents whose content is in no other split.

    Args:
        documents: of a split.
        content: of a document.
        taken: contents of the splits before it.
    """
    used: frozenset[str] = frozenset().union(*taken)
    return [document for document in documents if content(document) not in used]
