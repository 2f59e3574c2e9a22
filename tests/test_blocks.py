"""Blocks: every weight lies in exactly one, and what means something together stays together."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from population.blocks import OUTSIDE, Granularity, layout_of

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
@pytest.mark.parametrize("granularity", ["layer", "half", "group"])
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
