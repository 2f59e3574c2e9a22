"""`colony ancestry`, `kin` and `skills` as a person meets them."""

import json

import numpy as np
import pytest

from lineage import Archive
from lineage.ancestry import graph as reference
from tests.command_helpers import colony, failure


def test_ancestry_says_whom_the_living_descend_from(small_archive: Archive) -> None:
    path = small_archive.path
    code, said, error = colony("ancestry", "-a", path, "--limit", 3)
    assert (code, error) == (0, "")
    assert "effective founders" in said
    found = json.loads(colony("ancestry", "-a", path, "--limit", 3, "--json")[1])
    graph = reference.graph(small_archive.models())
    living = [m.id for m in small_archive.models(living=True)]
    assert found["diversity"]["effective_founders"] == pytest.approx(
        reference.effective_founders(graph, living)
    )
    assert sum(line["share"] for line in found["founders"]) == pytest.approx(1.0, abs=1e-6)
    parts = reference.contributions(graph, living)
    assert {line["founder"]: line["share"] for line in found["founders"]} == pytest.approx(
        {founder: parts.get(founder, 0.0) for founder in small_archive.founder_paths()}, abs=1e-6
    )
    assert 0 < len(found["fruitful"]) <= 3
    assert np.all(np.diff([one["part"] for one in found["fruitful"]]) <= 0)
    assert sum(cause["deaths"] for cause in found["causes"]) == sum(
        not m.living for m in small_archive.models()
    )
    for line in (*found["founders"], *found["lost"]):
        assert all(dead["cause"] for dead in line["last"])


def test_kin_says_how_two_are_related(small_archive: Archive) -> None:
    path, graph = small_archive.path, reference.graph(small_archive.models())
    newest = small_archive.newest_id()
    for a, b in ((newest, newest - 1), (newest, 2), (1, 2), (newest, newest)):
        found = json.loads(colony("kin", a, b, "-a", path, "--json")[1])
        assert found["relationship"] == pytest.approx(reference.kinship(graph, a, b), abs=1e-12)
        common = [node["id"] for node in found["common_ancestors"]]
        assert set(common) == reference.common_ancestors(graph, a, b)
        code, said, error = colony("kin", a, b, "-a", path, "--ascii")
        assert (code, error) == (0, "")
        if a == 1:
            assert "no common ancestor" in said
        else:
            assert found["path"] is not None
            assert min(found["path"]) == common[0]
    assert "no model" in failure("kin", "champion", "nobody", "-a", path)
