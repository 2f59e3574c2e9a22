"""Connects to a Ray cluster, or starts one of this machine's own that ends with this process."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray._private import ray_constants

from lineage.cleanup import afterwards
from population.engines.cluster.settings import ClusterRequest
from population.errors import CampaignError
from population.failures import one_line

OBJECT_STORE = 128 << 20
"""Bytes of shared memory of a cluster of one's own: what travels is small."""

LOOK_S, LOST_S = 2.0, 30.0
"""Seconds between two looks whether the head of a cluster is there, and until it is given up: one
that keeps its state elsewhere may be started again."""

OWN_LOST_S = 10.0
"""Until that of a cluster of one's own is given up, which nobody starts again."""


def connect(request: ClusterRequest, cores: int) -> bool:
    """Connect this process, unless it is connected.

    A cluster that is there is used as it is. One of this machine's own listens on the loopback
    interface alone, shows no dashboard, and ends with this process however that ends.

    Args:
        request: which cluster.
        cores: of this machine, for a cluster of its own.

    Returns:
        Whether it was not connected before.

    Raises:
        CampaignError: there is no such cluster, or none can be started.
    """
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    # Within a job that was submitted to a cluster, Ray says itself where that is.
    address = request.address or os.environ.get("RAY_ADDRESS")
    try:
        with _own_signals():
            if address:
                ray.init(address, **quiet)
            else:
                room = (request.workers or 0) * request.needs.cpus
                with _on_loopback():
                    ray.init(
                        "local",
                        num_cpus=max(cores, int(room)),
                        include_dashboard=False,
                        object_store_memory=OBJECT_STORE,
                        **quiet,
                    )
    except (ImportError, RuntimeError, ValueError, OSError) as error:
        if address:
            raise CampaignError(
                f"no Ray cluster at {address!r}: {one_line(error).rstrip('.')}; `ray start --head` "
                "starts one"
            ) from None
        raise CampaignError(f"Ray cannot be started here: {one_line(error)}") from None
    # What has become of a worker is told by whoever waits for it; Ray would print it on stdout.
    ray._private.worker.print_to_stdstream = lambda data, ignore_prefix: None
    return True


def disconnect() -> None:
    """Leave the cluster; one of this machine's own ends."""
    with _own_signals():
        ray.shutdown()


class HeadWatch:
    """Looks whether the head of a cluster is there.

    Ray itself ends a process that has not reached it for a minute, without a word to that.

    Args:
        address: of the cluster, as it was asked for; None for one of this machine's own.
    """

    def __init__(self, address: str | None) -> None:
        self._lost_s = LOST_S if address else OWN_LOST_S
        self._address = _head()
        self._looked = self._seen = time.monotonic()

    def look(self) -> None:
        """Look, unless that was done a moment ago.

        Raises:
            ConnectionError: nobody has answered for half a minute.
        """
        now = time.monotonic()
        if not self._address or now - self._looked < LOOK_S:
            return
        self._looked = now
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), LOOK_S).close()
        except OSError:
            if now - self._seen > self._lost_s:
                raise ConnectionError(f"its head at {self._address} does not answer") from None
        else:
            self._seen = now


def _head() -> str:
    """The address of a cluster's head; nothing where this process is a client of the cluster."""
    client = ray.util.client.ray.is_connected()  # type: ignore[no-untyped-call]
    return "" if client else str(ray.get_runtime_context().gcs_address)


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Have all processes of a cluster that is started within listen to this machine alone.

    On Linux Ray takes the machine's address for every process, even where it is told another; on
    other systems it takes the loopback interface's, by this setting.
    """
    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    before, was = os.environ.get(name), ray_constants.ENABLE_RAY_CLUSTER

    def restore() -> None:
        ray_constants.ENABLE_RAY_CLUSTER = was
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before

    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    with afterwards(restore):
        yield


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's answers to signals, which Ray replaces by its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in kept.items():
            signal.signal(number, handler)

    with afterwards(restore):
        yield
