"""Simulated studies: noise of several kinds, and arms that are unevenly noisy."""

import numpy as np

LOG_DEVIATION = 0.5
"""Of the lognormal noise, whose skewness is 1.75."""


def noise(kind, rng, shape):
    """Noise with mean 0 and standard deviation 1."""
    if kind == "normal":
        return rng.standard_normal(shape)
    if kind == "t5":
        return rng.standard_t(5, shape) / np.sqrt(5 / 3)
    made = np.exp(LOG_DEVIATION * rng.standard_normal(shape))
    grown = np.exp(LOG_DEVIATION**2)
    return (made - np.sqrt(grown)) / np.sqrt((grown - 1) * grown)


def patterns(arms, ratio):
    """How noisy each arm is: the first, which is the baseline, another, all but the baseline, half, or in steps."""
    if ratio == 1:
        return [np.ones(arms)]
    found = [np.ones(arms) for _ in range(4)]
    found[0][0] = found[1][1] = ratio
    found[2][1:] = ratio
    found[3][1 : 1 + arms // 2] = ratio
    return found if arms <= 3 else [*found, np.geomspace(1, ratio, arms)]


def allowed(studies):
    return 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)
