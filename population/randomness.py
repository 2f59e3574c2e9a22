"""Keyed randomness: every draw has a generator of its own, named by what it is for.

A campaign that was stopped and resumed, or spread over machines, must make the same models as one
that ran through. So no generator lives longer than one use, and none is shared.
"""

from hashlib import blake2b

import numpy as np


def generator(seed: int, *key: int | str) -> np.random.Generator:
    """A generator for one use, named by its key.

    >>> float(generator(7, "mate", 3, 0).random()) == float(generator(7, "mate", 3, 0).random())
    True
    >>> float(generator(7, "mate", 3, 0).random()) == float(generator(7, "mate", 3, 1).random())
    False
    """
    text = "/".join(str(part) for part in (seed, *key))
    return np.random.default_rng(int.from_bytes(blake2b(text.encode(), digest_size=16).digest()))
