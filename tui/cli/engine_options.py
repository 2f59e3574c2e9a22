"""`--engine`, `--workers` and `--address` of `colony run`: where models are made and scored."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from population.errors import CampaignError

if TYPE_CHECKING:
    from population.config import Config

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class EngineOptions:
    """What the command line says of the engine; None where it says nothing.

    Attributes:
        engine: its name.
        workers: on a Ray cluster, which implies the engine.
        address: of a Ray cluster, as well.
    """

    engine: str | None
    workers: int | None = None
    address: str | None = None

    def applied(self, config: "Config") -> "Config":
        """A configuration with this engine."""
        asked = {"workers": self.workers, "address": self.address}
        changes = {key: value for key, value in asked.items() if value is not None}
        engine = self.engine or ("ray" if changes else config.run.engine)
        cluster = config.run.ray.model_copy(update=changes)
        run = config.run.model_copy(update={"engine": engine, "ray": cluster})
        return config.model_copy(update={"run": run})


def engine_options(engine: str | None, workers: int | None, address: str | None) -> EngineOptions:
    """What the command line says of the engine.

    Raises:
        CampaignError: there is no such engine, or it has no workers.
    """
    if engine not in (None, *ENGINES):
        raise CampaignError(f"no engine is called {engine!r}; there are {' and '.join(ENGINES)}")
    if engine == "local" and (workers or address):
        raise CampaignError("--workers and --address are for --engine ray")
    return EngineOptions(engine, workers, address)
