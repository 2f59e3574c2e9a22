"""The kinds of judges, one file each. To add one: write its `ballots` and name it here."""

from collections.abc import Callable

from arena.judges import consensus, likelihood
from arena.judges.ballot import Ballots, Slate, slate_of

JUDGES: dict[str, Callable[[Slate], Ballots]] = {
    "consensus": consensus.ballots,
    "likelihood": likelihood.ballots,
}

__all__ = ["JUDGES", "Ballots", "Slate", "slate_of"]
