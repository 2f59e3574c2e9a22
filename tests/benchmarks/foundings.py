"""Foundings in a long campaign: whether new lines keep earning places, and what a generation takes.

    python -m tests.benchmarks.foundings --generations 300 --config FILE --json OUT

A founding is the birth of a model that an operator made of parents which the arena picked; the
line that it begins lasts for as long as its newest model is taken further. A place is earned by a
model that outlives the generation of its birth. By hundreds of generations are printed births,
foundings, the places that these earned, and the seconds and item evaluations of a generation; of
the whole campaign the part of the births that descend from a founding, foundings among the
champion's ancestors, and founders with more than 5 % of what its weights add to the base.

There is no rival; the limit is that the last hundred generations take no longer than the first.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from arena.errors import TaskError
from lineage import Archive
from lineage.records import Model
from population.campaign.context import Context, genome_of
from population.campaign.loop import Campaign
from population.campaign.opening_context import found_archive, open_context
from population.config import Budget, load_config
from population.errors import PopulationError
from population.evolution.proposals import CENTRE, EMITTER, RAISE
from population.weights.founder_shares import vector_shares
from tests.benchmarks.harness import parser_of, positive, told

EVERY = 100
"""Generations that are counted together."""

ENDLESS = 1 << 40
"""Item evaluations: generations alone end the campaign."""

LARGE = 0.05
"""The part of a model's weights above which a founder is counted."""


@dataclass(frozen=True)
class Foundings:
    """What foundings were worth to a campaign.

    Attributes:
        descended: the part of the births after generation 0 that are foundings or descend from one.
        in_champion: foundings among the champion's ancestors, itself included.
        large_founders: founders that hold more than `LARGE` of what its weights add to the base.
    """

    descended: float
    in_champion: int
    large_founders: int


def is_founding(model: Model) -> bool:
    """Whether an operator made it of parents that were picked."""
    return model.generation > 0 and model.operator not in {CENTRE, EMITTER, RAISE}


def earned_place(model: Model) -> bool:
    """Whether it outlived the generation of its birth."""
    return model.died is None or model.died > model.generation


def foundings_of(archive: Archive, context: Context) -> Foundings:
    """What foundings were worth to a campaign that has ended.

    Args:
        archive: of the campaign.
        context: with its founders.
    """
    newest = archive.latest()
    models = {model.id: model for model in archive.models() if model.kind == "offspring"}
    founded: set[int] = set()
    for one, model in sorted(models.items()):  # ids grow with birth: parents come first
        if is_founding(model) or any(parent.id in founded for parent in model.parents):
            founded.add(one)
    born = [one for one, model in models.items() if model.generation > 0]
    if newest is None:
        return Foundings(0.0, 0, 0)
    champion = newest.champion
    line = {champion, *archive.ancestry().ancestors(champion).tolist()}
    large = 0
    if context.geometry is not None:
        (crowned,) = archive.models(ids=[champion])
        genome = genome_of(archive, context, crowned)
        coefficients = context.factory.parameter_space.coefficients(genome)
        shares = vector_shares(coefficients, context.geometry.lengths)
        large = int((shares > LARGE).sum())
    return Foundings(
        len(founded & set(born)) / max(1, len(born)),
        sum(is_founding(models[one]) for one in line if one in models),
        large,
    )


def by_hundreds(archive: Archive) -> list[dict[str, Any]]:
    """Births, foundings, places and costs of each hundred generations."""
    births = [model for model in archive.models() if model.generation > 0]
    rows = []
    history = archive.generations()[1:]
    for first in range(0, len(history), EVERY):
        part = history[first : first + EVERY]
        span = range(part[0].generation, part[-1].generation + 1)
        born = [model for model in births if model.generation in span]
        new = [model for model in born if is_founding(model)]
        rows.append(
            {
                "generations": [span[0], span[-1]],
                "births": len(born),
                "foundings": len(new),
                "places": sum(earned_place(model) for model in new),
                "seconds": float(np.mean([one.wall_s for one in part])),
                "evaluations": float(np.mean([one.evaluations for one in part])),
                "best": part[-1].best,
            }
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a long campaign and print what foundings were worth."""
    parser = parser_of(__doc__)
    parser.add_argument("--generations", type=positive, default=300)
    parser.add_argument("--config", type=Path, help="of another campaign than the default one")
    args = parser.parse_args(arguments)
    budget = Budget(item_evaluations=ENDLESS, generations=args.generations)
    try:
        config = load_config(args.config)
        run = config.run.model_copy(update={"threads": args.threads})
        context = open_context(config.model_copy(update={"run": run, "budget": budget}))
        with TemporaryDirectory() as folder:
            archive = found_archive(Path(folder) / "colony.duckdb", context)

            def note(state: Any) -> None:
                sys.stderr.write(f"generation {state.generation}  spent {state.spent:,}\n")

            Campaign(archive, context, on_generation=note).run()
            told(
                {"hundreds": by_hundreds(archive), **vars(foundings_of(archive, context))},
                args.json,
            )
    except (PopulationError, TaskError) as error:
        parser.exit(2, f"foundings: {error}\n")


if __name__ == "__main__":
    main()
