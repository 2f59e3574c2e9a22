"""The history of a campaign as the app draws it: from new archives and from earlier ones."""

import gzip
import re
from pathlib import Path

from lineage import Archive
from lineage.queries.columns import empty_columns, updated
from tui.app.data.snapshot import Snapshot
from tui.app.drawing import timeline
from tui.shared.styling import RICH_SIGNS

FIXTURES = Path(__file__).parents[1] / "fixtures"


def drawn(archive: Archive) -> tuple[set[str], str]:
    """Names of the curves, and what is said of diversity."""
    with archive.reading() as db:
        snapshot = Snapshot(updated(db, empty_columns()))
    curves, _ = timeline.fitness(snapshot)
    rows = timeline.diversity(snapshot, RICH_SIGNS, 40)
    return {curve.name for curve in curves}, "\n".join(
        "".join(piece.text for piece in row) for row in rows
    )


def test_what_the_living_do_together_is_drawn_where_it_was_recorded(
    small_archive: Archive, tmp_path: Path
) -> None:
    last = small_archive.generations()[-1]
    curves, measures = drawn(small_archive)
    assert curves >= {"best", "coverage", "median"}
    assert re.search(rf"QD-score +{last.qd_score:.2f} ", measures)
    assert re.search(rf"by weight +{last.founders_by_weight:.2f} ", measures)

    earlier = tmp_path / "earlier.duckdb"
    earlier.write_bytes(gzip.decompress((FIXTURES / "schema-6.duckdb.gz").read_bytes()))
    curves, measures = drawn(Archive(earlier))
    assert "coverage" not in curves
    assert "kinship" in measures
    assert "QD-score" not in measures
