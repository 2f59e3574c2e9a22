"""Credit of the operators: what each child of a generation was worth to the bandit.

An operator earns 1 by a child that got a place among the living and kept it on the panel, else 0; a
lucky score on the few items earns nothing. The cost is the item evaluations of the child.
`population.evolution.bandit` learns from both.
"""

from collections.abc import Collection

from population.evolution.bandit import ArmResult
from population.evolution.finals import Race
from population.evolution.population_state import BreedingState
from population.evolution.proposals import Offspring


def credit_of_children(
    state: BreedingState, offspring: Offspring, race: Race, living: Collection[int]
) -> list[ArmResult]:
    """Credit and cost of every child that an operator of the bandit made.

    Args:
        state: the population that bred.
        offspring: its children, scored on the generation's items.
        race: of the finalists, on the panel.
        living: ids of the offspring, old and new, that live on.
    """
    few_items = offspring.scores.shape[1]
    return [
        ArmResult(
            operator=child.operator,
            success=float(state.next_id + row in living),
            cost=float(few_items + race.items_seen.get(row, 0)),
        )
        for row, child in enumerate(offspring.children)
        if child.operator in state.search.bandit
    ]
