"""A line of a report: one model's results on every split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lineage.records import Floats
from population.evaluation.intervals import Interval


@dataclass(frozen=True)
class Result:
    """A model's results on one split.

    Attributes:
        interval: the mean over tasks of exact match.
        tasks: exact match by task.
    """

    interval: Interval
    tasks: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """The dictionary that `report --json` prints."""
        return {
            "mean": self.interval.mean,
            "low": self.interval.low,
            "high": self.interval.high,
            "tasks": dict(self.tasks),
        }


@dataclass(frozen=True)
class ReportEntry:
    """A line of the report: a model and its results.

    Attributes:
        name: of the model.
        detail: what it is.
        results: by split; nothing on the search split where that is not at hand.
        exact_on_test: exact match on the test split, shape [items].
        id: of the model, if it is in the archive.
    """

    name: str
    detail: str
    results: Mapping[str, Result]
    exact_on_test: Floats
    id: int | None = None

    @property
    def test(self) -> Result:
        """The results on the sealed test split."""
        return self.results["test"]
