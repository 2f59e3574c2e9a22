"""Whether a part of the items, chosen by item response theory, ranks models as all of them do.

On archives of finished campaigns: for every panel, and for the selection split, the models that
were scored on all of its items, in the order of their birth. The first half (founders and the
living of then) is what a choice may be fitted on; the second half are the candidates. Each is
scored on a part of the items alone, and its estimate is compared with its score on all: Spearman's
rank correlation, and the mean absolute error.

Ways: items by chance, as many of each task, and their mean, as campaigns do it; the same corrected
by a ridge regression on the first half (control variates); items of the greatest information at the
abilities of the newest fitted models (D-optimal), with the estimate of a two-parameter model (2-PL)
of one or three dimensions, as MERGE3 (arXiv 2502.10436) and p-IRT of tinyBenchmarks (arXiv
2402.14992); anchors of clusters of items, as tinyBenchmarks; and items chosen one after the other
for each candidate (adaptive). Leads over chance are paired, with 95 % t-intervals over panels.

    python -m tests.benchmarks.item_choice ARCHIVE... --part 0.2
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.stats import rankdata
from sklearn.cluster import KMeans

from lineage import Archive
from lineage.merit import merit
from lineage.records import Floats
from population.campaign.loop import Campaign
from population.config import load_config
from tests.benchmarks.harness import interval, parser_of, positive, told

DRAWS = 20
"""Draws of items by chance."""

CHANCE = "chance, mean"

_SELECTION = """
SELECT id, task FROM items WHERE split = 'selection' AND id IN (SELECT item FROM scores) ORDER BY id
"""

STEPS = 30
"""Newton steps to an ability, at most."""

Rows = np.ndarray[Any, np.dtype[np.intp]]


@dataclass(frozen=True)
class Answers:
    """Scores of models on the same items.

    Attributes:
        where: archive and panel.
        fitted: shape (models, items): merit of the first half of the models.
        candidates: the same of the second half.
        tasks: of the items.
    """

    where: str
    fitted: Floats
    candidates: Floats
    tasks: tuple[str, ...]

    @property
    def weights(self) -> Floats:
        """Of the items in a mean over tasks, shape (items,)."""
        count = {task: self.tasks.count(task) for task in self.tasks}
        return np.array([1.0 / (len(count) * count[task]) for task in self.tasks])

    def mean_of(self, rows: Rows, scores: Floats) -> Floats:
        """The mean over tasks on some items, shape (models,)."""
        names = np.array(self.tasks)[rows]
        parts = [scores[:, rows[names == name]].mean(axis=1) for name in sorted(set(names))]
        return np.asarray(np.mean(parts, axis=0))


def answers_of(path: Path, fewest: int) -> list[Answers]:
    """What an archive holds of at least so many models on all items of a panel or of selection."""
    archive = Archive(path)
    epochs = sorted({past.epoch for past in archive.generations()})
    lists = {
        f"panel {epoch}": [(item.id, item.task) for item in archive.panel(epoch)]
        for epoch in epochs
    }
    with archive.reading() as db:
        lists["selection"] = db.execute(_SELECTION).fetchall()
    ids = [model.id for model in archive.models()]
    found = []
    for name, items in lists.items():
        scores = archive.scores(ids, [item for item, _ in items])
        complete = ~np.isnan(scores.exact).any(axis=1)
        if items and complete.sum() >= fewest:
            merits = merit(scores.exact, scores.probability)[complete]
            half, tasks = len(merits) // 2, tuple(task for _, task in items)
            found.append(Answers(f"{path.name}, {name}", merits[:half], merits[half:], tasks))
    archive.close()
    return found


@dataclass(frozen=True)
class ItemResponses:
    """A two-parameter logistic model (2-PL): the chance of an item is sigmoid(a . ability - b).

    Attributes:
        abilities: shape (models, dimensions).
        a: discrimination, shape (items, dimensions).
        b: difficulty, shape (items,).
    """

    abilities: Floats
    a: Floats
    b: Floats

    @classmethod
    def fitted(cls, scores: Floats, dimensions: int) -> "ItemResponses":
        """The mode with normal priors of scores in [0, 1], shape (models, items)."""
        models, items = scores.shape
        u, s, v = np.linalg.svd(scores - scores.mean(axis=0), full_matrices=False)
        right = scores.sum(axis=0) + 0.5
        start = np.concatenate(
            [
                (u[:, :dimensions] * np.sqrt(models)).ravel(),
                (4.0 * v[:dimensions].T * s[:dimensions] / np.sqrt(models)).ravel(),
                np.log((models + 1.0 - right) / right),
            ]
        )
        cut = models * dimensions, (models + items) * dimensions

        def parts(x: Floats) -> "ItemResponses":
            theta, a, b = np.split(x, cut)
            return cls(theta.reshape(models, -1), a.reshape(items, -1), b)

        def loss(x: Floats) -> tuple[float, Floats]:
            now = parts(x)
            z = now.abilities @ now.a.T - now.b
            off = _sigmoid(z) - scores
            value = np.sum(np.logaddexp(0.0, z) - scores * z) + 0.5 * (
                np.sum(now.abilities**2) + 0.5 * np.sum(now.a**2) + 0.1 * np.sum(now.b**2)
            )
            slopes = (
                off @ now.a + now.abilities,
                off.T @ now.abilities + 0.5 * now.a,
                0.1 * now.b - off.sum(axis=0),
            )
            return float(value), np.concatenate([slope.ravel() for slope in slopes])

        best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
        return parts(best.x)

    @property
    def newest(self) -> Floats:
        """The abilities of the models that were fitted last."""
        return self.abilities[-max(8, len(self.abilities) // 3) :]

    def ability(self, scores: Floats, rows: Rows) -> Floats:
        """The ability behind scores on some items, with the newest models as the prior."""
        mean = self.newest.mean(axis=0)
        spread = np.atleast_2d(np.cov(self.newest.T)) + 0.3 * np.eye(len(mean))
        precision, a, b = np.linalg.inv(spread), self.a[rows], self.b[rows]
        theta = mean.copy()
        for _ in range(STEPS):
            p = _sigmoid(a @ theta - b)
            slope = a.T @ (p - scores) + precision @ (theta - mean)
            step = np.linalg.solve((a * (p * (1 - p))[:, None]).T @ a + precision, slope)
            theta = theta - step * min(1.0, 2.0 / max(1e-12, float(np.linalg.norm(step))))
            if np.abs(step).max() < 1e-6:
                break
        return theta

    def estimate(self, answers: Answers, model: Floats, rows: Rows) -> float:
        """The score on all items: those on some, and what is expected on the others (p-IRT)."""
        rest = np.setdiff1d(np.arange(len(self.b)), rows)
        expected = _sigmoid(self.a[rest] @ self.ability(model[rows], rows) - self.b[rest])
        return float(answers.weights[rows] @ model[rows] + answers.weights[rest] @ expected)

    def informative(self, count: int) -> Rows:
        """Items that together tell most of the newest models: D-optimal, chosen greedily."""
        chance = _sigmoid(self.newest @ self.a.T - self.b)
        spread = chance * (1.0 - chance)
        known = [np.eye(self.a.shape[1]) for _ in self.newest]
        chosen: list[int] = []
        for _ in range(count):
            gain = np.zeros(len(self.b))
            for row, information in enumerate(known):
                inverse = np.linalg.inv(information)
                told = np.einsum("jd,de,je->j", self.a, inverse, self.a) * spread[row]
                gain += np.log1p(told)
            gain[chosen] = -1.0
            item = int(gain.argmax())
            chosen.append(item)
            outer = np.outer(self.a[item], self.a[item])
            known = [
                information + spread[row, item] * outer for row, information in enumerate(known)
            ]
        return np.array(chosen)

    def adaptive(self, model: Floats, count: int) -> Rows:
        """Items that tell most of one model, as its answers come in."""
        chosen: list[int] = []
        theta = self.newest.mean(axis=0)
        while len(chosen) < count:
            chance = _sigmoid(self.a @ theta - self.b)
            gain = (self.a**2).sum(axis=1) * chance * (1.0 - chance)
            gain[chosen] = -1.0
            chosen += np.argsort(-gain)[: min(4, count - len(chosen))].tolist()
            theta = self.ability(model[chosen], np.array(chosen))
        return np.array(chosen)


def _sigmoid(z: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(z, -30.0, 30.0))))


def by_chance(answers: Answers, count: int, seed: int) -> Rows:
    """Items by chance, task by task in turns."""
    rng = np.random.default_rng(seed)
    names = np.array(answers.tasks)
    left = {name: rng.permutation(np.flatnonzero(names == name)).tolist() for name in set(names)}
    chosen: list[int] = []
    while len(chosen) < count:
        for name in rng.permutation(sorted(left)):
            if left[name] and len(chosen) < count:
                chosen.append(left[name].pop())
    return np.array(chosen)


def anchors(features: Floats, count: int) -> tuple[Rows, Floats]:
    """The items at the centres of clusters, and the parts of all items that the clusters have."""
    clusters = KMeans(count, n_init=5, random_state=0).fit(features)
    distance = clusters.transform(features)
    sizes = np.bincount(clusters.labels_, minlength=count)
    return distance.argmin(axis=0), sizes / len(features)


def corrected(answers: Answers, rows: Rows) -> Floats:
    """The mean on some items, corrected by what it missed of the fitted models (ridge)."""
    fitted, full = answers.fitted[:, rows], answers.fitted @ answers.weights
    missed = full - answers.mean_of(rows, answers.fitted)
    centre = fitted.mean(axis=0)
    kernel = (fitted - centre) @ (fitted - centre).T + np.eye(len(fitted))
    dual = np.linalg.solve(kernel, missed - missed.mean())
    found = (answers.candidates[:, rows] - centre) @ (fitted - centre).T @ dual
    return np.asarray(answers.mean_of(rows, answers.candidates) + missed.mean() + found)


def estimates(answers: Answers, part: float) -> dict[str, list[Floats]]:
    """What each way makes of the candidates, once or for each of several draws."""
    count = max(2, round(part * len(answers.tasks)))
    draws = [by_chance(answers, count, seed) for seed in range(DRAWS)]
    found = {
        CHANCE: [answers.mean_of(rows, answers.candidates) for rows in draws],
        "chance, corrected": [corrected(answers, rows) for rows in draws],
    }
    for dimensions in (1, 3):
        model = ItemResponses.fitted(answers.fitted, dimensions)

        def each(rows_of: Callable[[Floats], Rows], model: ItemResponses = model) -> Floats:
            candidates = answers.candidates
            return np.array([model.estimate(answers, one, rows_of(one)) for one in candidates])

        chosen = model.informative(count)
        found[f"chance, 2-PL of {dimensions}"] = [each(lambda _, rows=rows: rows) for rows in draws]
        found[f"information, 2-PL of {dimensions}"] = [each(lambda _, rows=chosen: rows)]
        found[f"adaptive, 2-PL of {dimensions}"] = [
            each(lambda one, model=model: model.adaptive(one, count))
        ]
        rows, weights = anchors(np.column_stack([2.0 * model.a, model.b]), count)
        found[f"anchors of a 2-PL of {dimensions}"] = [answers.candidates[:, rows] @ weights]
    rows, weights = anchors(answers.fitted.T, count)
    found["anchors of answers"] = [answers.candidates[:, rows] @ weights]
    return found


def measured(answers: Answers, part: float) -> dict[str, tuple[float, float]]:
    """By way: the rank correlation with the scores on all items, and the mean absolute error."""
    full = answers.candidates @ answers.weights
    ranks = rankdata(full.round(12))  # equal ones differ by how they were summed

    def both(estimate: Floats) -> tuple[float, float]:
        own = rankdata(estimate.round(12))
        rho = 0.0 if own.std() * ranks.std() == 0.0 else float(np.corrcoef(own, ranks)[0, 1])
        return rho, float(np.abs(estimate - full).mean())

    return {
        way: (float(pair[0]), float(pair[1]))
        for way, several in estimates(answers, part).items()
        for pair in [np.mean([both(one) for one in several], axis=0)]
    }


def summary(
    panels: Sequence[Mapping[str, tuple[float, float]]],
) -> dict[str, dict[str, float | None]]:
    """Means over panels by way, and the paired lead over chance in rank correlation."""
    found = {}
    for way in panels[0]:
        rho, error = np.array([panel[way] for panel in panels]).T
        lead, low, high = interval([one[way][0] - one[CHANCE][0] for one in panels])
        found[way] = {
            "rank_correlation": float(rho.mean()),
            "lead": lead,
            "lead_low": low,
            "lead_high": high,
            "mean_absolute_error": float(error.mean()),
        }
    return dict(sorted(found.items(), key=lambda one: -(one[1]["rank_correlation"] or 0.0)))


def measure(archives: Sequence[Path], part: float, fewest: int) -> dict[str, Any]:
    """What each way comes to on what some archives hold; nothing by way if they hold too little.

    Of archives that began with the same models the first counts: what goes on from one start says
    the same twice.
    """
    begun: dict[tuple[str, ...], Path] = {}
    for path in archives:
        first = [model.identity for model in Archive(path).models() if model.generation == 0]
        begun.setdefault(tuple(first), path)
    panels = {
        answers.where: measured(answers, part)
        for path in begun.values()
        for answers in answers_of(path, fewest)
    }
    ways = summary(list(panels.values())) if panels else {}
    return {"part": part, "panels": len(panels), "ways": ways, "by_panel": panels}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; without archives on a campaign of its own."""
    parser = parser_of(__doc__)
    parser.add_argument("archives", nargs="*", type=Path, help="of finished campaigns")
    parser.add_argument("--part", type=float, default=0.2, help="of the items (default: 0.2)")
    parser.add_argument("--fewest", type=positive, default=24, help="models (default: 24)")
    parser.add_argument("--generations", type=positive, default=12, help="of a campaign of its own")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        archives = options.archives
        if not archives:
            archives = [Path(folder) / "colony.duckdb"]
            asked = {"generations": options.generations}
            config = load_config({"budget": asked, "run": {"threads": options.threads}})
            Campaign.start(archives[0], config).run()
        told(measure(archives, options.part, options.fewest), options.json)


if __name__ == "__main__":
    main()
