"""The kind of each tensor of a checkpoint: may it be averaged, copied, left out, or none of these.

A dtype does not tell. The scales of a packed weight are floats, but the mean of two models' scales
belongs to neither one's packed numbers; a causal mask may be stored as floats, and transformers
makes it anew whatever a file holds. So names, dtypes and shapes are judged together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Protocol

from population.models.dtypes import Dtype


class TensorKind(Enum):
    """What a tensor means."""

    WEIGHT = "weight"
    """A number for each thing that was learned: may be averaged."""

    IGNORED = "ignored"
    """A buffer that transformers computes by itself and does not load: may be left out."""

    INDEX = "index"
    """A counter, a mask or a list of indices: copied where all models agree, never averaged."""

    QUANTISED = "quantised"
    """Packed numbers, or what unpacks them: means nothing without the rest of its module."""


class TensorInfo(Protocol):
    """What must be known of a tensor beside its name; a `TensorHeader` is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""

    @property
    def dtype(self) -> Dtype:
        """How its elements are stored."""


# transformers drops these names when it loads, and computes what they held.
_IGNORED = re.compile(r"(.*\.)?(rotary_emb\.inv_freq|masked_bias|position_ids)")
_MASK = re.compile(r"(.*\.)?(attn|attention|crossattention)\.bias|(.*\.)?causal_mask")

# Of GPTQ, AWQ, HQQ, AQLM, bitsandbytes, compressed-tensors, quanto, torchao and MXFP4; no
# architecture of transformers has parameters of these names.
_PACKED = re.compile(
    r"(.*\.)?("
    r"qweight|qzeros|g_idx|W_q|codebooks|SCB|weight_format|"
    r"weight_(packed|scale|scale_inv|scale_2|zero_point|shape|g_idx|global_scale)|"
    r"(input|output)_(scale|zero_point|global_scale)|input_scale_ub|activation_scale|"
    r"(self_)?attn\.(q|k|v|kv|prob)_scale|"
    r"weight\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\..*)|"
    r"weight\._(data|scale|zeropoint|shift)|weight:?_weight_(qdata|scale|zero_point).*|"
    r"\w+_blocks"
    r")"
)
# What lies beside packed numbers, and means something else where there are none.
_BESIDE_PACKED = re.compile(r"(.*\.)?(scales|zeros|meta|codes|indices|centroids|\w+_scales)")
_MATRIX = re.compile(r"(.*\.)?(weight|\w+_proj)")


def tensor_kinds(
    tensors: Mapping[str, TensorInfo], config: Mapping[str, Any]
) -> dict[str, TensorKind]:
    """Classify every tensor of a checkpoint.

    Args:
        tensors: headers by name.
        config: the checkpoint's config.json; empty for a bare file, which no library loads and
            whose buffers are therefore never `IGNORED`.

    Returns:
        The kind of each tensor, by name.
    """
    kinds = {name: _kind(name, header, known=bool(config)) for name, header in tensors.items()}
    packed_modules = {_module(name) for name, kind in kinds.items() if kind is TensorKind.QUANTISED}
    for name, header in tensors.items():
        # A bias beside packed numbers is what it always is.
        if _module(name) in packed_modules and (
            _BESIDE_PACKED.fullmatch(name) or not (header.dtype.floating or name.endswith(".bias"))
        ):
            kinds[name] = TensorKind.QUANTISED
    return kinds


def quantised_tensor(tensors: Mapping[str, TensorInfo], config: Mapping[str, Any]) -> str | None:
    """The name of the first packed tensor, in name order; None if none is packed.

    Args:
        tensors: headers by name.
        config: the checkpoint's config.json, or empty.
    """
    kinds = tensor_kinds(tensors, config)
    return min((n for n, kind in kinds.items() if kind is TensorKind.QUANTISED), default=None)


def quantisation_method(config: Mapping[str, Any]) -> str | None:
    """The quantisation that a config states; the weights may be plain nevertheless.

    >>> quantisation_method({"quantization_config": {"quant_method": "gptq"}})
    'gptq'
    >>> quantisation_method({"model_type": "llama"}) is None
    True
    """
    for part in (config, config.get("text_config")):
        if not isinstance(part, Mapping):
            continue
        for key in QUANTISATION_KEYS:
            stated = part.get(key)
            if isinstance(stated, Mapping):
                return str(stated.get("quant_method") or stated.get("quant_type") or "unnamed")
            if stated is not None:
                return str(stated)
    return None


def without_quantisation(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config without its statements about quantisation, for weights that are plain.

    >>> without_quantisation({"model_type": "llama", "quantization_config": {"bits": 4}})
    {'model_type': 'llama'}
    """
    plain = {key: value for key, value in config.items() if key not in QUANTISATION_KEYS}
    if isinstance(text := plain.get("text_config"), Mapping):
        plain["text_config"] = without_quantisation(text)
    return plain


QUANTISATION_KEYS = ("quantization_config", "compression_config")
"""Where a config.json says how weights are packed."""


def _kind(name: str, header: TensorInfo, *, known: bool) -> TensorKind:
    if _PACKED.fullmatch(name) and not _is_unpacked_blocks(name, header):
        return TensorKind.QUANTISED
    if header.dtype.code.startswith("F8"):
        return TensorKind.QUANTISED
    if known and (_IGNORED.fullmatch(name) or (_MASK.fullmatch(name) and _square(header.shape))):
        return TensorKind.IGNORED
    if header.dtype.floating:
        return TensorKind.WEIGHT
    # A matrix of integers by the name of a weight is no weight yet.
    if _MATRIX.fullmatch(name) and header.dtype.code != "BOOL":
        return TensorKind.QUANTISED
    return TensorKind.INDEX


def _is_unpacked_blocks(name: str, header: TensorInfo) -> bool:
    """Whether something only has a name like MXFP4's `gate_up_proj_blocks`, which are bytes."""
    return name.endswith("_blocks") and header.dtype.code != "U8"


def _square(shape: tuple[int, ...]) -> bool:
    """Whether this is a mask over pairs of places, for any item and any head."""
    return len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3]


def _module(name: str) -> str:
    """The module that a tensor belongs to; of `a.b.weight.absmax` it is `a.b` too."""
    return re.sub(r"\.weight([.:].*)?$", "", name) if ".weight" in name else name.rpartition(".")[0]
