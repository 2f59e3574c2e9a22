"""The kinds of judges (modes), one file each, and their registry.

By rising cost: consensus uses answers that are kept anyhow, likelihood reads each distinct answer
once, preference compares pairs in both orders. How reliable each is gets measured for every judge,
mode, task and kin stratum (`arena.reliability.trust`), and votes weigh accordingly. Where a key may
be looked at, the verifier decides instead (`arena.matches.outcomes`).

To add one: write a module with `MODE` and `ballots(slate) -> Votes`, and list it in `JUDGES`. See
`arena/README.md` for a judge that asks models something new.
"""

from collections.abc import Callable

from arena.judges import consensus, likelihood, preference
from arena.judges.votes import Slate, Votes, slate_of

JUDGES: dict[str, Callable[[Slate], Votes]] = {
    consensus.MODE: consensus.ballots,
    likelihood.MODE: likelihood.ballots,
    preference.MODE: preference.ballots,
}

__all__ = ["JUDGES", "Slate", "Votes", "slate_of"]
