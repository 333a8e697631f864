"""Calls whose result's type follows from their first argument's, so that their shape rule tells all there is to tell.

Torch's own kernels for shapes alone take longer than a small convolution: these calls do without them. Those of a
recurrent layer go through the sequence step by step.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from segup.inspection.shape_rules.sizes import argument, names
from segup.inspection.traced import as_ints

WITHOUT_KERNEL = frozenset(
    names(
        """
        linear conv2d conv_transpose2d max_pool2d avg_pool2d adaptive_avg_pool2d interpolate pixel_shuffle cat mean
        batch_norm group_norm layer_norm relu relu_ relu6 silu gelu hardswish hardsigmoid hardtanh sigmoid leaky_relu
        elu mish dropout dropout2d softmax add add_ sub mul mul_ __add__ __radd__ __iadd__ __mul__ __rmul__
        neg __neg__ scaled_dot_product_attention lstm gru
        """
    )
)
"""The functions of which this holds for ordinary arguments."""


def needs_no_kernel(name: str, args: Any, kwargs: Any, tensors: list[Tensor]) -> bool:
    """Return whether a call is of the plain kind whose result's type and channels need no kernel to tell."""
    one = tensors[0]
    if kwargs.get("return_indices") or kwargs.get("dtype") is not None or not one.is_floating_point():
        return False
    if not one.is_meta or any(tensor.dtype != one.dtype or 0 in tensor.shape for tensor in tensors):
        return False
    check = _CHECKS.get(name)
    return check is None or check(one, tensors[1:], partial(argument, args, kwargs))


_CHECKS: Mapping[str, Callable[[Tensor, list[Tensor], Callable[..., Any]], bool]] = {
    "linear": lambda one, others, _: (
        others[0].dim() == 2
        and one.dim() > 0
        and one.shape[-1] == others[0].shape[1]
        and all(bias.shape == others[0].shape[:1] for bias in others[1:])
    ),
    "scaled_dot_product_attention": lambda _, others, __: len(others) == 2,
    **dict.fromkeys(
        ("lstm", "gru"),
        lambda one, others, _: (
            one.dim() == 3 and any(other.dim() == 2 and other.shape[1] == one.shape[2] for other in others)
        ),
    ),
    "conv2d": lambda one, others, asked: one.dim() == 4 and others[0].shape[1] * asked("groups", 6, 1) == one.shape[1],
    "conv_transpose2d": lambda one, others, _: one.dim() == 4 and others[0].shape[0] == one.shape[1],
    "batch_norm": lambda one, others, asked: (
        not asked("training", 5, False) and all(other.shape[0] == one.shape[1] for other in others)
    ),
    "layer_norm": lambda one, _, asked: (
        as_ints(asked("normalized_shape", 1, ())) == tuple(one.shape[-len(asked("normalized_shape", 1, ())) :])
    ),
    "group_norm": lambda one, others, asked: (
        one.shape[1] % asked("num_groups", 1, 1) == 0 and all(other.shape[0] == one.shape[1] for other in others)
    ),
    "pixel_shuffle": lambda one, _, asked: one.dim() == 4 and one.shape[1] % asked("upscale_factor", 1, 1) ** 2 == 0,
    **dict.fromkeys(("max_pool2d", "avg_pool2d", "interpolate", "adaptive_avg_pool2d"), lambda one, *_: one.dim() == 4),
}
