"""A campaign's budget as the command `budget` has it: `500000`, `90m`, `3000000t`, or several."""

import re
from dataclasses import dataclass

_PARTS = {
    "evaluations": re.compile(r"\d{1,19}"),
    "minutes": re.compile(r"\d{1,9}(?:\.\d{1,9})?m"),
    "tokens": re.compile(r"\d{1,19}t"),
}


@dataclass(frozen=True)
class Allowance:
    """What a campaign may spend in all; None leaves a limit as it is.

    Attributes:
        evaluations: item evaluations.
        minutes: of work.
        tokens: that models read, learn or generate.

    >>> Allowance(500_000, 90.0, 3_000_000).argument
    '500000 90m 3000000t'
    >>> Allowance(500_000, 90.0).words
    '500,000 item evaluations and 90 minutes'
    """

    evaluations: int | None = None
    minutes: float | None = None
    tokens: int | None = None

    @property
    def argument(self) -> str:
        """The argument of the command `budget`, see `allowance_of`."""
        parts = [] if self.evaluations is None else [str(self.evaluations)]
        parts += [] if self.minutes is None else [f"{_plain(self.minutes)}m"]
        return " ".join(parts if self.tokens is None else [*parts, f"{self.tokens}t"])

    @property
    def words(self) -> str:
        """The budget in words."""
        parts = [] if self.evaluations is None else [f"{self.evaluations:,} item evaluations"]
        parts += [] if self.minutes is None else [f"{_plain(self.minutes)} minutes"]
        return " and ".join(parts if self.tokens is None else [*parts, f"{self.tokens:,} tokens"])

    def over(self, before: "Allowance") -> "Allowance":
        """These limits, and earlier ones where there is none of these."""
        return Allowance(
            self.evaluations or before.evaluations,
            self.minutes or before.minutes,
            self.tokens or before.tokens,
        )


def _plain(minutes: float) -> str:
    return f"{minutes:.6f}".rstrip("0").rstrip(".")


def allowance_of(argument: str | None) -> Allowance | None:
    """The budget that the argument of a command means; None if it means none.

    >>> allowance_of("500000 90m")
    Allowance(evaluations=500000, minutes=90.0, tokens=None)
    >>> allowance_of("a lot") is None
    True
    """
    found: dict[str, str] = {}
    for part in (argument or "").split():
        kinds = [kind for kind, form in _PARTS.items() if form.fullmatch(part)]
        if not kinds or kinds[0] in found:
            return None
        found[kinds[0]] = part.rstrip("mt")
    if not found:
        return None
    allowed = Allowance(
        int(found["evaluations"]) if "evaluations" in found else None,
        float(found["minutes"]) if "minutes" in found else None,
        int(found["tokens"]) if "tokens" in found else None,
    )
    counts = (allowed.evaluations, allowed.tokens)
    if any(count is not None and not 0 < count < 1 << 63 for count in counts):
        return None
    return None if allowed.minutes == 0 else allowed
