"""Knock-outs: what a founder was needed for, measured on real models."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from lineage import Archive
from lineage.records import Model
from population.analysis.founder_ablation import (
    EVERYWHERE,
    Ablation,
    FounderAblation,
    ablate_founders,
    block_masks,
    knocked_out,
    means_by_task,
)
from population.campaign.context import Context, genome_of
from population.campaign.opening_context import reopen_context
from population.evaluation.intervals import Interval
from tests.command_helpers import colony, failure


@pytest.fixture(scope="module")
def context(small_archive: Archive) -> Context:
    return reopen_context(small_archive)


def means(one: Ablation) -> dict[str, float]:
    return {task: loss.mean for task, loss in one.losses.items()}


def everywhere(found: FounderAblation) -> dict[str, dict[str, float]]:
    return {one.founder: means(one) for one in found.knockouts if one.where == EVERYWHERE}


def test_a_founder_without_its_own_vector_is_the_base(
    small_archive: Archive, context: Context
) -> None:
    model = small_archive.find("cipher")
    found = ablate_founders(small_archive, context, model)
    items = context.split("selection")
    asked = [item.task for item in items]
    genomes = [context.genome_of_founder(row) for row in (0, 2)]
    base, own = context.score(genomes, context.evaluator.prepare_keys(items)).exact
    assert found.accuracy == means_by_task(own, asked)
    losses = everywhere(found)
    assert losses["cipher"] == means_by_task(own - base, asked)
    assert max(losses["cipher"].values()) > 0.2  # it has a skill that the base lacks
    shares = {one.founder: one.share for one in found.knockouts}
    assert shares == {"capital": 0.0, "cipher": 1.0, "double": 0.0}
    best = max(losses["cipher"], key=lambda task: losses["cipher"][task])
    assert found.source(best) == "cipher"


def test_who_has_no_coefficient_costs_nothing_and_who_has_costs_what_is_scored(
    small_archive: Archive, context: Context
) -> None:
    model = small_archive.models(ids=small_archive.offspring())[-1]
    found = ablate_founders(small_archive, context, model, split="search", grain="layer")
    space, whole = context.factory.parameter_space, genome_of(small_archive, context, model)
    items = context.split("search")
    prepared = context.evaluator.prepare_keys(items)
    masks = block_masks(context.factory.layout, "layer")
    assert len(masks) > 3
    assert len(found.knockouts) == len(masks) * len(space.vectors)
    chosen = [found.knockouts[1], found.knockouts[-1], found.knockouts[-2]]
    for one in chosen:
        row = ["capital", "cipher", "double"].index(one.founder)
        rest = knocked_out(space, whole, row, masks[one.where])
        exact = context.score([whole, rest], prepared).exact
        assert means(one) == means_by_task(exact[0] - exact[1], [item.task for item in items])
    founder = ablate_founders(small_archive, context, small_archive.find("double"), split="search")
    assert set(everywhere(founder)["capital"].values()) == {0.0}
    assert any(everywhere(founder)["double"].values())


def test_knocking_out_touches_one_vector_in_its_blocks_alone(context: Context) -> None:
    layout = context.factory.layout
    layers, blocks = block_masks(layout, "layer"), block_masks(layout, "block")
    for masks in (layers, blocks):
        everything, *parts = masks.values()
        assert everything.all()
        assert np.array_equal(np.sum(parts, axis=0), np.ones(len(everything)))
    assert len(blocks) == 1 + len(layout.blocks)
    whole = np.arange(1.0, 1.0 + 3 * len(everything))
    mask = list(layers.values())[2]
    rest = knocked_out(context.factory.parameter_space, whole, 1, mask)
    assert np.array_equal(rest == 0.0, np.outer([False, True, False], mask).ravel())
    assert np.array_equal(rest[rest != 0.0], whole[rest != 0.0])


def test_credit_is_share_times_loss_and_chance_gets_none() -> None:
    def knockout(founder: str, share: float, loss: Interval) -> Ablation:
        return Ablation(founder, EVERYWHERE, share, share, loss, {"spelling": loss}, {})

    trace, half = (
        knockout("a", 0.1, Interval(0.9, 0.8, 1.0)),
        knockout("b", 0.5, Interval(0.4, 0.1, 0.7)),
    )
    lucky, harmful = (
        knockout("c", 0.9, Interval(0.3, -0.1, 0.7)),
        knockout("d", 0.9, Interval(-0.5, -0.6, -0.4)),
    )
    founder = Model(1, "founder", "a", 0, "founding", "0" * 64)
    found = FounderAblation(
        founder, "selection", 9, {"spelling": 0.9}, (trace, half, lucky, harmful)
    )
    assert (half.credit("spelling"), harmful.credit("spelling")) == (0.2, 0.0)
    assert found.source("spelling") == "b"
    found = FounderAblation(founder, "selection", 9, {"spelling": 0.9}, (lucky, harmful))
    assert found.source("spelling") is None


@pytest.mark.slow
def test_skills_as_a_person_meets_them(
    small_archive: Archive, routed_archive: Callable[[str], Archive]
) -> None:
    path = small_archive.path
    task = small_archive.task_means("selection")[small_archive.generations()[-1].champion]
    name = min(task)
    code, said, _ = colony("skills", "champion", "-a", path, "--task", name, "--json")
    assert code == 0
    found = json.loads(said)
    assert list(found["accuracy"]) == list(found["sources"]) == [name]
    assert found["accuracy"][name] == pytest.approx(task[name][0])
    assert sum(one["share"] for one in found["knockouts"]) == pytest.approx(1.0)
    code, said, _ = colony("skills", "champion", "-a", path, "--task", name, "--by", "layer")
    assert code == 0
    assert "layer 0" in said
    assert "no task is named 'juggling'" in failure(
        "skills", "champion", "-a", path, "--task", "juggling"
    )
    flow = routed_archive("flow").path
    assert "path through layers" in failure("skills", "champion", "-a", flow)
