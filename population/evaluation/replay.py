"""Forward passes on an Nvidia GPU, recorded once and replayed for every model (CUDA graphs).

A small network keeps a GPU waiting for the next call most of the time. Models of one campaign do
the same calls on the same items, on other weights; so the calls are recorded when prepared items
are read for the second time, and from then on given to the GPU all at once. What is replayed are
the same kernels; and a recording is only used if it gives the bits that reading without it gave.
"""

import contextlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from population.evaluation.batching import PreparedItems
from population.evaluation.forward_pass import read_batches

KEPT = 8
"""Recordings that are kept at most: those of the items that were read last."""


@dataclass
class _Recording:
    """What is known of prepared items.

    Attributes:
        prepared: the items, kept so that their tensors stay where they are.
        graph: the recorded calls; None before they are recorded, and where they cannot be.
        read: where the calls leave what `read_batches` returns.
        tried: whether recording was tried.
    """

    prepared: PreparedItems
    graph: Any = None
    read: torch.Tensor | None = None
    tried: bool = False


class ReplayingReader:
    """Reads as `read_batches` does, for one network, whose weights stay where they are in memory.

    Other weights have to be copied into the same tensors.
    """

    def __init__(self) -> None:
        self._recordings: OrderedDict[int, _Recording] = OrderedDict()
        self._pool: Any = None

    def __deepcopy__(self, memo: Any) -> "ReplayingReader":
        """Another network has other tensors."""
        return ReplayingReader()

    def __call__(self, model: Any, prepared: PreparedItems) -> torch.Tensor:
        """As `read_batches`; the result is valid until the next call."""
        known = self._recordings.get(id(prepared))
        if known is None or known.prepared is not prepared:
            self._recordings[id(prepared)] = _Recording(prepared)
            while len(self._recordings) > KEPT:
                self._recordings.popitem(last=False)
            return _read(model, prepared)
        self._recordings.move_to_end(id(prepared))
        if not known.tried:
            known.tried = True
            plain = _read(model, prepared)
            with contextlib.suppress(RuntimeError):
                self._record(model, known, plain)
            return plain
        if known.graph is None or known.read is None:
            return _read(model, prepared)
        known.graph.replay()
        return known.read

    def _record(self, model: Any, recording: _Recording, plain: torch.Tensor) -> None:
        """Record the calls, and keep them if they give what the plain ones gave."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            _read(model, recording.prepared)  # what starts lazily must not start in a recording
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            result = _read(model, recording.prepared)
        self._pool = self._pool or graph.pool()
        graph.replay()
        if torch.equal(result, plain):
            recording.graph, recording.read = graph, result


def _read(model: Any, prepared: PreparedItems) -> torch.Tensor:
    """As `read_batches`, without waiting for the GPU in between.

    Given an empty cache, transformers does not ask the GPU whether positions are of several texts.
    """
    try:
        return read_batches(model, prepared, lambda: DynamicCache(config=model.config))
    except (TypeError, ValueError, AttributeError):  # not every model has such a cache
        return read_batches(model, prepared)
