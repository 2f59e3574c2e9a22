"""Safetensors files: their headers, and the elements of tensors, mapped when asked for."""

from __future__ import annotations

import json
import math
import mmap
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from population.errors import CheckpointError
from population.models.dtypes import DTYPES, Dtype, Raw

RELEASE_ALIGNMENT = 2 << 20
"""Memory is freed in units of so many bytes; a multiple of every page size."""


@dataclass(frozen=True)
class TensorHeader:
    """Where a tensor lies and what it is, according to its file.

    Attributes:
        file: the safetensors file.
        offset: of its first byte in the file.
        shape: its sizes.
        dtype: how its elements are stored.
    """

    file: Path
    offset: int
    shape: tuple[int, ...]
    dtype: Dtype

    @property
    def parameters(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.parameters * self.dtype.size


def read_headers(file: Path, name: str) -> dict[str, TensorHeader]:
    """The headers of one safetensors file, by tensor name.

    Args:
        file: its path.
        name: the model's name, for messages.

    Raises:
        CheckpointError: the file is truncated, inconsistent, or holds dtypes that cannot be merged.
    """
    try:
        with safe_open(file, framework="np"):
            pass  # the library checks that offsets and shapes fit the file and do not overlap
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            content = json.loads(opened.read(length))
    except (OSError, SafetensorError, ValueError, RecursionError, struct.error) as error:
        raise CheckpointError(
            f"{name!r}: {file} is truncated or not safetensors: {error}"
        ) from None
    content.pop("__metadata__", None)
    for key, entry in content.items():
        if entry["dtype"] not in DTYPES:
            raise CheckpointError(
                f"{name!r}: {key} is {entry['dtype']}; expected F32, F16 or BF16 (what is "
                "quantised cannot be merged; use the unquantised original)"
            )
    return {
        key: TensorHeader(
            file,
            8 + length + entry["data_offsets"][0],
            tuple(entry["shape"]),
            DTYPES[entry["dtype"]],
        )
        for key, entry in content.items()
    }


def mapped_elements(header: TensorHeader) -> Raw:
    """The elements of a tensor as its file stores them, mapped and read-only, in its shape.

    Raises:
        OSError: the file has vanished.
        ValueError: it has shrunk.
    """
    if not header.size:
        return np.empty(header.shape, header.dtype.raw)
    flat = np.frombuffer(_mapped(header.file), header.dtype.raw, header.parameters, header.offset)
    return flat.reshape(header.shape)


def release_memory(header: TensorHeader) -> None:
    """Free the memory of a mapped tensor; reading it again maps it again."""
    if not header.size or not hasattr(mmap, "MADV_DONTNEED"):
        return
    # Reading a page maps its neighbours too, so more is let go of than the tensor has. Whoever
    # is reading there has it mapped again without noticing.
    first = header.offset // RELEASE_ALIGNMENT * RELEASE_ALIGNMENT
    mapped = _mapped(header.file)
    stop = min(
        len(mapped), -(-(header.offset + header.size) // RELEASE_ALIGNMENT) * RELEASE_ALIGNMENT
    )
    mapped.madvise(mmap.MADV_DONTNEED, first, stop - first)


def _mapped(file: Path) -> mmap.mmap:
    stat = file.stat()
    return _map(file, stat.st_ino, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _map(file: Path, *_identity: int) -> mmap.mmap:
    """Keyed by what changes when a file is replaced. Views keep an evicted map alive.

    Each map holds a file descriptor, of which a process often may have 1024.
    """
    with file.open("rb") as opened:
        return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
