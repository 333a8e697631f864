"""All that an encoder makes of an image, in a form that can be kept: what it is, and which sizes it has."""

import itertools

import torch
from torch import Tensor

from segup.calls import annotated
from segup.conform import Count
from segup.encoders.contract import Encoder
from segup.windows import predict_windows, window_starts

OVERLAP = 0.5
"""Of neighbouring windows, where an image does not go through whole."""


@annotated
def features_of(encoder: Encoder, image: Tensor) -> list[Tensor]:
    """Return all that the encoder makes of images, for :meth:`segup.SegmentationModel.forward` to take.

    Args:
        encoder: It runs in the mode that it is in.
        image: ``(N, in_channels, H, W)``, values in 0 … 1.

    Returns:
        Each map, from high to low resolution, and then the indices of each pooling where the encoder gives them:
        ``(N, windows, C, h, w)``. An image that goes through whole has one window.

    >>> from segup.encoders import create_encoder
    >>> encoder = create_encoder("efficientnet_lite0", pretrained=False, freeze=True)
    >>> [tuple(one.shape) for one in features_of(encoder, torch.zeros(2, 3, 33, 47))[-2:]]
    [(2, 1, 112, 3, 3), (2, 1, 320, 2, 2)]
    >>> feature_shapes(encoder, (33, 47))[-2:]
    [(1, 112, 3, 3), (1, 320, 2, 2)]
    """
    encoder.check_image(image)
    window = encoder.window((image.shape[-2], image.shape[-1]))
    if window is None:
        return [one[:, None] for one in _of_whole(encoder, image)]
    found: list[list[Tensor]] = []

    def keep(crop: Tensor) -> Tensor:
        found.append(_of_whole(encoder, crop))
        return crop

    for one in image:
        predict_windows(keep, one, window, OVERLAP)
    return [torch.cat(windows).unflatten(0, (len(image), -1)) for windows in zip(*found, strict=True)]


@annotated
def feature_shapes(encoder: Encoder, size: tuple[Count, Count]) -> list[tuple[int, ...]]:
    """Return the shapes ``(windows, C, h, w)`` of what :func:`features_of` returns for an image of ``size``, unrun."""
    window, crop, count = encoder.window(size), size, 1
    if window is not None:
        crop = (min(window[0], size[0]), min(window[1], size[1]))
        count = len(window_starts(size[0], window[0], OVERLAP)) * len(window_starts(size[1], window[1], OVERLAP))
    heights, widths = map(encoder.map_sizes, encoder.accepted_size(crop))
    maps: list[tuple[int, ...]] = [(count, *map_) for map_ in zip(encoder.channels, heights, widths, strict=True)]
    if "indices" not in encoder.provides:
        return maps
    return [*maps, *((*high[:2], *low[2:]) for high, low in itertools.pairwise(maps))]


def _of_whole(encoder: Encoder, image: Tensor) -> list[Tensor]:
    extended = encoder.extend(image)
    if "indices" not in encoder.provides:
        return encoder(extended)
    maps, indices = encoder.with_indices(extended)
    return [*maps, *indices]
