"""How many cells of the encoder's map one score of a probe reads."""

from functools import cache

import torch
from noise_floor_parts import VARIANTS, Part

from segup.upsamplers import create_upsampler, list_upsamplers

_STRIDE, _SIDE = 8, 21
READS = (
    "*Cells read*: of how many rows and columns of the encoder's map, of stride 8, a score depends, with random "
    "weights, by its gradients."
)


def cells_read(part: Part, row: str) -> str:
    """Return the cells of the encoder's map that a score of a probe's row reads at most, the neck's convolution too.

    Args:
        part: The probe.
        row: An operator of segup, or one of the variants; of others it is not known.

    >>> from noise_floor_parts import PARTS
    >>> [cells_read(PARTS[key], "bilinear_alone") for key in ("probe_camvid", "probe_context")]
    ['2×2', '4×4']
    """
    name, _ = VARIANTS.get(row, (row, {}))
    if name not in list_upsamplers():
        return "–"
    cells = _by_the_operator(row) + part.neck_kernel - 1
    return f"{cells}×{cells}" if cells < _SIDE else "all"


@cache
def _by_the_operator(row: str) -> int:
    name, options = VARIANTS.get(row, (row, {}))
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        up = create_upsampler(name, 8, 3, _STRIDE, **options).eval()
        x = torch.randn(1, 8, _SIDE, _SIDE, requires_grad=True)
        size = (_STRIDE * _SIDE, _STRIDE * _SIDE)
        guides = {"image": torch.rand(1, 3, *size)} if "image" in up.requires else {}
        scores = up(x, size, **guides)
    middle = _STRIDE * (_SIDE // 2)
    found = 0
    for phase in range(_STRIDE):  # one pixel of each row and each column of a cell
        (gradient,) = torch.autograd.grad(scores[0, 0, middle + phase, middle + phase], x, retain_graph=True)
        read = gradient.abs().sum((0, 1)) > 0
        found = max(found, *(int(read.any(side).sum()) for side in (0, 1)))
    return found
