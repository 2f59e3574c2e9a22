"""Made-up colonies for tests: the same every time, with every kind of family in them."""

import numpy as np

from lineage.drawing import Family
from lineage.records import Model, Parent

FOUNDERS = ("adder", "speller", "漢字", "sorter")


def colony(births: int = 60, brood: int = 6, window: int = 14, seed: int = 4) -> Family:
    """Models with one, two or many parents, whose fitness drifts upwards; the champion is last."""
    rng = np.random.default_rng(seed)
    first = len(FOUNDERS) + 1
    models = {
        number: Model(number, "founder", name, 0, "founding", f"{number:064x}")
        for number, name in enumerate(FOUNDERS, start=1)
    }
    fitness = {number: 0.2 + 0.02 * number for number in models}
    for identity in range(first, first + births):
        generation = 1 + (identity - first) // brood
        start = first + (generation - 1) * brood
        many = int(rng.choice([1, 2, 2, 2, 4]))
        pool = np.arange(max(1, start - window), start)
        chosen = rng.choice(pool, size=min(many, len(pool)), replace=False)
        weights = np.round(rng.dirichlet(np.full(len(chosen), 3.0)), 3)
        weights[0] += 1.0 - weights.sum()
        parents = tuple(
            Parent(int(parent), float(share), "ensemble" if many > 2 else "first")
            for parent, share in zip(chosen, weights, strict=True)
        )
        best = max(fitness[parent.id] for parent in parents)
        fitness[identity] = round(float(best + rng.normal(0.005, 0.02)), 4)
        dead = identity < first + births - window
        models[identity] = Model(
            identity,
            "offspring",
            None,
            generation,
            {1: "centre", 2: "blend"}.get(many, "soup"),
            f"{identity:064x}",
            died=generation + 2 if dead else None,
            cause="outscored" if dead else None,
            parents=parents,
        )
    del fitness[first]  # somebody was never scored
    children: dict[int, int] = {}
    for model in models.values():
        for parent in model.parents:
            children[parent.id] = children.get(parent.id, 0) + 1
    return Family(models, fitness, children, champion=first + births - 1)


def part(whole: Family, ids: set[int]) -> Family:
    """Some of a family, as a query would give it."""
    return Family(
        {i: whole.models[i] for i in sorted(ids)},
        whole.fitness,
        whole.children,
        whole.champion,
        dict(enumerate(FOUNDERS, start=1)),
    )
