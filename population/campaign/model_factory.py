"""Makes models from genomes: what genomes mean, and the weights that they make of the founders."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from lineage.records import Floats
from population.bred_methods import LINEAR
from population.campaign.memory_plan import MemoryPlan, plan_for
from population.config import Config
from population.engines.interface import WeightMaker
from population.errors import ConfigError
from population.evaluation.devices import resolve_device
from population.evaluation.networks import network_of
from population.evolution.extensions import Components
from population.evolution.spaces.both import BothSpace
from population.evolution.spaces.flow import FlowSpace
from population.evolution.spaces.from_config import parameter_space, route_space
from population.evolution.spaces.methods import MethodSpace
from population.evolution.spaces.parameter import ParameterSpace
from population.models.architectures import architecture_of
from population.models.blocks import Layout, levels_of, regions_of
from population.models.checkpoints import Checkpoint
from population.weights.genomes import Basis
from population.weights.materialise import Materialiser
from population.weights.materialise_methods import MethodMaterialiser
from population.weights.materialise_routes import RouteMaterialiser
from population.weights.sparse_vectors import SparseVectors


class ModelFactory:
    """Makes models from genomes.

    Args:
        config: with paths resolved.
        components: the operators have to suit the space.
        founders: the checkpoints, compatible with each other, in archive order.
        basis: what the rows of a genome mean.
        layout: what its columns mean.
    """

    def __init__(
        self,
        config: Config,
        components: Components,
        founders: Sequence[Checkpoint],
        basis: Basis,
        layout: Layout,
    ) -> None:
        self.config, self.components = config, components
        self.founders, self.basis, self.layout = tuple(founders), basis, layout

    @cached_property
    def space(self) -> ParameterSpace | FlowSpace | BothSpace:
        """What genomes mean.

        Raises:
            ConfigError: `[search] space` needs paths, and the founders' layers are not known or no
                operator works on paths.
        """
        search = self.config.search
        if search.space == "parameter":
            return self.parameter_space
        architecture = architecture_of(self.founders[0].config)
        if architecture is None:
            kind = self.founders[0].config.get("model_type")
            raise ConfigError(
                f'[search] space = "{search.space}": layers of a {kind} are not known'
            )
        usable = [name for name, often in search.operators.items() if often > 0]
        if all(self.components.operators[name].geometric for name in usable):
            raise ConfigError(
                f"[search] operators: a path has no coefficients for {', '.join(usable)}"
            )
        return route_space(
            search,
            len(self.founders),
            self.basis.vectors,
            len(self.layout.blocks),
            architecture.layers(self.founders[0].config),
        )

    @cached_property
    def parameter_space(self) -> ParameterSpace:
        """Merging in parameter space, by the methods of the configuration.

        Raises:
            ConfigError: these need a base or founders of one dtype.
        """
        search = self.config.search
        if set(search.methods) != {LINEAR}:
            self._check_methods()
        return parameter_space(
            search,
            len(self.founders),
            self.basis.vectors,
            len(self.layout.blocks),
            levels_of(self.layout),
            regions_of([block.name for block in self.layout.blocks]),
        )

    def _check_methods(self) -> None:
        names = ", ".join(self.config.search.methods)
        if self.basis.base is None:
            raise ConfigError(
                f"[search] methods = {names}: task vectors are taken to a base; name it in "
                f'[founders] base, or breed with methods = ["{LINEAR}"]'
            )
        for name, header in self.founders[0].tensors.items():
            dtypes = {founder.tensors[name].dtype.name for founder in self.founders}
            if header.dtype.floating and len(dtypes) > 1:
                raise ConfigError(
                    f"[search] methods = {names}: {name} has to be of one dtype in all founders, "
                    f"and is {' and '.join(sorted(dtypes))}"
                )

    @cached_property
    def maker(self) -> WeightMaker:
        """Makes weights from genomes of `space`."""
        if isinstance(self.space, MethodSpace):
            return self._by_methods(self.space, self.plan.batch, rounded=True)
        if isinstance(self.space, ParameterSpace):
            return self.materialiser
        return RouteMaterialiser(self.founders, self.basis, self.layout, self.space)

    @cached_property
    def unrounded(self) -> Materialiser:
        """Makes weights in fp32 from genomes of `space`, one at a time; for descents.

        A step may be smaller than what rounding keeps.
        """
        if isinstance(self.space, MethodSpace):
            return self._by_methods(self.space, 1, rounded=False)
        run = self.config.run
        device, threads = resolve_device(run.device), run.threads
        return Materialiser(
            self.founders,
            self.basis,
            self.layout,
            1,
            device,
            threads=threads,
            rounded=False,
            factored=True,
        )

    def _by_methods(self, space: MethodSpace, batch: int, *, rounded: bool) -> MethodMaterialiser:
        run = self.config.run
        device, threads = resolve_device(run.device), run.threads
        return MethodMaterialiser(
            self.founders,
            self.basis,
            self.layout,
            space,
            batch,
            device,
            threads=threads,
            rounded=rounded,
            sparse=self._sparse,
        )

    @cached_property
    def _sparse(self) -> SparseVectors:
        return SparseVectors(self.founders, self.basis)

    @cached_property
    def materialiser(self) -> Materialiser:
        """Makes weights from coefficients alone, shape (vectors * blocks,)."""
        run = self.config.run
        return Materialiser(
            self.founders,
            self.basis,
            self.layout,
            self.plan.batch,
            resolve_device(run.device),
            threads=run.threads,
        )

    @cached_property
    def plan(self) -> MemoryPlan:
        """How much memory is taken, and how many models fit into it."""
        return plan_for(self.config.run, self.founders[0])

    def network(self, genome: Floats) -> Any:
        """A transformers model of its own with the weights of a genome, on the CPU, for inference.

        Args:
            genome: of `space`, shape (genes,).
        """
        (state,) = self.maker.siblings([genome])
        return network_of(self.founders[0].path, state)
