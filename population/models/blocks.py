"""Blocks: the parts of a network that a recipe may treat differently.

A block is functionally closed: a group of hidden units goes with its in-rows and its out-columns,
an attention head with its queries, keys, values and the columns that read it, because they mean
something only together. A tensor that lies in several blocks is cut into segments along one
dimension. Architectures without a known inner layout are cut by layer half, which needs only names.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lineage.records import Block
from population.families import family_of
from population.models.config_comparison import text_config

Granularity = Literal["layer", "half", "group", "tensor", "slice"]

OUTSIDE = "outside"
"""The block of what belongs to no layer: embeddings, the last norm, the head."""

KEPT = "kept"
"""The block of the parts that do not merge, such as a vision tower."""

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block|layer)\.(\d+)\.")
_BLOCK_OF_LAYER = re.compile(r"layer (\d+)\b")
_ATTENTION = re.compile(r"attn|attention|input_layernorm|ln_1\b|q_norm|k_norm")


@dataclass(frozen=True)
class Cut:
    """How tensors of a kind are cut into groups of heads or of hidden units.

    Attributes:
        pattern: a regular expression that their names contain.
        kind: what the groups are groups of: "heads" are cut into a divisor of the number of
            key-value heads; anything else into as many groups as are asked for.
        dim: the dimension that is cut.
        stacked: how many matrices lie side by side along it, each of which is cut.
    """

    pattern: str
    kind: str
    dim: int
    stacked: int = 1


CUTS = (
    # Llama, Mistral, Qwen, Gemma, Phi and their kin.
    Cut(r"\.(q|k|v)_proj\.(weight|bias)$", "heads", dim=0),
    Cut(r"\.o_proj\.weight$", "heads", dim=1),
    Cut(r"\.(gate|up)_proj\.(weight|bias)$", "units", dim=0),
    Cut(r"\.down_proj\.weight$", "units", dim=1),
    # GPT-2, whose matrices are transposed, and whose queries, keys and values are one matrix.
    Cut(r"\.attn\.c_attn\.weight$", "heads", dim=1, stacked=3),
    Cut(r"\.attn\.c_attn\.bias$", "heads", dim=0, stacked=3),
    Cut(r"\.attn\.c_proj\.weight$", "heads", dim=0),
    Cut(r"\.mlp\.c_fc\.weight$", "units", dim=1),
    Cut(r"\.mlp\.c_fc\.bias$", "units", dim=0),
    Cut(r"\.mlp\.c_proj\.weight$", "units", dim=0),
)
"""The inner layout of the architectures that are known."""


@dataclass(frozen=True)
class Segment:
    """The part `start:stop` of a tensor along `dim`, which belongs to block number `block`."""

    dim: int
    start: int
    stop: int
    block: int


@dataclass(frozen=True)
class Layout:
    """The blocks of an architecture.

    Attributes:
        blocks: name and number of parameters of each.
        segments: for every tensor, by name, the segments that make it up.
    """

    blocks: tuple[Block, ...]
    segments: Mapping[str, tuple[Segment, ...]]


@dataclass
class _Builder:
    position: dict[str, int] = field(default_factory=dict)
    parameters: list[int] = field(default_factory=list)
    segments: dict[str, tuple[Segment, ...]] = field(default_factory=dict)

    def add(self, tensor: str, shape: tuple[int, ...], blocks: list[str], dim: int = 0) -> None:
        """Cut a tensor evenly along `dim` into as many segments as there are block names."""
        length = shape[dim] if shape else 1
        width, row = length // len(blocks), math.prod(shape) // max(1, length)
        cuts = []
        for number, block in enumerate(blocks):
            if block not in self.position:
                self.position[block] = len(self.position)
                self.parameters.append(0)
            index = self.position[block]
            stop = (number + 1) * width if number + 1 < len(blocks) else length
            cuts.append(Segment(dim, number * width, stop, index))
            self.parameters[index] += (stop - number * width) * row
        self.segments[tensor] = tuple(cuts)

    def layout(self) -> Layout:
        blocks = (
            Block(name, count) for name, count in zip(self.position, self.parameters, strict=True)
        )
        return Layout(tuple(blocks), self.segments)


def layout_of(
    shapes: Mapping[str, tuple[int, ...]],
    config: Mapping[str, Any],
    granularity: Granularity = "half",
    groups: int = 2,
    cuts: Sequence[Cut] = CUTS,
    part: str | None = None,
) -> Layout:
    """Cut an architecture into blocks.

    >>> shapes = {"layers.0.mlp.up_proj.weight": (8, 4), "norm.weight": (4,)}
    >>> layout = layout_of(shapes, {}, "layer")
    >>> [(block.name, block.parameters) for block in layout.blocks]
    [('layer 0', 32), ('outside', 4)]

    Args:
        shapes: the shape of every tensor, by name.
        config: the checkpoint's config.json.
        granularity: a block per layer; per attention and feed-forward half; `groups` blocks in
            each half (and one for the layer's norms) where the inner layout is known; a block per
            tensor (AdaMerging works on these or on layers, arXiv 2310.02575); or `groups` slices
            of every matrix along its first dimension (aTLAS cuts them at random, arXiv 2407.02880).
            The last two close no block functionally: they are for searches by gradient.
        groups: with "group", how many head groups and neuron groups; lowered to a divisor of the
            number of key-value heads, since a group shares its keys and values. With "slice", how
            many slices a matrix is cut into; one of fewer rows stays whole.
        cuts: the inner layout: for any other module than a known one, declare it here.
        part: the part of the network that is cut, see `population.families`; what belongs to
            others is one block.
    """
    builder, family = _Builder(), family_of(config)
    config = config if part is None else text_config(config)
    heads = config.get("num_key_value_heads") or config.get("num_attention_heads")
    heads = heads or config.get("n_head") or 1
    head_groups = next(g for g in range(min(groups, heads), 0, -1) if heads % g == 0)
    for name in sorted(shapes, key=_natural):
        shape = shapes[name]
        layer = _LAYER.search(name)
        cut = next((cut for cut in cuts if re.search(cut.pattern, name)), None)
        layer_prefix = f"layer {layer.group(1)} " if layer else ""
        half_name = "attention" if _ATTENTION.search(name) else "feed-forward"
        if part is not None and family.part_of(name) != part:
            builder.add(name, shape, [KEPT])
        elif granularity in {"tensor", "slice"}:
            rest = name if layer is None else f"{name[: layer.start()]}.{name[layer.end() :]}"
            whole = layer_prefix + rest.lstrip(".")
            cut_here = granularity == "slice" and len(shape) > 1 and shape[0] >= groups > 1
            parts = [f"{whole} {n}" for n in range(groups)] if cut_here else [whole]
            builder.add(name, shape, parts)
        elif layer and granularity == "layer":
            builder.add(name, shape, [layer_prefix.strip()])
        elif layer and granularity == "half":
            builder.add(name, shape, [layer_prefix + half_name])
        elif cut and granularity == "group":
            count = head_groups if cut.kind == "heads" else groups
            if shape[cut.dim] % (count * cut.stacked):
                count = 1
            parts = [f"{layer_prefix}{cut.kind} {number}" for number in range(count)]
            builder.add(name, shape, parts * cut.stacked, dim=cut.dim)
        else:
            builder.add(name, shape, [f"{layer_prefix}rest" if layer else OUTSIDE])
    return builder.layout()


def levels_of(layout: Layout) -> tuple[npt.NDArray[np.int64], ...]:
    """Groupings of the blocks, from coarse to fine: whole layers, halves of them, every block.

    Returns:
        For each level the group number of each block, shape [blocks]; a level that is like the one
        before it is left out.
    """

    def layer(name: str) -> str:
        return " ".join(name.split()[:2])

    def half(name: str) -> str:
        inside = name.removeprefix(layer(name))
        return layer(name) + (" attention" if "heads" in inside else inside.split("units")[0])

    names = [block.name for block in layout.blocks]
    levels: list[npt.NDArray[np.int64]] = []
    for cut in (layer, half, str):
        _, group = np.unique([cut(name) for name in names], return_inverse=True)
        if not levels or group.max() > levels[-1].max():
            levels.append(group)
    return tuple(levels)


def regions_of(blocks: Sequence[str]) -> npt.NDArray[np.int64]:
    """The region of each block: its layer, or all that belongs to no layer.

    No tensor lies in two regions, however finely blocks cut. Layers come first, in their order.

    >>> regions_of(["layer 0 rest", "outside", "layer 1 heads 0", "layer 0 heads 0"]).tolist()
    [0, 2, 1, 0]

    Args:
        blocks: their names, as `layout_of` gives them.

    Returns:
        The number of the region, shape [blocks].
    """
    layers = [_BLOCK_OF_LAYER.match(name) for name in blocks]
    present = sorted({int(layer[1]) for layer in layers if layer})
    return np.array([present.index(int(layer[1])) if layer else len(present) for layer in layers])


def region_names(blocks: Sequence[str]) -> list[str]:
    """The names of the regions of blocks, in the order of their numbers; see `regions_of`.

    >>> region_names(["layer 0 rest", "outside", "layer 1 heads 0"])
    ['layer 0', 'layer 1', 'outside']
    """
    layers = [_BLOCK_OF_LAYER.match(name) for name in blocks]
    present = sorted({int(layer[1]) for layer in layers if layer})
    return [f"layer {n}" for n in present] + [OUTSIDE] * (None in layers)


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Sort key that puts layer 10 after layer 9."""
    parts = re.split(r"(\d+)", name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def name_filters(layout: Layout) -> dict[str, list[str]] | None:
    """For each block, texts that its tensors' names contain and no other block's do.

    As short as possible: a tensor's module if all of it lies in the block, else its full name.

    Returns:
        The texts by block name; None if blocks cut within tensors, which names cannot express.
    """
    if any(len(segments) > 1 for segments in layout.segments.values()):
        return None
    block_of = {name: segments[0].block for name, segments in layout.segments.items()}
    filters: dict[str, list[str]] = {block.name: [] for block in layout.blocks}
    for name, block in block_of.items():
        parts = name.split(".")
        candidates = [".".join(parts[:count]) + "." for count in range(1, len(parts))]
        filter_text = next(
            (
                candidate
                for candidate in candidates
                if all(block_of[other] == block for other in block_of if candidate in other)
            ),
            name,
        )
        block_filters = filters[layout.blocks[block].name]
        if filter_text not in block_filters:
            block_filters.append(filter_text)
    return filters
