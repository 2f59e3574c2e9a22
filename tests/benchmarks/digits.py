"""Merging two small networks: our breeder and its rivals on M2N2's own first experiment.

    python -m tests.benchmarks.digits --passes 5000 --seeds 5 --json OUT
    python -m tests.benchmarks.digits --founders 2,3,4,5 --splits 5 --passes 500 --json OUT
    python -m tests.benchmarks.digits --scratch --passes 20000 --methods colony,m2n2 --json OUT

A pass is one network on all 1437 training images; a search may also ask a network less. Everyone
has the same founders and the same budget, runs in this process, and reports by training images
alone: the test images are looked at when the search is over.

- m2n2, ga and map_elites mix and mutate flat weights, as published.
- cma_es, stock_pygad, random_search and colony search a coefficient for every founder and block.
- By default two founders know five classes each. --founders 3 splits the ten classes among three by
  chance, anew for each of --splits: each is a seed of its own, and methods are called NAME/3.
- With --scratch founders know nothing, and only mutation can help: colony then steps in weights
  too, and those that search coefficients have nothing to find and stay out.
"""

import hashlib
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lineage.records import Floats
from population.config import Search
from population.evolution.spaces.space import Integers
from population.randomness import generator
from tests.benchmarks import mlp
from tests.benchmarks.encodings import HIGH, LOW, MUTATION, Encoding, Merged, Plain
from tests.benchmarks.harness import (
    BenchmarkError,
    Budgeted,
    Method,
    Results,
    Run,
    Trail,
    checkpoints,
    chosen,
    parser_of,
    positive,
    run_all,
)
from tests.benchmarks.mlp import Weights
from tests.benchmarks.nursery import Nursery
from tests.benchmarks.rivals import RIVALS
from tests.benchmarks.rivals.cma_es import CmaEsSettings
from tests.benchmarks.rivals.ga import PUBLISHED as GA
from tests.benchmarks.rivals.m2n2 import M2N2Settings
from tests.benchmarks.rivals.map_elites import MapElitesSettings
from tests.benchmarks.rivals.problem import Spent
from tests.benchmarks.rivals.random_search import RandomSearchSettings
from tests.benchmarks.rivals.stock_pygad import StockPygadSettings

CHECKPOINTS = (200, 500, 1000, 2000, 5000, 10_000, 20_000)
"""Passes after which the incumbents are remembered; and at the end."""

MERGES = ("cma_es", "stock_pygad", "random_search")
"""They search coefficients."""

MERGING = Search(
    items=144,
    panel=480,
    finalists=2,
    rounds=4,
    population=24,
    brood=24,
    sigma=0.3,
    rate=0.05,
    lowest=LOW,
    highest=HIGH,
)
"""How the colony merges."""

FROM_SCRATCH = Search(
    items=288,
    panel=480,
    finalists=1,
    population=47,
    brood=47,
    emitter=1.0,
    sigma=0.06,
    rate=0.01,
)
"""How the colony learns from scratch: a centre, and all others in pairs around it. Long steps find
networks that stand noise, and those do better on images that nobody trained on; they need more
images to tell the better of two."""


@dataclass(frozen=True)
class Experiment:
    """What is asked of every method.

    Attributes:
        founders: shape (founders, weights), or among how many the classes are split anew for each
            seed; None draws two that know nothing for each seed.
        passes: the budget.
        smooth: whether scores count the right answer's probability too.
    """

    founders: Weights | int | None
    passes: int
    smooth: bool = False

    @property
    def scratch(self) -> bool:
        """Whether founders know nothing."""
        return self.founders is None

    def founders_of(self, seed: int) -> Weights:
        """The founders of a seed; the same for every method."""
        if self.founders is None:
            return mlp.untrained(2, seed)
        if isinstance(self.founders, int):
            return mlp.split_specialists(self.founders, seed)
        return self.founders

    @property
    def search(self) -> Search:
        """How the colony breeds."""
        return FROM_SCRATCH if self.scratch else MERGING

    def settings(self) -> dict[str, Any]:
        """What results depend on."""
        drawn = self.founders_of(0)
        return {
            "passes": self.passes,
            "smooth": self.smooth,
            "scratch": self.scratch,
            "founders": hashlib.sha256(drawn.tobytes()).hexdigest(),
            "threads": torch.get_num_threads(),
            "colony": self.search.model_dump(mode="json"),
        }


# The methods


