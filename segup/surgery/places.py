"""Which modules of a foreign model upsample, and what an operator in their place has to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from segup.errors import ConfigError
from segup.surgery.observe import UPSAMPLING, Observed, in_turn
from segup.unaltered import redefined
from segup.upsamplers.contract import ANY_SIZE, Size, Upsampler


class Swapped(nn.Module):
    """An operator in the place of a foreign module, with that module's sizes.

    Args:
        up: The operator.
        offset: Rows and columns that the foreign module gives beyond ``scale`` times its input.
        least: The fewest of them that ``output_size`` may ask for; None is ``offset``.

    Shape: ``(N, C_in, h, w)`` → ``(N, C_out, scale·h + offset[0], scale·w + offset[1])``, or ``output_size``, as
    ``nn.ConvTranspose2d`` takes it; or one map without N.
    """

    def __init__(self, up: Upsampler, offset: Size = (0, 0), least: Size | None = None) -> None:
        super().__init__()
        self.up, self.offset, self.least = up, offset, least or offset
        # what a foreign model may ask of the module, and is true of the operator
        self.in_channels, self.out_channels = up.in_channels, up.out_channels
        self.scale_factor, self.stride = up.scale, (up.scale, up.scale)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:  # noqa: A002, torch's name
        """Return the map at the foreign module's size."""
        if input.dim() == 3:
            return self(input.unsqueeze(0), output_size).squeeze(0)
        if output_size is not None:
            size = int(output_size[-2]), int(output_size[-1])
        else:
            scale, (rows, columns) = self.up.scale, self.offset
            size = input.shape[-2] * scale + rows, input.shape[-1] * scale + columns
        return self.up(input, size)


APART = "its Sequential is not run as a whole: what lies between the two may be used elsewhere"
"""Why two neighbours in a Sequential are no pair."""


@dataclass(frozen=True)
class Kept:
    """An upsampling that stays as it was: where, what, and why."""

    path: str
    what: str
    reason: str

    @property
    def line(self) -> str:
        """The reason on one line."""
        return " ".join(self.reason.split())


@dataclass(frozen=True)
class Form:
    """What the operator in a module's place has to do; ``least`` is the least offset that ``output_size`` asks for."""

    in_channels: int
    out_channels: int
    scale: int
    offset: Size = (0, 0)
    least: Size = (0, 0)


@dataclass(frozen=True)
class Place:
    """A module that upsamples, and the slot that holds it.

    Args:
        parent: The module that holds it.
        name: Under which name; empty for the model itself.
        path: From the model.
        module: What upsamples.
        conv: Name of the convolution right before a pixel shuffle, and the convolution.
    """

    parent: nn.Module
    name: str
    path: str
    module: nn.Module
    conv: tuple[str, nn.Conv2d] | None = None

    @property
    def key(self) -> tuple[int, int]:
        """The same for every slot in which the same weights do the same."""
        if self.conv is None:
            return id(self.module), 0
        return id(self.conv[1]), int(getattr(self.module, "upscale_factor", 0))

    @property
    def where(self) -> str:
        """Where the operator comes to stand: in the place of the convolution, if one goes with the module."""
        return f"{self.path.removesuffix(self.name)}{self.conv[0]}" if self.conv else self.path


def find_places(parent: nn.Module, path: str, visited: set[int]) -> Iterator[Place]:
    """Yield every module that upsamples, once for each slot that holds it."""
    if id(parent) in visited:
        return
    visited.add(id(parent))
    ends = (*UPSAMPLING, Swapped, torch.jit.ScriptModule)
    if not path and isinstance(parent, ends):
        yield Place(parent, "", "(the model)", parent)
        return
    before: tuple[str, nn.Module] | None = None
    for name, child in parent._modules.items():
        if child is None:
            continue
        where = f"{path}.{name}" if path else name
        if isinstance(child, ends):
            pair = in_turn(parent) and isinstance(child, nn.PixelShuffle)
            conv = (before[0], before[1]) if pair and before and isinstance(before[1], nn.Conv2d) else None
            yield Place(parent, name, where, child, conv)
        else:
            yield from find_places(child, where, visited)
        before = (name, child)


def form_of(place: Place, seen: Observed) -> Form | str:
    """Return what the operator in this place has to do, or why there can be none."""
    module = place.module
    if isinstance(module, torch.jit.ScriptModule):
        return "TorchScript has fixed its code: swap first"
    if not place.name:
        return "it is the model itself: wrap it in nn.Sequential, which can hold another"
    if isinstance(module, Swapped):
        return Form(module.in_channels, module.out_channels, module.up.scale, module.offset, module.least)
    if isinstance(module, Upsampler):
        return f"segup's own operator: build the decoder with another upsampler than '{module.name}'"
    if redefined(module) or (place.conv and redefined(place.conv[1])):
        return "it has a forward of its own, and may do something else than its class in torch"
    if _hooked(module) or (place.conv and _hooked(place.conv[1])):
        return "it has hooks, which would be lost: remove them first"
    if isinstance(module, nn.Upsample):
        return _form_of_resize(module, seen)
    if isinstance(module, nn.ConvTranspose2d):
        return _form_of_transposed(module)
    if isinstance(module, nn.PixelShuffle):
        return _form_of_shuffle(place, module, seen)
    if isinstance(module, nn.MaxUnpool2d):
        return "it undoes a pooling, whose indices an operator in its place would have to take: max_unpool does"
    return "its maps do not have two axes"


