"""Every picture's numbers are held against torch's before they are shown."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from segup.errors import ConfigError
from segup.explain.numbers import LARGEST_EXACT, Array
from segup.explain.operation import Operation

ROUNDING = 2.0**-44
"""A sum of a few thousand products in float64 is off by less than this share of its largest possible value."""


class DisagreementError(AssertionError):
    """A view computed another output than torch: a fault of this package, never of the input."""


def checked(operation: Operation, way: str) -> Array:
    """Return the output as one view computes it.

    Raises:
        DisagreementError: It is not what torch computes.
        ConfigError: Nor do torch's own kernels agree on it: a matter of rounding.
    """
    made, theirs = operation.compute(way), operation.by_torch()
    apart = _apart(operation, made, theirs, ", by up to {}")
    if apart is not None:
        raise DisagreementError(
            f"internal error: the view '{way}' of '{operation.words}' on {operation.x.shape} gives other numbers than "
            f"torch{apart} ({made.shape} and {theirs.shape}). Please report it with these words."
        )
    return made


def check_module(module: nn.Module, x: Tensor, output_size: Sequence[int] | None, made: Sequence[Operation]) -> None:
    """Compare what was explained with what the module itself gives: a copy of it, in float64 and evaluation mode.

    Raises:
        ConfigError: It gives something else, or refuses ``x``.
    """
    name = type(module).__name__
    asked = {} if output_size is None else {"output_size": list(output_size)}
    try:
        twin, image = copy.deepcopy(module).cpu().double().eval(), x.detach().cpu().double()
        with torch.no_grad():
            theirs = twin(image, **asked)
    except Exception as cause:
        raise ConfigError(f"{name} itself refuses x of the shape {tuple(x.shape)}: {cause}") from None
    theirs = theirs[0] if isinstance(theirs, tuple) else theirs
    for operation, answer in zip(made, theirs.numpy(), strict=True):
        output = operation.compute(operation.ways[0])
        apart = _apart(operation, output, answer, ", up to {} apart")
        if apart is not None:
            raise ConfigError(
                f"{name} gives something else than a layer with its parameters, '{operation.words}': "
                f"{' × '.join(map(str, answer.shape))}, not {' × '.join(map(str, output.shape))}{apart}.\n"
                f'  try: explain("{operation.words}", x), which explains the layer with these parameters.'
            )


def _apart(operation: Operation, output: Array, theirs: Array, said: str) -> str | None:
    """Return None where two outputs agree, else ``said`` with how far apart they are, empty where their shapes differ.

    Raises:
        ConfigError: torch's own kernels do not agree on it either.
    """
    if output.shape != theirs.shape:
        return ""
    made, scale = output.astype(np.float64), operation.largest()
    rounding = 0 if operation.whole() and scale < LARGEST_EXACT else ROUNDING * scale
    with np.errstate(invalid="ignore"):  # −∞, where a pooling's window sees padding alone
        if ((made == theirs) | (np.abs(made - theirs) <= rounding)).all():
            return None
    if operation.doubt():
        raise ConfigError(operation.doubt())
    return said.format(f"{np.abs(made - theirs).max():.3g}")
