"""Norms of a model's weights compared with the founders': a first check of its coherence."""

import math
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from population.models.checkpoints import Checkpoint
from population.weights.materialise import State

_NUMBER = re.compile(r"\d+")


def name_without_layer(tensor: str) -> str:
    """A tensor's name without its layer number: tensors are compared with others of that name.

    Models may be deeper than the founders, which then lack a layer of that number.

    >>> name_without_layer("model.layers.12.mlp.up_proj.weight")
    'model.layers.*.mlp.up_proj.weight'
    """
    return _NUMBER.sub("*", tensor)


def founder_norms(
    founders: Sequence[Checkpoint],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, float]:
    """The largest root mean square of each tensor in any layer of any founder.

    Args:
        founders: opened.
        progress: called with (tensors done, tensors in all).

    Returns:
        By name without layer, see `name_without_layer`.
    """
    norms: dict[str, float] = {}
    total = sum(len(founder.tensors) for founder in founders)
    done = 0
    for founder in founders:
        for name, header in founder.tensors.items():
            progress(done, total)
            done += 1
            if header.dtype.floating:
                size = root_mean_square(torch.from_numpy(np.array(founder.wide(name))))
                norms[name_without_layer(name)] = max(
                    size, norms.get(name_without_layer(name), 0.0)
                )
                founder.release(name)
    return norms


def norm_ratio(state: State, norms: Mapping[str, float]) -> float:
    """The largest ratio of a tensor's root mean square to the founders'.

    Args:
        state: a model's weights.
        norms: see `founder_norms`. What is zero in all founders must stay zero; a tensor that no
            founder has is not compared.

    Returns:
        NaN if any weight is NaN or infinite.
    """
    largest = 0.0
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            continue
        size = root_mean_square(tensor)
        if math.isnan(size):
            return math.nan
        reference = norms.get(name_without_layer(name), math.inf)
        largest = max(largest, size / reference if reference else math.inf if size else 0.0)
    return largest


def root_mean_square(tensor: torch.Tensor) -> float:
    """Of all elements, any shape, in fp32 or wider; NaN if one of them is NaN or infinite."""
    if not tensor.numel():
        return 0.0
    wide = torch.promote_types(tensor.dtype, torch.float32)
    # Row by row: a long sum in fp32 stops growing when it is large against what is added.
    rows = torch.linalg.vector_norm(tensor, dim=-1, dtype=wide)
    norm = float(torch.linalg.vector_norm(rows, dtype=torch.float64))
    if math.isinf(norm) and not bool(tensor.isfinite().all()):
        return math.nan
    return norm / math.sqrt(tensor.numel())
