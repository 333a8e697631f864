"""The mode under which a model is traced: each torch function gives a tensor whose shape follows from a rule."""

import itertools
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodWrapperType, WrapperDescriptorType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from segup.errors import ConfigError, ShapeError
from segup.inspection.calls import Calls, Said
from segup.inspection.handed import torchs_own
from segup.inspection.record import Record
from segup.inspection.shape_rules import SHAPE_RULES
from segup.inspection.shape_rules.sizes import NoRuleError, Rule, Shape, Sizes, argument, leaves_of, names, tensors_in
from segup.inspection.traced import Dim, TracedShape, TracedSize, as_int, as_ints, periodic_of
from segup.inspection.watched import Watched
from segup.inspection.without_kernels import WITHOUT_KERNEL, needs_no_kernel

# Their answers do not depend on sizes, or not but through a rank that is followed.
_CONSTANT = frozenset(
    names("""dim ndimension is_floating_point is_complex get_device element_size type is_cuda is_inference
    has_names requires_grad_ _set_grad_enabled _assert is_tensor backward register_hook result_type
    get_default_dtype can_cast promote_types _has_compatible_shallow_copy_type is_autocast_enabled __hash__
    set_autocast_enabled is_storage""")
)
_CONSTANT_PROPERTIES = frozenset(
    names("""dtype device layout requires_grad is_leaf grad grad_fn ndim itemsize names is_meta is_cuda is_cpu is_mps
    is_xpu is_sparse is_sparse_csr is_quantized is_nested is_mkldnn is_vulkan is_ipu is_xla is_maia is_mtia retains_grad
    output_nr _backward_hooks _post_accumulate_grad_hooks _grad _grad_fn _is_view name __class__""")
)
_VALUES = frozenset(
    names("""item tolist numpy __array__ __bool__ __int__ __float__ __index__ __complex__ __contains__ nonzero argwhere
    unique unique_consecutive masked_select equal allclose is_nonzero bincount histc __format__ __repr__ data_ptr""")
)
_PLACES = frozenset(("to", "cpu", "cuda"))
_TORCH_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodDescriptorType, MethodWrapperType, WrapperDescriptorType)
_CPU = torch.device("cpu")


class ValuesNeededError(ConfigError):
    """The model's code asks for the values of a tensor, which a run on shapes alone does not have."""


