"""Whether a device can do what a campaign needs, found out before anything is written."""

import torch

from population.errors import PopulationError
from population.evaluation.evaluator import chosen_device, chosen_dtype
from population.failures import one_line

_FAILURES = (RuntimeError, AssertionError, NotImplementedError, TypeError, ValueError, MemoryError)


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
    device = chosen_device(name)
    chosen = chosen_dtype(dtype, stored, device)
    try:
        square = torch.full((8, 8), 0.5, dtype=chosen, device=device)
        logits = torch.nn.functional.silu(square @ square) @ square
        told = logits.float().log_softmax(dim=-1).sum().cpu()
        finite = bool(torch.isfinite(told))
    except _FAILURES as error:
        raise PopulationError(
            f"device {str(device)!r} cannot be used with {str(chosen).removeprefix('torch.')}: "
            f"{one_line(error)}; choose another with --device or [run] dtype"
        ) from None
    if not finite:
        raise PopulationError(
            f"device {str(device)!r} computes nonsense in {str(chosen).removeprefix('torch.')}; "
            "choose another with --device or [run] dtype"
        )