def methods(experiment: Experiment) -> dict[str, Method]:
    """Everything that can be compared in an experiment."""
    labels = mlp.digits()[0].labels.numpy()
    even, odd = (np.flatnonzero(labels % 2 == rest) for rest in (0, 1))
    mutation = MUTATION if experiment.scratch else 0.0
    settings = {
        "m2n2": M2N2Settings(mutation=mutation),
        "ga": replace(GA, mutation=mutation),
        "map_elites": MapElitesSettings((odd, even), mutation=mutation),
        "cma_es": CmaEsSettings(),
        "stock_pygad": StockPygadSettings(),  # both do better in their own box of 0 to 1
        "random_search": RandomSearchSettings(),
    }
    ours = Plain if experiment.scratch else Merged
    found: dict[str, Method] = {"colony": partial(run, experiment, ours, colony)}
    for name, published in settings.items():
        encoding = Merged if name in MERGES else Plain
        found[name] = partial(run, experiment, encoding, partial(rival, name, published))
    return found


def run(
    experiment: Experiment,
    encoding: Callable[[Weights], Encoding],
    search: Callable[[Experiment, int, Any, Trail], None],
    seed: int,
    told: Callable[[int], None],
) -> Run:
    """Search, and only then look at the test images."""
    train, test = mlp.digits()
    encoded = encoding(experiment.founders_of(seed))
    passes = checkpoints(CHECKPOINTS, experiment.passes)
    trail = Trail([count * len(train) for count in passes], encoded.founders[0], told)
    with trail.clock():
        search(experiment, seed, encoded, trail)
    weights = encoded.weights(np.array(list(trail.incumbents.values())))
    reported = dict(zip(map(str, passes), weights, strict=True))
    return Run(
        {
            what: {name: mlp.accuracy(network, asked) for name, network in reported.items()}
            for what, asked in (("test", test), ("train", train))
        },
        trail.seconds,
        trail.spent,
    )


def colony(experiment: Experiment, seed: int, encoded: Plain | Merged, trail: Trail) -> None:
    """Our breeder; it reports the champion of its panel."""
    train, _ = mlp.digits()

    def evaluate(genomes: Floats, asked: Integers) -> Floats:
        return mlp.scores(encoded.weights(genomes), train.only(asked), experiment.smooth)

    Nursery(
        seed,
        experiment.search,
        encoded.space,
        len(train),
        evaluate,
        trail.budget,
        trail.tell,
        encoded.geometry,
    ).run(len(encoded.founders))


def rival(
    name: str, settings: Any, experiment: Experiment, seed: int, encoded: Encoding, trail: Trail
) -> None:
    """A rival; it looks at all training images and reports the best that it has seen."""
    train, _ = mlp.digits()

    def evaluate(vectors: Floats) -> Floats:
        return mlp.scores(encoded.weights(vectors), train, experiment.smooth)

    problem = Budgeted(encoded.founders, evaluate, len(train), trail)
    with suppress(Spent):
        RIVALS[name](problem, generator(seed, name), settings)


# The command line


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is asked for and print it."""
    parser = parser_of(__doc__)
    parser.add_argument(
        "--founders",
        help="an .npz file; or among how many the classes are split: 2,3,4; by default two have "
        "five each",
    )
    parser.add_argument("--splits", type=positive, default=5, help="of each number of founders")
    parser.add_argument("--scratch", action="store_true", help="start from chance")
    parser.add_argument("--smooth", action="store_true", help="score probabilities as well")
    parser.add_argument("--passes", type=positive, required=True)
    args = parser.parse_args(arguments)
    try:
        if args.scratch and args.founders:
            raise BenchmarkError("--scratch has founders of its own; leave --founders out")
        torch.set_num_threads(args.threads)
        images = len(mlp.digits()[0])
        experiments = experiments_of(args)
        settings = {name: one.settings() for name, one in experiments.items()}
        results = Results(args.json, settings.get("", settings), ("passes", images))
        wanted = {}
        for name, experiment in experiments.items():
            known = chosen(methods(experiment), args.methods)
            wanted |= {method + name: run for method, run in known.items()}
        if args.scratch and (skipped := [name for name in MERGES if wanted.pop(name, None)]):
            sys.stderr.write(f"nothing to merge from scratch: {', '.join(skipped)} skipped\n")
        seeds = args.seeds if "" in experiments else args.splits
        run_all(wanted, seeds, args.passes * images, results)
    except BenchmarkError as error:
        parser.exit(2, f"digits: {error}\n")
    sys.stdout.write(results.text())


def experiments_of(args: Namespace) -> dict[str, Experiment]:
    """What is asked for, by what is added to the names of methods.

    Raises:
        BenchmarkError: there are no such founders.
    """
    counts = (args.founders or "").split(",")
    if not all(count.strip().isdecimal() for count in counts):
        founders = mlp.read_founders(Path(args.founders)) if args.founders else None
        if founders is None and not args.scratch:
            founders = mlp.specialists()
        return {"": Experiment(founders, args.passes, args.smooth)}
    if wrong := [count for count in counts if not 2 <= int(count) <= mlp.OUTPUTS]:
        raise BenchmarkError(f"expected 2 to {mlp.OUTPUTS} founders, got {wrong[0]}")
    return {f"/{int(n)}": Experiment(int(n), args.passes, args.smooth) for n in counts}


if __name__ == "__main__":
    main()
