"""The kinds of judges, one file each. To add one: write its `ballots` and name it here.

They are a ladder of cost: consensus is of answers that are cached anyhow, likelihood reads each
distinct answer once, preference asks for pairs in both orders. What each is worth is measured for
every judge, mode, task and kind of kin (`arena.reliability.trust`), and the louder is who proved
right more often. Above them stands the verifier (`arena.matches.outcomes`), where a key may be
looked at.
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
