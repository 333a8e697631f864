"""Test-time augmentation: an image and its reflections, predicted and averaged."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from segup.errors import ConfigError, unknown
from segup.windows import Predict

AXES: Mapping[str, int] = MappingProxyType({"horizontal": -1, "vertical": -2})
"""The axis that each reflection turns round."""


def check_reflections(names: Sequence[str]) -> None:
    """Raise a ConfigError unless each name is that of a reflection, named once.

    >>> check_reflections(["horizontal", "vertcal"])
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: unknown reflection 'vertcal': did you mean 'vertical'? known: horizontal, vertical
    """
    for name in names:
        if name not in AXES:
            raise ConfigError(unknown("reflection", name, AXES))
    if len(set(names)) < len(names):
        raise ConfigError(f"tta={tuple(names)!r} names a reflection twice")


def flip_averaged(predict: Predict, reflections: Sequence[str]) -> Predict:
    """Return ``predict`` averaged over the image and its reflections; two of them make a half turn as well.

    The result is equivariant: a reflected image gives the reflected result, to the last bit (the sums pair up, and an
    addition of two numbers does not depend on their order). Each reflection doubles the time.

    Args:
        predict: From images ``(N, C, H, W)`` to probabilities ``(N, K, H, W)``.
        reflections: Of :data:`AXES`.

    >>> import torch
    >>> ramp = torch.arange(4.0).reshape(1, 1, 1, 4)
    >>> flip_averaged(lambda images: images + ramp, ["horizontal"])(torch.zeros(1, 1, 1, 4)).tolist()
    [[[[1.5, 1.5, 1.5, 1.5]]]]
    """
    check_reflections(reflections)
    for name in reflections:
        predict = _averaged(predict, AXES[name])
    return predict


def _averaged(predict: Predict, axis: int) -> Predict:
    return lambda images: (predict(images) + predict(images.flip(axis)).flip(axis)) / 2