class ShapeMode(TorchFunctionMode):
    """Sees every torch function and keeps, for every tensor, what its sizes are as functions of the input's.

    What a function gives is a tensor whose shape follows from a rule, or an answer that is known not to depend on
    sizes. Whatever else it gives is noted as a place where sizes are lost. A tensor with values, on the CPU, never
    depends on a size: what is made from one is put on the meta device.

    Args:
        record: What is seen is noted here.
        symbolic: Hand the model's code sizes that remember where they come from, instead of plain ints.
        watch: Make every tensor a :class:`segup.inspection.watched.Watched`, so that sizes cannot be read unseen; then
            torch's kernels run for common layers too, whose shapes are otherwise taken from their rules alone.
        device: On which the model's tensors are said to be.
        calls: Those that make maps are noted here.
        written: The memory of tensors of the model's that some run wrote to; it is added to.
    """

    def __init__(
        self,
        record: Record,
        symbolic: bool,
        watch: bool = False,
        device: torch.device = _CPU,
        calls: Calls | None = None,
        written: set[int] | None = None,
    ) -> None:
        super().__init__()
        self._record, self._symbolic, self._watch, self._calls = record, symbolic, watch, calls
        self._sizes = Sizes(record, self.shape_of, self._is_constant)
        self._written = set() if written is None else written
        self._depth, self._thread = 0, threading.get_ident()
        self._random, self._generators = torch.get_rng_state(), False
        self._device, self._dispatch_modes = device, torch._C._len_torch_dispatch_stack()

    @property
    def at_work(self) -> bool:
        """Whether a torch function is being run."""
        return self._depth > 0

    def enter(self, tensor: Tensor, shape: Sequence[Dim]) -> Tensor:
        """Keep what a tensor's shape is, and return the tensor, watched where that is wanted."""
        if self._watch and tensor.is_meta and type(tensor) is Tensor:
            tensor = Watched(tensor, self._tell)
        self._record.shapes.append(tuple(shape))
        tensor._segup_shape = tuple(shape)  # type: ignore[attr-defined]
        return tensor

    def enter_image(self, tensor: Tensor, shape: Sequence[Dim]) -> Tensor:
        """Keep what the shape of the model's input is, and return it as :meth:`enter` does."""
        image = self.enter(tensor, shape)
        if self._calls is not None:
            self._calls.enter(image)
        return image

    def _tell(self, what: str) -> None:
        """Note that a tensor was looked at by code that is not followed: another thread's, or compiled."""
        if not self._depth or threading.get_ident() != self._thread:
            self._record.lose(f"sizes are read unseen ('{what}'), in {self._record.where}")

    def shape_of(self, tensor: Tensor) -> Shape:
        """Return a tensor's shape, traced where it is known to depend on the input."""
        with torch._C.DisableTorchFunction():
            actual = tuple((tensor.within if isinstance(tensor, Watched) else tensor).shape)
            kept: Shape | None = getattr(tensor, "_segup_shape", None)
            fresh = kept is not None and all(type(n) is not TracedSize or n.record is self._record for n in kept)
            if kept is not None and fresh and as_ints(kept) == actual:  # and not of an earlier run
                return kept
            if kept is not None or tensor.is_meta:
                self._record.lose(f"a map comes from code that is not followed, in {self._record.where}")
            return actual

    def _is_constant(self, tensor: Tensor) -> bool:
        """Return whether a tensor's values are the same in every run: the model's own, or made from plain numbers."""
        if not tensor.is_meta:
            return not self._drew()
        with torch._C.DisableTorchFunction():
            return getattr(tensor, "_segup_version", None) == tensor._version and _memory(tensor) not in self._written

    def _drew(self) -> bool:
        """Return whether random numbers may have been drawn in this run."""
        return self._generators or not torch.equal(torch.get_rng_state(), self._random)

    def _is_traced_map(self, tensor: Tensor) -> bool:
        return _is_traced(self.shape_of(tensor))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        func, calling = torchs_own(func), sys._getframe(1)
        leaves = leaves_of((args, kwargs))
        self._record.trust((calling, calling.f_lasti), leaves)
        self._depth += 1
        if not all(map(_is_torchs_own, types)) or torch._C._len_torch_dispatch_stack() != self._dispatch_modes:
            self._record.lose(f"a class or mode of its own sees torch's functions, in {self._record.where}")
        try:
            return self._followed(func, args, kwargs or {}, leaves)
        finally:
            self._depth -= 1

    def _followed(self, func: Any, args: Any, kwargs: dict[str, Any], leaves: list[Any]) -> Any:
        name, read = _name_of(func)
        if read:
            return self._read(func, name, args, kwargs)
        if name in _PLACES and args and isinstance(args[0], Tensor) and args[0].is_meta:
            args, kwargs = _staying(args, kwargs)
            leaves = leaves_of((args, kwargs))
        tensors = [one for one in leaves if isinstance(one, Tensor)]
        sized = any(type(one) is TracedSize for one in leaves)
        self._generators |= any(isinstance(one, torch.Generator) for one in (*args, *kwargs.values()))
        if name in _VALUES:
            self._check_values(name, tensors)
        if sized or any(one.is_meta for one in tensors):
            self._check_written(name, args, kwargs)
        traced = sized or any(map(self._is_traced_map, tensors))
        by_rule = traced or (not self._watch and name in WITHOUT_KERNEL and tensors and tensors[0].is_meta)
        if not by_rule:
            return self._constant(func, args, kwargs, tensors)
        if name == "is_contiguous":  # a map of one row has all formats at once; else sizes do not matter to them
            self._decide(self.shape_of(args[0]), "==")
            return func(*args, **kwargs)
        self._sizes.forget()
        try:
            rule = SHAPE_RULES.get(name) if _is_torchs(func) else None
            if rule is None:
                self._lose(name, "is no function that the calculus knows")
                result = self._unknown(func, args, kwargs)
            else:
                result = self._ruled(func, name, rule, args, kwargs, tensors)
        except Exception:
            self._note_call(name, args, kwargs, tensors, None)
            raise
        self._note_call(name, args, kwargs, tensors, [args[0]] if name == "__setitem__" else tensors_in(result))
        return result

    def _note_call(self, name: str, args: Any, kwargs: Any, tensors: list[Tensor], made: list[Tensor] | None) -> None:
        """Note a call that made something of maps, or refused them, where somebody asks for calls."""
        if self._calls is not None and (made is None or made):
            said = Said() if name == "__setitem__" else self._sizes.said
            given, results = ([(one, self.shape_of(one)) for one in part] for part in (tensors, made or ()))
            self._calls.note(self._record.layer(), name, said, given, results, (args, kwargs))

    def _check_values(self, name: str, tensors: list[Tensor]) -> None:
        """Note where the values of a tensor are read that may differ from run to run.

        Raises:
            ValuesNeededError: The tensor has no values.
        """
        if any(tensor.is_meta for tensor in tensors):
            self._record.values_needed = (
                f"{self._record.where} reads the values of a tensor ('{name}'): its sizes may follow from the image's "
                f"content, and cannot be checked on shapes alone"
            )
            raise ValuesNeededError(self._record.values_needed)
        if self._drew():
            self._record.lose(f"random numbers are read ('{name}'), in {self._record.where}")

    def _check_written(self, name: str, args: Any, kwargs: Mapping[str, Any]) -> None:
        """Note where what may follow from a size is written to a tensor with values, which could be read again."""
        in_place = (name.endswith("_") and not name.endswith("__")) or name.startswith("__i") or name == "__setitem__"
        written = [*tensors_in(args[:1] if in_place else ()), *tensors_in(kwargs.get("out"))]
        self._written.update(_memory(tensor) for tensor in written if tensor.is_meta)
        if any(not tensor.is_meta for tensor in written):
            self._record.lose(f"'{name}' writes to a tensor with values, in {self._record.where}")

    def _decide(self, shape: Shape, relation: str) -> None:
        """Note where sizes are compared with 1."""
        for dim in shape:
            if periodic_of(dim) is not None:
                self._sizes.decide(dim, relation, 1)

    def _read(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Answer a question about a tensor's sizes, or run what never depends on them."""
        if name in ("shape", "size", "numel", "nelement", "__len__"):
            shape = TracedShape(self.shape_of(args[0]))
            if not self._symbolic or not _is_traced(shape):
                return func(*args, **kwargs)
            if name in ("numel", "nelement"):
                return shape.numel()
            if name == "__len__":
                return as_int(shape[0]) if type(shape[0]) is not TracedSize else shape[0].__index__()
            place = argument(args, kwargs, "dim", 1)
            return shape if name == "shape" or place is None else shape[place]
        if name in ("device", "is_meta", "is_cpu", "is_cuda") and args[0].is_meta:
            answers = {"device": self._device, "is_meta": self._device.type == "meta"}
            return answers.get(name, self._device.type == name.removeprefix("is_"))
        result = func(*args, **kwargs)
        if func.__name__ == "__set__":  # its values may be others now
            args[0]._segup_version = None
        if func.__name__ == "__get__" and name in ("data", "T", "mT", "real"):
            shape = TracedShape(self.shape_of(args[0]))
            shapes = {"T": tuple(reversed(shape)), "mT": (*shape[:-2], *reversed(shape[-2:]))}
            result = self.enter(result, shapes.get(name, shape))
            if self._calls is not None:
                self._calls.pass_on(args[0], result)
            return result
        if name not in _CONSTANT_PROPERTIES and any(_is_traced(self.shape_of(one)) for one in tensors_in(args)):
            self._record.lose(f"'{name}' of a map is read or replaced, in {self._record.where}")
        return result

    def _constant(self, func: Any, args: Any, kwargs: Any, tensors: list[Tensor]) -> Any:
        """Run a function in which no size depends on the input's."""
        if {tensor.is_meta for tensor in tensors} == {True, False}:
            args, kwargs = _mapped(args, _on_meta), _mapped(kwargs, _on_meta)
        result = func(*args, **kwargs)
        if not any(result is one for one in tensors):  # as of places.to(x.device)
            result = self._entered(result)
        self._sizes.forget()
        self._note_call(getattr(func, "__name__", "?"), args, kwargs, tensors, tensors_in(result))
        return result

    def _lose(self, name: str, why: str) -> None:
        if name not in _CONSTANT:
            self._record.lose(f"'{name}' {why}, in {self._record.where}")

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run a function on plain sizes and on tensors without values."""
        on_meta = {"device": "meta"} if "device" in kwargs or not tensors_in((args, kwargs)) else {}
        return func(*_mapped(args, _on_meta), **{**_mapped(kwargs, _on_meta), **on_meta})

    def _unknown(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run a function whose shapes follow from no rule."""
        return self._entered(func(*_mapped(args, _on_meta), **_mapped(kwargs, _on_meta)))

    def _entered(self, result: Any) -> Any:
        """Return a result whose sizes are taken as they are."""
        return _mapped(result, lambda one: self.enter(one, tuple(one.shape)) if isinstance(one, Tensor) else one)

    def _ruled(self, func: Any, name: str, rule: Rule, args: Any, kwargs: Any, tensors: list[Tensor]) -> Any:
        """Run a function whose shapes follow from a rule."""
        try:
            if kwargs.get("out") is not None:
                raise NoRuleError
            own, named = _mapped(args, _twin), _mapped(kwargs, _twin)
            sizes = [one for one in leaves_of((own, named)) if type(one) is TracedSize]
            shapes = self._sizes.by(rule, own, named, [*sizes, *filter(self._is_traced_map, tensors)])
        except ShapeError as refusal:
            try:  # torch refuses in its own words; without values it does not notice everything
                self._unknown(func, args, kwargs)
                raise RuntimeError(str(refusal)) from refusal
            except Exception as cause:
                self._record.explained = cause
                raise
        except (NoRuleError, TypeError, ValueError, IndexError, KeyError, AttributeError):
            self._lose(name, "is called in a way that the calculus does not follow")
            return self._unknown(func, args, kwargs)
        if not self._watch and name in WITHOUT_KERNEL and needs_no_kernel(name, args, kwargs, tensors):
            several = shapes if isinstance(shapes, list) else [shapes]
            if (kwargs.get("inplace") or name.endswith("_")) and as_ints(several[0]) == tuple(tensors[0].shape):
                return tensors[0]
            dtype = tensors[0].dtype
            made = [self.enter(torch.empty(as_ints(one), dtype=dtype, device="meta"), one) for one in several]
            return tuple(made) if isinstance(shapes, list) else made[0]
        expected = iter(shapes if isinstance(shapes, list) else itertools.repeat(shapes))

        def entered(one: Any) -> Any:
            if not isinstance(one, Tensor):
                return one
            shape = next(expected, None)
            if shape is None or as_ints(shape) != tuple(one.shape):
                words = f"{shape and as_ints(shape)} was expected of '{name}' and {tuple(one.shape)} came"
                self._record.lose(f"{words}, in {self._record.where}")
                shape = tuple(one.shape)
            if name not in WITHOUT_KERNEL:  # of those a rule or a requirement of its own tells
                self._decide(shape, ">=")
            return self.enter(one, shape)

        return _mapped(self._run(func, args, kwargs), entered)


def _memory(tensor: Tensor) -> int:
    """Return what tells the memory of a tensor, and of its views, from others'."""
    with torch._C.DisableTorchFunction():
        return (tensor.within if isinstance(tensor, Watched) else tensor).untyped_storage()._cdata


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


def _is_torchs_own(kind: type) -> bool:
    """Return whether a class whose tensors are given to a torch function is torch's or this package's."""
    return kind in (Tensor, Watched, torch.nn.Parameter) or kind.__module__.partition(".")[0] == "torch"


def _staying(args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the arguments of ``.to(...)`` without the device: a tensor without values stays where it is."""
    kept = [one for one in args[1:] if isinstance(one, torch.dtype | bool)]
    kept += [one.dtype for one in args[1:] if isinstance(one, Tensor)]
    dtype = next((one for one in kept if isinstance(one, torch.dtype)), kwargs.get("dtype", args[0].dtype))
    return (args[0], dtype), {}


def _is_traced(shape: Sequence[Dim]) -> bool:
    return any(type(dim) is TracedSize for dim in shape)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if type(value) in (list, tuple, TracedShape):
        parts = [_mapped(one, change) for one in value]
        return parts if type(value) is list else tuple(parts)
    if type(value) is dict:
        return {key: _mapped(one, change) for key, one in value.items()}
    if type(value) is slice:
        return slice(change(value.start), change(value.stop), change(value.step))
    if isinstance(value, tuple) and type(value) is not torch.Size:  # named results, as of torch.max
        parts = [_mapped(one, change) for one in value]
        kept = all(one is other for one, other in zip(parts, value, strict=True))
        return value if kept else type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return change(value)


def _twin(value: Any) -> Any:
    """Return a traced size as one that nobody has looked at, and anything else as it is."""
    if type(value) is not TracedSize:
        return value
    return TracedSize(value.record, value.value, value.extent, value.layer)


def _on_meta(value: Any) -> Any:
    """Return a traced size as its int, and a tensor without its values."""
    return value.to("meta") if isinstance(value, Tensor) and not value.is_meta else as_int(value)
