"""A campaign's budget as the command `budget` has it: `500000`, `90m`, or both."""

import re
from dataclasses import dataclass

_ALLOWANCE = re.compile(r"(\d{1,19})?(?:^|\s|$)\s*(?:(\d{1,9}(?:\.\d{1,9})?)m)?")


@dataclass(frozen=True)
class Allowance:
    """What a campaign may spend in all; None leaves a limit as it is.

    Attributes:
        evaluations: item evaluations.
        minutes: of work.

    >>> Allowance(500_000, 90.0).argument
    '500000 90m'
    >>> Allowance(500_000, 90.0).words
    '500,000 item evaluations and 90 minutes'
    """

    evaluations: int | None = None
    minutes: float | None = None

    @property
    def argument(self) -> str:
        """The argument of the command `budget`, see `allowance_of`."""
        parts = [] if self.evaluations is None else [str(self.evaluations)]
        return " ".join(parts if self.minutes is None else [*parts, f"{_plain(self.minutes)}m"])

    @property
    def words(self) -> str:
        """The budget in words."""
        parts = [] if self.evaluations is None else [f"{self.evaluations:,} item evaluations"]
        return " and ".join(
            parts if self.minutes is None else [*parts, f"{_plain(self.minutes)} minutes"]
        )


def _plain(minutes: float) -> str:
    return f"{minutes:.6f}".rstrip("0").rstrip(".")


def allowance_of(argument: str | None) -> Allowance | None:
    """The budget that the argument of a command means; None if it means none.

    >>> allowance_of("500000 90m")
    Allowance(evaluations=500000, minutes=90.0)
    >>> allowance_of("a lot") is None
    True
    """
    match = _ALLOWANCE.fullmatch((argument or "").strip())
    if not match or not any(match.groups()):
        return None
    evaluations, minutes = match.groups()
    allowed = Allowance(
        None if evaluations is None else int(evaluations),
        None if minutes is None else float(minutes),
    )
    if allowed.evaluations is not None and not 0 < allowed.evaluations < 1 << 63:
        return None
    return None if allowed.minutes == 0 else allowed
