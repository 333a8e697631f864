"""What a test over all operators needs: one built with what it requires, and the guides for a call."""

import pytest
import torch

from segup.upsamplers import create_upsampler
from segup.upsamplers.contract import operator_class


def build_operator(name, in_channels=4, out_channels=4, scale=2, **options):
    """Build an operator; one that is guided by a skip is told that the skip has 3 channels."""
    if "skip" in operator_class(name).requires:
        options.setdefault("skip_channels", 3)
    return create_upsampler(name, in_channels, out_channels, scale, **options)


def guides_for(up, x, size=None, skip=None):
    """Return the keyword arguments that ``up`` requires for a call with ``x`` and ``size``."""
    low = x.shape[-2:]
    height, width = (low[0] * up.scale, low[1] * up.scale) if size is None else size
    given = {}
    if "skip" in up.requires:
        given["skip"] = (
            torch.randn(x.shape[0], up.skip_channels, height, width, dtype=x.dtype) if skip is None else skip
        )
    if "indices" in up.requires:
        # As max_pool2d hands them out: for each window one position in it, flat in a map of height × width.
        shape = (x.shape[0], up.skip_channels or up.in_channels, *low)
        row = torch.arange(low[0]).unsqueeze(1) * up.scale + torch.randint(up.scale, shape)
        column = torch.arange(low[1]) * up.scale + torch.randint(up.scale, shape)
        given["indices"] = row.clamp(max=height - 1) * width + column.clamp(max=width - 1)
    if "image" in up.requires:
        given["image"] = torch.randn(x.shape[0], up.image_channels, 2 * height, 2 * width, dtype=x.dtype)
    return given


@pytest.fixture(scope="session")
def build():
    return build_operator


@pytest.fixture(scope="session")
def guides():
    return guides_for
