"""Checkpoints as values: a config and the headers of tensors, which are read when asked for.

The hash of a model is taken over its tensors and not over a file, so it does not depend on how
they are split into files.

torch is not needed to open, check, hash or merge checkpoints, and starting it takes longer than
most merges; it is imported when somebody asks for a torch tensor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from population.errors import CheckpointError
from population.models.dtypes import DTYPES, Dtype, Raw, Wide, all_finite, to_torch, widen
from population.models.tensor_files import TensorHeader, mapped_elements, release_memory

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, opened: its config and the headers of its tensors, by tensor name.

    Attributes:
        name: what messages and recipes call it.
        path: its folder, or a single safetensors file.
        config: its config.json; empty for a single file.
        tensors: headers by name.
        notes: remarks for the user, a line each.
    """

    name: str
    path: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorHeader]
    notes: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def reference(self) -> str:
        """The reference that opens it again from anywhere; see `population.models.sources`."""
        return str(self.path.resolve())

    @property
    def dtype(self) -> Dtype:
        """The dtype of most of its parameters."""
        counts: dict[str, int] = {}
        for header in self.tensors.values():
            if header.dtype.floating:
                code = header.dtype.code
                counts[code] = counts.get(code, 0) + header.parameters
        return DTYPES[max(counts, key=lambda code: counts[code])] if counts else DTYPES["F32"]

    @property
    def parameters(self) -> int:
        """Number of elements of all tensors."""
        return sum(header.parameters for header in self.tensors.values())

    def raw(self, name: str) -> Raw:
        """One tensor as its file stores it, mapped and read-only, in its shape; bf16 as uint16.

        Raises:
            CheckpointError: the file has vanished or shrunk.
        """
        header = self.tensors[name]
        try:
            return mapped_elements(header)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self.name}: cannot read {name} from {header.file}: {error}"
            ) from None

    def wide(self, name: str, start: int = 0, stop: int | None = None) -> Wide:
        """Rows of a tensor along its first dimension, widened: shape [rows, ...].

        Args:
            name: the tensor.
            start: the first row.
            stop: the row after the last; all rows by default.

        Returns:
            fp32, or fp64 if it is stored so; may be a read-only view.

        Raises:
            CheckpointError: the file has vanished or shrunk.
        """
        raw = self.raw(name)
        return widen(raw[start:stop] if raw.ndim else raw, self.tensors[name].dtype)

    def stores(self, name: str) -> bool:
        """Whether `raw` is exact; if not, only `wide` is (a tensor that an adapter changes)."""
        return name in self.tensors

    def renamed(self, names: Mapping[str, str], config: Mapping[str, Any]) -> Checkpoint:
        """The same weights by other names.

        Args:
            names: the old name by the new one, of the tensors to keep; a tensor may get two.
            config: the config that describes the result.
        """
        return replace(
            self, tensors={new: self.tensors[old] for new, old in names.items()}, config=config
        )

    def release(self, name: str) -> None:
        """Free the memory of a mapped tensor; reading it again maps it again."""
        release_memory(self.tensors[name])

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor for torch, copied from its file.

        Raises:
            CheckpointError: the file has vanished or is damaged.
        """
        return to_torch(np.array(self.raw(name)), self.tensors[name].dtype)

    def check_finite(self) -> None:
        """Read all tensors once and make sure that they are finite.

        Raises:
            CheckpointError: a tensor holds NaN or infinity.
        """
        for name, header in self.tensors.items():
            if not all_finite(self.raw(name), header.dtype):
                raise CheckpointError(
                    f"{self.name!r}: {name} holds NaN or infinity; this checkpoint is "
                    "broken, leave it out"
                )
            self.release(name)

    def sha256(self) -> str:
        """The hash of its weights, see `weights_sha256`."""

        def tensors() -> Iterator[tuple[str, Dtype, Raw]]:
            for name in sorted(self.tensors):
                yield name, self.tensors[name].dtype, self.raw(name)
                self.release(name)

        return weights_sha256(tensors())


def weights_sha256(tensors: Iterable[tuple[str, Dtype, Raw]]) -> str:
    """SHA-256 over name, dtype, shape and bytes of every tensor.

    Args:
        tensors: (name, stored dtype, stored elements), sorted by name.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, dtype, raw in tensors:
        digest.update(f"{name}|torch.{dtype.name}|{raw.shape}|".encode())
        digest.update(np.ascontiguousarray(raw).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
