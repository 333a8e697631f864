# ruff: noqa: ARG001 -- every check is asked the same way
"""Calls whose result's type follows from their first argument's, so that their shape rule tells all there is to tell.

Torch's own kernels for shapes alone take longer than a small convolution: these calls do without them. Those of a
recurrent layer go through the sequence step by step.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor

from segup.inspection.shape_rules.sizes import names
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
    return check is None or check(one, tensors[1:], args, kwargs)


def _argument(args: Any, kwargs: Any, name: str, place: int, default: Any) -> Any:
    return kwargs.get(name, args[place] if len(args) > place else default)


def _fits_conv(one: Tensor, others: list[Tensor], args: Any, kwargs: Any) -> bool:
    channels = others[0].shape[1] * _argument(args, kwargs, "groups", 6, 1)
    return one.dim() == 4 and channels == one.shape[1]


def _fits_linear(one: Tensor, others: list[Tensor], args: Any, kwargs: Any) -> bool:
    weight, *bias = others
    return (
        weight.dim() == 2
        and one.dim() > 0
        and one.shape[-1] == weight.shape[1]
        and all(tensor.shape == weight.shape[:1] for tensor in bias)
    )


def _fits_transposed(one: Tensor, others: list[Tensor], args: Any, kwargs: Any) -> bool:
    return one.dim() == 4 and others[0].shape[0] == one.shape[1]


def _fits_batch_norm(one: Tensor, others: list[Tensor], args: Any, kwargs: Any) -> bool:
    training = _argument(args, kwargs, "training", 5, False)
    return not training and all(tensor.shape[0] == one.shape[1] for tensor in others)


def _fits_layer_norm(one: Tensor, others: list[Tensor], args: Any, kwargs: Any) -> bool:
    shape = as_ints(_argument(args, kwargs, "normalized_shape", 1, ()))
    return shape == tuple(one.shape[len(one.shape) - len(shape) :])


def _fits_group_norm(one: Tensor, others: list[Tensor], args: Any, kwargs: Any) -> bool:
    groups = _argument(args, kwargs, "num_groups", 1, 1)
    return one.shape[1] % groups == 0 and all(tensor.shape[0] == one.shape[1] for tensor in others)


def _fits_pixel_shuffle(one: Tensor, others: list[Tensor], args: Any, kwargs: Any) -> bool:
    return one.dim() == 4 and one.shape[1] % _argument(args, kwargs, "upscale_factor", 1, 1) ** 2 == 0


def _fits_attention(one: Tensor, others: list[Tensor], args: Any, kwargs: Any) -> bool:
    return len(others) == 2


def _fits_recurrent(one: Tensor, others: list[Tensor], args: Any, kwargs: Any) -> bool:
    return one.dim() == 3 and any(tensor.dim() == 2 and tensor.shape[1] == one.shape[2] for tensor in others)


def _is_map(one: Tensor, others: list[Tensor], args: Any, kwargs: Any) -> bool:
    return one.dim() == 4


_CHECKS: Mapping[str, Callable[[Tensor, list[Tensor], Any, Any], bool]] = MappingProxyType(
    {
        "linear": _fits_linear,
        "scaled_dot_product_attention": _fits_attention,
        **dict.fromkeys(("lstm", "gru"), _fits_recurrent),
        "conv2d": _fits_conv,
        "conv_transpose2d": _fits_transposed,
        "batch_norm": _fits_batch_norm,
        "layer_norm": _fits_layer_norm,
        "group_norm": _fits_group_norm,
        "pixel_shuffle": _fits_pixel_shuffle,
        **dict.fromkeys(("max_pool2d", "avg_pool2d", "interpolate", "adaptive_avg_pool2d"), _is_map),
    }
)
