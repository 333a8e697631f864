import itertools

import pytest
import torch


def pyramid(size, strides, channels, rounding="up", batch=1):
    """Random maps of an encoder that rounds every stage up or down, and the indices of poolings between them."""
    maps, current, reached = [], size, 1
    for stride, count in zip(strides, channels, strict=True):
        while reached < stride:
            current = tuple(-(-n // 2) if rounding == "up" else n // 2 for n in current)
            reached *= 2
        maps.append(torch.randn(batch, count, *current))
    return maps


def pooling_indices(maps, scale=2):
    """Flat positions in each map, one for each pixel of the next: its window's first."""
    indices = []
    for high, low in itertools.pairwise(maps):
        rows, columns = (torch.arange(n) * scale for n in low.shape[-2:])
        flat = rows[:, None] * high.shape[-1] + columns
        indices.append(flat.expand(*high.shape[:2], -1, -1).contiguous())
    return indices


def guides_of(decoder, maps, size):
    """What the operators of a decoder require beside the maps, for an image of ``size``."""
    known = {
        "indices": lambda: pooling_indices(maps),
        "image": lambda: torch.randn(maps[0].shape[0], 3, *size),
    }
    return {guide: known[guide]() for guide in decoder.requires}


def small_widths(topology, strides, width=4):
    """The narrowest ``widths`` that the topology takes on a pyramid, or None where it has none."""
    if topology in ("unet", "plain"):
        return [width] * (len(strides) - 1 + (strides[0] > 1))
    if topology == "pspnet":
        return [width]
    count = {"fpn": 3, "segformer": 2, "upernet": 2, "deeplabv3plus": 4, "linknet": 1}.get(
        topology
    )  # others take their own
    depths = len(strides) if topology == "linknet" else min(4, len(strides))
    return None if count is None else [width] * (count - (strides[-depths] == 1))


@pytest.fixture(scope="session", name="pyramid")
def pyramid_fixture():
    return pyramid


@pytest.fixture(scope="session", name="pooling_indices")
def indices_fixture():
    return pooling_indices


@pytest.fixture(scope="session", name="guides_of")
def guides_fixture():
    return guides_of


@pytest.fixture(scope="session", name="small_widths")
def widths_fixture():
    return small_widths
