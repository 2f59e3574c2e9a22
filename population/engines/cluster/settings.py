"""What a campaign asks of a Ray cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class WorkerNeeds:
    """What each worker takes of its node.

    Attributes:
        cpus: cores.
        gpus: GPUs, or the part of one.
        resources: custom resources, by name.
        runtime_env: of its process, as Ray takes it.
    """

    cpus: float
    gpus: float = 0.0
    resources: Mapping[str, float] = field(default_factory=dict)
    runtime_env: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ClusterRequest:
    """The cluster and the workers that a campaign wants.

    Attributes:
        address: of a cluster that is there, `auto` or `ray://HOST:PORT`; None for one of this
            machine's own, for as long as the campaign runs.
        workers: how many there are to be; None for as many as there is room for.
        needs: of each.
    """

    address: str | None
    workers: int | None
    needs: WorkerNeeds
