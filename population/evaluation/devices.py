"""Devices and dtypes of forward passes: which are meant, and whether they can compute."""

import torch

from population.errors import PopulationError
from population.failures import one_line

_FAILURES = (RuntimeError, AssertionError, NotImplementedError, TypeError, ValueError, MemoryError)


def resolve_device(name: str) -> torch.device:
    """The device that a name means; "auto" is the first accelerator, or the CPU.

    Raises:
        PopulationError: there is no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise PopulationError(f"device {name!r} cannot be used: {reason}") from None
    return device


def resolve_dtype(name: str, stored: torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype of forward passes.

    Args:
        name: of the dtype, or "auto": the stored one unless the CPU would crawl in it.
        stored: the dtype of the checkpoints.
        device: where forward passes are computed.
    """
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[
            name
        ]
    if device.type == "cpu" and stored != torch.float32:
        native = stored == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return stored if native else torch.float32
    return stored


def check_device(name: str, dtype: str, stored: torch.dtype) -> None:
    """Do a little real arithmetic where, and as, forward passes will be done.

    That a device has a name and takes a tensor says little: the arithmetic may be missing for its
    kind or for the dtype, and then the first forward pass fails.

    Args:
        name: of the device, or "auto".
        dtype: of forward passes, or "auto".
        stored: the dtype of the checkpoints.

    Raises:
        PopulationError: it cannot; says why, and what can be done.
    """
    device = resolve_device(name)
    resolved = resolve_dtype(dtype, stored, device)
    dtype_name = str(resolved).removeprefix("torch.")
    try:
        square = torch.full((8, 8), 0.5, dtype=resolved, device=device)
        logits = torch.nn.functional.silu(square @ square) @ square
        total = logits.float().log_softmax(dim=-1).sum().cpu()
        finite = bool(torch.isfinite(total))
    except _FAILURES as error:
        raise PopulationError(
            f"device {str(device)!r} cannot be used with {dtype_name}: "
            f"{one_line(error)}; choose another with --device or [run] dtype"
        ) from None
    if not finite:
        raise PopulationError(
            f"device {str(device)!r} computes nonsense in {dtype_name}; "
            "choose another with --device or [run] dtype"
        )
