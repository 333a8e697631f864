"""How many standard errors an interval is wide on each side, when several are to hold at once."""

from functools import cache
from typing import Any

import numpy as np

_NODES = 200


def freedom(arms: int, blocks: float) -> float:
    """Return the degrees of freedom with which the standard errors of ``arms`` arms are known from ``blocks`` blocks.

    Two arms have those of a paired t, ``blocks - 1``. Further arms tell more about each other's noise, and no more
    about that of an arm that is noisier than they are: there are never twice as many.

    >>> freedom(2, 3), freedom(6, 3)
    (2.0, 3.6)
    """
    return (blocks - 1) * (2 - 1 / (arms - 1))


def kept(arms: int, blocks: float) -> float:
    """Return the share of the error that is kept for noise that is skewed.

    It was chosen by simulation, for lognormal noise of log deviation 0.5 in an arm that is up to five times as noisy
    as the others: the mean of a few such scores strays further than t says. It matters most with four to seven blocks
    and few arms; with two blocks, t is wide already, and with many arms or blocks, the pooled variance is.

    >>> [round(kept(arms, 5), 2) for arms in (2, 4, 10)]
    [0.48, 0.43, 0.14]
    """
    skewed = 0.55 * (1 - 0.6 ** (blocks - 1))
    return skewed if arms == 2 else skewed * min(1, 2.7 / (arms - 1)) * min(1, 6 / blocks)


@cache
def critical_value(comparisons: int, arms: int, blocks: int, level: float = 0.95) -> float:
    """Return the number of standard errors beyond which no comparison of a family strays, with probability ``level``.

    It is the studentized maximum modulus (Šidák, J. Am. Stat. Assoc. 1967: valid however the comparisons depend on
    each other), at a level above the one asked for: a share of the error is kept for noise that is skewed.

    Args:
        comparisons: How many intervals hold together.
        arms: How many arms are compared, the baseline among them; 2 or more.
        blocks: On how many blocks (seeds) a difference is known; 2 or more.
        level: The probability that all of them hold.

    >>> [round(critical_value(arms - 1, arms, 3), 2) for arms in (2, 6)]
    [5.42, 4.77]
    """
    from scipy.optimize import brentq  # here, so that what only plans or shows a study does not wait for it
    from scipy.special import chdtri, ndtr

    degrees = freedom(arms, blocks)
    points, weights = _nodes()
    scales = np.sqrt(chdtri(degrees, (1 - points) / 2) / degrees)
    aimed = 1 - (1 - level) * (1 - kept(arms, blocks))

    def beyond(value: float) -> float:
        return float(weights @ (2 * ndtr(value * scales) - 1) ** comparisons / 2) - aimed

    return float(brentq(beyond, 0.1, 1e6))


@cache
def _nodes() -> tuple[Any, Any]:
    """Return points in −1 … 1 and weights by which a function is integrated over them (Gauss and Legendre)."""
    found: tuple[Any, Any] = np.polynomial.legendre.leggauss(_NODES)
    return found
