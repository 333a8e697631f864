"""Another operator in somebody else's model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from segup.errors import ConfigError
from segup.registry import check_options
from segup.surgery.observe import arguments_of, observe
from segup.surgery.places import Form, Kept, Place, Swapped, check_reach, find_places, form_of, words_of
from segup.tables import as_text
from segup.upsamplers import create_upsampler
from segup.upsamplers.contract import operator_class, refuse_guides


@dataclass(frozen=True)
class Swap:
    """A module that was replaced: where the operator stands now, by what, with which channels and scale."""

    path: str
    was: str
    now: str
    in_channels: int
    out_channels: int
    scale: int


@dataclass(frozen=True)
class SwapReport:
    """What :func:`swap_upsamplers` did; ``str`` gives it as a table."""

    upsampler: str
    swapped: tuple[Swap, ...]
    kept: tuple[Kept, ...]
    note: str = ""

    def __str__(self) -> str:
        """Return the replacements, then what stays and why."""
        lines = [f"{len(self.swapped)} swapped for '{self.upsampler}', {len(self.kept)} kept"]
        if self.swapped:
            rows = [[s.path, s.was, f"{s.now}, {s.in_channels} → {s.out_channels}"] for s in self.swapped]
            lines.append(as_text([["swapped", "was", "now"], *rows]))
        if self.kept:
            lines.append(as_text([["kept", "what", "why"], *([k.path, k.what, k.reason] for k in self.kept)]))
        return "\n".join([*lines, self.note] if self.note else lines)


def swap_upsamplers(model: nn.Module, upsampler: str, *, example: Any = None, **options: Any) -> SwapReport:
    """Replace the upsampling modules of any model, in place, by an operator with the same in and out shapes.

    Replaced are ``nn.Upsample`` (``UpsamplingBilinear2d`` and ``UpsamplingNearest2d`` among them) with a factor,
    ``nn.ConvTranspose2d`` with a stride, and ``nn.Conv2d`` followed by ``nn.PixelShuffle`` in an ``nn.Sequential``. The
    new operators start untrained. What cannot be replaced stays and is reported with the reason; so are calls of
    ``torch.nn.functional``, which no one can replace from outside. A shuffle that is written as a reshape
    (``SubpixelUpsample`` of MONAI) is not seen.

    Args:
        model: Anyone's.
        upsampler: Name of an operator that requires nothing, one of :func:`segup.upsamplers.list_upsamplers`.
        example: What the model is run with once to see the channels of its ``nn.Upsample``: a tensor, or a tuple of
            arguments; a black image ``(1, 3, 64, 64)`` by default.
        **options: The operator's own.

    Returns:
        The report: ``swapped``, ``kept``, and a table as ``str``.

    Raises:
        ConfigError: An unknown name or option, an operator that requires a skip or indices, or options that no module
            of the model can take. The model is then as it was.

    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ConvTranspose2d(8, 4, 4, 2, 1))
    >>> print(swap_upsamplers(model, "pixel_shuffle"))
    1 swapped for 'pixel_shuffle', 0 kept
    swapped  was                                                                       now
    1        ConvTranspose2d(8, 4, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1))  pixel_shuffle ×2, 8 → 4
    >>> model(torch.zeros(1, 3, 32, 48)).shape
    torch.Size([1, 4, 32, 48])
    """
    if not isinstance(model, nn.Module):
        raise ConfigError(f"swap_upsamplers takes a torch.nn.Module, not {type(model).__name__}")
    operator = operator_class(upsampler)
    why = "which a module in another model's place is not given"
    refuse_guides(operator.requires, f"upsampler '{upsampler}'", why)
    check_options(operator, options, f"upsampler '{upsampler}'")
    fixed = sorted({"in_channels", "out_channels", "scale", "skip_channels"} & set(options))
    if fixed:
        raise ConfigError(f"{fixed[0]}={options[fixed[0]]!r} cannot be given: it follows from each module")
    seen = observe(model, arguments_of(model, example))
    made: dict[tuple[int, int], Swapped] = {}
    swaps: list[tuple[Place, Swapped, Swap]] = []
    kept, refusals = [], []
    for place in find_places(model, "", set()):
        what = words_of(place)
        form = form_of(place, seen)
        if isinstance(form, Form):
            try:
                new = made.get(place.key) or _made(upsampler, form, options, place, model)
            except ConfigError as cause:
                refusals.append(cause)
                kept.append(Kept(place.path, what, " ".join(str(cause).split())))
                continue
            made[place.key] = new
            report = Swap(place.where, what, new.up.label(), form.in_channels, form.out_channels, form.scale)
            swaps.append((place, new, report))
        else:
            kept.append(Kept(place.path, what, form))
    if refusals and not swaps:
        raise refusals[0]
    for place, new, _ in swaps:
        setattr(place.parent, place.conv[0] if place.conv else place.name, new)
        if place.conv:
            setattr(place.parent, place.name, nn.Identity())
    kept += [Kept(path or "(the model)", name, "a function call, not a module") for path, name in seen.functions]
    note = ""
    if seen.failure:
        note = f"The model did not run on the example ({seen.failure}): function calls after that are not listed."
    return SwapReport(upsampler, tuple(report for _, _, report in swaps), tuple(kept), note)


def _made(upsampler: str, form: Form, options: Mapping[str, Any], place: Place, model: nn.Module) -> Swapped:
    chosen = dict(options)
    if operator_class(upsampler).takes_rounding and "rounding" not in chosen:
        chosen["rounding"] = "down" if min(form.least) >= 0 else "up" if max(form.offset) <= 0 else "mixed"
    up = create_upsampler(upsampler, form.in_channels, form.out_channels, form.scale, **chosen)
    check_reach(up, form)
    new = Swapped(up, form.offset, form.least)
    like = next(place.module.parameters(), next(model.parameters(), torch.empty(0)))
    return new.to(like.device, like.dtype).train(place.module.training)
