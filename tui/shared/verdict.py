"""What came of a match, in words."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lineage.queries.matches import Match


def verdict(match: "Match") -> str:
    """Who has won, and by whose word."""
    if match.outcome is None:
        return "no verdict: nobody is believed here"
    by = "key" if match.by_key else "jury"
    who = "tie" if match.winner is None else f"#{match.winner}"
    return f"{who}, by the {by}"
