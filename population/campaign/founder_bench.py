"""What a worker of another process works with: the campaign's founders and tasks, opened there."""

from dataclasses import dataclass

from population.campaign.context import Context
from population.campaign.descent_pool import DescentPool
from population.config import Config
from population.engines.bench import Bench
from population.engines.local import LocalEngine
from population.errors import CheckpointError
from population.evaluation.pool import EvaluatorPool
from population.evolution.extensions import Extensions
from population.models.blocks import Layout
from population.models.canonical_form import form_with_hash
from population.models.checked_hashes import checked_sha256
from population.models.checkpoints import Checkpoint
from population.models.sources import open_source
from population.weights.genomes import Basis
from population.weights.identity import FounderHashes


@dataclass(frozen=True)
class FounderReference:
    """Where a founder is.

    Attributes:
        name: of it.
        path: that opens it, on every node.
        sha256: of its weights.
    """

    name: str
    path: str
    sha256: str

    def open(self) -> Checkpoint:
        """Open it, and make sure that its weights are those that the campaign breeds from.

        Raises:
            CheckpointError: it is not there, or has other weights.
        """
        founder = form_with_hash(open_source(self.path, self.name), self.sha256, checked_sha256)
        if founder is None:
            raise CheckpointError(
                f"founder {self.name!r} at {self.path} has other weights there than where the "
                "campaign runs"
            )
        return founder


@dataclass(frozen=True)
class FounderBenchPlan:
    """Says how a worker opens the founders and tasks of a campaign.

    Attributes:
        config: of the campaign.
        founders: in archive order.
        basis: what the rows of a genome mean.
        layout: what its columns mean.
        hashes: of the founders' weights.
        extensions: from outside the project.
        device: where the worker computes.
        threads: that it computes with on a CPU.
    """

    config: Config
    founders: tuple[FounderReference, ...]
    basis: Basis
    layout: Layout
    hashes: FounderHashes
    extensions: Extensions
    device: str
    threads: int

    def open(self) -> Bench:
        """Open all of it; see `BenchPlan`."""
        # How many threads a forward pass has follows from the driver's cores, as if all was there.
        run = self.config.run.model_copy(update={"device": self.device, "engine": "local"})
        own = run.model_copy(update={"threads": self.threads})
        config = self.config.model_copy(update={"run": own})
        founders = [founder.open() for founder in self.founders]
        context = Context(config, founders, self.basis, self.layout, self.hashes, self.extensions)
        if context.evaluator.device.type != "cpu":
            run = own
        engine = LocalEngine(
            lambda: EvaluatorPool(context.evaluator, run.threads, 1),
            lambda: context.factory.maker,
            DescentPool(lambda: context.evaluator, context.factory, run, 1),
        )
        return Bench(engine, context.evaluator, context.failures)