def _hooked(module: nn.Module) -> bool:
    """Return whether somebody watches a module; torch's own hooks only compute the weights that go with it."""
    kinds = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(not type(hook).__module__.startswith("torch.nn.utils.") for kind in kinds for hook in kind.values())


def _form_of_resize(module: nn.Upsample, seen: Observed) -> Form | str:
    if module.scale_factor is None:
        return f"its size is fixed, {module.size}: no factor follows for other inputs"
    scale = _one(module.scale_factor)
    if scale is None or scale != int(scale) or scale < 2:
        return f"its factor is {module.scale_factor}: an operator has one int of 2 or more for both axes"
    shapes = seen.inputs.get(id(module), ())
    if not shapes:
        because = f"the model did not run on the example ({seen.failure})" if seen.failure else "the example misses it"
        return f"its channels are unknown: {because}; try: example=..."
    if any(len(shape) != 4 for shape in shapes):
        return "its maps do not have two axes"
    channels = sorted({shape[1] for shape in shapes})
    if len(channels) > 1:
        return f"it serves maps of {' and '.join(map(str, channels))} channels: an operator has one number of them"
    return Form(channels[0], channels[0], int(scale))


def _form_of_transposed(module: nn.ConvTranspose2d) -> Form | str:
    if module.stride[0] != module.stride[1]:
        return f"its stride is {module.stride}: an operator has one scale for both axes"
    scale = module.stride[0]
    if scale == 1:
        return "its stride is 1: it does not upsample"
    rows, columns = (_beyond(module, axis) for axis in (0, 1))
    if max(abs(rows), abs(columns)) >= scale:
        beyond = max(rows, columns, key=abs)
        return f"it brings h to {_grown(scale, beyond)}; an operator corrects at most {scale - 1}"
    least = rows - module.output_padding[0], columns - module.output_padding[1]
    return Form(module.in_channels, module.out_channels, scale, (rows, columns), least)


def _beyond(module: nn.ConvTranspose2d, axis: int) -> int:
    """Return by how many rows or columns the output is larger than the stride times the input."""
    window = module.dilation[axis] * (module.kernel_size[axis] - 1) + 1
    padding: Any = module.padding[axis]
    return window + module.output_padding[axis] - 2 * int(padding) - module.stride[axis]


def _form_of_shuffle(place: Place, module: nn.PixelShuffle, seen: Observed) -> Form | str:
    if place.conv is None:
        return "no convolution stands right before it in a Sequential: the two are replaced together"
    conv, factor = place.conv[1], module.upscale_factor
    if {id(conv), id(module)} & seen.alone:
        return APART
    keeps = isinstance(conv.padding, str) or all(
        2 * p == d * (k - 1) for p, d, k in zip(conv.padding, conv.dilation, conv.kernel_size, strict=True)
    )
    if conv.stride != (1, 1) or conv.padding == "valid" or not keeps:
        return "the convolution before it changes the size"
    return Form(conv.in_channels, conv.out_channels // factor**2, factor)


def check_reach(up: Upsampler, form: Form) -> None:
    """Raise a ConfigError unless the operator, with its options, gives the sizes that the form asks for."""
    reached = [n - ANY_SIZE * up.scale for n in up.span(ANY_SIZE)]
    for beyond in form.offset:
        if not reached[0] <= beyond <= reached[1]:
            reach = " … ".join(_grown(up.scale, n) for n in dict.fromkeys(reached))
            way_out = "fit='correct'" if up.fit == "strict" else "other options, or another operator"
            raise ConfigError(
                f"{up.describe()} with these options brings h to {reach}, and the module in whose place it would stand "
                f"to {_grown(up.scale, beyond)}.\n  try: {way_out}"
            )


def _grown(scale: int, beyond: int) -> str:
    """Return a size in terms of the input's, such as ``2·h - 1``."""
    return f"{scale}·h" + (f" {'+' if beyond > 0 else '-'} {abs(beyond)}" if beyond else "")


def _one(pair: Any) -> float | None:
    """Return the number that both axes have, or None where they differ."""
    values = set(pair) if isinstance(pair, Sequence) else {pair}
    return values.pop() if len(values) == 1 else None


def words_of(place: Place) -> str:
    """Return the module as reports show it: a foreign one as it prints itself, an operator by its label."""
    if isinstance(place.module, torch.jit.ScriptModule):
        return type(place.module).__name__
    words = repr(place.module) if not isinstance(place.module, Swapped | Upsampler) else _label(place.module)
    return f"{place.conv[1]!r} + {words}" if place.conv else words


def _label(module: Swapped | Upsampler) -> str:
    return (module.up if isinstance(module, Swapped) else module).label()
