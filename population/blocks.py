"""Blocks: where a recipe may cut a network.

A block is functionally closed: a group of hidden units goes with its in-rows and its out-columns,
an attention head with its queries, keys, values and the columns that read it, because they mean
something only together. A tensor that lies in several blocks is cut into segments along one
dimension. Architectures without a known inner layout are cut by layer half, which needs only names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lineage.records import Block

Granularity = Literal["layer", "half", "group"]

OUTSIDE = "outside"
"""The block of what belongs to no layer: embeddings, the last norm, the head."""

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block|layer)\.(\d+)\.")
_ATTENTION = re.compile(r"attn|attention|input_layernorm|ln_1\b|q_norm|k_norm")
# Rows of the first set and columns of the second belong to a head or a hidden unit.
_HEAD_ROWS = re.compile(r"\.(q|k|v)_proj\.(weight|bias)$")
_HEAD_COLUMNS = re.compile(r"\.o_proj\.weight$")
_UNIT_ROWS = re.compile(r"\.(gate|up)_proj\.(weight|bias)$")
_UNIT_COLUMNS = re.compile(r"\.down_proj\.weight$")


@dataclass(frozen=True)
class Segment:
    """The part `start:stop` of a tensor along `dim`, which belongs to block number `block`."""

    dim: int
    start: int
    stop: int
    block: int


@dataclass(frozen=True)
class Layout:
    """The blocks of an architecture, and for every tensor the segments that make it up."""

    blocks: tuple[Block, ...]
    segments: Mapping[str, tuple[Segment, ...]]


@dataclass
class _Builder:
    position: dict[str, int] = field(default_factory=dict)
    parameters: list[int] = field(default_factory=list)
    segments: dict[str, tuple[Segment, ...]] = field(default_factory=dict)

    def add(self, tensor: str, shape: tuple[int, ...], blocks: list[str], dim: int = 0) -> None:
        """Cut a tensor evenly along `dim` into as many segments as there are block names."""
        width = shape[dim] // len(blocks) if shape else 1
        total = 1
        for size in shape:
            total *= size
        cuts = []
        for number, block in enumerate(blocks):
            if block not in self.position:
                self.position[block] = len(self.position)
                self.parameters.append(0)
            place = self.position[block]
            stop = (number + 1) * width if number + 1 < len(blocks) else (shape or (1,))[dim]
            cuts.append(Segment(dim, number * width, stop, place))
            self.parameters[place] += total // len(blocks)
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
) -> Layout:
    """Cut an architecture into blocks.

    Args:
        shapes: the shape of every tensor, by name.
        config: the checkpoint's config.json.
        granularity: a block per layer; per attention and feed-forward half; or `groups` blocks in
            each half (and one for the layer's norms) where the inner layout is known.
        groups: with "group", how many head groups and neuron groups; lowered to a divisor of the
            number of key-value heads, since a group shares its keys and values.
    """
    builder = _Builder()
    heads = config.get("num_key_value_heads") or config.get("num_attention_heads") or 1
    head_groups = next(g for g in range(min(groups, heads), 0, -1) if heads % g == 0)
    units = config.get("intermediate_size") or 1
    unit_groups = groups if isinstance(units, int) and units % groups == 0 else 1
    for name in sorted(shapes, key=_natural):
        shape = shapes[name]
        layer = _LAYER.search(name)
        if layer is None:
            builder.add(name, shape, [OUTSIDE])
            continue
        place = f"layer {layer.group(1)}"
        half = "attention" if _ATTENTION.search(name) else "feed-forward"
        if granularity == "layer":
            builder.add(name, shape, [place])
        elif granularity == "half":
            builder.add(name, shape, [f"{place} {half}"])
        elif _HEAD_ROWS.search(name) or _HEAD_COLUMNS.search(name):
            parts = [f"{place} heads {number}" for number in range(head_groups)]
            builder.add(name, shape, parts, dim=1 if _HEAD_COLUMNS.search(name) else 0)
        elif _UNIT_ROWS.search(name) or _UNIT_COLUMNS.search(name):
            parts = [f"{place} units {number}" for number in range(unit_groups)]
            builder.add(name, shape, parts, dim=1 if _UNIT_COLUMNS.search(name) else 0)
        else:
            builder.add(name, shape, [f"{place} rest"])
    return builder.layout()


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Sort key that puts layer 10 after layer 9."""
    parts = re.split(r"(\d+)", name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def filters(layout: Layout) -> dict[str, list[str]] | None:
    """For each block, texts that its tensors' names contain and no other block's do.

    As short as possible: a tensor's module if all of it lies in the block, else its full name.
    None if blocks cut within tensors, which names cannot tell.
    """
    if any(len(segments) > 1 for segments in layout.segments.values()):
        return None
    home = {name: segments[0].block for name, segments in layout.segments.items()}
    found: dict[str, list[str]] = {block.name: [] for block in layout.blocks}
    for name, block in home.items():
        parts = name.split(".")
        candidates = [".".join(parts[:count]) + "." for count in range(1, len(parts))]
        text = next(
            (
                candidate
                for candidate in candidates
                if all(home[other] == block for other in home if candidate in other)
            ),
            name,
        )
        texts = found[layout.blocks[block].name]
        if text not in texts:
            texts.append(text)
    return found
