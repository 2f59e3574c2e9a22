"""Coefficients of relationship and inbreeding, from coefficients of kinship."""

import numpy as np

from lineage.records import Floats


def relationships(phi: Floats) -> Floats:
    """Coefficients of relationship, r = phi_ab / sqrt(phi_aa phi_bb), of a matrix of kinship."""
    own = np.diag(phi)
    return np.asarray(phi / np.sqrt(np.outer(own, own)))


def inbreedings(phi: Floats) -> Floats:
    """Wright's coefficients of inbreeding of those whose kinship with each other is `phi`."""
    return np.asarray(2.0 * np.diag(phi) - 1.0)


def inbreeding(shares: Floats, phi: Floats) -> float:
    """Wright's coefficient of inbreeding of a child, extended from two parents to any number.

    The chance that two weights that come from different parents are the same ancestral copy; with
    one parent nothing is crossed, and it is 0.

    Args:
        shares: of the parents, shape (parents,).
        phi: the parents' kinship, shape (parents, parents).
    """
    distinct = 1.0 - float(np.sum(shares**2))
    if distinct <= 1e-12:
        return 0.0
    crossed = shares @ phi @ shares - np.sum(shares**2 * np.diag(phi))
    return float(crossed) / distinct
