"""Breeding: operators keep their promises, the fittest survive, draws can be repeated."""

import numpy as np
import pytest

from population.first import equal_parents, first_genomes
from population.operators import OPERATORS
from population.operators.ensemble import rank_weights
from population.randomness import generator
from population.survival import survivors


@pytest.fixture(params=sorted(OPERATORS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def parents_of(name: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    count = 6 if OPERATORS[name].ensemble else 2
    parents = np.random.default_rng(seed).normal(size=(count, 3, 5))
    return parents, np.full(count, 1.0 / count)


def test_equal_parents_have_equal_children(name: str) -> None:
    parents, weights = parents_of(name)
    same = np.repeat(parents[:1], len(parents), axis=0)
    child = OPERATORS[name].make(np.random.default_rng(1), same, weights)
    np.testing.assert_allclose(child, same[0])


def test_a_child_lies_in_what_its_parents_span_block_by_block(name: str) -> None:
    parents, weights = parents_of(name)
    child = OPERATORS[name].make(np.random.default_rng(1), parents, weights)
    for block in range(child.shape[1]):
        differences = (parents[1:, :, block] - parents[0, :, block]).T
        offset = child[:, block] - parents[0, :, block]
        solution = np.linalg.lstsq(differences, offset, rcond=None)[0]
        np.testing.assert_allclose(differences @ solution, offset, atol=1e-9)


def test_the_same_draw_makes_the_same_child(name: str) -> None:
    parents, weights = parents_of(name)
    make = OPERATORS[name].make
    first = make(generator(3, "mating", 5, 1), parents, weights)
    assert np.array_equal(first, make(generator(3, "mating", 5, 1), parents, weights))
    before = parents.copy()
    make(generator(3, "mating", 5, 2), parents, weights)
    assert np.array_equal(parents, before)


def test_the_ensemble_is_the_mean_by_rank() -> None:
    parents, _ = parents_of("ensemble")
    weights = rank_weights(len(parents))
    assert weights.sum() == pytest.approx(1.0)
    assert (np.diff(weights) < 0).all()
    assert (weights > 0).all()
    child = OPERATORS["ensemble"].make(np.random.default_rng(0), parents, weights)
    np.testing.assert_allclose(child, sum(w * p for w, p in zip(weights, parents, strict=True)))


def test_the_gate_takes_every_block_whole() -> None:
    parents, weights = parents_of("gate")
    child = OPERATORS["gate"].make(np.random.default_rng(2), parents, weights)
    sources = {
        next(p for p in (0, 1) if np.array_equal(child[:, b], parents[p, :, b])) for b in range(5)
    }
    assert sources == {0, 1}


def test_generators_differ_by_every_part_of_their_key() -> None:
    draws = {
        generator(*key).random()
        for key in ((1, "a", 2), (2, "a", 2), (1, "b", 2), (1, "a", 3), (1, "a", 2, 0))
    }
    assert len(draws) == 5
    assert generator(1, "a", 2).random() == generator(1, "a", 2).random()


def test_the_first_population_holds_what_people_try_by_hand() -> None:
    made = first_genomes(generator(0, "first"), vectors=4, blocks=3, size=10, base=True)
    assert len(made) >= 10
    kinds = {how for how, _, _ in made}
    assert {"arithmetic", "average", "pair", "mixture"} <= kinds
    pairs = [mixed for how, _, mixed in made if how == "pair"]
    assert sorted(pairs) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    for how, genome, mixed in made:
        assert genome.shape == (4, 3)
        if how == "pair":
            assert np.flatnonzero(genome.any(axis=1)).tolist() == list(mixed)
            np.testing.assert_allclose(genome.sum(axis=0), 1.0)


def test_parents_of_the_first_population_share_equally() -> None:
    assert [(p.id, p.share, p.role) for p in equal_parents((3, 5))] == [
        (3, 0.5, "first"),
        (5, 0.5, "mate"),
    ]
    assert {p.role for p in equal_parents((1, 2, 3))} == {"ensemble"}


# Survival

SCORES = np.array(
    [
        [1.0, 1.0, 1.0, 0.0],
        [1.0, 1.0, 0.8, 0.0],
        [1.0, 0.9, 0.8, 0.0],
        [0.0, 0.0, 0.0, 1.0],
        [0.0, 0.0, 0.0, 0.0],
    ]
)
HASHES = list("abcde")


def chosen(size: int, **settings: object) -> list[int]:
    return survivors(SCORES, SCORES.mean(axis=1), HASHES, size, **settings)  # type: ignore[arg-type]


def test_some_survive_for_their_mean_and_some_for_what_few_can_do() -> None:
    assert chosen(2, niches=0.0) == [0, 1]
    assert chosen(2, niches=0.5) == [0, 3]


def test_the_protected_live_on() -> None:
    assert chosen(2, niches=0.0, protected=[4]) == [0, 4]


def test_of_equal_models_one_survives() -> None:
    equal = survivors(SCORES, SCORES.mean(axis=1), list("aacde"), 3, niches=0.0)
    assert equal == [0, 2, 3]
    assert survivors(SCORES, SCORES.mean(axis=1), list("aaaaa"), 3) == [0]


def test_survival_does_not_depend_on_the_order_of_candidates() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((20, 12))
    hashes = [str(n) for n in range(20)]
    first = survivors(scores, scores.mean(axis=1), hashes, 8)
    order = rng.permutation(20)
    shuffled = survivors(scores[order], scores[order].mean(axis=1), [hashes[n] for n in order], 8)
    assert sorted(order[shuffled]) == first
