"""Whether a module computes what its class in torch computes: what may be read off its parameters, and nothing else."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torchs_module
from torch.nn.utils import parametrize

_HARMLESS = frozenset(
    {
        *(
            "__init__",
            "__init_subclass__",
            "__subclasshook__",
            "__class__",
            "__doc__",
            "__repr__",
            "__hash__",
            "__eq__",
        ),
        *("extra_repr", "reset_parameters", "state_dict", "load_state_dict", "get_extra_state", "set_extra_state"),
        *("_load_from_state_dict", "_save_to_state_dict", "_version"),
    }
)
"""What a subclass may have of its own without another result: how it is built, shown, saved and loaded."""
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_GLOBAL_HOOKS = ("_global_forward_hooks", "_global_forward_pre_hooks")


def altered(module: nn.Module, *known: type[nn.Module], everywhere: bool = True) -> str:
    """Return why ``module`` may compute something else than its class in torch with its parameters; nothing if not.

    A subclass may, if it has a method of torch's in its own wording; so may a module with hooks, a parametrized weight,
    a forward given to it, a weight of another size than its parameters say, or TorchScript. The modules inside are not
    looked at.

    Args:
        module: The module.
        known: Classes that are believed besides torch's.
        everywhere: Whether hooks on the forward of every module count. What counts operations sets them, and should
            see what runs without it.

    >>> class Wide(nn.Conv2d):
    ...     def __init__(self, channels):
    ...         super().__init__(channels, channels, 7, padding=3)
    >>> class Same(nn.Conv2d):
    ...     def forward(self, x):
    ...         return x
    >>> altered(Wide(3)), altered(Same(3, 3, 3))
    ('', "Same is a subclass of torch's layer, and may compute something else: it has its own forward")
    """
    return next(_reasons(module, known, everywhere), "")


def hooked(module: nn.Module) -> bool:
    """Return whether something is called before or after ``module``."""
    return any(getattr(module, kind) for kind in _HOOKS)


def redefined(module: nn.Module, *known: type[nn.Module]) -> str:
    """Return why another code than that of its class in torch may run in ``module``; nothing if not.

    The code alone is looked at: hooks and weights are not, nor is a class that torch made to compute a weight.

    >>> conv = nn.Conv2d(3, 3, 3)
    >>> conv.forward = lambda x: x
    >>> redefined(conv)
    'Conv2d has a forward of its own'
    """
    return next(_redefinitions(module, known), "")


def _redefinitions(module: nn.Module, known: tuple[type[nn.Module], ...]) -> Iterator[str]:
    name, kind = type(module).__name__, type(module)
    yield from _of_the_class(kind.__mro__[parametrize.is_parametrized(module) :], name, known)
    own = sorted(key for key, value in vars(module).items() if callable(value) and callable(getattr(kind, key, None)))
    if own:
        yield f"{name} has a {own[0]} of its own"


def _reasons(module: nn.Module, known: tuple[type[nn.Module], ...], everywhere: bool) -> Iterator[str]:
    name = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        yield f"{name} is TorchScript, whose code is fixed"
    if parametrize.is_parametrized(module):
        yield f"{name} has a parametrized weight"
        return
    yield from _redefinitions(module, known)
    if hooked(module):
        yield f"{name} has hooks"
    if everywhere and any(getattr(torchs_module, kind) for kind in _GLOBAL_HOOKS):
        yield "torch has hooks on every module's forward"
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        yield from _of_the_weight(module, name)


def _of_the_class(kinds: tuple[type, ...], name: str, known: tuple[type[nn.Module], ...]) -> Iterator[str]:
    """Yield what a subclass has in place of torch's, and what was put into torch's own class.

    Args:
        kinds: The module's class and its bases, in the order in which Python looks through them.
        name: Of the class, for the reasons.
        known: Classes that are believed besides torch's.
    """
    for kind in kinds:
        if kind in known:
            break
        if not kind.__module__.startswith("torch.nn.modules."):
            continue
        for method in ("forward", "_conv_forward", "__call__"):
            function = getattr(kind, method, None)
            code = getattr(function, "__globals__", {}).get("__name__", kind.__module__)
            if not code.startswith("torch."):
                yield f"{kind.__name__} of torch was given another {method}, and may compute something else"
        break
    else:
        yield f"{name} is no layer of torch's"
        return
    for other in kinds[: kinds.index(kind)]:
        for own in sorted(vars(other).keys() - _HARMLESS):
            if callable(getattr(kind, own, None)):
                yield f"{name} is a subclass of torch's layer, and may compute something else: it has its own {own}"


def _of_the_weight(module: nn.Conv2d | nn.ConvTranspose2d, name: str) -> Iterator[str]:
    """Yield what was changed after construction so that torch's forward no longer goes by the parameters."""
    kernel = tuple(map(int, _pair(module.kernel_size)))
    ends = (module.out_channels, module.in_channels // module.groups)
    if isinstance(module, nn.ConvTranspose2d):
        ends = (module.in_channels, module.out_channels // module.groups)
    shape = tuple(module.weight.shape) if isinstance(module.weight, torch.Tensor) else ()
    if shape != (*ends, *kernel) and not nn.parameter.is_lazy(module.weight):
        yield (
            f"{name} has a weight of {' × '.join(map(str, shape))}, where its parameters say "
            f"{' × '.join(map(str, (*ends, *kernel)))}"
        )
    if isinstance(module, nn.Conv2d) and module.padding_mode != "zeros":
        made = list(module._reversed_padding_repeated_twice)
        if made != _reversed_padding(module, kernel):
            yield f"{name} still pads by {made} (padding_mode={module.padding_mode!r}), not by the padding it says"


def _reversed_padding(module: nn.Conv2d, kernel: tuple[int, ...]) -> list[int]:
    """Return what torch makes of a convolution's padding when it is built: width before height, each end of its own."""
    found: list[int] = []
    for size, dilation, padding in zip(kernel, _pair(module.dilation), _pair(module.padding), strict=True):
        lost = dilation * (size - 1) if padding == "same" else 0
        before, after = (lost // 2, lost - lost // 2) if isinstance(padding, str) else (padding, padding)
        found = [before, after, *found]
    return found


def _pair(value: Any) -> tuple[Any, Any]:
    return (value, value) if isinstance(value, int | str) else tuple(value)
