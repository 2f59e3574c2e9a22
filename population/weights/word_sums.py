"""Sums of mixed words, of which fingerprints are made: one compiled loop for the CPU."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit

GOLDEN, OFFSET = 0x1E3779B97F4A7C15, 0x2545F4914F6CDD1D
FIRST, SECOND = 0x3F58476D1CE4E5B9, 0x14D049BB133111EB
"""Odd numbers below 2^63, without meaning."""


def word_sums(tensors: Sequence[torch.Tensor]) -> npt.NDArray[np.uint64]:
    """Two sums of the mixed words of each tensor, see `fingerprint`: shape (tensors, 2).

    Args:
        tensors: contiguous, of any dtypes.
    """
    sums = np.zeros((len(tensors), 2), np.uint64)
    for number, tensor in enumerate(tensors):
        raw = tensor.cpu().reshape(-1).view(torch.uint8).numpy()
        if raw.size % 8 or raw.ctypes.data % 8:
            raw = np.concatenate([raw, np.zeros(-raw.size % 8, np.uint8)])
        sums[number] = _sums_of(raw.view(np.uint64))
    return sums


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _sums_of(words: Any) -> Any:
    """Both sums of a tensor's mixed words, which are uint64, shape (words,)."""
    one, two = np.uint64(0), np.uint64(0)
    for i in range(words.size):
        mixed = words[i] ^ (np.uint64(i) * np.uint64(GOLDEN) + np.uint64(OFFSET))
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(FIRST)
        mixed ^= mixed >> np.uint64(29)
        one += mixed
        mixed *= np.uint64(SECOND)
        two += mixed ^ (mixed >> np.uint64(32))
    return one, two
