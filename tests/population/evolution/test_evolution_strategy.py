"""The evolution strategy: its steps worked out by hand, and where they lead."""

from dataclasses import replace

import numpy as np
import pytest

from lineage.records import Floats
from population.evolution.evolution_strategy import (
    DAMPING,
    MOMENTUM,
    SMOOTHING,
    STRIDE_DECAY,
    EvolutionStrategyEmitter,
    centred_ranks,
    mirrored_genomes,
    new_emitter,
    sample_steps,
    update_emitter,
    with_shorter_stride,
)
from population.evolution.spaces import Space
from population.randomness import generator


def space_of(genes: int, *, step: Floats | None = None, **changes: object) -> Space:
    plain = Space(
        low=np.full(genes, -10.0),
        high=np.full(genes, 10.0),
        block=np.arange(genes),
        step=np.ones(genes) if step is None else step,
        integer=np.zeros(genes, dtype=bool),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_children_stand_opposite_each_other() -> None:
    steps = np.array([[1.0, 0.0], [0.5, -2.0]])
    children = mirrored_genomes(np.array([3.0, 4.0]), steps, 0.5)
    assert children.tolist() == [[3.5, 4.0], [3.25, 3.0], [2.5, 4.0], [2.75, 5.0]]


def test_steps_go_forward_or_back_and_are_as_long_as_genes_are() -> None:
    space = space_of(3, step=np.array([1.0, 0.1, 5.0]))
    steps = sample_steps(generator(0, "emitter"), space, 0, 20_000)
    assert steps.shape == (20_000, 3)
    np.testing.assert_array_equal(np.abs(steps), np.tile(space.step, (20_000, 1)))
    forward = steps > 0
    np.testing.assert_allclose(forward.mean(axis=0), 0.5, atol=0.02)
    np.testing.assert_allclose(np.corrcoef(forward.T), np.eye(3), atol=0.03)
    assert np.array_equal(steps, sample_steps(generator(0, "emitter"), space, 0, 20_000))


def test_genes_of_a_group_step_together_until_the_finest_level() -> None:
    levels = (np.array([0, 0, 0, 0]), np.array([0, 0, 1, 1]))
    space = space_of(4, step=np.array([1.0, 2.0, 1.0, 1.0]), levels=levels)
    coarse, fine, finer = (
        sample_steps(generator(1, "emitter"), space, level, 50) / space.step for level in range(3)
    )
    assert (coarse == coarse[:, :1]).all()
    assert (fine[:, 0] == fine[:, 1]).all()
    assert (fine[:, 2] == fine[:, 3]).all()
    assert (fine[:, 0] != fine[:, 2]).any()
    assert np.array_equal(finer, fine)  # there is nothing finer
    alone = sample_steps(generator(1, "emitter"), replace(space, levels=()), 0, 50)
    assert len({tuple(gene) for gene in alone.T.tolist()}) == 4


def test_whole_genes_step_by_normal_lengths() -> None:
    space = space_of(2, step=np.array([2.0, 1.0]), integer=np.array([True, False]))
    steps = sample_steps(generator(0, "emitter"), space, 0, 20_000)
    np.testing.assert_allclose(steps[:, 0].std(), 2.0, rtol=0.02)
    assert len(np.unique(steps[:, 0])) == 20_000
    assert set(steps[:, 1].tolist()) == {-1.0, 1.0}


def test_ranks_are_centred_and_shared_by_equals() -> None:
    np.testing.assert_allclose(centred_ranks(np.array([0.3, 9.0, 0.1])), [0.0, 0.5, -0.5])
    np.testing.assert_allclose(centred_ranks(np.array([1.0, 1.0, 2.0])), [-0.25, -0.25, 0.5])
    np.testing.assert_allclose(centred_ranks(np.ones(4)), 0.0)


def test_two_steps_by_hand() -> None:
    """The fitter a child the higher it stands in this one item; ranks are 3, 2, 1, 0 of 3."""
    space = space_of(2, step=np.array([1.0, 0.5]))
    steps = np.array([[1.0, 0.0], [0.0, 2.0]])
    scores = np.array([[0.9], [0.6], [0.3], [0.1]])
    emitter = new_emitter(np.array([1.0, 2.0]))
    # Forward minus back: ranks (1/2 - -1/6) for both pairs; half of that times each step.
    uphill = np.array([2 / 3 * 1.0 / 2, 2 / 3 * 2.0 / 2])

    once = update_emitter(emitter, space, steps, scores, rate=0.1)
    np.testing.assert_allclose(once.gradient, 0.1 * uphill)
    np.testing.assert_allclose(once.square, 0.01 * uphill**2)
    # Adam's first step has the length of the rate in every gene, in units of its own.
    np.testing.assert_allclose(once.centre, [1.0 + 0.1, 2.0 + 0.05])
    lag = 3 / 5  # the average hardly lags behind at first
    np.testing.assert_allclose(once.average, [1.0 + lag * 0.1, 2.0 + lag * 0.05])
    assert (once.steps, once.level, once.stalled, once.stride) == (1, 0, 0, 1.0)

    # The other way round: mean 0.9 * 0.1 - 0.1 = -0.01, squares 0.99 * 0.01 + 0.01 = 0.0199.
    twice = update_emitter(once, space, steps, scores[::-1], rate=0.1)
    np.testing.assert_allclose(twice.gradient, -0.01 * uphill)
    np.testing.assert_allclose(twice.square, 0.0199 * uphill**2)
    back = 0.1 * 0.01 / 0.19  # 1 - 0.9^2 = 0.19, and 1 - 0.99^2 = 0.0199
    np.testing.assert_allclose(twice.centre, once.centre - back * space.step)
    np.testing.assert_allclose(twice.average, 0.5 * once.average + 0.5 * twice.centre)
    late = update_emitter(replace(twice, steps=1000), space, steps, scores, rate=0.1)
    lag = 1.0 - SMOOTHING
    np.testing.assert_allclose(late.average, SMOOTHING * twice.average + lag * late.centre)
    assert twice.steps == 2
    assert (MOMENTUM, DAMPING) == (0.9, 0.99)


def test_strides_get_shorter_down_to_the_shortest() -> None:
    emitter = replace(new_emitter(np.zeros(2), level=1), stalled=7, steps=5)
    once = with_shorter_stride(emitter, 0.3)
    assert once == replace(emitter, stride=STRIDE_DECAY, stalled=0)
    for _ in range(30):
        once = with_shorter_stride(once, 0.3)
    assert once.stride == 0.3


def test_what_it_was_is_left_alone() -> None:
    emitter = replace(new_emitter(np.zeros(2), level=3), stalled=2, stride=0.5)
    parts = (emitter.centre, emitter.average, emitter.gradient, emitter.square)
    for part in parts:
        part.setflags(write=False)
    after = update_emitter(
        emitter, space_of(2), np.eye(2), np.array([[1.0], [1.0], [0.0], [0.0]]), rate=0.1
    )
    assert (after.level, after.stalled, after.stride) == (3, 2, 0.5)
    assert not emitter.centre.any()


def climbed(
    emitter: EvolutionStrategyEmitter, space: Space, slope: Floats, generations: int = 1
) -> EvolutionStrategyEmitter:
    """An emitter after some generations on items whose scores grow linearly along a slope."""
    for _ in range(generations):
        steps = sample_steps(generator(7, "emitter", emitter.steps), space, emitter.level, 60)
        children = mirrored_genomes(emitter.centre, steps, 0.1)
        scores = np.clip(0.5 + 0.1 * children @ slope, 0.0, 1.0)[:, None]
        emitter = update_emitter(emitter, space, steps, scores, rate=0.05)
    return emitter


def test_the_gradient_points_uphill() -> None:
    slope = np.random.default_rng(0).normal(size=12)
    emitter = climbed(new_emitter(np.zeros(12)), space_of(12), slope)
    cosine = emitter.gradient @ slope / np.linalg.norm(emitter.gradient) / np.linalg.norm(slope)
    assert cosine > 0.85
    later = climbed(emitter, space_of(12), slope, 9)
    assert later.centre @ slope > 5 * (emitter.centre @ slope)


def test_it_finds_what_no_founder_has() -> None:
    """Every item wants another part of the optimum; from the origin to within a tenth of it."""
    rng = np.random.default_rng(1)
    optimum, space = rng.uniform(-1, 1, 8), space_of(8)
    emitter = new_emitter(np.zeros(8))
    for generation in range(150):
        steps = sample_steps(generator(3, "emitter", generation), space, 0, 10)
        children = mirrored_genomes(emitter.centre, steps, 0.3)
        emitter = update_emitter(
            emitter, space, steps, np.exp(-((children - optimum) ** 2)), rate=0.05
        )
    np.testing.assert_allclose(emitter.average, optimum, atol=0.1)


def test_equal_fitness_moves_nothing() -> None:
    emitter = new_emitter(np.array([0.5, -0.5]))
    for scores in (np.zeros((4, 3)), np.ones((4, 3)), np.full((4, 3), 0.25)):
        after = update_emitter(emitter, space_of(2), np.eye(2), scores, rate=0.1)
        assert np.array_equal(after.centre, emitter.centre)
        assert not after.gradient.any()


def test_what_few_can_do_pulls_hardest() -> None:
    """The first child solves what all solve and one thing more; the others solve two easy things.

    Without sharing they are level or better; with it the rare item decides.
    """
    scores = np.array([[1.0, 0.0, 0.0, 1.0], *[[1.0, 1.0, 1.0, 0.0]] * 3])
    plain = update_emitter(
        new_emitter(np.zeros(2)), space_of(2), np.eye(2), scores, rate=0.1, sharing=0.0
    )
    shared = update_emitter(
        new_emitter(np.zeros(2)), space_of(2), np.eye(2), scores, rate=0.1, sharing=2.0
    )
    assert plain.centre[0] < 0 < shared.centre[0]


def test_the_centre_stays_inside_its_bounds() -> None:
    space = space_of(2, low=np.array([0.0, -1.0]), high=np.array([0.1, 1.0]))
    emitter = climbed(new_emitter(np.array([0.05, 0.0])), space, np.array([1.0, -1.0]), 40)
    assert emitter.centre.tolist() == [0.1, -1.0]
    assert (emitter.average <= space.high).all()


@pytest.mark.parametrize("pairs", [1, 5])
def test_shapes(pairs: int) -> None:
    steps = sample_steps(generator(0, "emitter"), space_of(3), 0, pairs)
    assert mirrored_genomes(np.zeros(3), steps, 1.0).shape == (2 * pairs, 3)
    scores = np.random.default_rng(0).random((2 * pairs, 4))
    assert update_emitter(
        new_emitter(np.zeros(3)), space_of(3), steps, scores, rate=1.0
    ).centre.shape == (3,)
