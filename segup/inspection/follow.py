"""What happens at every torch function of a run: its result's shape, as a function of the input's size."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodWrapperType, WrapperDescriptorType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from segup.errors import ConfigError, ShapeError
from segup.inspection.light import LIGHT, is_ordinary
from segup.inspection.norm_rules import NORM_RULES
from segup.inspection.record import Record
from segup.inspection.shape_rules import SHAPE_RULES, names
from segup.inspection.sizes import NotFollowedError, Rule, Shape, Sizes
from segup.inspection.traced import Dim, TracedShape, TracedSize, plain, values
from segup.inspection.window_rules import WINDOW_RULES, ChannelsError

_PASSED = frozenset(
    names("""dim ndimension is_contiguous is_floating_point is_complex get_device element_size type is_cuda is_inference
    has_names requires_grad_ _set_grad_enabled _assert is_same_size is_tensor backward register_hook result_type
    get_default_dtype can_cast promote_types _has_compatible_shallow_copy_type is_autocast_enabled __hash__ dtype
    set_autocast_enabled is_storage""")
)
_VALUES = frozenset(names("item tolist numpy __bool__ __int__ __float__ __index__ nonzero unique masked_select equal"))
_PLACES = frozenset(("to", "cpu", "cuda"))
_TORCH_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodDescriptorType, MethodWrapperType, WrapperDescriptorType)


class ValuesNeededError(ConfigError):
    """The model's code asks for the values of a tensor, which a run on shapes alone does not have."""


