"""One run of a model on shapes alone, with every size followed from the input to the output."""

import random
import sys
import textwrap
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from segup.errors import SegupError, ShapeError
from segup.inspection.calls import Call, Calls
from segup.inspection.copies import tensors_of
from segup.inspection.handed import handed, refused_by_parser
from segup.inspection.periodic import Extent, PeriodicMap
from segup.inspection.record import Record, in_words, step_by_step
from segup.inspection.shape_mode import ShapeMode, ValuesNeededError
from segup.inspection.shape_rules.sizes import Shape
from segup.inspection.traced import TracedSize, as_int
from segup.inspection.watched import asks_for_types, draws, functions_called

LARGEST = 2**48
"""Numbers of an image. The widest map of a model has some hundred times as many, and torch counts up to 2⁶³."""
_TORCHS_OWN = frozenset(vars(nn.Module()))


@dataclass(frozen=True)
class Refusal:
    """Why a model did not accept a size.

    Args:
        layer: Qualified name of the innermost layer that was at work; empty for the model's own code.
        message: What was raised, with its type.
        explained: Whether it follows from comparisons of sizes that were noted.
    """

    layer: str
    message: str
    explained: bool = True


@dataclass(eq=False)
class ModelRun:
    """What came of one run.

    Args:
        size: The input's (height, width).
        outputs: The shapes of the output's maps by their key or place ("out" for a single tensor), with their functions
            of the input's size where these were followed.
        refusal: Why there are none.
        record: What was seen on the way.
        calls: Those that made maps, where they are kept.
        makers: For each output the call that made it, likewise.
    """

    size: tuple[int, int]
    outputs: dict[str, Shape]
    refusal: Refusal | None
    record: Record = field(repr=False)
    calls: tuple[Call, ...] = field(default=(), repr=False)
    makers: dict[str, int | None] = field(default_factory=dict, repr=False)


class Tracer:
    """Runs a model on shapes alone.

    Args:
        model: A copy made by :func:`segup.inspection.copies.meta_copy`: it is run, and layers may change their state.
        in_channels: Channels of the input.
        device: Where the model's code is told that tensors are; by default the CPU.
        calls: Whether the calls that make maps are kept.
    """

    def __init__(
        self, model: nn.Module, in_channels: int, device: torch.device | None = None, calls: bool = False
    ) -> None:
        self._model, self._channels, self._keeps_calls = model, in_channels, calls
        self._device = device or torch.device("cpu")
        self._dtype = dtype_of(model)
        self._layers = LayerStack(model)
        self._written: set[int] = set()
        self._handed: set[str] = set()  # torch's functions that the code gives sizes where torch wants numbers
        self._why_plain = ""  # sizes are not followed; empty where they are
        self._mode: ShapeMode | None = None
        for tensor in tensors_of(model):
            tensor._segup_shape = tuple(tensor.shape)  # type: ignore[attr-defined]
            tensor._segup_version = tensor._version  # type: ignore[attr-defined]

    def run(self, size: tuple[int, int], *, watch: bool = False) -> ModelRun:
        """Run the model on an input of ``size``, once more without following sizes where its code does not bear it.

        Args:
            size: (height, width).
            watch: Find code that learns sizes unseen too, which takes longer.

        Raises:
            ShapeError: So large an input that torch could not count the numbers of the maps in the model.
            ValuesNeededError: The model's code reads values of tensors.
        """
        if prod((self._channels, *size)) > LARGEST:
            shape = f"{size[0]}×{size[1]} of {self._channels} channels"
            raise ShapeError(f"an image of {shape} is larger than any that a model is tried with: {LARGEST} numbers")
        if self._why_plain:
            return self._run(size, self._why_plain)
        run = self._watched(size) if watch else self._run(size)
        while run.refusal is not None and (name := refused_by_parser(run.refusal.message)) not in {None, *self._handed}:
            self._handed |= {name} if name else set()
            run = self._watched(size) if watch else self._run(size)
        if run.refusal is None or run.refusal.explained:
            return run
        said = textwrap.shorten(run.refusal.message, 120, placeholder=" …")
        why = (
            f"its code was run on plain sizes: on sizes that are followed {in_words(run.refusal.layer)} fails ({said})"
        )
        on_ints = self._run(size, why)
        if on_ints.refusal is None:
            self._why_plain = why
            on_ints.record.functions[0].update(run.record.functions[0])
            on_ints.record.functions[1].update(run.record.functions[1])
            return on_ints
        if not run.record.unfollowed:
            run.record.lose(f"it refuses {size[0]}×{size[1]} for a reason that is not arithmetic")
        return run

    def _watched(self, size: tuple[int, int]) -> ModelRun:
        """Run on tensors that tell who asks for their sizes, and look through the code that is run."""
        for _ in range(2):  # at first torch may import something, whose code is run once
            with functions_called(lambda: self._mode is not None and self._mode.at_work) as (functions, chance):
                run = self._run(size, watch=True)
            asking = [code for code in functions if asks_for_types(code)]
            if not asking:
                break
        for name in sorted(chance | {name for name, value in self._kept() if draws(value)}):
            run.record.lose(f"its code draws random numbers outside torch ('{name}')")
        for code in asking:
            run.record.lose(f"'{code.co_qualname}' (line {code.co_firstlineno}) asks for types or identities")
        if run.refusal is None:
            self._check_repeats(run)
        return run

    def _check_repeats(self, run: ModelRun) -> None:
        """Note the numbers that the model keeps and that a second run on the same size leaves as others."""
        first = dict(self._numbers())
        self._run(run.size)
        second = dict(self._numbers())
        for name in sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name)):
            run.record.lose(f"it keeps numbers from call to call ('{name}')")

    def _kept(self) -> Iterator[tuple[str, Any]]:
        """Yield what the model's own attributes hold, lists and dicts opened."""
        for owner, module in self._model.named_modules():
            for name, value in vars(module).items():
                if name not in _TORCHS_OWN:
                    yield from _opened(f"{owner}.{name}" if owner else name, value)

    def _numbers(self) -> Iterator[tuple[str, Any]]:
        return ((name, as_int(value)) for name, value in self._kept() if isinstance(value, int | float | str))

    def _run(self, size: tuple[int, int], why_plain: str = "", watch: bool = False) -> ModelRun:
        """Run the model; on plain sizes where there is a reason why."""
        record = Record(size=size, layer=self._layers.innermost)
        if why_plain:
            record.lose(why_plain)
        self._layers.clear()
        image = torch.empty(1, self._channels, *size, dtype=self._dtype, device="meta")
        traced = (TracedSize(record, n, Extent.of(i, PeriodicMap.identity())) for i, n in enumerate(size))
        with preserved_randomness() as drawn:
            calls = Calls() if self._keeps_calls else None
            mode = self._mode = ShapeMode(record, not why_plain, watch, self._device, calls, self._written)
            refusal: Refusal | None = None
            image = mode.enter_image(image, (1, self._channels, *traced))
            try:
                with torch.no_grad(), handed(self._handed), mode, step_by_step() if watch else nullcontext():
                    output = self._model(image)
            except Exception as cause:  # a model refuses a size with whatever its layers raise
                refusal = Refusal(
                    self._layers.innermost(), in_one_line(cause), cause is record.explained or _is_known(cause)
                )
            if drawn():
                record.lose("its code draws random numbers outside torch")
        if record.values_needed:  # the model's code may have caught the error
            raise ValuesNeededError(record.values_needed)
        record.close()
        maps = {} if refusal else maps_of(output)
        makers = {} if calls is None else {name: calls.maker(one) for name, one in maps.items()}
        outputs = {name: mode.shape_of(one) for name, one in maps.items()}
        return ModelRun(size, outputs, refusal, record, () if calls is None else tuple(calls.made), makers)


