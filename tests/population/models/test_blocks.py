"""Blocks: every weight lies in exactly one, and what means something together stays together."""

from itertools import pairwise

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from population.models.blocks import OUTSIDE, Cut, Granularity, layout_of, levels_of

ARCHITECTURES = {
    "llama": {"num_key_value_heads": 2, "num_attention_heads": 4, "intermediate_size": 48},
    "qwen2": {"num_key_value_heads": 2, "num_attention_heads": 4, "intermediate_size": 48},
    "gemma2": {
        "num_key_value_heads": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "head_dim": 8,
    },
    "gpt2": {"n_head": 4, "n_embd": 32, "n_layer": 2},
}


def shapes_of(kind: str) -> tuple[dict[str, tuple[int, ...]], dict]:
    settings = {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 40} | ARCHITECTURES[kind]
    if kind == "gpt2":
        settings = {"vocab_size": 40} | ARCHITECTURES[kind]
    config = AutoConfig.for_model(kind, **settings)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return {name: tuple(t.shape) for name, t in model.state_dict().items()}, config.to_dict()


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("granularity", ["layer", "half", "group", "tensor", "slice"])
def test_every_weight_lies_in_exactly_one_block(kind: str, granularity: Granularity) -> None:
    shapes, config = shapes_of(kind)
    layout = layout_of(shapes, config, granularity, groups=2)
    counted = [0] * len(layout.blocks)
    for name, shape in shapes.items():
        seen = torch.zeros(shape, dtype=torch.long)
        for cut in layout.segments[name]:
            part = seen.narrow(cut.dim, cut.start, cut.stop - cut.start)
            part += 1
            counted[cut.block] += part.numel()
        assert bool((seen == 1).all()), name
    assert counted == [block.parameters for block in layout.blocks]
    assert sum(counted) == sum(torch.Size(shape).numel() for shape in shapes.values())


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_halves_are_attention_feed_forward_and_what_is_outside(kind: str) -> None:
    shapes, config = shapes_of(kind)
    names = {block.name for block in layout_of(shapes, config).blocks}
    halves = {f"layer {n} {half}" for n in (0, 1) for half in ("attention", "feed-forward")}
    assert names == halves | {OUTSIDE}


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_tensor_may_be_a_block(kind: str) -> None:
    shapes, config = shapes_of(kind)
    layout = layout_of(shapes, config, "tensor")
    assert len(layout.blocks) == len(shapes)
    assert {len(segments) for segments in layout.segments.values()} == {1}
    layers = levels_of(layout)[0]
    for name, (segment,) in layout.segments.items():
        block = layout.blocks[segment.block].name
        assert ("layers.1." in name or ".h.1." in name) == block.startswith("layer 1 ")
    inside = [block.name.startswith("layer ") for block in layout.blocks]
    assert len({int(group) for group, one in zip(layers, inside, strict=True) if one}) == 2


def test_slices_lie_along_the_first_dimension_of_matrices() -> None:
    shapes = {"layers.0.mlp.up_proj.weight": (10, 4), "layers.0.norm.weight": (9,), "head": (2, 3)}
    layout = layout_of(shapes, {}, "slice", groups=3)
    cuts = [
        (cut.dim, cut.start, cut.stop) for cut in layout.segments["layers.0.mlp.up_proj.weight"]
    ]
    assert cuts == [(0, 0, 3), (0, 3, 6), (0, 6, 10)]
    assert [(block.name, block.parameters) for block in layout.blocks] == [
        ("head", 6),
        ("layer 0 mlp.up_proj.weight 0", 12),
        ("layer 0 mlp.up_proj.weight 1", 12),
        ("layer 0 mlp.up_proj.weight 2", 16),
        ("layer 0 norm.weight", 9),
    ]


