"""What a notebook does: start, iterate, look, go on; with an operator and a rule of one's own."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

from lineage import Archive, ArchiveError
from population import (
    Campaign,
    Candidates,
    Config,
    Extensions,
    Operator,
    Recombination,
    load_config,
)
from population.config import template
from population.errors import ConfigError
from population.evolution.extensions import operators_of, survival_rule_of
from population.evolution.operators import OPERATORS
from population.evolution.survival import RULES
from tests.conftest import SHIPPED, small_settings
from tests.fork_server import ForkServer

Configured = Callable[..., Config]


@pytest.fixture
def config(tasks_folder: Path) -> Configured:
    """Makes the configuration of a small campaign, with some settings of its search changed."""

    def made(**search: object) -> Config:
        settings = small_settings(tasks_folder, search=search, budget={"generations": 1})
        return load_config(settings)

    return made


def middle(recombination: Recombination) -> np.ndarray:
    return recombination.weights @ recombination.parents


def youngest(candidates: Candidates, size: int) -> list[int]:
    order = np.argsort(-candidates.born, kind="stable")
    chosen = dict.fromkeys([*candidates.protected, *order.tolist()])
    return sorted(list(chosen)[:size])


def test_a_campaign_is_started_iterated_and_looked_at(config: Configured, tmp_path: Path) -> None:
    campaign = Campaign.start(tmp_path / "colony.duckdb", config())
    seen = [(population.generation, population.champion.id) for population in campaign]
    assert [generation for generation, _ in seen] == [0, 1]
    assert campaign.reason == "all of the 1 generations asked for are bred"
    assert seen[-1][1] == campaign.archive.find("champion").id
    model = campaign.model()
    tokens = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        assert torch.isfinite(model(tokens).logits).all()
    again = campaign.model(seen[-1][1])
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    graph = campaign.archive.graph()
    assert nx.is_directed_acyclic_graph(graph)
    assert len(graph) == len(campaign.archive.models())


def test_one_may_stop_looking_and_go_on_later(config: Configured, tmp_path: Path) -> None:
    path = tmp_path / "colony.duckdb"
    for population in Campaign.start(path, config()):
        if population.generation == 0:
            break
    rest = [population.generation for population in Campaign.open(path)]
    assert rest == [0, 1]


def test_an_operator_and_a_rule_of_ones_own_are_passed_in(
    config: Configured, tmp_path: Path
) -> None:
    own = Extensions({"middle": Operator(middle)}, {"youngest": youngest})
    asked = config(operators={"plugin:middle": 1.0}, survival="plugin:youngest", emitter=0.0)
    path = tmp_path / "colony.duckdb"
    campaign = Campaign.start(path, asked, extensions=own)
    campaign.run()
    born = [m for m in campaign.archive.models() if m.generation > 0]
    assert {model.operator for model in born} == {"plugin:middle"}
    assert {row.operator for row in campaign.archive.operators(1)} == {"plugin:middle"}
    with pytest.raises(ConfigError, match="plugin:middle is neither passed in nor an entry point"):
        Campaign.open(path).run()


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"operators": {"blent": 1.0}}, "unknown name 'blent'; did you mean 'blend'"),
        ({"survival": "fittest"}, "unknown name 'fittest'"),
    ],
)
def test_a_name_that_is_not_known_is_refused(
    search: dict[str, object], said: str, config: Configured
) -> None:
    with pytest.raises(ConfigError, match=said):
        config(**search)


def test_a_line_in_the_registry_is_enough_for_a_name_to_be_accepted(
    config: Configured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(OPERATORS, "extrapolate", Operator(middle))
    monkeypatch.setitem(RULES, "youngest", youngest)
    search = config(operators={"extrapolate": 1.0}, survival="youngest").search
    assert operators_of(search, Extensions()) == {"extrapolate": OPERATORS["extrapolate"]}
    assert survival_rule_of(search, Extensions()) is youngest
    with pytest.raises(ConfigError, match="did you mean 'youngest'"):
        config(survival="yougest")


def test_a_new_configuration_names_every_operator_and_says_what_survival_rules_keep() -> None:
    text = template("my.toml")
    assert Config().search.operators == dict.fromkeys(OPERATORS, 1.0)
    for name, rule in RULES.items():
        assert re.search(rf"{name}, \w", text), name
        assert rule.__doc__


@pytest.mark.parametrize("thing", [lambda r: r.parents[0], 3])
def test_what_is_no_operator_is_refused(
    thing: Callable[..., object], config: Configured, tmp_path: Path
) -> None:
    asked = config(operators={"plugin:odd": 1.0})
    own = Extensions({"odd": thing})  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="plugin:odd: expected a Operator, got"):
        Campaign.start(tmp_path / "colony.duckdb", asked, extensions=own).run()


@pytest.mark.parametrize("script", ["campaign", "own_operator"])
def test_the_worked_examples_run(script: str, fork_server: ForkServer, tmp_path: Path) -> None:
    path, said = SHIPPED / "examples" / f"{script}.py", tmp_path / "said"
    assert fork_server.script(path, tmp_path / "new", said=said) == 0, said.read_text()
    assert "stopped: all of the 2 generations asked for are bred" in said.read_text()


def test_a_relation_outlives_its_lease(small_archive: Archive) -> None:
    models = small_archive.relation("SELECT id, kind FROM models WHERE id <= ?", [2])
    again = small_archive.relation("SELECT count(*) AS models FROM models")
    assert models.fetchall() == [(1, "founder"), (2, "founder")]
    assert models.filter("id = 1").fetchnumpy()["kind"].tolist() == ["founder"]
    assert again.fetchall() == [(len(small_archive.models()),)]
    with pytest.raises(ArchiveError, match="nothing_there"):
        small_archive.relation("SELECT * FROM nothing_there")


@pytest.mark.parametrize(
    ("place", "said"),
    [("there.duckdb", "there.duckdb exists already"), ("no/new.duckdb", "at no/new.duckdb: the f")],
)
def test_where_no_campaign_can_be_started_is_said_before_founders_are_read(
    place: str, said: str, config: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.duckdb").touch()
    told = list[str]()
    with pytest.raises(ArchiveError, match=said):
        Campaign.start(place, config(), progress=lambda done, total, what: told.append(what))
    assert told == []


THREADS = """
import os, numpy
from population import open_source
from threadpoolctl import threadpool_info
def threads():
    return [
        library["num_threads"] for library in threadpool_info()
        if "numpy" in library["filepath"] and library["internal_api"] == "openblas"
    ]
before = threads()
open_source("shipped")
print(os.environ["GOMP_SPINCOUNT"], before == [], threads())
"""


@pytest.mark.parametrize("asked", [None, "2"])
def test_numpy_computes_in_one_thread_unless_somebody_wants_more(asked: str | None) -> None:
    """The command line says so in the environment; from Python nobody does."""
    names = ("OPENBLAS_NUM_THREADS", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    if asked:
        environment["OPENBLAS_NUM_THREADS"] = asked
    code = THREADS.replace("shipped", str(SHIPPED / "founders" / "base"))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    threads = min(2, os.cpu_count() or 1) if asked else 1
    assert done.stdout.split() == ["10000", "False", f"[{threads}]"]
