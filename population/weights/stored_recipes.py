"""Recipes decoded from an archive alone: no founder is opened, no weight is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lineage import Archive
from lineage.records import Floats, Model
from population.config import parse_config
from population.evolution.spaces.flow import FlowSpace
from population.evolution.spaces.from_config import depth_of, parameter_space, route_space
from population.evolution.spaces.methods import MethodSpace, RegionMethod
from population.models.blocks import region_names, regions_of
from population.weights.genomes import Basis


@dataclass(frozen=True)
class StoredRecipe:
    """The decoded recipe of a model.

    Attributes:
        basis: the meaning of the rows of coefficients.
        coefficients: of the task vectors, shape [vectors, blocks]; None for a path alone.
        steps: the path through layers as (source, layer, scale), where "merged" is the model that
            is merged by `coefficients`; None for a merge alone.
        methods: how each region is merged (a layer, or what belongs to no layer), by name; empty
            where all is linear.
    """

    basis: Basis
    coefficients: Floats | None
    steps: list[tuple[str, int, float]] | None
    methods: Mapping[str, RegionMethod] = field(default_factory=dict)

    @property
    def weights(self) -> Floats | None:
        """All founders' weights per block: shape [founders, blocks], columns sum to 1."""
        return None if self.coefficients is None else self.basis.weights(self.coefficients)


def stored_recipe(archive: Archive, founders: Sequence[Model], model: Model) -> StoredRecipe:
    """Decode the recipe of a model, founder or offspring.

    Args:
        archive: where it is.
        founders: those whose task vectors genomes scale, in the order of their ids.
        model: the model.
    """
    ids, blocks = [founder.id for founder in founders], len(archive.blocks())
    rows = [ids.index(founder) for founder in archive.basis()]
    bases = [row for row in range(len(ids)) if row not in rows]
    basis = Basis(tuple(founder.label for founder in founders), bases[0] if bases else None)
    if model.kind == "founder":
        return StoredRecipe(basis, basis.genome_of_founder(ids.index(model.id), blocks), None)
    genome = archive.genomes([model.id])[0]
    search = parse_config(archive.campaign()[1], str(archive.path)).search
    if search.space == "parameter":
        names = [block.name for block in archive.blocks()]
        regions = regions_of(names)
        space = parameter_space(search, len(ids), rows, blocks, regions=regions)
        methods = {}
        if isinstance(space, MethodSpace):
            methods = dict(zip(region_names(names), space.region_methods(genome), strict=True))
        return StoredRecipe(basis, space.coefficients(genome), None, methods)
    depth = depth_of(search, len(ids), rows, blocks, len(genome))
    routes = route_space(search, len(ids), rows, blocks, depth)
    sources = [*basis.founders, "merged"]
    steps = [(sources[step.model], step.layer, step.scale) for step in routes.route(genome).steps]
    merged = None if isinstance(routes, FlowSpace) else routes.merged(genome)[0]
    return StoredRecipe(basis, merged, steps)
