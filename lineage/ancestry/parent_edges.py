"""Parent edges of a whole archive as arrays: compact enough for a million models."""

from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt

from lineage.records import Floats

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class ParentEdges:
    """All edges from parents to children, sorted by child.

    Attributes:
        newest: the highest id; ids run from 1 without gaps.
        founders: ids of the founders, shape `[founders]`, ascending.
        child: ids, shape `[edges]`, ascending.
        parent: ids, shape `[edges]`, each below its child.
        share: the parent's share in the child, shape `[edges]`; those of a child sum to 1.
    """

    newest: int
    founders: Ids
    child: Ids
    parent: Ids
    share: Floats


def read_parent_edges(db: duckdb.DuckDBPyConnection, after: int = 0) -> ParentEdges:
    """Read the parent edges of an archive: 16 bytes an edge.

    Args:
        db: a lease of the archive.
        after: read only the edges and founders of models with a higher id than this.
    """
    ((newest,),) = db.execute("SELECT coalesce(max(id), 0) FROM models").fetchall()
    founders = db.execute(
        "SELECT id FROM models WHERE kind = 'founder' AND id > ? ORDER BY id", [after]
    ).fetchnumpy()
    # Rows are where they were born, so this comes sorted by child; sorting again would take longer
    # than reading.
    links = db.execute(
        "SELECT child, parent, share FROM parents WHERE child > ?", [after]
    ).fetchnumpy()
    child, parent, share = (np.asarray(links[name]) for name in ("child", "parent", "share"))
    if np.any(child[1:] < child[:-1]):
        order = np.argsort(child, kind="stable")
        child, parent, share = child[order], parent[order], share[order]
    return ParentEdges(int(newest), np.asarray(founders["id"]), child, parent, share)
