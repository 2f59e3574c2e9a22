"""Makes models from genomes: what genomes mean, and the weights that they make of the founders."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol

from lineage.records import Floats
from population.campaign.memory_plan import MemoryPlan, plan_for
from population.config import Config
from population.errors import ConfigError
from population.evaluation.devices import resolve_device
from population.evaluation.networks import network_of
from population.evolution.extensions import Components
from population.evolution.spaces.both import BothSpace
from population.evolution.spaces.flow import FlowSpace
from population.evolution.spaces.from_config import parameter_space, route_space
from population.evolution.spaces.parameter import ParameterSpace
from population.models.architectures import architecture_of
from population.models.blocks import Layout, levels_of
from population.models.checkpoints import Checkpoint
from population.weights.genomes import Basis
from population.weights.materialise import Materialiser, State
from population.weights.materialise_routes import RouteMaterialiser


class WeightMaker(Protocol):
    """Makes weights from genomes.

    Attributes:
        batch: how many siblings fit into memory together.
    """

    batch: int

    def siblings(self, genomes: Sequence[Floats], /) -> Iterator[State]:
        """The weights for each genome, shape (genes,), in order."""
        ...


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
        """Merging in parameter space, which is where standard merges are made."""
        search = self.config.search
        return parameter_space(
            search,
            len(self.founders),
            self.basis.vectors,
            len(self.layout.blocks),
            levels_of(self.layout),
        )

    @cached_property
    def maker(self) -> WeightMaker:
        """Makes weights from genomes of `space`."""
        if isinstance(self.space, ParameterSpace):
            return self.materialiser
        return RouteMaterialiser(self.founders, self.basis, self.layout, self.space)

    @cached_property
    def materialiser(self) -> Materialiser:
        """Makes weights from genomes of `parameter_space`."""
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
