"""Mixed precision on a CPU: the convolutions that are trained faster in float32."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_ARGUMENTS = {
    F.conv2d: ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    F.conv_transpose2d: ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
}


def grouped_in_float32(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which a forward pass is trained as fast as ``precision`` allows on ``device``.

    Args:
        precision: As Lightning names it. The context changes something only for ``"bf16-mixed"`` on a CPU.
        device: Where the model is.
    """
    return GroupedInFloat32() if precision.startswith("bf16") and device.type == "cpu" else nullcontext()


class GroupedInFloat32(TorchFunctionMode):
    """While it is entered, grouped convolutions compute in float32, and give the bfloat16 of autocast.

    oneDNN has fast bfloat16 kernels for dense convolutions on a CPU, but for grouped ones only in the forward pass.
    Their backward pass takes two to twelve times as long as in float32, except for 3×3 convolutions without stride
    and dilation. ``scripts/benchmark_bfloat16.py`` prints the figures.

    >>> conv = torch.nn.Conv2d(8, 8, 5, groups=8)
    >>> with GroupedInFloat32(), torch.autocast("cpu", torch.bfloat16):
    ...     conv(torch.zeros(1, 8, 9, 9)).dtype
    torch.bfloat16
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return what ``func`` returns."""
        kwargs = kwargs or {}
        if func not in _ARGUMENTS or not torch.is_autocast_enabled("cpu"):
            return func(*args, **kwargs)
        given = {**dict(zip(_ARGUMENTS[func], args, strict=False)), **kwargs}
        if not _is_slow(func, given):
            return func(*args, **kwargs)
        mixed = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            floats = {name: value.float() if isinstance(value, Tensor) else value for name, value in given.items()}
            return func(**floats).to(mixed)


def _is_slow(func: Callable[..., Any], given: Mapping[str, Any]) -> bool:
    if given.get("groups", 1) == 1:
        return False
    steps = {*_pair(given.get("stride", 1)), *_pair(given.get("dilation", 1))}
    return func is not F.conv2d or tuple(given["weight"].shape[2:]) != (3, 3) or steps != {1}


def _pair(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)
