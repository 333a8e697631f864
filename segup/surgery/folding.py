"""Folding BatchNorm into the convolution before it: one pass over the map less, the same result in evaluation."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode

from segup.calls import annotated
from segup.modes import evaluating

_CONVOLUTIONS: Mapping[Callable[..., Any], bool] = {
    torch.conv1d: False,
    torch.conv2d: False,
    torch.conv3d: False,
    F.conv_transpose1d: True,
    F.conv_transpose2d: True,
    F.conv_transpose3d: True,
}
"""Which of them have their weight's channels the other way round."""
_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_CUTS = (Tensor.__getitem__, Tensor.contiguous, Tensor.clone, Tensor.narrow)
"""What leaves a value in its channel, so that scaling a channel may come before it."""


@dataclass(frozen=True)
class _Pair:
    """A convolution and the norm that takes its result, and nothing else does."""

    conv: nn.Module
    norm: _BatchNorm
    transposed: bool


@annotated
def fold_norms(model: nn.Module, *example: Tensor) -> int:
    """Fold each BatchNorm into the convolution whose result it alone takes, in place; return how many were folded.

    The model runs once on ``example``, in evaluation mode: what takes what is seen, not guessed from names. A
    convolution that is used twice, or whose weights are computed or shared, keeps its norm.

    Args:
        model: Any module. In evaluation mode it computes the same afterwards, to rounding; it cannot be trained.
        example: What it is called with.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
    >>> x = torch.rand(1, 3, 9, 9)
    >>> before = net(x)
    >>> fold_norms(net, x), net[1], torch.allclose(net(x), before, atol=1e-6)
    (1, Identity(), True)
    """
    seen = _Seen(model)
    with evaluating(model), torch.no_grad(), seen:
        seen.given_out(model(*example))
    pairs = seen.pairs()
    for pair in pairs:
        _fold(pair)
    stand_ins = {id(pair.norm): _after(pair.norm) for pair in pairs}
    for module in list(model.modules()):
        for name, child in module._modules.items():
            if id(child) in stand_ins:
                module._modules[name] = stand_ins[id(child)]
    return len(pairs)


class _Seen(TorchFunctionMode):
    """Which norm took the result of which convolution, and how often each result was taken."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        modules = list(model.modules())
        owners = Counter(id(p) for module in modules for p in module.parameters(recurse=False))
        self._convs = {id(m.weight): m for m in modules if isinstance(m, _LAYERS) and owners[id(m.weight)] == 1}
        self._norms = {id(m.running_mean): m for m in modules if isinstance(m, _BatchNorm) and _known(m)}
        self._kept: list[Tensor] = []  # alive, so that no id is given twice
        self._taken: Counter[int] = Counter()
        self._made_by: dict[int, tuple[int, bool]] = {}  # a result: the weight of its convolution, and its kind
        self._uses: Counter[int] = Counter()
        self._taken_before: dict[int, int] = {}
        self._found: list[tuple[int, int, int, bool]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if _is_form(result):
            return result
        tensors = list(_tensors((args, kwargs)))
        self._taken.update({id(t) for t in tensors})
        self._kept += tensors
        if not isinstance(result, Tensor):
            return result
        self._kept.append(result)
        first = tensors[0] if tensors else None
        if func in _CONVOLUTIONS and len(tensors) > 1 and id(tensors[1]) in self._convs:
            self._uses[id(tensors[1])] += 1
            self._made_by[id(result)] = (id(tensors[1]), _CONVOLUTIONS[func])
        elif func in _CUTS and first is not None and id(first) in self._made_by and _within_channels(func, args):
            if result is not first:
                self._made_by[id(result)] = self._made_by[id(first)]
                self._taken_before[id(result)] = id(first)
            else:
                self._taken[id(first)] -= 1
        elif func is F.batch_norm and first is not None and len(tensors) > 1 and id(tensors[1]) in self._norms:
            self._uses[id(tensors[1])] += 1
            if id(first) in self._made_by:
                weight, transposed = self._made_by[id(first)]
                self._found.append((id(first), weight, id(tensors[1]), transposed))
        return result

    def given_out(self, result: Any) -> None:
        """Count what the model returns as taken."""
        self._taken.update(id(t) for t in _tensors(result))

    def pairs(self) -> list[_Pair]:
        """Return the pairs of which each is used once."""
        found = []
        for taken, weight, mean, transposed in self._found:
            once = self._uses[weight] == self._uses[mean] == 1 and self._taken[taken] == 1
            while once and taken in self._taken_before:
                taken = self._taken_before[taken]
                once = self._taken[taken] == 1
            if once:
                found.append(_Pair(self._convs[weight], self._norms[mean], transposed))
        return found


def _tensors(value: Any) -> Any:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)


def _is_form(result: Any) -> bool:
    """Return whether a result says how a tensor lies, such as its shape or type, and nothing of its values."""
    parts = result if isinstance(result, tuple) else (result,)
    return all(isinstance(one, bool | int | torch.dtype | torch.device | torch.layout) for one in parts)


def _within_channels(func: Any, args: tuple[Any, ...]) -> bool:
    """Return whether an indexing cuts rows and columns alone."""
    if func is Tensor.narrow:
        return args[1] in (-1, -2)
    if func is not Tensor.__getitem__:
        return True
    index = args[1]
    return isinstance(index, tuple) and index[:1] == (Ellipsis,) and len(index) <= 3 and all(
        isinstance(one, slice) for one in index[1:]
    )  # fmt: skip


def _known(norm: _BatchNorm) -> bool:
    """Return whether what a norm does beyond scaling is known: nothing, or timm's dropout and activation."""
    plain = type(norm) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return norm.running_mean is not None and (plain or type(norm).__name__ == "BatchNormAct2d")


def _after(norm: _BatchNorm) -> nn.Module:
    """Return what a norm does after scaling."""
    layers = [part for name in ("drop", "act") if (part := getattr(norm, name, None)) is not None]
    layers = [layer for layer in layers if not isinstance(layer, nn.Identity)]
    return (layers[0] if len(layers) == 1 else nn.Sequential(*layers) if layers else nn.Identity()).eval()


@torch.no_grad()
def _fold(pair: _Pair) -> None:
    conv: Any = pair.conv
    norm: Any = pair.norm
    if pair.transposed and conv.groups > 1:
        # torch's formula scales dimension 1, which holds the channels of one group alone.
        scale = norm.running_var.add(norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight)
        inside = scale.reshape(conv.groups, -1).repeat_interleave(conv.in_channels // conv.groups, 0)
        weight = conv.weight * inside.reshape(*inside.shape, *[1] * (conv.weight.dim() - 2))
        before = 0 if conv.bias is None else conv.bias
        bias = (before - norm.running_mean) * scale + (0 if norm.bias is None else norm.bias)
    else:
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias,
            transpose=pair.transposed,
        )  # fmt: skip
    layout = torch.channels_last
    kept = conv.weight.dim() == 4 and conv.weight.is_contiguous(memory_format=layout)
    weight = weight.contiguous(memory_format=layout) if kept else weight
    conv.weight, conv.bias = (nn.Parameter(one.detach(), requires_grad=False) for one in (weight, bias))
