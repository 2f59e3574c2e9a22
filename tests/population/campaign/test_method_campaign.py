"""A campaign that breeds several merge methods: it replays, goes on and is exported exactly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lineage import Archive
from lineage.archive.fork import fork
from lineage.archive.merge import merge_archives
from lineage.commands.definitions import submit
from lineage.errors import ArchiveError
from population.analysis.export import export, recipe_of_model
from population.analysis.verification import check
from population.campaign.context import Context, genome_of
from population.campaign.loop import Campaign
from population.campaign.opening_context import open_context, reopen_context
from population.config import Budget, Config, load_config
from population.errors import ConfigError
from population.evolution.spaces.methods import MethodSpace
from population.merging.mergekit import to_yaml
from population.weights.genomes import with_filters
from population.weights.stored_recipes import stored_recipe
from tests.conftest import SHIPPED, campaign, small_settings

METHODS = ["linear", "ties", "dare_ties"]


def config_of(tasks: Path, **changes: dict[str, Any]) -> Config:
    return load_config(small_settings(tasks, **changes))


@pytest.fixture(scope="module")
def config(tasks_folder: Path) -> Config:
    search = {"methods": METHODS, "emitter": 0.0, "blocks": "half", "population": 4, "brood": 3}
    search |= {"climb": None}  # so that all are children of two parents
    return config_of(tasks_folder, search=search, gradient={"steps": 1, "items": 3})


@pytest.fixture(scope="module")
def archive(config: Config, made_once: Callable[..., Path]) -> Archive:
    def make(folder: Path) -> None:
        campaign(config, folder / "colony.duckdb", 1)

    return Archive(made_once("methods", make) / "colony.duckdb")


@pytest.fixture(scope="module")
def context(archive: Archive) -> Context:
    return reopen_context(archive)


def test_every_method_lives_at_first_and_is_handed_on(archive: Archive, context: Context) -> None:
    space = context.factory.space
    assert isinstance(space, MethodSpace)
    models = archive.models()
    first = {model.operator for model in models if model.generation == 0 and model.died != 0}
    assert {"ties", "dare_ties"} <= first
    children = [model for model in models if model.generation == 1]
    used = [space.region_methods(genome_of(archive, context, child)) for child in children]
    assert {region.method for regions in used for region in regions} > {"linear"}
    founders = archive.models(ids=archive.founder_paths())
    told = stored_recipe(archive, founders, children[0]).methods
    assert tuple(told.values()) == used[0]
    assert list(told) == [*(f"layer {n}" for n in range(4)), "outside"]


def test_every_recipe_makes_its_model_again(archive: Archive) -> None:
    assert check(archive).intact


def test_a_model_of_several_methods_is_exported_with_the_weights_that_it_was_born_with(
    archive: Archive, context: Context, tmp_path: Path
) -> None:
    space = context.factory.space
    assert isinstance(space, MethodSpace)
    several = [
        model
        for model in archive.models()
        if model.kind == "offspring"
        and len({r.method for r in space.region_methods(genome_of(archive, context, model))}) > 1
    ]
    # The merge refuses weights of another hash than the recipe's.
    export(archive, context, several[0], tmp_path / "out")
    (standard,) = [m for m in archive.models() if m.operator == "ties"]
    recipe = recipe_of_model(archive, context, standard)
    text = to_yaml(with_filters(recipe, context.factory.layout))
    assert "merge_method: ties" in text
    assert "density: 0.5" in text


def test_a_founder_may_join_and_nobody_changes(archive: Archive, tmp_path: Path) -> None:
    colony = fork(archive, 1, tmp_path / "joined.duckdb")
    submit(colony, "add-founder", argument=str(SHIPPED / "founders" / "sum"))
    joined = colony.newest_id() + 1
    context = reopen_context(colony)
    Campaign(colony, context, Budget(item_evaluations=10**9, generations=2)).run()
    space = reopen_context(colony).factory.space
    assert isinstance(space, MethodSpace)
    born = [model.id for model in colony.models() if model.id > joined]
    assert all(space.coefficients(genome)[3].any() for genome in colony.genomes(born))
    assert check(colony).intact


def test_methods_need_a_base(config: Config) -> None:
    founders = config.founders.model_copy(update={"base": None})
    context = open_context(config.model_copy(update={"founders": founders}))
    with pytest.raises(ConfigError, match=r"methods = linear, ties, dare_ties: .* base"):
        _ = context.factory.space


def test_archives_of_other_methods_are_not_put_together(
    archive: Archive, small_archive: Archive, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveError, match="different merge methods"):
        merge_archives(archive, small_archive, tmp_path / "both.duckdb")
