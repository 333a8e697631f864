"""Class colours that people with red or green blindness can tell apart."""

import numpy as np

# Okabe & Ito, "Color Universal Design" (2008): black first, for the background.
_FIRST = (
    (0, 0, 0),
    (0, 114, 178),
    (230, 159, 0),
    (86, 180, 233),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
)
# How linear RGB looks to full, protanope and deuteranope vision: Viénot, Brettel & Mollon,
# "Digital video colourmaps for checking the legibility of displays by dichromats" (1999).
_VISIONS = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    ]
)
# Linear sRGB to the cube roots that OKLab mixes, and the mixture: Ottosson, "A perceptual color space" (2020).
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def appearance(colors: np.ndarray) -> np.ndarray:
    """Return (vision, color, 3): each 8-bit colour in OKLab, as full and as red- or green-blind vision sees it."""
    share = np.asarray(colors, dtype=float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.einsum("vij,cj->vci", _VISIONS, linear), 0, 1)
    return np.cbrt(seen @ _TO_CONES.T) @ _TO_LAB.T


def palette(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return ``count`` different colours, the background's black first.

    The first eight are Okabe and Ito's. Each further one is the candidate whose smallest distance to those before,
    over full, red-blind and green-blind vision, is largest.

    >>> palette(3)
    ((0, 0, 0), (0, 114, 178), (230, 159, 0))
    """
    chosen = list(_FIRST[:count])
    if count <= len(chosen):
        return tuple(chosen)
    side = max(8, int(np.ceil((2 * count) ** (1 / 3))))
    steps = np.rint(np.linspace(0, 255, side)).astype(int)
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    looks = appearance(candidates)
    nearest = np.full(len(candidates), np.inf)
    for color in chosen:
        nearest = np.minimum(nearest, _distance(looks, color))
    while len(chosen) < count:
        red, green, blue = (int(value) for value in candidates[int(np.argmax(nearest))])
        chosen.append((red, green, blue))
        nearest = np.minimum(nearest, _distance(looks, chosen[-1]))
    return tuple(chosen)


def _distance(looks: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return np.linalg.norm(looks - appearance(np.array([color])), axis=-1).min(axis=0)
