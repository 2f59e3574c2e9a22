"""Ratings: the optimum of what they promise, whatever way matches come, and honest intervals."""

import tracemalloc
from dataclasses import replace

import duckdb
import evalica
import numpy as np
import pytest

from arena.ratings import Matches, Pairs, Ratings, fit, pairs_of
from arena.ratings.graph import Graph
from arena.ratings.standard_errors import inverse_diagonal
from lineage.records import Floats
from tests.benchmarks.ratings import cached_answers, coverage, fill, from_matches, from_sums


def played(strength: Floats, count: int, *, nu: float = 0.0, seed: int = 0) -> Matches:
    """Independent matches between random contestants, as the model has it."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, len(strength), count)
    b = (a + rng.integers(1, len(strength), count)) % len(strength)
    odds = np.exp((strength[a] - strength[b]) / 2.0)
    drawn = rng.random(count) * (odds + 1.0 / odds + nu)
    score = np.where(drawn < odds, 1.0, np.where(drawn < odds + nu, 0.5, 0.0))
    return Matches(a, b, rng.integers(0, 40, count), score, np.ones(count))


def mixed(seed: int = 0) -> tuple[Matches, Floats]:
    """Everything at once: ties, fractions and weights; and priors."""
    rng = np.random.default_rng(seed)
    matches = played(rng.normal(size=9), 600, nu=0.7, seed=seed)
    return (
        replace(
            matches,
            score=np.where(rng.random(600) < 0.2, rng.random(600), matches.score),
            weight=rng.uniform(0.0, 3.0, 600),
        ),
        rng.normal(size=9),
    )


def same(first: Ratings, second: Ratings, *, deviations: bool = True) -> None:
    for name, value in vars(first).items():
        if deviations or name != "deviation":
            np.testing.assert_allclose(vars(second)[name], value, atol=1e-5, err_msg=name)


# The optimum


def test_strengths_are_those_of_evalica_without_ties() -> None:
    matches = played(np.linspace(-1.5, 1.5, 8), 3000)
    winners = [evalica.Winner.X if s == 1.0 else evalica.Winner.Y for s in matches.score]
    theirs = evalica.bradley_terry(matches.a, matches.b, winners, tolerance=1e-12, limit=10_000)
    log = np.log(np.array([theirs.scores[row] for row in range(8)]))
    # The weight of a match changes nothing but how little the prior counts.
    ours = fit(replace(matches, weight=np.full(3000, 1e6)), np.zeros(8))
    np.testing.assert_allclose(ours.strength, log - log.mean(), atol=1e-5)
    assert ours.nu == 0.0


def test_strengths_and_ties_are_those_of_evalica_with_ties() -> None:
    matches = played(np.linspace(-1.5, 1.5, 8), 3000, nu=0.8)
    names = {1.0: evalica.Winner.X, 0.0: evalica.Winner.Y, 0.5: evalica.Winner.Draw}
    winners = [names[score] for score in matches.score]
    theirs = evalica.newman(matches.a, matches.b, winners, tolerance=1e-12, limit=10_000)
    log = np.log(np.array([theirs.scores[row] for row in range(8)]))
    ours = fit(replace(matches, weight=np.full(3000, 1e6)), np.zeros(8))
    np.testing.assert_allclose(ours.strength, log - log.mean(), atol=1e-4)
    assert ours.nu == pytest.approx(2.0 * theirs.v, abs=1e-4)


def log_posterior(matches: Matches, prior: Floats, rated: Ratings, at: Floats) -> float:
    """What `fit` maximises at strengths and log nu, by its definition."""
    strength, nu = at[:-1], np.exp(at[-1])
    gap = strength[matches.a] - strength[matches.b]
    total = np.exp(gap / 2) + np.exp(-gap / 2) + nu
    win, tie, loss = np.exp(gap / 2) / total, nu / total, np.exp(-gap / 2) / total
    y = matches.score
    fair = np.where(y == 0.5, np.log(tie), y * np.log(win) + (1 - y) * np.log(loss))
    return float(
        np.sum(matches.weight * fair)
        - np.log(2 + nu)  # one decided match between equals, where there are ties
        - np.sum((strength - prior) ** 2) / (2 * rated.spread**2)
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_zero_at_the_optimum(seed: int) -> None:
    matches, prior = mixed(seed)
    rated = fit(matches, prior, tolerance=1e-9)
    # Where the likelihood does not care, the prior decides where zero is.
    strength = rated.strength + np.mean(prior - rated.strength)
    at = np.append(strength, np.log(rated.nu))
    step = 1e-5
    gradient = np.array(
        [
            log_posterior(matches, prior, rated, at + step * unit)
            - log_posterior(matches, prior, rated, at - step * unit)
            for unit in np.eye(len(at))
        ]
    ) / (2 * step)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-4)


def test_known_strengths_ties_and_spread_are_found() -> None:
    strength = np.random.default_rng(5).normal(size=200)
    rated = fit(played(strength, 60_000, nu=0.6), np.zeros(200))
    off = rated.strength - (strength - strength.mean())
    assert np.sqrt(np.mean(off**2)) < 0.12
    assert rated.nu == pytest.approx(0.6, abs=0.03)
    assert rated.spread == pytest.approx(strength.std(), abs=0.05)


@pytest.mark.parametrize("far", [-30.0, 8.0])
def test_where_it_starts_does_not_matter(far: float) -> None:
    matches, prior = mixed()
    rated = fit(matches, prior, tolerance=1e-7)
    same(rated, fit(matches, prior, start=rated.strength, tolerance=1e-7))
    same(rated, fit(matches, prior, start=np.linspace(far, -far, 9), tolerance=1e-7))


# The same matches in another form


def test_neither_order_nor_sides_nor_halves_of_matches_matter() -> None:
    matches, prior = mixed()
    rated = fit(matches, prior)
    order = np.random.default_rng(3).permutation(600)
    shuffled = Matches(*(column[order] for column in vars(matches).values()))
    same(rated, fit(shuffled, prior))
    swapped = replace(matches, a=matches.b, b=matches.a, score=1.0 - matches.score)
    same(rated, fit(swapped, prior))
    twice = Matches(*(np.tile(column, 2) for column in vars(matches).values()))
    same(rated, fit(replace(twice, weight=twice.weight / 2), prior))
    assert fit(matches, prior).deviation.tolist() == fit(matches, prior).deviation.tolist()


def test_sums_by_pair_are_all_that_strengths_need() -> None:
    matches, prior = mixed()
    sums = pairs_of(matches)
    assert sums.weight.sum() == pytest.approx(matches.weight.sum())
    assert len(sums.a) < len(matches.a)
    assert (sums.a < sums.b).all()
    rated = fit(matches, prior)
    same(rated, fit(sums, prior), deviations=False)
    turned = Pairs(sums.b, sums.a, sums.weight, sums.weight - sums.score, sums.ties)
    same(fit(sums, prior), fit(turned, prior))


def test_a_database_sums_to_the_same() -> None:
    matches = replace(mixed()[0], weight=np.ones(600))
    judge, trust = np.arange(600) % 3, np.array([0.8, 1.0, 1.5])
    with duckdb.connect(config={"threads": 1}) as db:
        fill(db, "matches", **vars(matches), judge=judge)
        fill(db, "trust", judge=np.arange(3), trust=trust)
        summed, listed = from_sums(db, 9), from_matches(db, 9)
    weighted = replace(matches, weight=trust[judge])
    same(listed, fit(weighted, np.zeros(9)))
    same(summed, fit(pairs_of(weighted), np.zeros(9)))


# Those of whom little is known


def test_the_undefeated_stay_finite_and_the_unmet_keep_their_prior() -> None:
    won = played(np.zeros(6), 200)
    won = replace(won, score=np.where(won.a == 5, 1.0, np.where(won.b == 5, 0.0, won.score)))
    rated = fit(won, np.append(np.zeros(6), 0.7))
    assert np.isfinite([rated.strength, rated.deviation]).all()
    assert np.argmax(rated.strength) == 5
    assert rated.deviation[5] > 1.5 * rated.deviation[:5].max()
    assert rated.deviation[6] > 0.9 * rated.spread
    known = rated.strength[:6].mean()
    assert rated.strength[6] - known == pytest.approx(0.7, abs=1e-5)


def test_nothing_but_priors_is_an_answer_too() -> None:
    nobody = Matches(*(np.zeros(0, int),) * 3, np.zeros(0), np.zeros(0))
    rated = fit(nobody, np.array([1.0, -1.0]))
    assert rated.strength.tolist() == [1.0, -1.0]
    assert (rated.deviation > 0.5).all()


def test_nothing_but_ties_holds_contestants_together() -> None:
    tied = replace(played(np.zeros(4), 100), score=np.full(100, 0.5))
    rated = fit(tied, np.zeros(4))
    np.testing.assert_allclose(rated.strength, 0.0, atol=1e-9)
    assert np.isfinite(rated.nu)


def test_what_cannot_be_is_refused() -> None:
    matches = played(np.zeros(4), 20)
    with pytest.raises(ValueError, match="contestants in rows 0 to 2, got 0 to 3"):
        fit(matches, np.zeros(3))
    with pytest.raises(ValueError, match="meets itself"):
        fit(replace(matches, b=matches.a), np.zeros(4))
    with pytest.raises(ValueError, match="scores from 0 to 1"):
        fit(replace(matches, score=matches.score + 0.5), np.zeros(4))
    with pytest.raises(ValueError, match="scores from 0 to 1"):
        fit(replace(matches, score=np.full(20, np.nan)), np.zeros(4))


# Anchors


def test_anchors_are_the_zero_of_the_scale() -> None:
    matches, prior = mixed()
    everybody = fit(matches, prior)
    anchored = fit(matches, prior, anchors=np.array([2, 5]))
    assert anchored.strength[[2, 5]].mean() == pytest.approx(0.0)
    np.testing.assert_allclose(np.diff(anchored.strength), np.diff(everybody.strength))
    alone = fit(matches, prior, anchors=np.array([2]))
    assert alone.deviation[2] == pytest.approx(0.0, abs=1e-6)
    assert alone.deviation[5] > anchored.deviation[5]


# Intervals


def test_intervals_hold_where_all_matches_on_an_item_come_from_the_same_answers() -> None:
    clustered, naive = coverage(seeds=10)  # seeds 0 to 9, 40 contestants each
    assert 0.90 <= clustered <= 0.99
    assert naive < 0.5


@pytest.mark.parametrize("anchors", [None, np.arange(5)])
def test_deviations_without_the_inverse_are_close(
    anchors: Floats | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    strength = np.random.default_rng(2).normal(size=150)
    for matches in (
        played(strength, 1500, nu=0.4),
        cached_answers(np.random.default_rng(3), 150, items=8, judges=1)[1],
    ):
        exact = fit(matches, np.zeros(150), anchors=anchors)
        with monkeypatch.context() as patched:
            patched.setattr("arena.ratings.standard_errors.EXACT", 0)
            close = fit(matches, np.zeros(150), anchors=anchors)
        np.testing.assert_array_equal(close.strength, exact.strength)
        assert (close.deviation != exact.deviation).any()
        assert np.sqrt(np.mean((close.deviation / exact.deviation - 1.0) ** 2)) < 0.03


def test_messages_along_a_tree_make_the_diagonal_of_the_inverse() -> None:
    rng = np.random.default_rng(4)
    child = np.arange(1, 120)
    parent = rng.integers(np.maximum(0, child - 3), child)
    # Links side by side are one link.
    a, b = np.tile(child, 2), np.tile(parent, 2)
    sums = Pairs(a, b, np.ones(len(a)), np.ones(len(a)), np.zeros(len(a)))
    curvature = Graph(sums, 120).curvature(rng.uniform(1.0, 20.0, len(a))).held(0.05)
    expected = np.diag(np.linalg.inv(curvature.dense()))
    np.testing.assert_allclose(inverse_diagonal(curvature), expected, rtol=1e-2)


def test_nothing_grows_with_the_square_of_the_contestants() -> None:
    matches = played(np.random.default_rng(6).normal(size=20_000), 60_000, nu=0.4)
    tracemalloc.start()
    rated = fit(matches, np.zeros(20_000), anchors=np.arange(9))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6  # an array of contestants by contestants would have 3.2e9 bytes
    assert np.isfinite(rated.deviation).all()