class Follow(TorchFunctionMode):
    """Sees every torch function and keeps, for every tensor, what its sizes are as functions of the input's."""

    def __init__(self, record: Record, light: bool, follow: bool) -> None:
        super().__init__()
        self._record, self._light, self._follow = record, light, follow
        self._sizes = Sizes(record, self.shape_of)
        if not follow:
            record.lose("its code was run on plain sizes")

    def enter(self, tensor: Tensor, shape: Sequence[Dim]) -> None:
        """Keep what a tensor's shape is."""
        tensor._segup_shape = tuple(shape)  # type: ignore[attr-defined]

    def shape_of(self, tensor: Tensor) -> Shape:
        """Return a tensor's shape, traced where it is known to depend on the input."""
        with torch._C.DisableTorchFunction():
            actual = tuple(tensor.shape)
            kept: Shape | None = getattr(tensor, "_segup_shape", None)
            if kept is not None and values(kept) == actual and self._is_fresh(kept):
                return kept
            if kept is not None or tensor.is_meta:
                self._record.lose(f"a map comes from code that is not followed, in {self._record.where}")
            return actual

    def _is_fresh(self, shape: Shape) -> bool:
        """Return whether a shape is of this run, and not of a map that the model kept from an earlier one."""
        return all(type(dim) is not TracedSize or dim.record is self._record for dim in shape)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        calling = sys._getframe(1)
        self._record.trust((calling, calling.f_lasti))
        name, read = _name_of(func)
        if read:
            return self._read(func, name, args, kwargs)
        if name in _PLACES and args and isinstance(args[0], Tensor) and args[0].is_meta:
            args, kwargs = _staying(args, kwargs)
        if name in _VALUES and args and isinstance(args[0], Tensor) and args[0].is_meta:
            self._record.values_needed = (
                f"{self._record.where} reads the values of a tensor ('{name}'): its sizes may follow from the image's "
                f"content, and cannot be checked on shapes alone"
            )
            raise ValuesNeededError(self._record.values_needed)
        tensors = _tensors((args, kwargs))
        traced = any(type(one) is TracedSize for one in _leaves((args, kwargs)))
        traced = traced or any(_is_traced(self.shape_of(one)) for one in tensors)
        if not traced and not (self._light and name in LIGHT and tensors and tensors[0].is_meta):
            return self._constant(func, args, kwargs, tensors)
        rule = (WINDOW_RULES.get(name) or NORM_RULES.get(name) or SHAPE_RULES.get(name)) if _is_torchs(func) else None
        if rule is None:
            self._lose(name, "is no function that the calculus knows")
            return self._unknown(func, args, kwargs, tensors)
        return self._ruled(func, name, rule, args, kwargs, tensors)

    def _read(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Answer a question about a tensor's sizes, or run what never depends on them."""
        if name in ("shape", "size", "numel", "nelement", "__len__"):
            shape = TracedShape(self.shape_of(args[0]))
            if not self._follow or not _is_traced(shape):
                return func(*args, **kwargs)
            if name in ("numel", "nelement"):
                return shape.numel()
            if name == "__len__":
                return plain(shape[0]) if type(shape[0]) is not TracedSize else shape[0].__index__()
            place = kwargs.get("dim", args[1] if len(args) > 1 else None)
            return shape if name == "shape" or place is None else shape[place]
        if name in ("data", "T", "mT", "real"):
            result = func(*args, **kwargs)
            shape = TracedShape(self.shape_of(args[0]))
            self.enter(result, shape if name in ("data", "real") else tuple(reversed(shape)))
            if name == "mT":
                self.enter(result, (*shape[:-2], shape[-1], shape[-2]))
            return result
        return func(*args, **kwargs)

    def _constant(self, func: Any, args: Any, kwargs: Any, tensors: list[Tensor]) -> Any:
        """Run a function in which no size depends on the input's."""
        result = func(*_mixed(args, tensors), **_mixed(kwargs, tensors))
        for tensor in _tensors(result):
            self.enter(tensor, tuple(tensor.shape))
        return result

    def _lose(self, name: str, why: str) -> None:
        if name not in _PASSED:
            self._record.lose(f"'{name}' {why}, in {self._record.where}")

    def _unknown(self, func: Any, args: Any, kwargs: Any, tensors: list[Tensor]) -> Any:
        """Run a function whose shapes follow from no rule."""
        result = func(*_plain(_mixed(args, tensors)), **_plain(_mixed(kwargs, tensors)))
        for tensor in _tensors(result):
            self.enter(tensor, tuple(tensor.shape))
        return result

    def _ruled(self, func: Any, name: str, rule: Rule, args: Any, kwargs: Any, tensors: list[Tensor]) -> Any:
        """Run a function whose shapes follow from a rule."""
        try:
            shapes = rule(self._sizes, *args, **kwargs)
        except ChannelsError:
            raise
        except ShapeError:
            func(*_plain(_mixed(args, tensors)), **_plain(_mixed(kwargs, tensors)))  # says it in its own words
            raise
        except (NotFollowedError, TypeError, ValueError, IndexError, KeyError, AttributeError):
            self._lose(name, "is called in a way that the calculus does not follow")
            return self._unknown(func, args, kwargs, tensors)
        if self._light and name in LIGHT and not isinstance(shapes, list) and is_ordinary(name, args, kwargs, tensors):
            if (kwargs.get("inplace") or name.endswith("_")) and values(shapes) == tuple(tensors[0].shape):
                return tensors[0]
            result = torch.empty(values(shapes), dtype=tensors[0].dtype, device="meta")
            self.enter(result, shapes)
            return result
        on_meta = {"device": "meta"} if not tensors and "device" not in kwargs else {}
        result = func(*_plain(_mixed(args, tensors)), **_plain(_mixed(kwargs, tensors)), **on_meta)
        made = _tensors(result)
        for tensor, shape in zip(made, shapes if isinstance(shapes, list) else [shapes] * len(made), strict=False):
            if values(shape) != tuple(tensor.shape):
                words = f"{values(shape)} was expected of '{name}' and {tuple(tensor.shape)} came"
                self._record.lose(f"{words}, in {self._record.where}")
                shape = tuple(tensor.shape)
            self.enter(tensor, shape)
        return result


def _name_of(func: Any) -> tuple[str, bool]:
    """Return a torch function's name, and whether it reads a property or a size of a tensor."""
    name = getattr(func, "__name__", "?")
    if name in ("__get__", "__set__", "__delete__"):
        return getattr(func.__self__, "__name__", "?"), True
    if func is torch.Tensor.unfold:  # not torch.nn.functional.unfold
        name = "Tensor.unfold"
    return name, name in ("size", "numel", "nelement", "__len__")


def _is_torchs(func: Any) -> bool:
    """Return whether a function is one of torch's own, and not one that somebody registered."""
    if not isinstance(func, _TORCH_FUNCTIONS):
        return False
    return not isinstance(func, FunctionType) or str(func.__module__).partition(".")[0] == "torch"


def _staying(args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the arguments of ``.to(...)`` without the device: a tensor without values stays where it is."""
    kept = [one for one in args[1:] if isinstance(one, torch.dtype | bool)]
    kept += [one.dtype for one in args[1:] if isinstance(one, Tensor)]
    dtype = next((one for one in kept if isinstance(one, torch.dtype)), kwargs.get("dtype", args[0].dtype))
    return (args[0], dtype), {}


def _is_traced(shape: Sequence[Dim]) -> bool:
    return any(type(dim) is TracedSize for dim in shape)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one)
    elif isinstance(value, dict):
        yield from _leaves(list(value.values()))
    elif isinstance(value, slice):
        yield from (value.start, value.stop, value.step)
    else:
        yield value


def _tensors(value: Any) -> list[Tensor]:
    return [one for one in _leaves(value) if isinstance(one, Tensor)]


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if type(value) in (list, tuple, TracedShape, torch.Size):
        parts = [_mapped(one, change) for one in value]
        return parts if type(value) is list else tuple(parts)
    if type(value) is dict:
        return {key: _mapped(one, change) for key, one in value.items()}
    if type(value) is slice:
        return slice(change(value.start), change(value.stop), change(value.step))
    return change(value)


def _plain(value: Any) -> Any:
    """Return arguments with ints in place of traced sizes."""
    return _mapped(value, plain)


def _mixed(value: Any, tensors: list[Tensor]) -> Any:
    """Return arguments with every tensor without values where one of them has none."""
    places = {tensor.is_meta for tensor in tensors}
    if places != {True, False}:
        return value
    return _mapped(value, lambda one: one.to("meta") if isinstance(one, Tensor) else one)
