"""What a tensor means is told from its name, dtype and shape together."""

from dataclasses import dataclass

import pytest

from population.models.dtypes import DTYPES, Dtype
from population.models.tensor_kinds import (
    TensorKind,
    quantisation_method,
    quantised_tensor,
    tensor_kinds,
)

LLAMA = {"model_type": "llama"}


@dataclass(frozen=True)
class Header:
    dtype: Dtype
    shape: tuple[int, ...]


def headers(**tensors):
    return {
        name.replace("__", "."): Header(DTYPES[code], tuple(shape))
        for name, (code, *shape) in tensors.items()
    }


def kinds(config=LLAMA, **tensors):
    return {name: kind.value for name, kind in tensor_kinds(headers(**tensors), config).items()}


@pytest.mark.parametrize(
    "tensors",
    [
        {"l__qweight": ("I32", 2, 8), "l__qzeros": ("I32", 1, 1), "l__scales": ("F16", 1, 8)},
        {"l__weight": ("F8_E4M3", 8, 8), "l__weight_scale_inv": ("F32", 1, 1)},
        {"l__weight": ("F8_E4M3", 8, 8), "l__weight_scale": ("BF16",)},
        {"l__weight": ("U8", 32, 1), "l__weight__absmax": ("F32", 4)},
        {"l__weight": ("I8", 8, 8), "l__SCB": ("F32", 8)},
        {"l__weight_packed": ("I32", 8, 1), "l__weight_shape": ("I64", 2)},
        {"l__weight_packed": ("U8", 8, 4), "l__weight_global_scale": ("F32", 1)},
        {"l__gate_up_proj_blocks": ("U8", 4, 2, 16), "l__gate_up_proj_scales": ("U8", 4, 2)},
        {"l__weight___data": ("I8", 8, 8), "l__weight___scale": ("F32", 8, 1)},
        {"l__W_q": ("U8", 8, 4), "l__meta": ("U8", 3)},
    ],
)  # fmt: skip
def test_packed_numbers_and_their_scales_are_quantised_with_or_without_a_config(tensors):
    found = kinds(**tensors)
    assert set(found.values()) == {"quantised"}
    assert quantised_tensor(headers(**tensors), {}) == min(found)


def test_the_bias_beside_packed_numbers_is_a_weight():
    found = kinds(l__qweight=("I32", 2, 8), l__bias=("F16", 8))
    assert found == {"l.qweight": "quantised", "l.bias": "weight"}


def test_plain_names_stay_weights():
    found = kinds(
        a__layer_scale=("F32", 8),
        a__scales=("F32", 8),
        attn__bias=("F32", 8),
        a__correct_output_scale=("F32", 8),
        block__meta=("F32", 8),
    )
    assert set(found.values()) == {"weight"}
    assert quantised_tensor(headers(a__weight=("BF16", 8, 8)), LLAMA) is None


@pytest.mark.parametrize(
    "tensor",
    [
        {"model__layers__0__self_attn__rotary_emb__inv_freq": ("F32", 4)},
        {"h__0__attn__bias": ("F32", 1, 1, 8, 8)},
        {"h__0__attn__bias": ("U8", 1, 1, 8, 8)},
        {"h__0__attn__masked_bias": ("F32",)},
        {"gpt_neox__layers__0__attention__bias": ("BOOL", 1, 1, 8, 8)},
        {"embeddings__position_ids": ("I64", 1, 8)},
    ],
)
def test_buffers_that_transformers_makes_itself_are_ignored_but_not_in_a_bare_file(tensor):
    assert set(kinds(**tensor).values()) == {TensorKind.IGNORED.value}
    assert TensorKind.IGNORED.value not in kinds({}, **tensor).values()


@pytest.mark.parametrize(
    "tensor",
    [{"bn__num_batches_tracked": ("I64",)}, {"relative_position_index": ("I64", 4, 4)},
     {"mask": ("BOOL", 4)}, {"prune__weight": ("BOOL", 4, 4)}],
)  # fmt: skip
def test_integers_and_booleans_are_indices(tensor):
    assert set(kinds(**tensor).values()) == {"index"}


def test_what_a_config_says_of_packing():
    assert quantisation_method({}) is None
    assert quantisation_method({"quantization_config": {"quant_method": "awq"}}) == "awq"
    nested = {"text_config": {"compression_config": {"format": "x"}}}
    assert quantisation_method(nested) == "unnamed"
    assert quantisation_method({"quantization_config": None}) is None
