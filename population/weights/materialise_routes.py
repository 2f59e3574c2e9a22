"""From routes to weights: layers of several models in a new order, with scales folded in.

The counterpart of `population.weights.materialise` for genomes of `FlowSpace` and `BothSpace`.
Layers that are taken as they are, are not computed at all: their tensors are the founders' own,
shared by all siblings. What is merged or scaled is computed in fp32 and rounded to the founders'
dtype once, at the end, so a merged model is not rounded before its layers are scaled. The bits are
those that `population.merging` makes from `population.weights.genomes.route_recipe`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lineage.records import Floats
from population.errors import RecipeError
from population.evolution.spaces.both import BothSpace
from population.evolution.spaces.flow import FlowSpace
from population.merging.routes import IDENTITY, Route, RouteStep, fold, route_config, sources_of
from population.models.architectures import Architecture, architecture_of
from population.models.blocks import Layout
from population.models.checkpoints import Checkpoint
from population.weights.founder_rows import KEEP_IN_MEMORY
from population.weights.genomes import Basis
from population.weights.materialise import SIBLINGS_IN_MEMORY, Materialiser, State


class RoutedState(State):
    """Weights of a model that may be deeper or shallower than the founders.

    Tensors may be shared with founders and with other models, so nobody may write into them.

    Attributes:
        config: its config.json, which also tells the kinds of its layers where there are several.
    """

    def __init__(self, tensors: State, config: Mapping[str, Any]) -> None:
        super().__init__(tensors)
        self.config = config


class RouteMaterialiser:
    """Makes weights from genomes that are routes, over fixed founders.

    Embeddings, the last norm and the head come from one source as well, see `FlowSpace.outside`.

    Args:
        founders: compatible checkpoints, in the order of the basis.
        basis: which founders there are, and what the rows of coefficients mean.
        layout: what the columns of coefficients mean.
        space: what genomes mean.

    Raises:
        RecipeError: the layers of these founders cannot be moved, or not be scaled as the space
            wants; or the space is one of other founders.
    """

    def __init__(
        self,
        founders: Sequence[Checkpoint],
        basis: Basis,
        layout: Layout,
        space: FlowSpace | BothSpace,
    ) -> None:
        self.founders = founders
        self.space = space
        self._base = basis.base or 0
        self._flow = space.flow if isinstance(space, BothSpace) else space
        self._architecture = _movable(founders[0], self._flow)
        # A merged model has the tensors and the config of the founders that it is made of.
        merged = space.models if isinstance(space, BothSpace) else 0
        self._like = [*founders, *[founders[self._base]] * merged]
        self._check_layers()
        self._merger = (
            Materialiser(founders, basis, layout, rounded=False)
            if isinstance(space, BothSpace)
            else None
        )
        first = founders[0]
        self._kept: dict[tuple[int, str], torch.Tensor] | None = None
        if 4 * first.parameters * len(founders) <= KEEP_IN_MEMORY:
            self._kept = {}
        size = sum(header.size for header in first.tensors.values())
        deepest = -(-size * self._flow.limit // min(self._flow.layers))
        self.batch = max(1, SIBLINGS_IN_MEMORY // max(deepest, 1))
        """How many siblings fit into memory together."""

    def siblings(self, genomes: Sequence[Floats]) -> Iterator[State]:
        """The weights for each genome, shape [genes], in order, made when they are asked for."""
        return map(self.one, genomes)

    def one(self, genome: Floats) -> RoutedState:
        """The weights for one genome, shape [genes], with their config.

        Raises:
            RecipeError: it is no route.
        """
        sources = sources_of(
            self.space.route(genome),
            self._architecture,
            self.founders[0].config,
            [list(model.tensors) for model in self._like],
            self.space.outside(genome, self._base),
        )
        tensors: State = {}
        for name, (source, tensor, change) in sources.items():
            dtype = self._like[source].tensors[tensor].dtype
            merged = source >= len(self.founders)
            if not dtype.floating or (change == IDENTITY and not merged):
                tensors[name] = self._stored(0 if merged else source, tensor)
                continue
            wide = self._merged(genome, source, tensor) if merged else self._wide(source, tensor)
            tensors[name] = change(wide).to(getattr(torch, dtype.name))
        return RoutedState(tensors, self.config_of(genome))

    def config_of(self, genome: Floats) -> dict[str, Any]:
        """The config.json of the model of a genome of shape [genes]."""
        return route_config(
            self.space.route(genome),
            self._architecture,
            [model.config for model in self._like],
            self.space.outside(genome, self._base),
        )

    def _stored(self, founder: int, tensor: str) -> torch.Tensor:
        """A founder's tensor as it is; read once if all founders are small."""
        if self._kept is None:
            return self.founders[founder].tensor(tensor)
        key = founder, tensor
        if key not in self._kept:
            self._kept[key] = self.founders[founder].tensor(tensor)
        return self._kept[key]

    def _wide(self, founder: int, tensor: str) -> torch.Tensor:
        """A founder's tensor in fp32 (fp64 if it is stored so)."""
        return torch.from_numpy(np.array(self.founders[founder].wide(tensor)))

    def _merged(self, genome: Floats, source: int, tensor: str) -> torch.Tensor:
        """One tensor of a merged model, not rounded; no other tensor is computed."""
        assert isinstance(self.space, BothSpace)
        assert self._merger is not None
        coefficients = self.space.merged(genome)[source - len(self.founders)]
        return self._merger.tensor(coefficients, tensor)

    def _check_layers(self) -> None:
        found = tuple(self._architecture.layers(model.config) for model in self._like)
        if found != self._flow.layers:
            raise RecipeError(
                f"the search space has sources of {self._flow.layers} layers, the models are of "
                f"{found}"
            )


def _movable(founder: Checkpoint, space: FlowSpace) -> Architecture:
    """The architecture of founders whose layers can be moved and scaled as a space wants."""
    architecture = architecture_of(founder.config)
    if architecture is None:
        raise RecipeError(
            f"the layers of a {founder.config.get('model_type', 'bare file')} are not known, so "
            "there are no paths through them to search"
        )
    fold(Route((RouteStep(0, 0, space.scales[1]),)), architecture, founder.config)
    fold(Route((RouteStep(0, 0, space.scales[0]),)), architecture, founder.config)
    return architecture
