"""Descents: torch's Adam, downhill, and exact when taken up again, alone or side by side."""

import threading
from dataclasses import fields

import numpy as np
import pytest
import torch

from arena.tasks import load_tasks
from lineage.records import Item
from lineage.task_weights import TaskWeights
from population.evaluation.backward_pass import TakeGradient
from population.evaluation.evaluator import Evaluator
from population.evaluation.pool import EvaluatorPool
from population.gradient.descent import (
    START,
    Descent,
    DescentSettings,
    DescentStep,
    ItemSampler,
    adam_step,
    descend,
    descend_together,
    gradient_at,
    new_descent,
    sampler_of,
)
from population.gradient.parts import GradientSum, Helpers, PassBack, StepPart
from population.models.blocks import layout_of
from population.models.opening import open_checkpoint
from population.weights.genomes import Basis
from population.weights.materialise import Materialiser
from tests.conftest import SHIPPED

NAMES = ("base", "capital", "reverse")


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(
        SHIPPED / "founders" / "base", stored=torch.bfloat16, dtype="float32", device="cpu"
    )


@pytest.fixture(scope="module")
def maker() -> Materialiser:
    founders = [open_checkpoint(SHIPPED / "founders" / name) for name in NAMES]
    shapes = {name: header.shape for name, header in founders[0].tensors.items()}
    layout = layout_of(shapes, founders[0].config, "tensor")
    return Materialiser(founders, Basis(NAMES, 0), layout, threads=1, rounded=False)


@pytest.fixture(scope="module")
def items() -> list[Item]:
    tasks = load_tasks([str(SHIPPED / "tasks" / name) for name in ("capital", "reverse")])
    return [item for task in tasks for item in task.items("search")]


@pytest.fixture(scope="module")
def start(maker: Materialiser) -> np.ndarray:
    return np.full((2, len(maker.layout.blocks)), START)


def steps_of(
    evaluator: Evaluator, maker: Materialiser, descent: Descent, sampler: ItemSampler, count: int
) -> list[DescentStep]:
    taken = []
    for _ in range(count):
        taken.append(descend(evaluator, maker, descent, sampler, DescentSettings()))
        descent = taken[-1].descent
    return taken


def same(one: Descent, other: Descent) -> bool:
    return all(
        np.array_equal(getattr(one, part.name), getattr(other, part.name)) for part in fields(one)
    )


def test_adam_is_torchs() -> None:
    rng = np.random.default_rng(2)
    descent, settings = new_descent(rng.normal(size=5), seed=0), DescentSettings(rate=0.1)
    genome = torch.tensor(descent.genome)
    adam = torch.optim.Adam([genome], lr=0.1)
    for _ in range(20):
        gradient = rng.normal(size=5)
        descent = adam_step(descent, gradient, settings)
        genome.grad = torch.tensor(gradient)
        adam.step()
        np.testing.assert_allclose(descent.genome, genome.numpy(), rtol=1e-12)


def test_coefficients_stay_within_their_bounds() -> None:
    settings = DescentSettings(rate=0.5, low=-1.0, high=0.4)
    descent = new_descent(np.array([0.0, 0.0]), seed=0)
    for _ in range(4):
        descent = adam_step(descent, np.array([-3.0, 2.0]), settings)
    assert descent.genome.tolist() == [0.4, -1.0]


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_broken_model_moves_nothing(broken: float) -> None:
    descent = adam_step(new_descent(np.zeros(2), seed=0), np.ones(2), DescentSettings())
    after = adam_step(descent, np.array([1.0, broken]), DescentSettings())
    assert after.steps == 2  # the next step has other items
    assert np.array_equal(after.genome, descent.genome)
    assert np.isfinite(after.gradient).all()


def test_a_step_samples_items_of_every_task_anew(items: list[Item]) -> None:
    sampler = sampler_of(items, 20)
    steps = [sampler(3, step) for step in range(5)]
    for sampled in steps:
        assert len({item.id for item in sampled}) == len(sampled) == 20
        assert [item.task for item in sampled] == ["capital"] * 10 + ["reverse"] * 10
    assert len({item.id for sampled in steps for item in sampled}) > 50
    assert sampler(3, 2) == steps[2]
    assert sampler(4, 2) != steps[2]
    assert len(sampler_of(items, 10_000)(0, 0)) == len(items)
    heavy = sampler_of(items, 20, TaskWeights({"reverse": 3.0}))(0, 0)
    assert [item.task for item in heavy] == ["capital"] * 5 + ["reverse"] * 15


def test_the_loss_falls_in_a_few_steps(
    evaluator: Evaluator, maker: Materialiser, items: list[Item], start: np.ndarray
) -> None:
    everything = sampler_of(items[:12] + items[-12:], 24)
    before = evaluator.meter.evaluations
    steps = steps_of(evaluator, maker, new_descent(start, 0), everything, 8)
    losses = [step.loss for step in steps]
    assert evaluator.meter.evaluations - before == 8 * 3 * 24
    assert [step.items for step in steps] == [24] * 8
    assert losses[-1] < 0.5 * losses[0]


