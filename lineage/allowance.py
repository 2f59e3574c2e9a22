"""What a campaign may spend, as an order has it: `500000`, `90m`, or both."""

import re
from dataclasses import dataclass

_ALLOWANCE = re.compile(r"(\d{1,19})?(?:^|\s|$)\s*(?:(\d{1,9}(?:\.\d{1,9})?)m)?")


@dataclass(frozen=True)
class Allowance:
    """What a campaign may spend in all; None is left as it is.

    Attributes:
        evaluations: item evaluations.
        minutes: of work.
    """

    evaluations: int | None = None
    minutes: float | None = None

    @property
    def argument(self) -> str:
        """How an order has it, see `allowance_of`."""
        parts = [] if self.evaluations is None else [str(self.evaluations)]
        return " ".join(parts if self.minutes is None else [*parts, f"{_plain(self.minutes)}m"])

    @property
    def words(self) -> str:
        """What it is, in words."""
        parts = [] if self.evaluations is None else [f"{self.evaluations:,} item evaluations"]
        return " and ".join(
            parts if self.minutes is None else [*parts, f"{_plain(self.minutes)} minutes"]
        )


def _plain(minutes: float) -> str:
    return f"{minutes:.6f}".rstrip("0").rstrip(".")


def allowance_of(argument: str | None) -> Allowance | None:
    """What the argument of an order says; None if it makes no sense."""
    found = _ALLOWANCE.fullmatch((argument or "").strip())
    if not found or not any(found.groups()):
        return None
    evaluations, minutes = found.groups()
    allowed = Allowance(
        None if evaluations is None else int(evaluations),
        None if minutes is None else float(minutes),
    )
    if allowed.evaluations is not None and not 0 < allowed.evaluations < 1 << 63:
        return None
    return None if allowed.minutes == 0 else allowed
