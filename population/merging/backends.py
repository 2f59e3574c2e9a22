"""Backends: merging computes with numpy on the CPU, with torch on an accelerator.

Both compute the same formulas element by element, with every product and sum rounded on its own,
so weighted sums have the same bits everywhere. numpy is the default because it starts in a tenth
of the time, which for most merges is the larger part.
"""

import ctypes
import os
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from population.errors import PopulationError
from population.merging.methods import kernels
from population.merging.methods.method import Array
from population.models.dtypes import BF16, Dtype, Raw, all_finite, narrow, to_torch, widen


class Backend(Protocol):
    """Array operations of a device."""

    chunk: int
    """Elements per chunk."""

    def put(self, raw: Raw, dtype: Dtype) -> Array:
        """Stored elements, widened, on the device: the same shape; may be a read-only view."""

    def array(self, values: npt.NDArray[Any]) -> Array:
        """A numpy array on the device: the same shape and dtype."""

    def finite(self, wide: Array) -> bool:
        """Whether values, of any shape, hold neither NaN nor infinity."""

    def get(self, wide: Array, dtype: Dtype) -> tuple[Raw, bool]:
        """Round to a stored dtype and copy to the processor's memory.

        Args:
            wide: fp32 or fp64, any shape.
            dtype: the stored dtype.

        Returns:
            The elements in the same shape, and whether all of them are finite.
        """

    def gram(self, vectors: list[Array]) -> npt.NDArray[np.float64]:
        """Inner products of flattened arrays: fp64, shape [vectors, vectors]."""


def keep_memory() -> None:
    """Ask glibc to keep freed memory for the next chunk instead of returning it each time.

    Allocating it again cost a fifth of a merge. With another C library nothing happens.
    """
    trim_threshold, mmap_threshold = -1, -3
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(mmap_threshold, 1 << 25)
        mallopt(trim_threshold, 1 << 28)


class Numpy:
    """The CPU; one thread works on each tensor."""

    chunk = 1 << 16
    """fp32 chunks of 256 KiB: the handful that a method needs stays in the second-level cache."""

    def __init__(self) -> None:
        keep_memory()

    def put(self, raw: Raw, dtype: Dtype) -> Array:
        """Widened elements: the same shape, a view where nothing has to be widened."""
        if dtype is not BF16:
            return widen(raw, dtype)
        wide = np.empty(raw.shape, np.float32)
        kernels.widen_bf16(raw.reshape(-1), wide.view(np.uint32).reshape(-1))
        return wide

    def array(self, values: npt.NDArray[Any]) -> Array:
        """The array itself, of any shape."""
        return values

    def finite(self, wide: Array) -> bool:
        """Whether values, of any shape, hold neither NaN nor infinity."""
        if wide.dtype == np.float32:
            return bool(kernels.is_finite(wide.view(np.uint32).reshape(-1)))
        return bool(np.isfinite(wide).all())

    def get(self, wide: Array, dtype: Dtype) -> tuple[Raw, bool]:
        """Rounded elements in the same shape, and whether all of them are finite."""
        if dtype is not BF16 or wide.dtype != np.float32:
            raw = narrow(wide, dtype)
            return raw, all_finite(raw, dtype)
        raw = np.empty(wide.shape, np.uint16)
        bits = np.ascontiguousarray(wide).view(np.uint32)
        return raw, kernels.narrow_bf16(bits.reshape(-1), raw.reshape(-1))

    def gram(self, vectors: list[Array]) -> npt.NDArray[np.float64]:
        """Inner products of flattened arrays: fp64, shape [vectors, vectors]."""
        gram = np.empty((len(vectors), len(vectors)))
        flat = [np.ascontiguousarray(vector).reshape(-1) for vector in vectors]
        for row, one in enumerate(flat):
            for column, other in enumerate(flat[: row + 1]):
                gram[row, column] = gram[column, row] = kernels.dot(one, other)
        return gram


class Torch:
    """Any device of torch.

    Args:
        device: as torch names it.

    Raises:
        PopulationError: torch cannot use the device.
    """

    chunk = 1 << 24

    def __init__(self, device: str) -> None:
        import torch  # noqa: PLC0415

        self._torch = torch
        try:
            self.device = torch.device(device)
            torch.zeros(1, device=self.device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise PopulationError(f"device {device!r} cannot be used: {reason}") from None

    def put(self, raw: Raw, dtype: Dtype) -> Array:
        """Widened elements on the device: the same shape."""
        raw = np.ascontiguousarray(raw)
        if not raw.flags.writeable:
            raw = raw.copy()
        tensor = to_torch(raw, dtype).to(self.device)
        return tensor if dtype.size >= 4 else tensor.float()

    def array(self, values: npt.NDArray[Any]) -> Array:
        """A copy of a numpy array on the device: the same shape."""
        return self._torch.from_numpy(np.array(values)).to(self.device)

    def finite(self, wide: Array) -> bool:
        """Whether values, of any shape, hold neither NaN nor infinity."""
        return bool(self._torch.isfinite(wide).all())

    def get(self, wide: Array, dtype: Dtype) -> tuple[Raw, bool]:
        """Rounded elements in the same shape on the CPU, and whether all of them are finite."""
        torch = self._torch
        tensor = wide.to(getattr(torch, dtype.name))
        finite = bool(torch.isfinite(tensor).all())
        tensor = tensor.cpu().contiguous()
        if dtype is BF16:
            return tensor.view(torch.int16).numpy().view(np.uint16), finite
        return tensor.numpy(), finite

    def gram(self, vectors: list[Array]) -> npt.NDArray[np.float64]:
        """Inner products of flattened arrays: fp64, shape [vectors, vectors]."""
        stacked = self._torch.stack([vector.reshape(-1).double() for vector in vectors])
        return np.asarray((stacked @ stacked.T).cpu().numpy())


def backend_for(device: str) -> Backend:
    """The backend for a device: "auto" and "cpu" are numpy, all else is torch's.

    Raises:
        PopulationError: torch cannot use the device.
    """
    return Numpy() if device in {"auto", "cpu"} else Torch(device)
