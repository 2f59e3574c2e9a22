"""Making: models, merging, evaluation, evolution, campaigns and their analysis.

The public names, each imported on first use, as torch takes seconds to start::

    from population import Campaign, load_config

    campaign = Campaign.start("my.duckdb", load_config("my.toml"))   # or Campaign.open("my.duckdb")
    for population in campaign:                                      # a generation each
        print(population.generation, population.champion)
    model = campaign.model("champion")                               # a transformers model
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from population.errors import CampaignError, CheckpointError, ConfigError, PopulationError

if TYPE_CHECKING:
    from population.analysis.export import export
    from population.analysis.report import make_report
    from population.campaign.loop import Campaign
    from population.campaign.state import PopulationState
    from population.config import Config, load_config
    from population.evolution.evolver import Evolver
    from population.evolution.extensions import Extensions
    from population.evolution.operators import Operator, Recombination
    from population.evolution.survival import Candidates, Rule
    from population.merging.merge import merge
    from population.merging.recipe import Recipe
    from population.merging.recipe_files import read_recipe
    from population.models.sources import open_source

_HOMES = {
    "Campaign": "population.campaign.loop",
    "Candidates": "population.evolution.survival",
    "Config": "population.config",
    "Evolver": "population.evolution.evolver",
    "Extensions": "population.evolution.extensions",
    "Operator": "population.evolution.operators",
    "PopulationState": "population.campaign.state",
    "Recipe": "population.merging.recipe",
    "Recombination": "population.evolution.operators",
    "Rule": "population.evolution.survival",
    "export": "population.analysis.export",
    "load_config": "population.config",
    "make_report": "population.analysis.report",
    "merge": "population.merging.merge",
    "open_source": "population.models.sources",
    "read_recipe": "population.merging.recipe_files",
}

__all__ = [
    "Campaign",
    "CampaignError",
    "Candidates",
    "CheckpointError",
    "Config",
    "ConfigError",
    "Evolver",
    "Extensions",
    "Operator",
    "PopulationError",
    "PopulationState",
    "Recipe",
    "Recombination",
    "Rule",
    "export",
    "load_config",
    "make_report",
    "merge",
    "open_source",
    "read_recipe",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_module("population.threads").limit_openmp_spinning()
    return getattr(import_module(_HOMES[name]), name)
