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
        failure: Why the run ended early, or None.
    """

    inputs: Mapping[int, tuple[tuple[int, ...], ...]]
    functions: tuple[tuple[str, str], ...]
    failure: str | None


def observe(model: nn.Module, example: tuple[Any, ...]) -> Observed:
    """Run ``model(*example)`` once, in evaluation mode and without gradients; the modes are set back."""
    inputs: dict[int, list[tuple[int, ...]]] = {}
    functions: list[tuple[str, str]] = []
    stack: list[tuple[str, nn.Module]] = []

    def enter(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
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
    return Observed({key: tuple(shapes) for key, shapes in inputs.items()}, tuple(dict.fromkeys(functions)), failure)


def _given(args: Any, named: Any) -> Any:
    return args[0] if args else (named or {}).get("input")


def _enlarges(args: Any, kwargs: Any, result: Any) -> bool:
    given = _given(args, kwargs)
    if not isinstance(given, Tensor) or not isinstance(result, Tensor) or given.dim() < 3:
        return False
    return any(after > before for before, after in zip(given.shape[2:], result.shape[2:], strict=False))
