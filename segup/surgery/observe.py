"""What a foreign model upsamples while it runs once: channels that its modules do not declare, and functional calls."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from segup.modes import evaluating
from segup.upsamplers.contract import Upsampler

UPSAMPLING = (
    nn.Upsample,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.PixelShuffle,
    nn.MaxUnpool2d,
    Upsampler,
)
"""The modules that upsample: a functional call inside of them is theirs."""

_CALLS = {"interpolate", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "pixel_shuffle", "max_unpool2d"}


@dataclass(frozen=True)
class Observed:
    """One run of a model.

    Args:
        inputs: Shapes that each module of :data:`UPSAMPLING` was called with, by the module's id.
        functions: Functional calls that enlarged a map: (path of the module that made it, name of the function).
        alone: Ids of modules that something else called than the forward of an ``nn.Sequential``.
        failure: Why the run ended early, or None.
    """

    inputs: Mapping[int, tuple[tuple[int, ...], ...]]
    functions: tuple[tuple[str, str], ...]
    alone: frozenset[int]
    failure: str | None


def in_turn(module: nn.Module) -> bool:
    """Return whether a module runs the modules in it one after the other, when it is called."""
    return type(module).forward is nn.Sequential.forward and "forward" not in vars(module)


def observe(model: nn.Module, example: tuple[Any, ...]) -> Observed:
    """Run ``model(*example)`` once, in evaluation mode and without gradients; the modes are set back."""
    inputs: dict[int, list[tuple[int, ...]]] = {}
    functions: list[tuple[str, str]] = []
    stack: list[tuple[str, nn.Module]] = []
    alone: set[int] = set()

    def enter(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            if not stack or not in_turn(stack[-1][1]):
                alone.add(id(module))
            stack.append((path, module))
            given = _given(args, named)
            if isinstance(module, UPSAMPLING) and isinstance(given, Tensor):
                inputs.setdefault(id(module), []).append(tuple(given.shape))

        return hook

    def leave(*_: Any) -> None:
        stack.pop()

    class Calls(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            name = getattr(func, "__name__", "")
            inside = any(isinstance(module, UPSAMPLING) for _, module in stack)
            if name in _CALLS and not inside and _enlarges(args, kwargs, result):
                functions.append((stack[-1][0] if stack else "", f"F.{name}"))
            return result

    handles: list[Any] = []
    failure = None
    try:
        for path, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(enter(path), with_kwargs=True))
            handles.append(module.register_forward_hook(leave, always_call=True))  # one that raises is left, too
        with torch.no_grad(), evaluating(model), torch.compiler.set_stance("force_eager"), Calls():
            model(*example)
    except Exception as cause:  # a foreign model raises whatever it likes; the report says what
        lines = str(cause).splitlines()
        failure = f"{type(cause).__name__}: {lines[0] if lines else 'without a message'}"
    finally:
        for handle in handles:
            handle.remove()
    shapes = {key: tuple(each) for key, each in inputs.items()}
    return Observed(shapes, tuple(dict.fromkeys(functions)), frozenset(alone), failure)


def arguments_of(model: nn.Module, example: Any) -> tuple[Any, ...]:
    """Return what a model is run with: an example, a tuple of arguments, or a black image by default."""
    if example is not None:
        return example if isinstance(example, tuple) else (example,)
    like = next(model.parameters(), torch.empty(0))
    return (torch.zeros(1, 3, 64, 64, device=like.device, dtype=like.dtype),)


def _given(args: Any, named: Any) -> Any:
    return args[0] if args else (named or {}).get("input")


def _enlarges(args: Any, kwargs: Any, result: Any) -> bool:
    given = _given(args, kwargs)
    if not isinstance(given, Tensor) or not isinstance(result, Tensor) or given.dim() < 3:
        return False
    return any(after > before for before, after in zip(given.shape[2:], result.shape[2:], strict=False))
