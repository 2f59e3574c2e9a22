"""Checks before a campaign writes anything: raises for what it would fail of later.

What a campaign cannot do well for want of items is reported once, in sentences.
"""

from collections.abc import Iterable
from pathlib import Path

import torch

from arena.tasks import Task
from arena.tasks.pools import Pools
from population.campaign.context import Context
from population.campaign.item_sampling import item_pools
from population.config import Budget
from population.errors import CampaignError, CheckpointError, PopulationError
from population.evaluation.devices import check_device
from population.evaluation.evaluator import Evaluator
from population.evaluation.trial import try_gradient, try_out
from population.failures import one_line
from population.randomness import generator

FEW = 5
"""Items of a task below which a choice between models is mostly luck."""


def check_ready(context: Context, budget: Budget, *, report: bool) -> tuple[str, ...]:
    """Make sure that a new campaign can begin.

    Args:
        context: with the founders and the tasks.
        budget: of the campaign.
        report: whether the sealed split is opened at the end; that it is there is made sure of
            without opening it.

    Returns:
        What tasks are too small for, a sentence each.

    Raises:
        PopulationError: the device cannot do it, or the budget does not pay for generation 0.
        TaskError: a split is missing or broken.
        CampaignError: the sealed split is missing.
        CheckpointError: transformers cannot do with the founders what is asked of them.
    """
    _check_device(context)
    context.split("search")
    context.split("selection")
    context.factory.maker.siblings([])
    if report:
        for task in context.tasks:
            _check_sealed(task)
    pools = item_pools(context.tasks, context.config.run.seed, context.config)
    _check_budget(context, pools, budget)
    check_run(context)
    _try_first_founder(context)
    return shortages(context, pools)


def check_run(context: Context) -> None:
    """Make sure that models can work here: a forward pass of each network, on the device.

    Raises:
        PopulationError: they cannot; says why.
    """
    _check_device(context)
    try:
        context.engine.start()
    except (RuntimeError, AssertionError, NotImplementedError, MemoryError) as error:
        raise PopulationError(
            f"a first forward pass on device {context.config.run.device!r} failed: "
            f"{one_line(error)}; choose another device, or lower [run] batch_tokens or threads"
        ) from None


def _try_first_founder(context: Context) -> None:
    """Make sure that a founder can read and answer, and take gradient steps if they are wanted.

    Raises:
        CheckpointError: it cannot.
    """
    items = sorted(context.split("search"), key=lambda item: len(item.prompt))
    # Usual ones: what is odd about a single item stops no campaign.
    usual = [items[len(items) // 2], items[3 * len(items) // 4]]
    name, gradients = context.founders[0].name, context.config.gradient.steps > 0
    (state,) = context.factory.maker.siblings([context.genome_of_founder(0)])

    def trial(evaluator: Evaluator) -> None:
        try_out(evaluator, state, usual, name)
        keyed = [item for item in usual if item.key is not None]
        if not (gradients and keyed):
            return
        try:
            try_gradient(evaluator, state, keyed, name)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; set [gradient] steps = 0") from None

    context.pool.run([trial])


def _check_device(context: Context) -> None:
    run = context.config.run
    check_device(run.device, run.dtype, getattr(torch, context.founders[0].dtype.name))


def shortages(context: Context, pools: Pools) -> tuple[str, ...]:
    """What tasks are too small for, a sentence each."""
    search, tasks = context.config.search, context.tasks
    panel = context.weights.items_of_each(search.panel, [task.name for task in tasks])
    small = [
        f"{pool.task.name} has {len(pool.listed):,}"
        for pool in pools.pools
        if pool.listed is not None and len(pool.listed) < panel[pool.task.name]
    ]
    sentences = []
    if small:
        sentences.append(
            f"a panel takes {_range(panel.values())} search items of each task, and these have "
            "fewer: "
            f"{', '.join(small)}; the living are compared on those that there are"
        )
    sentences += pools.shortages
    few = [
        f"{task.name} has {count:,}"
        for task in tasks
        if (count := len(task.items("selection"))) < FEW
    ]
    if few:
        sentences.append(
            f"the champion is chosen on selection items, of which these tasks have few: "
            f"{', '.join(few)}; who is chosen on so few is partly the luckiest"
        )
    return tuple(sentences)


def _range(numbers: Iterable[int]) -> str:
    """A number, or the smallest and the largest of several."""
    low, high = min(ordered := list(numbers)), max(ordered)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def cost_of_founding(context: Context, pools: Pools) -> int:
    """Item evaluations that generation 0 takes before the arena, if nobody dies at birth."""
    search, gate = context.config.search, context.config.gate
    founders = len(context.founders)
    first = len(context.factory.space.initial_genomes(generator(context.config.run.seed, "first"),
                                     2 * search.first_population))  # fmt: skip
    panel = context.evaluations(pools.drawn(0, search.panel))
    cost = first * context.evaluations(pools.drawn(0, search.items))
    cost += (founders + search.first_population) * panel
    cost += search.challengers * context.evaluations(context.split("selection"))
    if gate.enabled:
        cost += founders * (gate.texts + gate.answers)
    return cost


def _check_budget(context: Context, pools: Pools, budget: Budget) -> None:
    if context.config.search.merit == "jury":
        return  # what a jury answers depends on whom it has
    cost = cost_of_founding(context, pools)
    if budget.item_evaluations < cost:
        raise CampaignError(
            f"a budget of {budget.item_evaluations:,} item evaluations does not pay for the first "
            f"population, which takes about {cost:,}; raise --budget, or lower [search] "
            "population, items or panel"
        )


def _check_sealed(task: Task) -> None:
    """Make sure that the sealed split of a folder is there. It stays closed.

    Raises:
        CampaignError: it is not.
    """
    folder = getattr(task, "folder", None)
    if isinstance(folder, Path) and not (folder / "test.jsonl").is_file():
        raise CampaignError(
            f"{folder / 'test.jsonl'} is missing; the report at the end needs it. Add it, or run "
            "with --no-report"
        )
