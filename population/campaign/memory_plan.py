"""How much memory a campaign may take, and how many models and networks fit into it.

The plan changes how soon models are made and never what they are: siblings made beside each other
have the bits that each has alone, and a network computes with as many threads as if there were
room for all.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from population.config import Run
from population.evaluation.devices import resolve_device, resolve_dtype
from population.evaluation.pool import usual_size
from population.memory import available_memory
from population.models.checkpoints import Checkpoint
from population.models.config_comparison import text_config

USUAL = 2.8e9
"""Bytes that a campaign may take unless it is told otherwise, if its models are not too large."""

PROGRAM = 0.7e9
"""Bytes that Python and its libraries take."""

PART_OF_FREE = 0.8
"""So much of the free memory is taken at most."""

MOST_TOGETHER = 2 << 30
"""Bytes of siblings that are made together at most: more of them gain nothing."""


@dataclass(frozen=True)
class MemoryNeeds:
    """What things take, in bytes.

    Attributes:
        model: a model as it is made.
        network: what a network takes beside the model that it has become.
        forward: a forward pass.
    """

    model: int
    network: int
    forward: int


@dataclass(frozen=True)
class MemoryPlan:
    """What may be in memory at a time.

    Attributes:
        evaluators: networks at work.
        batch: siblings that are made together.
        waiting: models that wait for a network, the one that is handed over among them.
        bytes: what all of it takes, at most.
        enough: whether that is no more than it may be.
        needs: what things take.
    """

    evaluators: int
    batch: int
    waiting: int
    bytes: float
    enough: bool
    needs: MemoryNeeds

    @property
    def words(self) -> str:
        """What it will take, in a line."""
        size = f"{self.needs.model / 1e9:.1f} GB" if self.needs.model >= 5e7 else "small"
        line = (
            f"up to {self.bytes / 1e9:.1f} GB of memory: {_counted(self.evaluators, 'network')} at "
            f"work, {_counted(self.batch, 'model')} made at a time, of {size} each"
        ).replace("of small each", "small ones")
        return line if self.enough else f"{line}; that is the least that these founders need"


def plan_for(run: Run, founder: Checkpoint) -> MemoryPlan:
    """The plan for models like a founder, with the memory that is free now.

    Args:
        run: the device, the number format, and what may be taken.
        founder: any of them.
    """
    device = resolve_device(run.device)
    stored = getattr(torch, founder.dtype.name)
    dtype = resolve_dtype(run.dtype, stored, device)
    model = sum(header.size for header in founder.tensors.values())
    network = founder.parameters * dtype.itemsize
    text = text_config(founder.config)
    vocabulary, hidden = (int(text.get(key) or 0) for key in ("vocab_size", "hidden_size"))
    tokens = run.batch_tokens or 2048
    on_cpu = device.type == "cpu"
    needs = MemoryNeeds(
        model=model,
        network=network if on_cpu and dtype != stored else 0,
        # Logits, half of which are looked at, and what a layer computes.
        forward=tokens * (3 * vocabulary + 32 * hidden) if on_cpu else 0,
    )
    nominal = usual_size(device, run.threads or os.cpu_count() or 1, network)
    return planned(needs, nominal, run.memory_gb, free_memory())


def planned(needs: MemoryNeeds, nominal: int, memory_gb: float | None, free: float) -> MemoryPlan:
    """What may be in memory at a time.

    Args:
        needs: what things take.
        nominal: networks that would work if there was room for all.
        memory_gb: what may be taken, in 10^9 bytes; None for what is usual.
        free: bytes that nobody takes now.
    """
    each = needs.network + needs.forward
    if memory_gb is None:
        # A second model is made while others are worked with, however large they are.
        wanted = PROGRAM + nominal * (each + needs.model) + 2 * needs.model
        limit = min(max(USUAL, wanted), PART_OF_FREE * free)
    else:
        limit = 1e9 * memory_gb

    def taken(evaluators: int, models: int) -> float:
        return PROGRAM + evaluators * (each + needs.model) + models * needs.model

    evaluators = nominal
    while evaluators > 1 and taken(evaluators, 1) > limit:
        evaluators -= 1
    spare = max(1, int((limit - taken(evaluators, 0)) / max(needs.model, 1)))
    most = max(1, MOST_TOGETHER // max(needs.model, 1))
    beside = min(evaluators, spare // 3)
    batch = max(1, min(spare - beside, most))
    total = taken(evaluators, batch + beside)
    return MemoryPlan(evaluators, batch, beside + 1, total, total <= limit, needs)


def free_memory() -> float:
    """Bytes that nobody takes now, as far as the system tells; a container may have less."""
    known = available_memory()
    if known is None:
        try:
            known = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, AttributeError):
            known = 8 * 10**9
    free = float(known)
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        try:
            free = min(free, float(Path(limit).read_text()) - float(Path(used).read_text()))
        except (OSError, ValueError):
            continue
    return max(0.0, free)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
