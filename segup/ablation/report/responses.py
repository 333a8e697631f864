"""What each operator, as it was trained, makes of a single pixel and of a constant."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segup.errors import SegupError
from segup.models import SegmentationModel
from segup.upsamplers import Upsampler, constant_response, impulse_response
from segup.upsamplers.contract import operator_class

CONSTANT_SIZE = 7
"""Side of the map of ones whose image is shown."""
_SHOWN = 7


@dataclass(frozen=True)
class Response:
    """One operator's answers, each the root mean square over its output channels.

    Args:
        operator: Its place in the model and what it is.
        impulse: ``(H, W)``: what one pixel of value 1 in all channels adds, around that pixel; its largest value is 1.
        constant: ``(H, W)``: what a map of ones becomes, borders included; its mean is 1, and even means no pattern.
    """

    operator: str
    impulse: NDArray[np.float64]
    constant: NDArray[np.float64]


def trained_response(model: SegmentationModel) -> Response | str:
    """Return the responses of the last step that the model's ``upsampler`` makes, or why they cannot be measured.

    The step to the image has an operator of its own; it is taken where there is no other.
    """
    kind = operator_class(model.spec["upsampler"])
    names = {id(module): f"decoder.{path}" for path, module in model.decoder.named_modules()}
    steps = [(high is not None, place, up) for place, (_, high, up) in enumerate(model.decoder.steps())]
    own = [(between, place, up) for between, place, up in steps if isinstance(up, kind)]
    if not own:
        return "the decoder has no step of this operator"
    up = max(own, key=lambda step: step[:2])[2]
    try:
        impulse, constant = impulse_response(up), constant_response(up, size=CONSTANT_SIZE)
    except SegupError as cause:
        return " ".join(str(cause).split())
    return Response(
        f"{names[id(up)]}, {up.label()}", _over(_rms(impulse), "max", up), _over(_rms(constant), "mean", up)
    )


def _rms(response: object) -> NDArray[np.float64]:
    values = np.asarray(response)
    return np.sqrt(np.square(values).mean(axis=0))


def _over(values: NDArray[np.float64], what: str, up: Upsampler) -> NDArray[np.float64]:
    """Divide by the largest value or the mean; the impulse is cut to its surroundings."""
    if what == "max":
        side = _SHOWN * up.scale
        rows, columns = ((n - min(n, side)) // 2 for n in values.shape)
        values = values[rows : rows + side, columns : columns + side]
    level = values.max() if what == "max" else values.mean()
    return values / level if level > 0 else values
