"""The configuration of a campaign: TOML in, validated values out. Loads no torch.

Every setting has a default, so `colony run` needs no file at all: it breeds the founders that ship
with the project on the tasks that ship with it. Relative paths are relative to the file.
"""

from population.config.parsing import load_config, parse_config
from population.config.paths import SHIPPED, resolve_paths, shipped_data
from population.config.sections import (
    ArenaSettings,
    Budget,
    CoherenceSettings,
    Config,
    Founders,
    GradientSettings,
    Run,
    Search,
    StudySettings,
    Tasks,
    Weights,
)
from population.config.template_text import template

__all__ = [
    "SHIPPED",
    "ArenaSettings",
    "Budget",
    "CoherenceSettings",
    "Config",
    "Founders",
    "GradientSettings",
    "Run",
    "Search",
    "StudySettings",
    "Tasks",
    "Weights",
    "load_config",
    "parse_config",
    "resolve_paths",
    "shipped_data",
    "template",
]
