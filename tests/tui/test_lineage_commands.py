"""`colony lineage` and its kin as a person meets them."""

import json
from pathlib import Path

import duckdb
import networkx as nx
import pytest

from lineage import Archive
from lineage.ancestry import graph as ancestry
from tests.command_helpers import colony, failure


@pytest.mark.parametrize(
    "lens", [[], ["--tree"], ["--line"], ["--pedigree"], ["--graph"], ["--map"], ["--descendants"]]
)
def test_every_drawing_of_a_real_archive(small_archive: Archive, lens: list[str]) -> None:
    code, said, error = colony("lineage", "champion", "-a", small_archive.path, *lens)
    assert (code, error) == (0, "")
    assert "★ champion" in said
    assert said.count("★") == (1 if lens == ["--descendants"] else 2)
    code, plain, _ = colony("lineage", "champion", "-a", small_archive.path, *lens, "--ascii")
    assert code == 0
    assert plain.isascii()


def test_what_is_exported_is_what_is_drawn(small_archive: Archive, tmp_path: Path) -> None:
    path, newest = small_archive.path, small_archive.newest_id()
    family = json.loads(colony("lineage", newest, "-a", path, "--json")[1])
    graph = ancestry.graph(small_archive.models())
    assert {row["id"] for row in family["models"]} == {
        newest,
        *ancestry.ancestors(graph, newest),
    }
    assert sum(family["founder_shares"].values()) == pytest.approx(1.0)
    near = json.loads(colony("lineage", newest, "-a", path, "--json", "--depth", 1)[1])
    assert {row["id"] for row in near["models"]} == {
        newest,
        *ancestry.ancestors(graph, newest, 1),
    }
    for ending in ("graphml", "dot", "json", "html", "parquet"):
        code, said, told = colony(
            "lineage", newest, "-a", path, "--all", "--export", tmp_path / f"all.{ending}"
        )
        assert (code, said) == (0, "")
        assert f"{len(small_archive.models())} models" in told
    read = nx.read_graphml(tmp_path / "all.graphml", node_type=int)
    assert nx.is_isomorphic(read, graph)
    assert set(read.edges) == set(graph.edges)
    with duckdb.connect() as db:
        rows = db.execute(
            f"SELECT id, parents FROM '{tmp_path}/all.parquet' ORDER BY id"
        ).fetchall()
    assert rows == [(m.id, [p.id for p in m.parents]) for m in small_archive.models()]
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "all.dot", "all.graphml", "all.html", "all.json", "all.parquet",
    ]  # fmt: skip


def test_wishes_that_cannot_be_met_are_one_line(small_archive: Archive, tmp_path: Path) -> None:
    path = small_archive.path
    assert "choose one" in failure("lineage", "-a", path, "--line", "--map")
    assert "--export" in failure("lineage", "-a", path, "--all")
    assert ".html" in failure("lineage", "-a", path, "--export", tmp_path / "family.svg")
    assert "No such file" in failure("lineage", "-a", path, "--export", tmp_path / "no" / "x.html")
