"""Lines that were raised, drawn as one model: a tree of foundings instead of a chain of steps.

Whoever has one parent only is a step of that parent's line: it was taken further by gradient steps
or by an evolution strategy, and nothing was recombined. Of such a chain the newest model is drawn,
with the parents that the line was founded by, and with what it gained since.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace

from lineage.drawing.family import Family, RaisedLine


def folded(family: Family, keep: Collection[int] = ()) -> Family:
    """A family in which every line is drawn as its newest model.

    A step stays where others than the next step came of it, and so does the champion.

    Args:
        family: to draw.
        keep: ids of models that stay.
    """
    stay = {*keep, family.champion}
    children = Counter(parent.id for model in family.models.values() for parent in model.parents)
    begun: dict[int, int] = {}
    steps: dict[int, int] = {}
    hidden = set()
    # Ids grow with birth, so ascending order meets every step before the next one.
    for step in sorted(family.models):
        parents = family.models[step].parents
        before = parents[0].id if len(parents) == 1 else step
        if before == step or before not in family.models or before in stay:
            continue
        if family.models[before].kind == "founder" or children[before] > 1:
            continue
        begun[step] = begun.get(before, before)
        steps[step] = steps.get(before, 0) + 1
        hidden.add(before)
    models = {}
    for model, row in family.models.items():
        if model in hidden:
            continue
        founding = family.models[begun.get(model, model)]
        models[model] = replace(row, operator=founding.operator, parents=founding.parents)
    raised = {
        model: RaisedLine(first, steps[model], family.gain(model, first))
        for model, first in begun.items()
        if model not in hidden
    }
    return replace(family, models=models, raised=raised)


def ancestors_through_lines(
    parents_of: Callable[[int], Collection[int]],
    model: int,
    depth: int | None,
    most: int | None = None,
) -> tuple[set[int], int]:
    """A model and its ancestors, where a whole line counts as one generation; and how many of them.

    Args:
        parents_of: ids of the parents of a model.
        model: id.
        depth: generations of foundings; None for all.
        most: models at most; the depth is smaller if there would be more.

    Returns:
        Ids, with all steps of the lines, and the depth that was reached.
    """
    foundings = {_founding(parents_of, model, members := {model})}
    reached = 0
    while depth is None or reached < depth:
        seen = set(members)
        parents = {parent for one in foundings for parent in parents_of(one)} - seen
        seen |= parents
        further = {_founding(parents_of, parent, seen) for parent in parents}
        if not parents or (most is not None and len(seen) > most):
            break
        members, foundings, reached = seen, further, reached + 1
    return members, reached


def _founding(parents_of: Callable[[int], Collection[int]], model: int, passed: set[int]) -> int:
    """The model that the line of a model began with; its steps are added to `passed`."""
    while len(parents := parents_of(model)) == 1:
        (model,) = parents
        passed.add(model)
    return model
