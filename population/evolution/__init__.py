"""Evolution by ask and tell, whatever evolves. It knows no torch, archive or language model.

::

    proposals = evolver.ask(state)                  # genomes and parents of children
    offspring = ...                                 # made and scored on a few items by the caller
    race      = run_race(state, offspring, panel, search, score)
    outcome   = evolver.tell(state, offspring, panel, race)

`evolver` is the entrance. `ask` uses pygad for one generation (`pygad_engine`), with parents from
`selection`, children from the evolution strategy and the `operators`, a `bandit` that shares
children among the operators, and `mutation`. `finals` races the most promising offspring over the
panel. `tell` (`outcome`) lets a survival rule choose, moves the evolution strategy, and gives the
operators their `credit`. `alarms` watch the diversity. `proposals` and `population_state` are the
values that go in and out; `initial_selection` chooses the first population; `spaces` says what a
genome means.
"""
