"""What each operator, as it was trained, makes of a single pixel and of a constant."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segup.errors import SegupError
from segup.models import SegmentationModel
from segup.upsamplers import Upsampler, checkerboard_spectrum, constant_response, impulse_response
from segup.upsamplers.contract import operator_class

CONSTANT_SIZE = 7
"""Side of the map of ones whose image is shown."""
_SHOWN = 7


@dataclass(frozen=True)
class Response:
    """One operator's answers.

    Args:
        operator: Its place in the model and what it is.
        impulse: ``(H, W)``: what one pixel of value 1 in all channels adds, around that pixel, the root mean square
            over the output channels; its largest value is 1.
        constant: ``(H, W)``: what a map of ones becomes in the output channel whose pattern is nearest to the mean of
            all, borders included; its root mean square is 1, and even means no pattern. Patterns of several channels
            laid over each other would hide each other.
        pattern: The share of energy that is pattern, the mean over channels, as the checkerboard's spectrum has it.
    """

    operator: str
    impulse: NDArray[np.float64]
    constant: NDArray[np.float64]
    pattern: float


def trained_response(model: SegmentationModel) -> Response | str:
    """Return the responses of the last step that the model's ``upsampler`` makes, or why they cannot be measured.

    The step to the image has an operator of its own; it is taken where there is no other.
    """
    kind = operator_class(model.decoder.upsampler)
    names = {id(module): f"decoder.{path}" for path, module in model.decoder.named_modules()}
    steps = [(high is not None, place, up) for place, (_, high, up) in enumerate(model.decoder.steps())]
    own = [(between, place, up) for between, place, up in steps if isinstance(up, kind)]
    if not own:
        return "the decoder has no step of this operator"
    up = max(own, key=lambda step: step[:2])[2]
    try:
        impulse, constant = np.asarray(impulse_response(up)), np.asarray(constant_response(up, size=CONSTANT_SIZE))
        pattern = 1 - float(checkerboard_spectrum(up)[0, 0])
    except SegupError as cause:
        return " ".join(str(cause).split())
    around = _around(np.sqrt(np.square(impulse).mean(axis=0)), up)
    return Response(f"{names[id(up)]}, {up.label()}", around, _typical(constant, pattern), pattern)


def _around(values: NDArray[np.float64], up: Upsampler) -> NDArray[np.float64]:
    """Return the surroundings of the impulse, over the largest value."""
    side = _SHOWN * up.scale
    rows, columns = ((n - min(n, side)) // 2 for n in values.shape)
    values = values[rows : rows + side, columns : columns + side]
    return values / values.max() if values.max() > 0 else values


def _typical(channels: NDArray[np.float64], pattern: float) -> NDArray[np.float64]:
    """Return the channel of which about that share is pattern, over its root mean square; positive on the whole."""
    rows, columns = (n // 4 for n in channels.shape[1:])
    inside = channels[:, rows : channels.shape[1] - rows, columns : channels.shape[2] - columns]
    energy = np.square(inside).mean(axis=(1, 2))
    shares = np.divide(inside.var(axis=(1, 2)), energy, out=np.zeros_like(energy), where=energy > 0)
    one = channels[int(np.abs(shares - pattern).argmin())]
    level = np.sqrt(np.square(one).mean())
    return one / level * (1 if one.mean() >= 0 else -1) if level > 0 else one