def test_a_descent_that_is_taken_up_again_makes_the_same_steps(
    evaluator: Evaluator, maker: Materialiser, items: list[Item], start: np.ndarray
) -> None:
    sampler = sampler_of(items, 8)
    whole = steps_of(evaluator, maker, new_descent(start, 5), sampler, 4)[-1].descent
    half = steps_of(evaluator, maker, new_descent(start, 5), sampler, 2)[-1].descent
    stored = {
        part.name: np.copy(getattr(half, part.name)) for part in fields(half) if part.name != "seed"
    }
    again = Descent(**stored | {"steps": int(stored["steps"])}, seed=5)
    resumed = steps_of(evaluator.clone(), maker, again, sampler, 2)[-1].descent
    assert same(resumed, whole)
    assert whole.steps == 4


@pytest.mark.parametrize("cores", [1, 2])
def test_descents_side_by_side_share_nothing(
    maker: Materialiser, items: list[Item], start: np.ndarray, cores: int
) -> None:
    first = Evaluator(
        SHIPPED / "founders" / "base", stored=torch.bfloat16, dtype="float32", device="cpu"
    )
    sampler = sampler_of(items, 8)
    begun = [new_descent(start * scale, seed) for seed, scale in ((1, 1.0), (2, 0.5), (1, 2.0))]
    threads, told = torch.get_num_threads(), list[int]()
    try:
        torch.set_num_threads(1)
        alone = [steps_of(first, maker, descent, sampler, 2) for descent in begun]
        pool = EvaluatorPool(first, cores)
        settings = [DescentSettings()] * len(begun)
        samplers = [sampler] * len(begun)
        together = descend_together(pool, maker, begun, samplers, settings, 2, told.append)
    finally:
        torch.set_num_threads(threads)
    for mine, theirs in zip(alone, together, strict=True):
        assert [step.loss for step in mine] == [step.loss for step in theirs]
        assert same(mine[-1].descent, theirs[-1].descent)
    assert first.meter.evaluations == 2 * 3 * 2 * 3 * 8
    assert told == sorted(told)
    assert told[-1] >= 2 * (len(begun) - 1)  # steps, not descents


class Eager(Helpers):
    """Begins every part before whoever asks for it can."""

    def __init__(self, helper: Evaluator) -> None:
        super().__init__()
        self.helper, self.helped = helper, 0

    def ask(self, work: PassBack) -> StepPart:
        part = super().ask(work)
        part.help(self.helper)
        self.helped += 1
        return part


def test_who_does_the_parts_of_a_step_changes_no_bit(
    evaluator: Evaluator, maker: Materialiser, items: list[Item], start: np.ndarray
) -> None:
    some = [*items[:4], *items[-3:]]
    whole_loss, whole = gradient_at(evaluator, maker, start.ravel(), some, DescentSettings())
    helpers, in_parts = Eager(evaluator.clone()), DescentSettings(parts=3)
    results = [
        gradient_at(evaluator, maker, start.ravel(), some, in_parts, helpers=who)
        for who in (None, helpers)
    ]
    (loss, gradient), (helped_loss, helped) = results
    assert helpers.helped == 2
    assert loss == helped_loss
    assert np.array_equal(gradient, helped)
    assert loss == pytest.approx(whole_loss, rel=1e-5)
    np.testing.assert_allclose(gradient, whole, atol=1e-5 * np.abs(whole).max())


def test_one_line_is_the_same_alone_and_with_helpers(
    maker: Materialiser, items: list[Item], start: np.ndarray, evaluator: Evaluator
) -> None:
    sampler, in_parts = sampler_of(items, 6), DescentSettings(parts=3)
    ends = [
        descend_together(
            EvaluatorPool(evaluator.clone(), cores),
            maker,
            [new_descent(start, 1)],
            [sampler],
            [in_parts],
            2,
        )[0][-1].descent
        for cores in (1, 3)
    ]
    assert same(*ends)


def test_a_part_that_fails_fails_for_whom_it_belongs_to(evaluator: Evaluator) -> None:
    def fails(_worker: Evaluator, _take: TakeGradient) -> float:
        raise ArithmeticError

    part = StepPart(fails)
    part.help(evaluator)
    with pytest.raises(ArithmeticError):
        part.finish(evaluator, GradientSum())


def test_who_waits_for_a_long_job_is_told_again(evaluator: Evaluator) -> None:
    calls, told_again = list[int](), threading.Event()

    def progress(done: int) -> None:
        calls.append(done)
        if len(calls) > 1:
            told_again.set()

    pool = EvaluatorPool(evaluator, 1)
    assert pool.run([lambda _: told_again.wait(60)], progress, patience=0.01) == [True]


def test_an_evaluator_may_have_a_twin_in_another_dtype(
    evaluator: Evaluator, maker: Materialiser, items: list[Item], start: np.ndarray
) -> None:
    coarse = evaluator.clone("bfloat16")
    assert coarse.dtype == torch.bfloat16
    assert evaluator.dtype == torch.float32
    sampler = sampler_of(items, 8)
    (one,) = steps_of(evaluator, maker, new_descent(start, 0), sampler, 1)
    (other,) = steps_of(coarse, maker, new_descent(start, 0), sampler, 1)
    assert one.loss != other.loss
    assert one.loss == pytest.approx(other.loss, rel=0.05)
    cosine = one.descent.gradient @ other.descent.gradient
    norms = np.linalg.norm(one.descent.gradient) * np.linalg.norm(other.descent.gradient)
    assert cosine > 0.99 * norms
    assert coarse.meter is evaluator.meter
