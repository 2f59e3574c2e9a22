"""Connects to a Ray cluster, or starts one of this machine's own that ends with this process."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from population.engines.cluster.settings import ClusterRequest
from population.errors import CampaignError
from population.failures import one_line

OBJECT_STORE = 128 << 20
"""Bytes of shared memory of a cluster of one's own: what travels is small."""

LOOPBACK = "127.0.0.1"


def connect(request: ClusterRequest, cores: int) -> None:
    """Connect this process.

    A cluster that is there is used as it is. One of this machine's own listens on the loopback
    interface alone, shows no dashboard, and ends with this process however that ends.

    Args:
        request: which cluster.
        cores: of this machine, for a cluster of its own.

    Raises:
        CampaignError: there is no such cluster, or none can be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "ignore_reinit_error": True,
    }
    # Within a job that was submitted to a cluster, Ray says itself where that is.
    address = request.address or os.environ.get("RAY_ADDRESS")
    try:
        with _own_signals():
            if address:
                ray.init(address, **quiet)
            else:
                room = (request.workers or 0) * request.needs.cpus
                ray.init(
                    "local",
                    num_cpus=max(cores, int(room)),
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE,
                    _node_ip_address=LOOPBACK,
                    **quiet,
                )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
        if address:
            raise CampaignError(
                f"no Ray cluster at {address!r}: {one_line(error)}; `ray start --head` starts one"
            ) from None
        raise CampaignError(f"Ray cannot be started here: {one_line(error)}") from None


def disconnect() -> None:
    """Leave the cluster; one of this machine's own ends."""
    with _own_signals():
        ray.shutdown()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's answers to signals, which Ray replaces by its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
