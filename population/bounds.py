"""The largest value of every setting, with the reason; checked when a configuration is read.

A bound is what no machine could do: the value would fill memory or time, overflow, or not fit into
a column of the archive.
"""

from dataclasses import dataclass

MAX_EVALUATIONS = 2**63 - 1
MAX_GENERATIONS = 10**9
MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class Bound:
    """The largest value of a setting.

    Attributes:
        limit: the largest absolute value.
        reason: why, as the end of a message.
    """

    limit: float
    reason: str


_GENERATIONS = "archives number generations up to that; leave it out to go on without an end"
_PAIRS = "all living models are compared in pairs, so the work grows with their square"
_ASKED = "every model is scored on all of them, and more items tell nothing new"
_PATHS = "a genome has a gene for every step of a path"
_STEP = "coefficients of a merge are of the order of 1"
_JUDGES = "every judge reads every answer"

BOUNDS: dict[tuple[str, str], Bound] = {
    ("budget", "item_evaluations"): Bound(
        MAX_EVALUATIONS, "archives count in signed 64-bit numbers"
    ),
    ("budget", "generations"): Bound(MAX_GENERATIONS, _GENERATIONS),
    ("budget", "minutes"): Bound(10_000_000, "that is 19 years; leave it out to go on longer"),
    ("budget", "hours"): Bound(160_000, "that is 18 years; leave it out to go on longer"),
    ("budget", "tokens"): Bound(MAX_EVALUATIONS, "archives count in signed 64-bit numbers"),
    ("budget", "stagnation"): Bound(MAX_GENERATIONS, _GENERATIONS),
    ("budget", "target"): Bound(1, "scores are between 0 and 1"),
    ("tasks", "lm_eval_seed"): Bound(MAX_SEED, "archives keep seeds in signed 64-bit numbers"),
    ("tasks", "lm_eval_items"): Bound(100_000, _ASKED),
    ("tasks", "weights"): Bound(1_000, "tasks of which one counts that much more are one task"),
    ("run.ray", "workers"): Bound(100_000, "no cluster has more processes"),
    ("run.ray", "num_cpus"): Bound(4_096, "no node has more cores"),
    ("run.ray", "num_gpus"): Bound(64, "no node has more GPUs"),
    ("run.ray", "resources"): Bound(1e12, "no node has more of anything"),
    ("search", "population"): Bound(10_000, _PAIRS),
    ("search", "first"): Bound(10_000, _PAIRS),
    ("search", "brood"): Bound(10_000, _PAIRS),
    ("search", "items"): Bound(100_000, _ASKED),
    ("search", "panel"): Bound(100_000, _ASKED),
    ("search", "climb"): Bound(1_000, "scores are between 0 and 1"),
    ("search", "rotate"): Bound(MAX_GENERATIONS, _GENERATIONS),
    ("search", "finalists"): Bound(10_000, "a brood has no more offspring"),
    ("search", "rounds"): Bound(1_000, "each round of a race is a forward pass of its own"),
    ("search", "race"): Bound(1, "it is a probability"),
    ("search", "emitter"): Bound(1, "it is a fraction of the brood"),
    ("search", "sigma"): Bound(1_000, _STEP),
    ("search", "rate"): Bound(1_000, _STEP),
    ("search", "patience"): Bound(MAX_GENERATIONS, _GENERATIONS),
    ("search", "shortest"): Bound(1, "it is a fraction of a step"),
    ("search", "operators"): Bound(1e6, "only their ratios count"),
    ("search", "family"): Bound(10_000, "no more than are living can be of a family"),
    ("search", "mutation"): Bound(1_000, _STEP),
    ("search", "sharing"): Bound(100, "it is an exponent, and numbers overflow beyond"),
    ("search", "challengers"): Bound(10_000, "no more than are living can challenge"),
    ("search", "crown"): Bound(MAX_GENERATIONS, _GENERATIONS),
    ("search", "groups"): Bound(1_024, "no layer has more heads to be cut into groups"),
    ("search", "lowest"): Bound(1_000, _STEP),
    ("search", "highest"): Bound(1_000, _STEP),
    ("search", "repeats"): Bound(100, _PATHS),
    ("search", "longest"): Bound(4_096, _PATHS),
    ("search", "scales"): Bound(1_000, "what a layer adds is scaled by about 1"),
    ("gate", "suspicious"): Bound(1, "scores are between 0 and 1"),
    ("gradient", "steps"): Bound(100_000, "a child would take them all before it is judged"),
    ("gradient", "items"): Bound(100_000, _ASKED),
    ("gradient", "rate"): Bound(1_000, _STEP),
    ("gradient", "niches"): Bound(1, "it is a fraction of the brood"),
    ("gradient", "parts"): Bound(100_000, "no part is less than an item"),
    ("study", "every"): Bound(1_000_000, "no campaign breeds longer"),
    ("study", "steps"): Bound(100_000, "one study would take days"),
    ("study", "items"): Bound(100_000, _ASKED),
    ("study", "rate"): Bound(1_000, _STEP),
    ("study", "forgets"): Bound(1, "it is a part of a score"),
    ("gate", "texts"): Bound(10_000, _ASKED),
    ("gate", "answers"): Bound(10_000, _ASKED),
    ("gate", "norms"): Bound(1e30, "nothing larger is a finite weight"),
    ("gate", "surprise"): Bound(1e30, "nothing larger is a finite perplexity"),
    ("arena", "items"): Bound(100_000, _ASKED),
    ("arena", "checkable"): Bound(1, "it is a fraction of the items"),
    ("arena", "judges"): Bound(1_000, _JUDGES),
    ("arena", "voters"): Bound(10_000, "no more than are living can vote"),
    ("arena", "jurors"): Bound(1_000, _JUDGES),
    ("arena", "speakers"): Bound(1_000, "each answers every item of a task"),
    ("arena", "labelled"): Bound(10_000_000, "each takes two forward passes of each speaker"),
    ("arena", "kept"): Bound(1, "it is a fraction of the labels"),
    ("arena", "pairs"): Bound(1_000_000, "each takes four forward passes of each judge"),
    ("arena", "weight"): Bound(1_000, "beyond, ratings alone count"),
    ("arena", "tournament"): Bound(10_000, "no more than are living can meet"),
    ("run", "seed"): Bound(MAX_SEED, "archives keep seeds as signed 64-bit numbers"),
    ("run", "threads"): Bound(1_024, "each thread has a network of its own; leave it out"),
    ("run", "batch_tokens"): Bound(1 << 24, "a forward pass of so many tokens fits into no memory"),
    ("run", "memory_gb"): Bound(1e6, "no machine has a petabyte of memory"),
    ("weights", "quota_gb"): Bound(1e9, "that is all disks of a data centre"),
}
"""Bounds by (section, setting)."""


def out_of_bounds(section: str, values: dict[str, object]) -> str | None:
    """A message about the first value of a section that is out of bounds; None if there is none.

    >>> out_of_bounds("run", {"threads": 1 << 20})
    'threads is 1,048,576, but at most 1,024: each thread has a network of its own; leave it out'
    >>> out_of_bounds("run", {"threads": 8}) is None
    True
    """
    for name, value in values.items():
        bound = BOUNDS.get((section, name))
        if bound is None:
            continue
        for number in _numbers(value):
            if abs(number) > bound.limit:
                return (
                    f"{name} is {_formatted(number)}, but at most {_formatted(bound.limit)}: "
                    f"{bound.reason}"
                )
    return None


def _formatted(number: int | float) -> str:
    digits = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return digits if len(digits) <= 30 else f"a number of {len(digits)} digits"


def _numbers(value: object) -> list[int | float]:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return []
    if isinstance(value, int | float):
        return [value]
    if isinstance(value, dict):
        return [number for part in value.values() for number in _numbers(part)]
    if isinstance(value, tuple | list):
        return [number for part in value for number in _numbers(part)]
    return []
