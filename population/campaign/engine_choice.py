"""The engine that a campaign asked for."""

import os

from population.campaign.context import Context
from population.campaign.founder_bench import FounderBenchPlan, FounderReference
from population.engines.interface import Engine
from population.errors import CampaignError, ConfigError
from population.evaluation.pool import threads_of_each

EXTRA = "model-colony[ray]"


def equip(context: Context) -> None:
    """Give a context the engine that its configuration asks for.

    Args:
        context: whose engine was not used yet.

    Raises:
        CampaignError: the extra that brings Ray is not installed.
        ConfigError: the workers would compute on another kind of device than this process.
    """
    if context.config.run.engine == "ray":
        context.engine = _ray_engine(context, context.engine)


def _ray_engine(context: Context, local: Engine) -> Engine:
    try:
        from population.engines.cluster.engine import Driver, RayEngine  # noqa: PLC0415 - an extra
        from population.engines.cluster.settings import (  # noqa: PLC0415
            ClusterRequest,
            WorkerNeeds,
        )
    except ModuleNotFoundError as error:
        raise CampaignError(
            f"engine ray needs Ray ({error}); install it with: pip install '{EXTRA}'"
        ) from None
    run = context.config.run
    cores = run.threads or os.cpu_count() or 1

    def request() -> ClusterRequest:
        asked = run.ray
        cpus = asked.num_cpus or _threads(context, cores)
        needs = WorkerNeeds(cpus, asked.num_gpus, asked.resources, asked.runtime_env)
        return ClusterRequest(asked.address, asked.workers, needs)

    driver = Driver(
        lambda: _plan(context, cores),
        local,
        lambda: context.evaluator.meter,
        context.failures.add,
        lambda: context.progress(0, 1, "waiting for workers of the Ray cluster"),
    )
    return RayEngine(request, cores, driver)


def _plan(context: Context, cores: int) -> FounderBenchPlan:
    run, device = context.config.run, context.evaluator.device.type
    if run.ray.num_gpus and device == "cpu":
        raise ConfigError(
            "[run.ray] num_gpus: this process has no GPU, and its share of the work would come to "
            "other bits; start it where one is (ray job submit --entrypoint-num-gpus 0.1), or "
            "leave num_gpus out"
        )
    if device != "cpu" and not run.ray.num_gpus:
        raise ConfigError(
            f"[run.ray] num_gpus is 0, and this process computes on {device}; give each worker a "
            'part of a GPU (num_gpus = 0.25), or set [run] device = "cpu"'
        )
    founders = tuple(
        FounderReference(founder.name, founder.reference, sha256)
        for founder, sha256 in zip(context.founders, context.hashes.sha256, strict=True)
    )
    factory = context.factory
    return FounderBenchPlan(
        context.config,
        founders,
        factory.basis,
        factory.layout,
        context.hashes,
        context.components.extensions,
        device,
        _threads(context, cores),
    )


def _threads(context: Context, cores: int) -> int:
    """Threads that a worker computes with: as many as a network has on one machine."""
    evaluator = context.evaluator
    if evaluator.device.type != "cpu":
        return 1
    return threads_of_each(evaluator.device, cores, evaluator.bytes)
