"""Which devices have compiled kernels of their own, and where these are."""

from typing import Any

import torch


def kernels_of(device: torch.device) -> Any:
    """The module of compiled kernels for a device; None if there is none."""
    if device.type != "cuda":
        return None
    try:
        from population.weights import triton_kernels  # noqa: PLC0415
    except ImportError:  # Triton is not made for every system
        return None
    return triton_kernels
