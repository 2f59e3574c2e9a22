"""The fingerprint of a model's weights: 128 bits that tell models apart, cheaply, anywhere.

Each tensor is read as words of 64 bits, the last one filled up with zeros. A word is mixed with its
index, bijectively, and the results are added up modulo 2^64, twice with different mixing. Sums can
be taken in any order, so many threads, or an accelerator where the weights lie, compute them at the
speed of memory; the sums of all tensors, with their names, dtypes and shapes, are hashed by SHA-256
and cut. Equal weights have equal fingerprints, on every device. Different ones have different
fingerprints but by chance (2^-128), or if somebody makes them so on purpose: where that matters,
there is the SHA-256 of the weights.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from population.models.checkpoints import Checkpoint
from population.models.dtypes import BY_NAME
from population.weights import word_sums as compiled
from population.weights.device_kernels import kernels_of

FINGERPRINT_DIGITS = 32
"""Hexadecimal digits of a fingerprint; a SHA-256 has twice as many."""

Sums = npt.NDArray[np.uint64]
"""The two sums of a tensor, shape (2,), or of several, shape (tensors, 2)."""


def fingerprint(weights: Mapping[str, torch.Tensor]) -> str:
    """The fingerprint of weights, in 32 hexadecimal digits, computed on the device they are on.

    >>> ones, twos = torch.ones(3), torch.full((3,), 2.0)
    >>> fingerprint({"a": ones, "b": twos}) == fingerprint({"b": twos.clone(), "a": ones.clone()})
    True
    >>> fingerprint({"a": ones, "b": twos}) == fingerprint({"a": twos, "b": ones})
    False

    Args:
        weights: by name; the order does not matter.
    """
    names = sorted(weights)
    tensors = [weights[name].detach().contiguous() for name in names]
    return _digest(zip(names, tensors, _sums_of(tensors), strict=True))


def checkpoint_fingerprint(checkpoint: Checkpoint) -> str:
    """The fingerprint of a checkpoint's weights, of which one tensor at a time is in memory.

    Raises:
        CheckpointError: a file has vanished or is damaged.
    """

    def rows() -> Iterator[tuple[str, torch.Tensor, Sums]]:
        for name in sorted(checkpoint.tensors):
            tensor = checkpoint.tensor(name)
            yield name, tensor, compiled.word_sums([tensor])[0]
            checkpoint.release(name)

    return _digest(rows())


def _digest(rows: Iterable[tuple[str, torch.Tensor, Sums]]) -> str:
    """The fingerprint of tensors with their names and sums, sorted by name."""
    digest = hashlib.sha256()
    for name, tensor, sums in rows:
        code = BY_NAME[str(tensor.dtype).removeprefix("torch.")].code
        digest.update(f"{name} {code} {list(tensor.shape)} {sums[0]:x} {sums[1]:x}\n".encode())
    return digest.hexdigest()[:FINGERPRINT_DIGITS]


def _sums_of(tensors: Sequence[torch.Tensor]) -> Sums:
    """The two sums of each tensor, shape (tensors, 2)."""
    kernels = kernels_of(tensors[0].device) if tensors else None
    sums: Sums = (kernels or compiled).word_sums(tensors)
    return sums
