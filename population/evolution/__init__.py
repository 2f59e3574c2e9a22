"""Breeding: how children are conceived, judged and survive, whatever they are children of.

`breeder` runs pygad, whose hooks conceive a brood (`operators/`, `emitter`, `bandit`); `judging`
says who is looked at again (`shrinkage`, `racing`) and who lives on (`survival/`), and `pioneers`
who of the first population gets a place. What passes between the breeder and its host is in `stock`
and `brood`; `alarms` watch that the colony does not collapse. Nothing here knows of torch, an
archive or a language model.
"""
