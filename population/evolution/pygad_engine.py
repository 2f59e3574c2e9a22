"""pygad as it is used here: every child is scored, once."""

import numpy as np
import pygad

from lineage.records import Floats


class Engine(pygad.GA):  # type: ignore[misc]
    """pygad that scores every child, once.

    pygad looks every genome up among those that it has kept, gene by gene, in order to save an
    evaluation; with long genomes that costs more than the evaluation. The living are known already.
    """

    def cal_pop_fitness(self) -> Floats:
        """The fitness of the population: that of the elders as it is known, then the children's."""
        if self.last_generation_offspring_mutation is None:
            return np.asarray(self.fitness_func(self, self.population, None))
        kept = self.last_generation_elitism_indices if self.keep_elitism else []
        children = self.population[self.keep_elitism :]
        return np.concatenate(
            [
                self.previous_generation_fitness[kept],
                self.fitness_func(self, children, range(self.keep_elitism, len(self.population))),
            ]
        )
