"""Ratings: a maximum-a-posteriori Bradley-Terry fit with Davidson ties, up to 1e5 contestants."""

from arena.ratings.bradley_terry import Ratings, fit
from arena.ratings.matches import NO_JUDGE, Matches, Pairs, pairs_of

__all__ = ["NO_JUDGE", "Matches", "Pairs", "Ratings", "fit", "pairs_of"]
