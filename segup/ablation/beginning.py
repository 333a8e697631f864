"""Which operators can start as the same interpolation, and why the others cannot."""

import inspect
from collections.abc import Mapping
from typing import Any

from segup.ablation.match import stages_of
from segup.errors import ConfigError

INTERPOLATE = "interpolate"


def interpolating(config: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return a run's decoder settings with its operator starting as bilinear interpolation, where it can.

    Args:
        config: The run's.

    Returns:
        The settings, and ``"interpolate"``; or the settings as they were, and why not.
    """
    from segup.upsamplers.contract import operator_class

    decoder = dict(config["decoder"])
    name, options = str(decoder["upsampler"]), {**(decoder.get("upsampler_options") or {}), "init": INTERPOLATE}
    operator = operator_class(name)
    if "init" not in inspect.signature(operator).parameters:
        return decoder, f"'{name}' has no choice of how it starts"
    try:
        for scale, rounding in stages_of(config):
            own = dict(options)
            if operator.takes_rounding and own.get("rounding") is None:
                own["rounding"] = rounding
            operator(8, 4, scale, skip_channels=4, **own)
    except ConfigError as cause:
        return decoder, str(cause).partition("\n")[0]
    return {**decoder, "upsampler_options": options}, INTERPOLATE
