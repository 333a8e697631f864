"""How much a difference in mIoU hangs on the images it was seen on: they are drawn anew, the same for both arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segup.calls import annotated
from segup.errors import ConfigError

DRAWS = 1000
FEWEST = 20
"""Clusters of images from which scores say something of others of their kind."""


@dataclass(frozen=True)
class Counted:
    """What was counted on the images of one run.

    Args:
        clusters: For each image the name of the sequence, patient or field that it belongs to; its own if there is
            none. Images of one cluster are drawn together.
        counts: ``(images, classes, 2)``: the intersection and the union of target and prediction, in pixels.
    """

    clusters: Sequence[str]
    counts: NDArray[Any]


@annotated
def image_errors(
    counted: Mapping[str, Mapping[Any, Counted]], pairs: Sequence[tuple[str, str]], *, draws: int = DRAWS, seed: int = 0
) -> dict[tuple[str, str], float]:
    """Return for each pair of arms the standard error of its mean difference in mIoU that is due to the images.

    A bootstrap: clusters of images are drawn with replacement, the same for all arms and blocks; each time the pixels
    are summed and mIoU is taken of the sums. The blocks (seeds) stay as they are: their part is that of
    :func:`segup.statistics.decide`.

    Args:
        counted: For each arm and block what was counted.
        pairs: Of arms: the second is taken from the first.
        draws: How often the images are drawn.
        seed: Of the draws.

    Returns:
        By pair; a pair without a common block is left out.

    Raises:
        ConfigError: Arms have other images in one block.

    >>> numbers = np.random.default_rng(0)
    >>> union = np.full((30, 2), 100)
    >>> def run(right): return Counted([str(n) for n in range(30)], np.stack([right, union], -1))
    >>> level = numbers.integers(40, 60, (30, 2))
    >>> counted = {"a": {0: run(level)}, "b": {0: run(level + 5)}, "c": {0: run(level[::-1])}}
    >>> {pair: round(error, 3) for pair, error in image_errors(counted, [("b", "a"), ("c", "a")]).items()}
    {('b', 'a'): 0.0, ('c', 'a'): 0.013}
    """
    every = sorted({name for blocks in counted.values() for one in blocks.values() for name in one.clusters})
    places = {name: place for place, name in enumerate(every)}
    weights = np.random.default_rng(seed).multinomial(len(every), np.full(len(every), 1 / max(1, len(every))), draws)
    drawn = {arm: {block: _drawn(one, places, weights) for block, one in of.items()} for arm, of in counted.items()}
    found = {}
    for arm, other in pairs:
        shared = [block for block in drawn.get(arm, {}) if block in drawn.get(other, {})]
        for block in shared:
            if list(counted[arm][block].clusters) != list(counted[other][block].clusters):
                raise ConfigError(f"'{arm}' and '{other}' have other images in block {block}: they are no pair")
        if shared:
            differences = np.mean([drawn[arm][block] - drawn[other][block] for block in shared], axis=0)
            found[arm, other] = float(np.nanstd(differences, ddof=1))
    return found


def _drawn(one: Counted, places: Mapping[str, int], weights: NDArray[Any]) -> NDArray[np.float64]:
    """Return mIoU in each draw."""
    sums = np.zeros((len(places), *one.counts.shape[1:]))
    np.add.at(sums, [places[name] for name in one.clusters], one.counts)
    both, either = (weights @ sums[..., part] for part in (0, 1))
    shares = np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)
    known = np.isfinite(shares)
    total = np.where(known, shares, 0).sum(-1)
    return np.divide(total, known.sum(-1), out=np.full(len(total), np.nan), where=known.any(-1))
