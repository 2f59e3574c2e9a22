"""Stored and computed numbers: dtypes of checkpoints, widening and rounding, without torch.

Merging computes in fp32 (fp64 where a checkpoint is fp64), whatever the stored dtype is. numpy has
no bf16, but a bf16 number is the upper half of an fp32 number, so a shift widens it, and rounding
to the nearest even is integer arithmetic too. Both are exact and give the bits that torch gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Raw = npt.NDArray[Any]
"""A tensor's elements as the file stores them; bf16 as uint16."""

Wide = npt.NDArray[Any]
"""fp32, or fp64 where a checkpoint stores that."""

HALF_A_STEP, LAST_BIT, SIXTEEN = np.uint32(0x7FFF), np.uint32(1), np.uint32(16)


@dataclass(frozen=True)
class Dtype:
    """A stored dtype.

    Attributes:
        code: as in a safetensors header, "BF16".
        name: as torch and transformers call it, "bfloat16".
        raw: what numpy reads it as.
        floating: whether it can be merged; others are only copied.
    """

    code: str
    name: str
    raw: np.dtype[Any]
    floating: bool

    @property
    def size(self) -> int:
        """Bytes per element."""
        return self.raw.itemsize


DTYPES: dict[str, Dtype] = {
    dtype.code: dtype
    for dtype in (
        Dtype("F64", "float64", np.dtype("<f8"), True),
        Dtype("F32", "float32", np.dtype("<f4"), True),
        Dtype("F16", "float16", np.dtype("<f2"), True),
        Dtype("BF16", "bfloat16", np.dtype("<u2"), True),
        Dtype("I64", "int64", np.dtype("<i8"), False),
        Dtype("I32", "int32", np.dtype("<i4"), False),
        Dtype("I16", "int16", np.dtype("<i2"), False),
        Dtype("I8", "int8", np.dtype("i1"), False),
        Dtype("U8", "uint8", np.dtype("u1"), False),
        Dtype("BOOL", "bool", np.dtype("?"), False),
        # Read as bytes: numpy has no such numbers, and nothing here computes with them.
        Dtype("F8_E4M3", "float8_e4m3fn", np.dtype("u1"), False),
        Dtype("F8_E5M2", "float8_e5m2", np.dtype("u1"), False),
    )
}
"""What a checkpoint may hold, by safetensors code."""

BY_NAME = {dtype.name: dtype for dtype in DTYPES.values()}
BF16, F16, F32, F64 = DTYPES["BF16"], DTYPES["F16"], DTYPES["F32"], DTYPES["F64"]


def widen(raw: Raw, dtype: Dtype) -> Wide:
    """Stored elements as fp32 (fp64 if they are fp64), exactly.

    >>> widen(np.array([0x3F80, 0xC000], np.uint16), BF16).tolist()
    [1.0, -2.0]

    Args:
        raw: stored elements, any shape.
        dtype: their dtype.

    Returns:
        The same shape; may be a view of `raw`.
    """
    if dtype is BF16:
        wide = raw.astype(np.uint32)
        wide <<= SIXTEEN
        return wide.view(np.float32)
    if dtype.floating and dtype.size < 4:
        return raw.astype(np.float32)
    return raw


def narrow(wide: Wide, dtype: Dtype) -> Raw:
    """Round to a stored dtype: to the nearest, ties to even, as torch does.

    What is too large becomes infinity, as in torch.

    >>> narrow(np.array([1.0, -2.0], np.float32), BF16).tolist() == [0x3F80, 0xC000]
    True

    Args:
        wide: fp32 or fp64, any shape.
        dtype: the stored dtype.

    Returns:
        The same shape.
    """
    if dtype is not BF16:
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(wide, dtype=dtype.raw)
    bits = np.ascontiguousarray(wide, dtype=np.float32).view(np.uint32)
    rounded = bits >> SIXTEEN
    rounded &= LAST_BIT
    rounded += bits
    rounded += HALF_A_STEP
    rounded >>= SIXTEEN
    raw = rounded.astype(np.uint16)
    raw[np.isnan(wide)] = 0x7FC0
    return raw


def to_torch(raw: Raw, dtype: Dtype) -> torch.Tensor:
    """Stored elements as a torch tensor that shares their memory: the same shape."""
    import torch  # noqa: PLC0415 - most of what merges needs none

    if dtype is BF16:
        return torch.from_numpy(raw.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(raw)


def all_finite(raw: Raw, dtype: Dtype) -> bool:
    """Whether stored elements, of any shape, hold neither NaN nor infinity."""
    if not dtype.floating:
        return True
    if dtype is BF16:
        return not bool(((raw & np.uint16(0x7F80)) == np.uint16(0x7F80)).any())
    return bool(np.isfinite(raw).all())
