"""Founder shares by weight of any model of an archive; torch is not needed."""

from pathlib import Path

import numpy as np

from lineage import Archive
from lineage.records import Floats, Model
from population.config import parse_config
from population.errors import PopulationError
from population.models.blocks import layout_of
from population.models.canonical_form import with_equal_tensors
from population.models.sources import open_source
from population.weights.founder_shares import FounderShares, founder_shares
from population.weights.genomes import Basis
from population.weights.geometry import geometry_of
from population.weights.stored_recipes import stored_recipe

READ_AT_MOST = 64 << 20
"""Bytes of founders that are read to tell how long task vectors are: a second's work."""


def stored_shares(archive: Archive, model: Model) -> FounderShares | None:
    """The founders' parts in the weights of a model; None for a path through layers.

    Coefficients count by the lengths of the task vectors that they scale. Where founders are large
    or not at hand, they count by the parameters of the blocks instead, which the archive knows.

    Args:
        archive: where it is.
        model: founder or offspring.
    """
    recipe = stored_recipe(archive, archive.models(ids=archive.founder_paths()), model)
    if recipe.coefficients is None or recipe.steps is not None:
        return None
    names = [recipe.basis.founders[vector] for vector in recipe.basis.vectors]
    lengths = _lengths(archive, recipe.basis)
    if lengths is not None:
        return founder_shares(names, recipe.coefficients, lengths, "length")
    parameters = np.array([block.parameters for block in archive.blocks()], dtype=np.float64)
    return founder_shares(names, recipe.coefficients, parameters, "parameters")


def _lengths(archive: Archive, basis: Basis) -> Floats | None:
    """Lengths of the task vectors, shape [vectors, blocks]; None if that would take long."""
    search = parse_config(archive.campaign()[1], str(archive.path)).search
    paths = archive.founder_paths().values()
    if not all(Path(path).is_dir() for path in paths):
        return None  # adapters would have to be expanded, and others fetched or converted
    try:
        opened = [open_source(path) for path in paths]
        headers = (header for founder in opened for header in founder.tensors.values())
        if sum(header.size for header in headers) > READ_AT_MOST:
            return None
        founders = with_equal_tensors(opened)
        shapes = {name: header.shape for name, header in founders[0].tensors.items()}
        layout = layout_of(shapes, founders[0].config, search.blocks, search.groups)
        if list(layout.blocks) != archive.blocks():
            return None
        return geometry_of(founders, basis, layout).lengths
    except (PopulationError, OSError):  # moved or broken founders: `colony check` names them
        return None
