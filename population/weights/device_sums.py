"""Weighted sums of founders on an accelerator, where the founders stay.

The same sums as `sibling_kernel`, in the same order and with the same roundings: by one kernel for
all tensors and siblings where Triton has one (`triton_kernels`), and by torch elsewhere, where each
product and each sum is an operation of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lineage.records import Floats
from population.models.blocks import Segment
from population.models.checkpoints import Checkpoint
from population.models.dtypes import Dtype
from population.weights.device_kernels import kernels_of

RESIDENT = 0.5
"""Share of the free memory of a device that founders may take; others are read for every batch."""

STREAMED = 1 << 30
"""Bytes of founders that are on the device at a time, where they do not stay there."""


@dataclass(frozen=True)
class Coefficients:
    """What siblings are, tensor by tensor.

    Attributes:
        weights: shape (siblings, founders, blocks); over the founders they sum to 1.
        alone: shape (siblings, blocks): the founder that a sibling is in a block, bit by bit; -1
            where it is a sum.
        first: the founder that differences are taken to.
    """

    weights: Floats
    alone: npt.NDArray[np.int64]
    first: int

    def __len__(self) -> int:
        """How many siblings there are."""
        return len(self.weights)

    def weights_in(self, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """The weights, rounded to a dtype."""
        return self._single if dtype == np.float32 else self.weights.astype(dtype)

    @cached_property
    def _single(self) -> npt.NDArray[np.float32]:
        return self.weights.astype(np.float32)


class DeviceFounders:
    """Founders whose tensors are on a device, as stored, read when they are first needed.

    Args:
        founders: compatible checkpoints.
        segments: of every tensor, by name.
        device: where they are to be.
    """

    def __init__(
        self,
        founders: Sequence[Checkpoint],
        segments: Mapping[str, Sequence[Segment]],
        device: torch.device,
    ) -> None:
        self._founders, self._segments, self._device = founders, segments, device
        size = sum(header.size for founder in founders for header in founder.tensors.values())
        self._kept: dict[str, list[torch.Tensor]] | None = {}
        if device.type == "cuda" and size > RESIDENT * torch.cuda.mem_get_info(device)[0]:
            self._kept = None
        self._kernels = kernels_of(device)
        self._tables: dict[tuple[str, ...], tuple[torch.Tensor, Any]] = {}

    def place(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor, on the device."""
        return tensor.to(self._device)

    def siblings(
        self, dtypes: Mapping[str, Dtype], coefficients: Coefficients
    ) -> list[dict[str, torch.Tensor]]:
        """Some tensors of every sibling.

        Args:
            dtypes: of the results, by name of the tensor.
            coefficients: of the siblings.
        """
        states: list[dict[str, torch.Tensor]] = [{} for _ in range(len(coefficients))]
        for names in self._together(list(dtypes)):
            for state, made in zip(states, self._made(names, dtypes, coefficients), strict=True):
                state.update(made)
        return states

    def _together(self, names: Sequence[str]) -> Iterator[list[str]]:
        """Names of tensors that are on the device at a time."""
        if self._kept is not None:
            yield list(names)
            return
        group: list[str] = []
        size = 0
        for name in names:
            own = sum(founder.tensors[name].size for founder in self._founders)
            if group and size + own > STREAMED:
                yield group
                group, size = [], 0
            group.append(name)
            size += own
        yield group

    def _made(
        self, names: Sequence[str], dtypes: Mapping[str, Dtype], coefficients: Coefficients
    ) -> list[dict[str, torch.Tensor]]:
        sources = {name: self._sources(name) for name in names}
        targets = {
            name: torch.empty(
                (len(coefficients), *sources[name][0].shape),
                dtype=getattr(torch, dtypes[name].name),
                device=self._device,
            )
            for name in names
        }
        kinds: dict[tuple[torch.dtype, torch.dtype], list[str]] = {}
        for name in names:
            kinds.setdefault((sources[name][0].dtype, targets[name].dtype), []).append(name)
        for kind, own in kinds.items():
            if self._kernels is not None and all(self._kernels.computes(dtype) for dtype in kind):
                self._sum_by_kernel(own, sources, targets, coefficients)
            else:
                for name in own:
                    sum_by_torch(sources[name], targets[name], self._segments[name], coefficients)
        rows = {name: target.unbind() for name, target in targets.items()}
        return [{name: rows[name][s] for name in names} for s in range(len(coefficients))]

    def _sum_by_kernel(
        self,
        names: Sequence[str],
        sources: Mapping[str, Sequence[torch.Tensor]],
        targets: Mapping[str, torch.Tensor],
        coefficients: Coefficients,
    ) -> None:
        key = tuple(names)
        if key not in self._tables:
            if self._kept is None:  # other addresses every time
                self._tables.clear()
            addresses = [[source.data_ptr() for source in sources[name]] for name in names]
            cuts = self._kernels.cut_into_chunks(
                [targets[name].shape[1:] for name in names],
                [self._segments[name] for name in names],
                self._device,
            )
            self._tables[key] = self._to_device(np.array(addresses)), cuts
        pointers, cuts = self._tables[key]
        count, example = len(coefficients), targets[names[0]]
        starts = np.array([targets[name].data_ptr() for name in names], np.int64)
        sizes = np.array([targets[name][0].nbytes for name in names], np.int64)
        self._kernels.weighted_sums(
            pointers,
            self._to_device(starts[:, None] + sizes[:, None] * np.arange(count)),
            cuts,
            self._to_device(coefficients.weights.astype(np.float32)),
            self._to_device(coefficients.alone),
            coefficients.first,
            sources[names[0]][0].dtype,
            example.dtype,
        )

    def _to_device(self, array: npt.NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

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
        wide = torch.promote_types(torch.float32, stored[first].dtype)
        base, dim = stored[first].to(wide), segments[0].dim
        others = [other for other in range(gradient.dim()) if other != dim]
        sums = []
        for founder in stored:
            product = (founder.to(wide) - base) * gradient
            sums.append(product.sum(dim=others) if others else product.reshape(-1))
        by_step = torch.stack(sums).double().cpu().numpy()
        by_segment = np.add.reduceat(by_step, [segment.start for segment in segments], axis=1)
        for column, segment in enumerate(segments):
            products[:, segment.block] += by_segment[:, column]

    def _sources(self, name: str) -> list[torch.Tensor]:
        """A tensor of every founder, all of one dtype."""
        if self._kept is not None and name in self._kept:
            return self._kept[name]
        stored = [self._tensor(founder, name) for founder in self._founders]
        if len({tensor.dtype for tensor in stored}) > 1:
            wide = torch.float32
            for tensor in stored:
                wide = torch.promote_types(wide, tensor.dtype)
            stored = [tensor.to(wide) for tensor in stored]
        if self._kept is not None:
            self._kept[name] = stored
        return stored

    def _tensor(self, founder: Checkpoint, name: str) -> torch.Tensor:
        """As stored where that is all; adapters are summed in fp32."""
        if founder.stores(name):
            return self.place(founder.tensor(name)).contiguous()
        return self.place(torch.from_numpy(np.array(founder.wide(name))))


def sum_by_torch(
    sources: Sequence[torch.Tensor],
    targets: torch.Tensor,
    segments: Sequence[Segment],
    coefficients: Coefficients,
) -> None:
    """Write one tensor of every sibling.

    Args:
        sources: the tensor of each founder.
        targets: shape (siblings, ...): written.
        segments: of the tensor.
        coefficients: of the siblings.
    """
    first = coefficients.first
    for segment in segments:
        pieces = [_part(source, segment) for source in sources]
        pieces = [piece.to(torch.promote_types(piece.dtype, torch.float32)) for piece in pieces]
        base = pieces[first]
        others = [f for f in range(len(pieces)) if f != first]
        offsets = {f: pieces[f] - base for f in others}
        scratch = torch.empty_like(base)
        for sibling, target in enumerate(targets.unbind()):
            only = int(coefficients.alone[sibling, segment.block])
            total = pieces[only] if only >= 0 else base.clone()
            for f in others if only < 0 else ():
                weight = float(coefficients.weights[sibling, f, segment.block])
                if np.float32(weight) != 0:
                    torch.mul(offsets[f], weight, out=scratch)
                    total += scratch
            _part(target, segment).copy_(total)


def _part(tensor: torch.Tensor, segment: Segment) -> Any:
    if tensor.dim() == 0:
        return tensor
    return tensor.narrow(segment.dim, segment.start, segment.stop - segment.start)