class LayerStack:
    """Knows which layer of a model is at work.

    Args:
        model: Hooks are put on its modules.
    """

    def __init__(self, model: nn.Module) -> None:
        self._stack: list[str] = []
        for name, module in model.named_modules():
            if not isinstance(module, torch.jit.ScriptModule):
                module.register_forward_pre_hook(partial(self._enter, name))
                module.register_forward_hook(partial(self._leave, name))

    def innermost(self) -> str:
        """Return the qualified name of the innermost layer that is at work; empty for the model's own code."""
        return self._stack[-1] if self._stack else ""

    def clear(self) -> None:
        """Forget where the last run ended."""
        self._stack.clear()

    def _enter(self, name: str, *_: Any) -> None:
        self._stack.append(name)

    def _leave(self, name: str, *_: Any) -> None:
        while self._stack and self._stack.pop() != name:
            pass


def _opened(name: str, value: Any, depth: int = 3) -> Iterator[tuple[str, Any]]:
    """Yield a value, or how many a list or dict has, and each of them."""
    if depth and isinstance(value, dict | list | tuple | set | deque):
        yield f"len({name})", len(value)
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            yield from _opened(f"{name}[{key!r}]", part, depth - 1)
    else:
        yield name, value


def dtype_of(model: nn.Module) -> torch.dtype:
    """Return the type of the images that a model takes: that of its first parameter."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def _is_known(error: Exception) -> bool:
    """Return whether an error comes from code of segup's or of torch's layers, whose comparisons are all noted."""
    module = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = frame.f_globals.get("__name__", "")
    ours = module.startswith(("segup.", "torch.nn.modules.")) and not module.startswith("segup.inspection.")
    return ours and isinstance(error, SegupError | ValueError | RuntimeError | AssertionError)


def in_one_line(error: Exception) -> str:
    """Return an error in one line with its type."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def maps_of(output: Any, prefix: str = "") -> dict[str, Tensor]:
    """Return the tensors of a model's output by their keys or places."""
    if isinstance(output, Tensor):
        return {prefix or "out": output}
    if isinstance(output, Mapping):
        parts = [(str(key), value) for key, value in output.items()]
    elif isinstance(output, list | tuple):
        parts = [(str(place), value) for place, value in enumerate(output)]
    else:
        return {}
    dotted = f"{prefix}." if prefix else ""
    return {name: one for key, value in parts for name, one in maps_of(value, dotted + key).items()}


@contextmanager
def preserved_randomness() -> Iterator[Callable[[], bool]]:
    """Leave the random generators of torch (CPU), Python and numpy as they were.

    Yields:
        A function that tells whether Python's or numpy's were used meanwhile.
    """
    numpy: Any = sys.modules.get("numpy")

    def state() -> tuple[Any, ...]:
        if numpy is None:
            return (random.getstate(),)
        name, keys, *rest = numpy.random.get_state()
        return (random.getstate(), (name, keys.tobytes(), *rest))

    torchs, before, numpys = torch.get_rng_state(), state(), numpy and numpy.random.get_state()
    try:
        yield lambda: state() != before
    finally:
        torch.set_rng_state(torchs)
        random.setstate(before[0])
        if numpy is not None:
            numpy.random.set_state(numpys)
