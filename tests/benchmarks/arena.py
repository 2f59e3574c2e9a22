"""Whether the arena deserves to be believed: agreement, what it is worth, speed, attacks.

    python -m tests.benchmarks.arena --json OUT
    python -m tests.benchmarks.arena --archive colony.duckdb --seeds 5 --generations 30 --json OUT

- `spearman`: the living of a default campaign (of `--archive`, or one that is run first) meet on
  `--items` fresh items, from nothing, and keys decide no match: they only earn judges their trust.
  The rank correlation of ratings with accuracy on the sealed test split. `agreement` has more:
  without looking at any key at all, on fewer items, among offspring alone, and what the same items
  would say if keys decided everything.
- `arena_minus_random`: campaigns that breed by the jury's judgement alone (`[search] merit =
  "jury"`) against the same campaigns scored by chance, where parents and survivors are drawn
  blindly. Even the blind ones have the arena pick their champion, the best rated. The difference of
  the champions' means over tasks on the sealed test split, with a 95 % interval by Student's t over
  seeds.
- `refit_1e3_s`, `refit_1e5_s`, `coverage`: see `tests.benchmarks.ratings`, which has the peers.
- `ring_gain`: places that members of a ring gain by praising each other, a tenth and half of all.
"""

import argparse
import copy
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does, before torch loads

import numpy as np
from scipy.stats import spearmanr

from arena.matches.items import round_items
from arena.matches.round_inputs import Contestants, Memory, Rules
from lineage import Archive
from lineage.ancestry.kinship import Kinship
from lineage.records import Floats
from population.campaign.arena_rounds import play_round
from population.campaign.context import Context, genome_of, silent
from population.campaign.loop import Campaign
from population.campaign.offline_arena import founders_among, unseen_items
from population.campaign.opening_context import found_archive, open_context, reopen_context
from population.campaign.state import task_means
from population.config import Budget, Config, load_config
from population.evaluation.evaluator import Evaluator, PreparedItems
from tests.arena_players import MODELS, RULES, gain, with_ring, worst
from tests.benchmarks import ratings
from tests.benchmarks.harness import interval, positive, told
from tests.benchmarks.search import VARIANTS, changed

PANELS = (36, 120, 480)
"""Items on which agreement is measured, up to those that are asked for."""


# Agreement


def agreement(path: Path, items: int) -> dict[str, float]:
    """How well ratings of the living agree with the sealed test split."""
    archive = Archive(path)
    context = reopen_context(archive)
    members = archive.models(living=True)
    ids = [member.id for member in members]
    genomes = {m.id: genome_of(archive, context, m) for m in members}
    sealed = context.split("test")
    prepared = context.evaluator.prepare_keys(sealed)
    exact = context.score([genomes[i] for i in ids], prepared).exact
    accuracy = task_means(sealed, exact)
    related = Kinship.replayed(archive.models()).relationship(ids)
    who = Contestants(tuple(ids), related, np.zeros(len(ids)), founders_among(members))
    offspring = [row for row, member in enumerate(members) if member.kind == "offspring"]

    def rated(count: int, checkable: float, verifier: bool) -> Floats:
        fresh = unseen_items(archive, context, 0, count)
        panel = round_items(fresh, [], len(fresh), checkable)
        rules = Rules(verifier=verifier)
        played = play_round(context, genomes, panel, fresh, who, Memory(), rules, silent)
        return np.array([rating.rating for rating in played.ratings])

    found: dict[str, float] = {"models": float(len(ids))}
    for count in sorted({*(panel for panel in PANELS if panel < items), items}):
        strength = rated(count, 0.5, False)
        found[f"judges_{count}"] = float(spearmanr(strength, accuracy).statistic)
        found[f"judges_{count}_offspring"] = float(
            spearmanr(strength[offspring], accuracy[offspring]).statistic
        )
    found[f"no_key_{items}"] = float(spearmanr(rated(items, 0.0, False), accuracy).statistic)
    found[f"keys_{items}"] = float(spearmanr(rated(items, 1.0, True), accuracy).statistic)
    return found


# What the arena is worth


