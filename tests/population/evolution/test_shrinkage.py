"""Shrinkage: closer to the truth than raw means, on average, and honest about how close."""

import numpy as np
import pytest

from population.evolution.selection.james_stein import shrink_means, variances_between


def sampled(
    rng: np.random.Generator, children: int, items: int | np.ndarray, scatter: float
) -> tuple[np.ndarray, ...]:
    """A brood: true means, sample means, counts, sample variances, and the parents' means."""
    parents = rng.uniform(0.3, 0.7, size=children)
    truth = np.clip(parents - 0.05 + scatter * rng.standard_normal(children), 0.02, 0.98)
    counts = np.broadcast_to(np.asarray(items), children)
    answers = [np.asarray(rng.random(n) < p, float) for n, p in zip(counts, truth, strict=True)]
    means = np.array([answer.mean() for answer in answers])
    variances = np.array([answer.var(ddof=1) for answer in answers])
    return truth, means, counts, variances, parents


@pytest.mark.parametrize("scatter", [0.0, 0.03, 0.1])
@pytest.mark.parametrize("items", [10, 60, np.repeat([10, 60], 12)], ids=["few", "more", "mixed"])
def test_errors_are_smaller_than_those_of_raw_means(
    items: int | np.ndarray, scatter: float
) -> None:
    rng = np.random.default_rng(0)
    raw, pulled = 0.0, 0.0
    for _ in range(60):
        truth, means, *rest = sampled(rng, 24, items, scatter)
        posterior, _ = shrink_means(means, *rest)
        raw += np.sum((means - truth) ** 2)
        pulled += np.sum((posterior - truth) ** 2)
    assert pulled < 0.9 * raw


def test_the_best_of_a_brood_is_no_longer_flattered() -> None:
    rng = np.random.default_rng(1)
    flattery, left = [], []
    for _ in range(200):
        truth, means, *rest = sampled(rng, 24, 30, 0.05)
        posterior, _ = shrink_means(means, *rest)
        flattery.append(means.max() - truth[means.argmax()])
        left.append(posterior.max() - truth[posterior.argmax()])
    assert np.mean(flattery) > 0.05
    assert abs(np.mean(left)) < 0.02


def test_standard_deviations_cover_the_truth() -> None:
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(200):
        truth, means, *rest = sampled(rng, 24, 40, 0.05)
        posterior, deviation = shrink_means(means, *rest)
        covered.append(np.abs(posterior - truth) < 1.96 * deviation)
    assert 0.92 < np.mean(covered) < 0.98


def test_raw_means_are_recovered_as_counts_grow() -> None:
    means = np.array([0.2, 0.4, 0.5, 0.7, 0.9])
    priors, variances = np.full(5, 0.3), means * (1.0 - means)
    apart = [
        np.abs(shrink_means(means, np.full(5, count), variances, priors)[0] - means).max()
        for count in (10, 100, 1000, 100_000)
    ]
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] < 1e-4


def test_who_was_asked_less_is_pulled_more() -> None:
    means = np.array([0.8, 0.8, 0.4, 0.5, 0.6, 0.3])
    counts = np.array([10, 200, 50, 50, 50, 50])
    posterior, deviation = shrink_means(means, counts, means * (1.0 - means), np.full(6, 0.5))
    assert posterior[0] < posterior[1] < 0.8
    assert deviation[0] > deviation[1]


def test_by_hand_it_is_james_stein() -> None:
    """Five means with noise 0.01 each, spread 0.025 about their priors: A = 0.015, B = 0.4 / 2."""
    surprise = np.sqrt(0.025) * np.array([-1.0, -1.0, 0.0, 1.0, 1.0])
    priors = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    means = priors + surprise - 0.05
    posterior, deviation = shrink_means(means, np.full(5, 20), np.full(5, 0.2), priors)
    np.testing.assert_allclose(posterior, priors - 0.05 + 0.8 * surprise)
    expected = 0.01 * (1.0 - 0.8 * 0.2) + 2.0 / 2.0 * 0.2**2 * surprise**2
    np.testing.assert_allclose(deviation**2, expected)


def test_a_brood_worse_than_its_parents_is_not_pulled_up_to_them() -> None:
    priors = np.linspace(0.6, 0.7, 8)
    means = priors - 0.4
    posterior, _ = shrink_means(means, np.full(8, 10), np.full(8, 0.2), priors)
    np.testing.assert_allclose(posterior, means)


def test_a_lucky_streak_is_not_taken_for_certainty() -> None:
    """Right on all of four items: no variance of its own, and yet it is pulled, and uncertain."""
    means = np.array([1.0, 0.5, 0.5, 0.25, 0.5, 0.75])
    variances = np.array([0.0, 1 / 3, 1 / 3, 1 / 4, 1 / 3, 1 / 4])
    posterior, deviation = shrink_means(means, np.full(6, 4), variances, np.full(6, 0.5))
    assert posterior[0] < 0.9
    assert deviation[0] > 0.1


def test_the_hardness_of_shared_items_is_not_taken_for_luck() -> None:
    """Children differ by much more than luck, but not by more than items differ in hardness."""
    rng = np.random.default_rng(3)
    error = dict.fromkeys(("raw", "plain", "between"), 0.0)
    covered = []
    for _ in range(100):
        ability = rng.normal(0.0, 0.4, size=(24, 1))
        chance = 1.0 / (1.0 + np.exp(rng.normal(0.0, 4.0, size=240) - ability))
        everything = np.asarray(rng.random(chance.shape) < chance, dtype=np.float64)
        truth, asked = everything.mean(axis=1), everything[:, :40]
        means, counts, priors = asked.mean(axis=1), np.full(24, 40), np.full(24, 0.5)
        between = variances_between(asked, 240)
        for name, variances in (("plain", asked.var(axis=1, ddof=1)), ("between", between)):
            posterior, deviation = shrink_means(means, counts, variances, priors)
            # The hardness of these forty items moved all of them alike.
            relative = (posterior - posterior.mean()) - (truth - truth.mean())
            error[name] += np.sum(relative**2)
        covered.append(np.abs(relative) < 1.96 * deviation)
        error["raw"] += np.sum(((means - means.mean()) - (truth - truth.mean())) ** 2)
    assert error["between"] < error["raw"]
    assert error["between"] < error["plain"]
    assert 0.9 < np.mean(covered) < 0.99


def test_variances_between_by_hand() -> None:
    """Means of items 0.5, 1 and 0.5; what is left is (0.5, 0, -0.5) and its opposite."""
    scores = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    np.testing.assert_allclose(variances_between(scores, 12), [0.25 * 2.0 * 0.75] * 2)
    assert not variances_between(scores, 3).any()  # everything was asked
    assert not variances_between(scores[:1], 12).any()  # nobody to differ from


def test_few_children_or_no_noise_keep_their_means() -> None:
    means = np.array([0.2, 0.9, 0.4])
    posterior, deviation = shrink_means(means, np.full(3, 10), np.full(3, 0.1), np.full(3, 0.5))
    np.testing.assert_array_equal(posterior, means)
    np.testing.assert_allclose(deviation, 0.1)
    exact, none = shrink_means(np.linspace(0, 1, 6), np.full(6, 10), np.zeros(6), np.full(6, 0.5))
    np.testing.assert_array_equal(exact, np.linspace(0, 1, 6))
    assert not none.any()


def test_one_item_says_nothing_about_noise() -> None:
    with pytest.raises(ValueError, match="two items"):
        shrink_means(np.ones(4), np.array([5, 5, 5, 1]), np.ones(4), np.ones(4))
