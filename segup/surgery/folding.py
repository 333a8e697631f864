"""Folding BatchNorm into the convolution before it: one pass over the map less, the same result in evaluation."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode

from segup.calls import annotated
from segup.modes import evaluating
from segup.unaltered import hooked

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
_ENDS = (str, bytes, int, float, complex, type(None), nn.Module, ModuleType)
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
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

    The model runs on ``example``, in evaluation mode, before and afterwards: what takes what is seen, not guessed from
    names. A convolution that is used twice, or whose weights are computed or shared, keeps its norm; so does one that
    has hooks, or whose norm has. Where the model then fails, or its result differs by more than rounding, it is put
    back and nothing is folded.

    Args:
        model: Any module. In evaluation mode it computes the same afterwards, to rounding; it cannot be trained.
        example: What it is called with.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
    >>> x = torch.rand(1, 3, 9, 9)
    >>> before = net(x)
    >>> fold_norms(net, x), net[1], torch.allclose(net(x), before, atol=1e-6)
    (1, Identity(), True)
    """
    with evaluating(model), torch.no_grad():
        with _biased(model), _Seen(model) as seen:
            before = model(*(one.clone() for one in example))
            seen.given_out(before)
            pairs = seen.pairs()
        weights = [(pair.conv, pair.conv.weight, pair.conv.bias) for pair in pairs]
        places = [
            (module, name, child)
            for norm in (pair.norm for pair in pairs)
            for module in model.modules()
            for name, child in module._modules.items()
            if child is norm
        ]
        for pair in pairs:
            _fold(pair)
        stand_ins = {id(pair.norm): _after(pair.norm) for pair in pairs}
        for module, name, norm in places:
            module._modules[name] = stand_ins[id(norm)]
        try:
            same = not pairs or _same(before, model(*(one.clone() for one in example)))
        except Exception:  # a foreign model raises whatever it likes where its norm is gone
            same = False
        if not same:
            for conv, weight, bias in weights:
                conv.weight, conv.bias = weight, bias
            for module, name, norm in places:
                module._modules[name] = norm
            return 0
    return len(pairs)


@contextmanager
def _biased(model: nn.Module) -> Iterator[None]:
    """Give each convolution without a bias one of zeros meanwhile: one that is not read takes no shift."""
    without = [m for m in model.modules() if isinstance(m, _LAYERS) and m.bias is None and not is_lazy(m.weight)]
    for conv in without:
        conv.bias = nn.Parameter(conv.weight.new_zeros(conv.out_channels), requires_grad=False)
    try:
        yield
    finally:
        for conv in without:
            conv.bias = None


def _same(before: Any, after: Any) -> bool:
    """Return whether two results are the same to rounding, which goes by the largest number in them."""
    for one, other in zip(_tensors(before), _tensors(after), strict=True):
        if one.is_floating_point():
            numbers = one[one.isfinite()]
            most = float(numbers.abs().max()) if numbers.numel() else 0.0
            if not torch.allclose(one, other, rtol=0, atol=torch.finfo(one.dtype).eps ** 0.5 * most, equal_nan=True):
                return False
    return True


class _Seen(TorchFunctionMode):
    """Which norm took the result of which convolution, and how often each result was taken."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._modules = modules = list(model.modules())
        owners = Counter(id(p) for module in modules for p in module.parameters(recurse=False))
        layers = [m for m in modules if isinstance(m, _LAYERS) and m.bias is not None and not hooked(m)]
        self._convs = {id(m.weight): m for m in layers if owners[id(m.weight)] == owners[id(m.bias)] == 1}
        self._norms = {id(m.running_mean): m for m in modules if isinstance(m, _BatchNorm) and _known(m)}
        self._kept: list[Tensor] = []  # alive, so that no id is given twice
        self._taken: Counter[int] = Counter()
        self._made_by: dict[int, tuple[int, bool]] = {}  # a result: the weight of its convolution, and its kind
        self._taken_before: dict[int, int] = {}
        self._found: list[tuple[int, int, int, bool]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if _is_form(result):
            return result
        tensors = list(_tensors((args, kwargs)))
        self._taken.update({id(t) for t in tensors})  # weights, too: each has to be taken once
        self._kept += tensors
        if not isinstance(result, Tensor):
            return result
        self._kept.append(result)
        first = tensors[0] if tensors else None
        conv = self._convs.get(id(tensors[1])) if func in _CONVOLUTIONS and len(tensors) > 2 else None
        if conv is not None and tensors[2] is conv.bias:
            self._made_by[id(result)] = (id(tensors[1]), _CONVOLUTIONS[func])
        elif func in _CUTS and first is not None and id(first) in self._made_by and _within_channels(func, args):
            if result is not first:
                self._made_by[id(result)] = self._made_by[id(first)]
                self._taken_before[id(result)] = id(first)
            else:
                self._taken[id(first)] -= 1
        elif func is F.batch_norm and id(first) in self._made_by and len(tensors) > 1 and id(tensors[1]) in self._norms:
            weight, transposed = self._made_by[id(first)]
            self._found.append((id(first), weight, id(tensors[1]), transposed))
        return result

    def given_out(self, result: Any) -> None:
        """Count what the model returns as taken, and what its modules keep beside their weights."""
        kept = [value for one in self._modules for name, value in vars(one).items() if name not in _OF_EVERY_MODULE]
        self._taken.update(id(t) for t in _tensors((result, kept)))

    def pairs(self) -> list[_Pair]:
        """Return the pairs of which each is used once."""
        found = []
        for taken, weight, mean, transposed in self._found:
            conv, norm = self._convs[weight], self._norms[mean]
            own = (
                *conv.parameters(recurse=False),
                *norm.parameters(recurse=False),
                norm.running_mean,
                norm.running_var,
            )
            once = all(self._taken[one] == 1 for one in (taken, *map(id, own)))
            while once and taken in self._taken_before:
                taken = self._taken_before[taken]
                once = self._taken[taken] == 1
            if once:
                found.append(_Pair(conv, norm, transposed))
        return found


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in a value, in order, whatever holds them; none of a module's."""
    left, looked = [value], set()
    while left:
        one = left.pop()
        if isinstance(one, Tensor):
            yield one
        elif not isinstance(one, _ENDS) and not callable(one) and id(one) not in looked:
            looked.add(id(one))
            held = one.values() if isinstance(one, Mapping) else one if isinstance(one, list | tuple | set) else ()
            left += reversed([*held, *getattr(one, "__dict__", {}).values()])


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
    return norm.running_mean is not None and not hooked(norm) and (plain or type(norm).__name__ == "BatchNormAct2d")


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
