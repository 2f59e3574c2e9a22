"""From the tensors of a checkpoint to those of a network, as transformers converts them.

A checkpoint has other tensors than its network in many architectures: names differ (GPT-NeoX's
`embed_out` is `lm_head` in the network), experts that are stored one by one are stacked, a fused
projection is cut. transformers has rules for this (`transformers.conversion_mapping`) and applies
them as it reads files. Here they are applied to weights in memory, each time a network becomes a
model. They move elements and compute nothing, so a gradient goes back by the transpose.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from population.errors import CheckpointError

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Fusion:
    """Tensors of a checkpoint that become others in the network, not one by one.

    Attributes:
        sources: their names and shapes in the checkpoint.
        targets: names in the network.
        convert: makes the network's tensors, by name, of tensors in the order of the sources.
    """

    sources: Mapping[str, torch.Size]
    targets: tuple[str, ...]
    convert: Callable[[Sequence[torch.Tensor]], dict[str, torch.Tensor]]

    def transposed(self, target: str, gradient: torch.Tensor) -> dict[str, torch.Tensor]:
        """The gradient by the checkpoint's tensors that comes from one of the network's.

        Args:
            target: the name of the network's tensor.
            gradient: by its elements.
        """
        # Where elements come from is seen by moving their numbers: the rules do without autograd.
        sizes = [shape.numel() for shape in self.sources.values()]
        numbers = torch.split(torch.arange(sum(sizes), device=gradient.device), sizes)
        shaped = [n.view(shape) for n, shape in zip(numbers, self.sources.values(), strict=True)]
        origin = self.convert(shaped)[target].flatten()
        flat = torch.zeros(sum(sizes), dtype=gradient.dtype, device=gradient.device)
        parts = torch.split(flat.index_add_(0, origin, gradient.flatten()), sizes)
        pairs = zip(self.sources.items(), parts, strict=True)
        return {name: part.view(shape) for (name, shape), part in pairs}


@dataclass(frozen=True)
class Conversion:
    """How the tensors of a checkpoint become those of a network.

    Attributes:
        names: names in the checkpoint by names in the network, of tensors that are taken as they
            are.
        fusions: of the others, by each of the names that they have in the network.
        unknown: tensors of the checkpoint for which the network has no place.
    """

    names: Mapping[str, str]
    fusions: Mapping[str, Fusion]
    unknown: tuple[str, ...] = ()

    def __call__(self, state: Tensors) -> dict[str, torch.Tensor]:
        """The network's tensors, by name."""
        made = {own: state[stored] for own, stored in self.names.items()}
        for target, fusion in self.fusions.items():
            if target not in made:
                made |= fusion.convert([state[name] for name in fusion.sources])
        return made


def conversion_for(module: Any, stored: Mapping[str, torch.Size]) -> Conversion:
    """How tensors of some names become those of a network.

    Args:
        module: a causal language model of transformers, with or without weights.
        stored: names and shapes in the checkpoint.

    Raises:
        CheckpointError: the rules of transformers cannot be applied to these shapes.
    """
    own = module.state_dict()
    if all(name in own for name in stored):
        return Conversion({name: name for name in stored}, {})
    try:
        from transformers import core_model_loading as rules  # noqa: PLC0415
        from transformers.conversion_mapping import (  # noqa: PLC0415
            get_model_conversion_mapping,
        )
    except ImportError:  # before transformers 5 a network had the names of its checkpoints
        known = {name: name for name in stored if name in own}
        return Conversion(known, {}, tuple(name for name in stored if name not in own))
    transforms = get_model_conversion_mapping(module)
    renamings = [rule for rule in transforms if isinstance(rule, rules.WeightRenaming)]
    converters = [rule for rule in transforms if isinstance(rule, rules.WeightConverter)]
    by_pattern = {pattern: rule for rule in converters for pattern in rule.source_patterns}
    names: dict[str, str] = {}
    collected: dict[str, dict[str, list[str]]] = {}
    unknown = []
    for name in sorted(stored, key=rules.dot_natural_key):
        prefix = module.base_model_prefix
        target, pattern = rules.rename_source_key(name, renamings, converters, prefix, own)
        if target not in own and name in own:
            target, pattern = name, None
        if target not in own:
            unknown.append(name)
        elif pattern is None:
            names[target] = name
        else:
            collected.setdefault(target, {}).setdefault(pattern, []).append(name)
    fusions: dict[str, Fusion] = {}
    for first, by_source in collected.items():
        sources = {name: stored[name] for same in by_source.values() for name in same}
        counts = {pattern: len(same) for pattern, same in by_source.items()}
        convert = partial(_converted, module, by_pattern[next(iter(counts))], first, counts)
        try:
            made = convert([torch.empty(shape, device="meta") for shape in sources.values()])
        except Exception as error:  # noqa: BLE001 - each rule breaks in its own way
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise CheckpointError(
                f"transformers cannot make {first} of {next(iter(sources))}: {reason}"
            ) from None
        fusions |= dict.fromkeys(made, Fusion(sources, tuple(made), convert))
    return Conversion(names, fusions, tuple(unknown))


def _converted(
    module: Any,
    rule: Any,
    first: str,
    counts: Mapping[str, int],
    tensors: Sequence[torch.Tensor],
) -> dict[str, torch.Tensor]:
    """The network's tensors that a rule of transformers makes.

    Args:
        module: the network.
        rule: a converter.
        first: the first of the names that it makes.
        counts: how many tensors there are of each of its patterns, in order.
        tensors: all of them.
    """
    own, rest = deepcopy(rule), list(tensors)
    for pattern, count in counts.items():
        own.collected_tensors[pattern], rest = rest[:count], rest[count:]
    made = own.convert(first, model=module, config=module.config)
    return {name: part[0] if isinstance(part, list) else part for name, part in made.items()}
