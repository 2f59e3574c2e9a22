"""Routes: a path through the layers of several models, with a scale at each step, as plain weights.

This is merging in data-flow space (arXiv 2403.13187, section 3.2), whose merged models needed code
of their own for the scales. Here the scales go into the weights. Let the stream be multiplied by
`s_t` before step t, and let `S_t = s_0 * ... * s_t`. Then the stream is `S_t * y_t` with

    y_(t+1) = y_t + f_t(norm(S_t * y_t)) / S_t,

and a norm forgets all of `S_t` but its sign. So `y` is the stream of a plain model in which what
step t writes is divided by `S_t`, and its norms are turned around where `S_t` is negative. The last
norm sees `S_T * y_T`, so only a sign is left at the end. This is exact but for the norms' epsilon,
which weighs `1 / S_t^2` times as much as before.

Nothing here reads a weight: a change is a map that the caller applies to tensors by their names.
"""

from population.merging.routes.config import route_config
from population.merging.routes.folding import IDENTITY, Change, Fold, FoldedScale, LayerFold, fold
from population.merging.routes.path import Route, RouteStep, from_indicators
from population.merging.routes.tensors import TensorSource, sources_of

__all__ = [
    "IDENTITY",
    "Change",
    "Fold",
    "FoldedScale",
    "LayerFold",
    "Route",
    "RouteStep",
    "TensorSource",
    "fold",
    "from_indicators",
    "route_config",
    "sources_of",
]
