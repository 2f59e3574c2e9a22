"""The history of a campaign as the app draws it: from new archives and from earlier ones."""

import gzip
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from lineage import Archive
from lineage.queries.columns import Columns, empty_columns, updated
from tui.app.data.snapshot import Snapshot
from tui.app.drawing import timeline
from tui.shared.styling import RICH_SIGNS

FIXTURES = Path(__file__).parents[1] / "fixtures"


def columns_of(archive: Archive) -> Columns:
    with archive.reading() as db:
        return updated(db, empty_columns())


def drawn(columns: Columns, width: int = 40) -> tuple[set[str], str]:
    """Names of the curves, and what is said of diversity."""
    snapshot = Snapshot(columns)
    curves, _ = timeline.fitness(snapshot)
    rows = timeline.diversity(snapshot, RICH_SIGNS, width)
    return {curve.name for curve in curves}, "\n".join(
        "".join(piece.text for piece in row) for row in rows
    )


def test_what_the_living_do_together_is_drawn_where_it_was_recorded(
    small_archive: Archive, tmp_path: Path
) -> None:
    last, columns = small_archive.generations()[-1], columns_of(small_archive)
    curves, measures = drawn(columns)
    assert curves >= {"best", "coverage", "median"}
    assert re.search(rf"QD-score +{last.qd_score:.2f} ", measures)
    assert re.search(rf"by weight +{last.founders_by_weight:.2f} ", measures)
    assert len(measures.splitlines()) == 7
    assert measures.splitlines()[3].startswith(
        ("no alarm", "alarm in")
    )  # never cut off by later ones
    _, beside = drawn(columns, 60)
    assert len(beside.splitlines()) == 4
    assert re.search(rf"kinship .* QD-score +{last.qd_score:.2f} ", beside)
    paths = {**columns.history, "founders_by_weight": np.full(4, np.nan)}
    assert "by weight" not in drawn(replace(columns, history=paths), 60)[1]

    earlier = tmp_path / "earlier.duckdb"
    earlier.write_bytes(gzip.decompress((FIXTURES / "schema-6.duckdb.gz").read_bytes()))
    curves, measures = drawn(columns_of(Archive(earlier)))
    assert "coverage" not in curves
    assert "kinship" in measures
    assert "QD-score" not in measures
