"""Ratings: a maximum-a-posteriori Bradley-Terry fit with Davidson ties, up to 1e5 contestants.

>>> import numpy as np
>>> matches = Matches(a=np.array([0, 0, 1]), b=np.array([1, 2, 2]), item=np.array([0, 1, 2]),
...                   score=np.array([1.0, 1.0, 0.5]), weight=np.ones(3))
>>> ratings = fit(matches, prior=np.zeros(3))
>>> int(ratings.strength.argmax()), bool(ratings.strength.mean().round(6) == 0)
(0, True)
"""

from arena.ratings.bradley_terry import Ratings, fit
from arena.ratings.matches import Matches, Pairs, pairs_of

__all__ = ["Matches", "Pairs", "Ratings", "fit", "pairs_of"]
