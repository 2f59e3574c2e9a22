"""Coefficients of relationship and inbreeding, from coefficients of kinship."""

import numpy as np

from lineage.records import Floats


def relationships(phi: Floats) -> Floats:
    """Coefficients of relationship, r_ab = phi_ab / sqrt(phi_aa phi_bb) (Wright 1922).

    Args:
        phi: coefficients of kinship, shape `[models, models]`.

    Returns:
        Shape `[models, models]`, in [0, 1], with ones on the diagonal.

    >>> relationships(np.array([[0.5, 0.25], [0.25, 0.5]])).tolist()  # a parent and its child
    [[1.0, 0.5], [0.5, 1.0]]
    """
    own = np.diag(phi)
    return np.asarray(phi / np.sqrt(np.outer(own, own)))


def inbreedings(phi: Floats) -> Floats:
    """Wright's coefficients of inbreeding, F_a = 2 phi_aa - 1 (Wright 1922).

    Args:
        phi: coefficients of kinship, shape `[models, models]`.

    Returns:
        Shape `[models]`, in [0, 1].
    """
    return np.asarray(2.0 * np.diag(phi) - 1.0)


def inbreeding(shares: Floats, phi: Floats) -> float:
    """Wright's coefficient of inbreeding of a child, extended from two parents to any number.

    F = sum_{p != q} s_p s_q phi_pq / (1 - sum_p s_p^2): the probability that two weights that come
    from different parents are the same ancestral copy. With two equal parents it is their kinship
    (Wright 1922). With one parent nothing is crossed, and it is 0.

    Args:
        shares: of the parents, shape `[parents]`, summing to 1.
        phi: the parents' coefficients of kinship, shape `[parents, parents]`.

    >>> siblings = np.array([[0.5, 0.25], [0.25, 0.5]])
    >>> inbreeding(np.array([0.5, 0.5]), siblings)
    0.25
    """
    distinct = 1.0 - float(np.sum(shares**2))
    if distinct <= 1e-12:
        return 0.0
    crossed = shares @ phi @ shares - np.sum(shares**2 * np.diag(phi))
    return float(crossed) / distinct
