"""Families of models: one file each, one registry.

A new family is a file with a `ModelFamily` and its line in `FAMILIES`, before the ones that would
take its configs too.
"""

from collections.abc import Mapping
from typing import Any

from population.families.family import Ability, ModelFamily, NetworkPart
from population.families.language import LANGUAGE
from population.families.vision_language import (
    LANGUAGE_PART,
    VISION_LANGUAGE,
    name_in_language_model,
)

FAMILIES: tuple[ModelFamily, ...] = (VISION_LANGUAGE, LANGUAGE)
"""The first that a config fits counts."""


def family_of(config: Mapping[str, Any]) -> ModelFamily:
    """The family of a checkpoint.

    >>> family_of({"model_type": "llama"}).name
    'language model'

    Args:
        config: its config.json; empty for a bare file, which counts as a language model.
    """
    return next(family for family in FAMILIES if family.fits(config))


__all__ = [
    "FAMILIES",
    "LANGUAGE_PART",
    "Ability",
    "ModelFamily",
    "NetworkPart",
    "family_of",
    "name_in_language_model",
]
