"""Weighted sums of founders on an accelerator, where the founders stay.

The same sums as `sibling_kernel`, in the same order and with the same roundings, by torch: each
product and each sum is an operation of its own, so nothing is fused and the bits are equal.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lineage.records import Floats
from population.models.blocks import Segment
from population.models.checkpoints import Checkpoint
from population.models.dtypes import Dtype

RESIDENT = 0.5
"""Share of the free memory of a device that founders may take; others are read for every batch."""


class DeviceFounders:
    """Founders whose tensors are on a device, as stored, read when they are first needed.

    Args:
        founders: compatible checkpoints.
        device: where they are to be.
    """

    def __init__(self, founders: Sequence[Checkpoint], device: torch.device) -> None:
        self._founders, self._device = founders, device
        size = sum(header.size for founder in founders for header in founder.tensors.values())
        self._kept: dict[str, list[torch.Tensor]] | None = {}
        if device.type == "cuda" and size > RESIDENT * torch.cuda.mem_get_info(device)[0]:
            self._kept = None

    def place(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor, on the device."""
        return tensor.to(self._device)

    def merged(
        self,
        name: str,
        segments: Sequence[Segment],
        weights: Floats,
        alone: npt.NDArray[np.int64],
        first: int,
        dtype: Dtype,
    ) -> list[torch.Tensor]:
        """One tensor of every sibling.

        Args:
            name: of the tensor.
            segments: that make it up.
            weights: shape (siblings, founders, blocks); over the founders they sum to 1.
            alone: shape (siblings, blocks): the founder that a sibling is there; -1 for a sum.
            first: the founder that differences are taken to.
            dtype: of the result.
        """
        stored = self._sources(name)
        shape, target = stored[0].shape, getattr(torch, dtype.name)
        merged = [torch.empty(shape, dtype=target, device=self._device) for _ in weights]
        for segment in segments:
            parts = [_part(source, segment) for source in stored]
            pieces = [part.to(torch.promote_types(part.dtype, torch.float32)) for part in parts]
            base = pieces[first]
            others = [f for f in range(len(pieces)) if f != first]
            offsets = {f: pieces[f] - base for f in others}
            scratch = torch.empty_like(base)
            for sibling, into in enumerate(merged):
                only = int(alone[sibling, segment.block])
                total = pieces[only] if only >= 0 else base.clone()
                for f in others if only < 0 else ():
                    weight = float(weights[sibling, f, segment.block])
                    if np.float32(weight) != 0:
                        torch.mul(offsets[f], weight, out=scratch)
                        total += scratch
                _part(into, segment).copy_(total)
        return merged

    def inner_products(
        self,
        name: str,
        segments: Sequence[Segment],
        gradient: torch.Tensor,
        first: int,
        products: Floats,
    ) -> None:
        """Add what one tensor gives to the gradient by the founders' weights.

        Args:
            name: of the tensor.
            segments: that make it up.
            gradient: by the tensor's elements.
            first: the founder that differences are taken to.
            products: shape (founders, blocks); see `sibling_kernel.inner_products`.
        """
        stored = self._sources(name)
        for segment in segments:
            slope = _part(gradient, segment)
            wide = torch.promote_types(torch.float32, stored[first].dtype)
            base = _part(stored[first], segment).to(wide)
            sums = [((_part(s, segment).to(wide) - base) * slope).sum() for s in stored]
            products[:, segment.block] += torch.stack(sums).cpu().double().numpy()

    def _sources(self, name: str) -> list[torch.Tensor]:
        if self._kept is not None and name in self._kept:
            return self._kept[name]
        stored = [self._tensor(founder, name) for founder in self._founders]
        if self._kept is not None:
            self._kept[name] = stored
        return stored

    def _tensor(self, founder: Checkpoint, name: str) -> torch.Tensor:
        """As stored where that is all; adapters are summed in fp32."""
        if founder.stores(name):
            return self.place(founder.tensor(name))
        return self.place(torch.from_numpy(np.array(founder.wide(name))))


def _part(tensor: torch.Tensor, segment: Segment) -> Any:
    if tensor.dim() == 0:
        return tensor
    return tensor.narrow(segment.dim, segment.start, segment.stop - segment.start)