class Blind(Evaluator):
    """An evaluator that scores by chance: whoever breeds by its scores breeds blindly."""

    chance: np.random.Generator

    def score(self, prepared: PreparedItems) -> tuple[Floats, Floats]:
        """Random scores, and no forward pass."""
        items = prepared.size if prepared.answer_credit is None else len(prepared.answer_credit)
        return self.chance.random(items), self.chance.random(items)


def blinded(context: Context, seed: int) -> Context:
    """A context whose evaluator scores by chance, and judges and answers as it would."""
    evaluator = copy.copy(context.evaluator)
    evaluator.__class__ = Blind
    evaluator.chance = np.random.default_rng(seed)  # type: ignore[attr-defined]
    context.evaluator = evaluator
    return context


def champion_on_test(config: Config, generations: int, blind: bool) -> float:
    """The mean over tasks that the champion of a campaign comes to on the sealed test split."""
    context = open_context(config)
    if blind:
        blinded(context, config.run.seed)
    with TemporaryDirectory() as folder:
        archive = found_archive(Path(folder) / "colony.duckdb", context)
        limits = Budget(item_evaluations=1 << 40, generations=generations)
        Campaign(archive, context, limits).run()
        ratings = archive.ratings(generations)
        champion = max(ratings, key=lambda m: ratings[m].rating) if blind else "champion"
        genome = genome_of(archive, context, archive.find(str(champion)))
    seeing = open_context(config)
    sealed = seeing.split("test")
    scored = seeing.score([genome], seeing.evaluator.prepare_keys(sealed))
    return float(task_means(sealed, scored.exact)[0])


def arena_minus_random(config: Config, seeds: int, generations: int) -> dict[str, Any]:
    """The arena alone against chance, seed by seed."""
    jury = changed(search={"merit": "jury", "rotate": 10}, arena={"verifier": False})
    alone = jury(VARIANTS["no_gradient"](config))
    champions: dict[str, list[float]] = {"arena": [], "random": []}
    for seed in range(seeds):
        seeded = changed(run={"seed": seed})(alone)
        for name, blind in (("arena", False), ("random", True)):
            champions[name].append(champion_on_test(seeded, generations, blind))
            sys.stderr.write(f"seed {seed} {name}: {champions[name][-1]:.3f}\n")
    differences = np.subtract(champions["arena"], champions["random"]).tolist()
    mean, low, high = interval(differences)
    return {"mean": mean, "low": low, "high": high, **champions}


# Attacks


def ring_gain() -> dict[str, float]:
    """Places gained by a ring that praises itself where judges decide everything."""
    judges = RULES[1]
    sizes = {"minority": MODELS // 10, "majority": MODELS // 2}
    return {name: gain(with_ring(worst(size)), worst(size), judges) for name, size in sizes.items()}


# The command line


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archive", type=Path, help="of a default campaign; else one is run")
    parser.add_argument("--budget", type=positive, help="item evaluations of that campaign")
    parser.add_argument("--items", type=positive, default=PANELS[-1])
    parser.add_argument("--seeds", type=positive, default=5)
    parser.add_argument("--generations", type=positive, default=30)
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--json", type=Path, help="write the result there as well")
    chosen = parser.parse_args(arguments)
    config = changed(run={"threads": chosen.threads})(load_config(None))
    with TemporaryDirectory() as folder:
        path = chosen.archive
        if path is None:
            path = Path(folder) / "colony.duckdb"
            context = open_context(config)
            limits = Budget(item_evaluations=chosen.budget) if chosen.budget else None
            Campaign(found_archive(path, context), context, limits).run()
        agreed = agreement(path, chosen.items)
    result = {
        "spearman": agreed[f"judges_{chosen.items}"],
        "arena_minus_random": arena_minus_random(config, chosen.seeds, chosen.generations),
        "refit_1e3_s": ratings.refit_1e3(),
        "refit_1e5_s": ratings.refit_1e5(),
        "coverage": ratings.coverage()[0],
        "ring_gain": ring_gain(),
        "agreement": agreed,
        "settings": {"items": chosen.items, "seeds": chosen.seeds, "budget": chosen.budget,
                     "generations": chosen.generations},
    }  # fmt: skip
    told(result, chosen.json)


if __name__ == "__main__":
    main()
