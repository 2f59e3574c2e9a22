"""The outcome of a match, in words."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lineage.queries.matches import Match


def verdict(match: "Match") -> str:
    """Who has won, and whether by the key or by the jury."""
    if match.outcome is None:
        return "no verdict: no judge is trusted here"
    by = "key" if match.by_key else "jury"
    who = "tie" if match.winner is None else f"#{match.winner}"
    return f"{who}, by the {by}"