def test_a_head_group_holds_its_queries_keys_values_and_what_reads_them() -> None:
    shapes, config = shapes_of("llama")
    layout = layout_of(shapes, config, "group", groups=2)
    attention = "model.layers.1.self_attn"
    blocks = {
        part: [layout.blocks[cut.block].name for cut in layout.segments[f"{attention}.{part}"]]
        for part in ("q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight")
    }
    assert set(map(tuple, blocks.values())) == {("layer 1 heads 0", "layer 1 heads 1")}
    dims = {part: layout.segments[f"{attention}.{part}"][0].dim for part in blocks}
    assert dims == {"q_proj.weight": 0, "k_proj.weight": 0, "v_proj.weight": 0, "o_proj.weight": 1}


def test_groups_never_cut_through_a_key_value_head() -> None:
    shapes, config = shapes_of("llama")
    layout = layout_of(shapes, config, "group", groups=3)  # 3 does not divide 2 heads
    assert len(layout.segments["model.layers.0.self_attn.k_proj.weight"]) == 2


def test_gpt2_heads_keep_their_queries_keys_and_values_together() -> None:
    shapes = {
        "transformer.h.0.attn.c_attn.weight": (8, 24),
        "transformer.h.0.attn.c_attn.bias": (24,),
        "transformer.h.0.attn.c_proj.weight": (8, 8),
        "transformer.h.0.mlp.c_fc.weight": (8, 32),
        "transformer.h.0.mlp.c_proj.weight": (32, 8),
        "transformer.h.0.ln_1.weight": (8,),
    }
    layout = layout_of(shapes, {"n_head": 2}, "group", groups=2)
    names = [block.name for block in layout.blocks]
    fused = layout.segments["transformer.h.0.attn.c_attn.weight"]
    assert [(names[s.block], s.dim, s.start, s.stop) for s in fused] == [
        ("layer 0 heads 0", 1, 0, 4),
        ("layer 0 heads 1", 1, 4, 8),
        ("layer 0 heads 0", 1, 8, 12),
        ("layer 0 heads 1", 1, 12, 16),
        ("layer 0 heads 0", 1, 16, 20),
        ("layer 0 heads 1", 1, 20, 24),
    ]
    read = layout.segments["transformer.h.0.attn.c_proj.weight"]
    assert [(names[s.block], s.dim) for s in read] == [
        ("layer 0 heads 0", 0),
        ("layer 0 heads 1", 0),
    ]
    assert {names[s.block] for s in layout.segments["transformer.h.0.mlp.c_fc.weight"]} == {
        "layer 0 units 0",
        "layer 0 units 1",
    }
    assert names[layout.segments["transformer.h.0.ln_1.weight"][0].block] == "layer 0 rest"


def test_any_module_can_declare_its_layout() -> None:
    cuts = (Cut("w1", "units", dim=1), Cut("b1", "units", dim=0), Cut("w2", "units", dim=0))
    shapes = {"w1": (64, 256), "b1": (256,), "w2": (256, 10), "b2": (10,)}
    layout = layout_of(shapes, {}, "group", groups=32, cuts=cuts)
    assert len(layout.blocks) == 33
    third = {name: layout.segments[name][2] for name in ("w1", "b1", "w2")}
    assert {segment.block for segment in third.values()} == {third["w1"].block}
    assert {(s.start, s.stop) for s in third.values()} == {(16, 24)}
    assert layout.blocks[layout.segments["b2"][0].block].name == OUTSIDE


def test_blocks_are_taken_together_from_coarse_to_fine() -> None:
    shapes = {
        f"model.layers.{layer}.{name}": (8, 8)
        for layer in (0, 1)
        for name in ("self_attn.q_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight")
    } | {"model.norm.weight": (8,)}
    layout = layout_of(shapes, {"num_attention_heads": 2, "intermediate_size": 8}, "group", 2)
    levels = levels_of(layout)
    counts = [int(level.max()) + 1 for level in levels]
    assert counts == sorted(counts)
    assert counts[0] == 3  # two layers, and what lies outside
    assert counts[-1] == len(layout.blocks)
    for coarse, fine in pairwise(levels):
        parents = {(int(f), int(c)) for f, c in zip(fine, coarse, strict=True)}
        assert len(parents) == int(fine.max()) + 1  # a fine group lies in one coarse group
