"""How large settings may be, and why: what no machine could do is said before it is tried.

Every number of a configuration has a bound. Within its section each is of one kind: what there is
of it fills memory or time, or has to fit into a column of the archive.
"""

from dataclasses import dataclass

MOST_EVALUATIONS = 2**63 - 1
MOST_GENERATIONS = 10**9
MOST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Bound:
    """The largest value of a setting, or its largest size on both sides of 0, with a reason."""

    most: float
    why: str


_NUMBERED = "archives number generations up to that; leave it out to go on without an end"
_PAIRS = "whatever lives is compared with all that lives, so a colony grows with its square"
_ASKED = "every model is asked all of them; more say no more of it"
_PATHS = "a genome has a gene for every step of a path"
_STEP = "coefficients of a merge are of the order of 1"
_JUDGES = "every judge reads every answer"

BOUNDS: dict[tuple[str, str], Bound] = {
    ("budget", "item_evaluations"): Bound(
        MOST_EVALUATIONS, "archives count in signed 64-bit numbers"
    ),
    ("budget", "generations"): Bound(MOST_GENERATIONS, _NUMBERED),
    ("budget", "minutes"): Bound(10_000_000, "that is 19 years; leave it out to go on longer"),
    ("budget", "stagnation"): Bound(MOST_GENERATIONS, _NUMBERED),
    ("budget", "target"): Bound(1, "scores are between 0 and 1"),
    ("search", "population"): Bound(10_000, _PAIRS),
    ("search", "brood"): Bound(10_000, _PAIRS),
    ("search", "items"): Bound(100_000, _ASKED),
    ("search", "panel"): Bound(100_000, _ASKED),
    ("search", "rotate"): Bound(MOST_GENERATIONS, _NUMBERED),
    ("search", "finalists"): Bound(10_000, "no more than a brood has can be finalists"),
    ("search", "rounds"): Bound(1_000, "each round of a race is a forward pass of its own"),
    ("search", "race"): Bound(1, "it is a chance"),
    ("search", "emitter"): Bound(1, "it is a part of the brood"),
    ("search", "sigma"): Bound(1_000, _STEP),
    ("search", "rate"): Bound(1_000, _STEP),
    ("search", "patience"): Bound(MOST_GENERATIONS, _NUMBERED),
    ("search", "shortest"): Bound(1, "it is a part of a step"),
    ("search", "operators"): Bound(1e6, "only how they compare with each other counts"),
    ("search", "family"): Bound(10_000, "no more than live can be of a family"),
    ("search", "mutation"): Bound(1_000, _STEP),
    ("search", "sharing"): Bound(100, "it is an exponent, and numbers overflow beyond"),
    ("search", "challengers"): Bound(10_000, "no more than live can challenge"),
    ("search", "crown"): Bound(MOST_GENERATIONS, _NUMBERED),
    ("search", "groups"): Bound(1_024, "no layer has more heads to be cut into groups"),
    ("search", "lowest"): Bound(1_000, _STEP),
    ("search", "highest"): Bound(1_000, _STEP),
    ("search", "repeats"): Bound(100, _PATHS),
    ("search", "longest"): Bound(4_096, _PATHS),
    ("search", "scales"): Bound(1_000, "what a layer adds is scaled by about 1"),
    ("gate", "suspicious"): Bound(1, "scores are between 0 and 1"),
    ("gate", "texts"): Bound(10_000, _ASKED),
    ("gate", "answers"): Bound(10_000, _ASKED),
    ("gate", "norms"): Bound(1e30, "nothing larger is a finite weight"),
    ("gate", "surprise"): Bound(1e30, "nothing larger is a finite perplexity"),
    ("arena", "items"): Bound(100_000, _ASKED),
    ("arena", "checkable"): Bound(1, "it is a part of the items"),
    ("arena", "judges"): Bound(1_000, _JUDGES),
    ("arena", "voters"): Bound(10_000, "no more than live can vote"),
    ("arena", "jurors"): Bound(1_000, _JUDGES),
    ("arena", "pairs"): Bound(1_000_000, "each takes four forward passes of each judge"),
    ("arena", "weight"): Bound(1_000, "beyond, ratings alone count"),
    ("arena", "tournament"): Bound(10_000, "no more than live can meet"),
    ("run", "seed"): Bound(MOST_SEED, "archives keep seeds as signed 64-bit numbers"),
    ("run", "threads"): Bound(1_024, "each thread has a network of its own; leave it out"),
    ("run", "batch_tokens"): Bound(1 << 24, "a forward pass of so many tokens fits into no memory"),
    ("run", "memory_gb"): Bound(1e6, "no machine has a petabyte of memory"),
    ("weights", "quota_gb"): Bound(1e9, "that is all disks of a data centre"),
}
"""By section and setting."""


def beyond(section: str, values: dict[str, object]) -> str | None:
    """What is wrong with the first value of a section that is out of bounds, or None."""
    for name, value in values.items():
        bound = BOUNDS.get((section, name))
        if bound is None:
            continue
        for number in _numbers(value):
            if abs(number) > bound.most:
                return f"{name} is {_said(number)}, but at most {_said(bound.most)}: {bound.why}"
    return None


def _said(number: int | float) -> str:
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
