"""The views of a transposed convolution in words, with the numbers put in."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from segup.explain.deconv import DeconvOperation
from segup.explain.phrases import both, by, lines_said
from segup.shapes.arguments import AXIS_NAMES
from segup.shapes.transposed import StampAxis
from segup.tables import counted


def _scatter(operation: DeconvOperation) -> list[str]:
    _, h, w = operation.x.shape
    high, wide = operation.layer.axes
    touched = [(n - 1) * axis.stride + axis.extent for axis, n in zip(operation.layer.axes, (h, w), strict=True)]
    _, height, width = operation.shape
    kernel = by(high.kernel_size, wide.kernel_size)
    spread = "" if high.dilation == wide.dilation == 1 else f", its taps {_values(operation, 'dilation')} apart"
    lines = [
        f"Each of the {by(h, w)} inputs stamps value × kernel ({kernel}{spread}); neighbouring stamps are "
        f"{_values(operation, 'stride')} apart (the stride), and together they fill {by(*touched)}.",
    ]
    most = int(operation.counts().max())
    lines.append(
        f"Where stamps overlap they add: up to {most} of them in one output." if most > 1 else "No two of them overlap."
    )
    if high.padding or wide.padding:
        lines.append(f"The padding cuts {_values(operation, 'padding')} off every side.")
    if high.output_padding or wide.output_padding:
        lines.append(f"output_padding gives {_values(operation, 'output_padding')} more at the bottom and right.")
    return [*lines, f"{by(height, width)} are left{_empty(operation)}."]


def _empty(operation: DeconvOperation) -> str:
    rows, columns = (list(axis.unwritten(n, o)) for axis, n, o in _sizes(operation))
    if not rows and not columns:
        return ""
    stay = "are 0" if operation.bias is None else "are the bias alone"
    return f"; no stamp reaches {lines_said(rows, columns)}, which {stay}"


def _sizes(operation: DeconvOperation) -> list[tuple[StampAxis, int, int]]:
    return list(zip(operation.layer.axes, operation.x.shape[1:], operation.shape[1:], strict=True))


def _values(operation: DeconvOperation, name: str) -> str:
    return both(*(getattr(axis, name) for axis in operation.layer.axes))


def _zero_insertion(operation: DeconvOperation) -> list[str]:
    _, height, width = operation.shape
    spread, padded = operation.inserted().shape[1:], operation.padded().shape[1:]
    axes = operation.layer.axes
    zeros = both(*(axis.stride - 1 for axis in axes))
    sums = [
        f"{axis.dilation}·{axis.kernel_size - 1} − {axis.padding} = {axis.extent - 1 - axis.padding}" for axis in axes
    ]
    more = _values(operation, "output_padding")
    ending = "" if more == "0" else f", and output_padding {more} more at the bottom and right"
    cut = " (a negative pad cuts)" if any(before < 0 for before, _ in operation.pads) else ""
    return [
        f"Put stride − 1 = {zeros} zero{'' if zeros == '1' else 's'} between neighbouring inputs: {by(*spread)}.",
        f"Pad by dilation·(kernel_size − 1) − padding = {both(*sums)} on every side{ending}{cut}: {by(*padded)}.",
        "Flip the kernel, top to bottom and left to right.",
        f"Slide it with stride 1 over all of it: {by(height, width)}.",
    ]


def _gradient(operation: DeconvOperation) -> list[str]:
    _, h, w = operation.x.shape
    _, height, width = operation.shape
    forward = str(operation.layer).replace("deconv", "conv", 1).partition(" op")[0]
    axes = zip(operation.layer.axes, (height, width), strict=True)
    made = tuple((size + 2 * axis.padding - axis.extent) // axis.stride + 1 for axis, size in axes)
    brings = by(*made) if made == (h, w) else f"{by(*made)}, of which the first {by(h, w)} count"
    return [
        f"The convolution '{forward}' brings {by(height, width)} to {brings}: window n reads the positions "
        f"stride·n − padding + dilation·tap.",
        "Every such reading is a connection with a weight: forwards the large map is read, backwards it is written.",
        "Each entry of the large map gets, from every window that read it, that window's value times the same weight: "
        "this is the gradient of the convolution with respect to its input.",
    ]


def _subpixel(operation: DeconvOperation) -> list[str]:
    high, wide = operation.layer.axes
    above, beside = operation.phases
    sizes = sorted({(len(r.taps), len(c.taps)) for r in above for c in beside if r.taps and c.taps}, reverse=True)
    kernels = ", ".join(by(*pair) for pair in sizes)
    empty = sum(not r.taps or not c.taps for r in above for c in beside)
    without = f"; {counted(empty, 'phase')} {'has' if empty == 1 else 'have'} none and stay 0" if empty else ""
    cut = ", and the padding is cut off" if high.padding or wide.padding else ""
    phases = high.stride * wide.stride
    woven = f"The {phases} maps are interleaved" if phases > 1 else "The one map is the output"
    _, height, width = operation.shape
    return [
        f"An output's phase is its position modulo the stride, before the cut: {high.stride}·{wide.stride} = "
        f"{counted(phases, 'phase')}.",
        f"Outputs of one phase use the same few taps of the kernel: small kernels of {kernels}{without}.",
        "Each small kernel is a convolution of the input itself, at its size: no zeros are inserted.",
        f"{woven}{cut}: {by(height, width)}.",
    ]


def _overlap(operation: DeconvOperation) -> list[str]:
    axes = operation.layer.axes
    rows, columns = ({len(phase.taps) for phase in axis} for axis in operation.phases)
    counts = sorted({r * c for r in rows for c in columns})  # where no border is near
    if len(counts) == 1:
        told = counted(counts[0], "contribution")
        return [f"Away from the border every output gets {told}: the stride divides the kernel evenly."]
    told = ", ".join(map(str, counts))
    reasons = {
        name: _why_uneven(axis)
        for name, axis, found in zip(AXIS_NAMES, axes, operation.phases, strict=True)
        if len({len(phase.taps) for phase in found}) > 1
    }
    if len(reasons) == 2 and len(set(reasons.values())) == 1:
        why = next(iter(reasons.values()))
    else:
        why = " and ".join(f"{reason} (on the {name})" for name, reason in reasons.items())
    even = both(*(-(-axis.kernel_size // axis.stride) * axis.stride for axis in axes))
    dilated = any(axis.dilation > 1 for name, axis in zip(AXIS_NAMES, axes, strict=True) if name in reasons)
    return [
        f"Away from the border outputs get {told} contributions in turn, since {why}: equal inputs and weights come "
        f"out uneven, a checkerboard.",
        "With dilation 1 and a kernel that is a multiple of the stride, every output gets as many."
        if dilated
        else f"With kernel {even}, a multiple of the stride, every output gets as many.",
    ]


def _why_uneven(axis: StampAxis) -> str:
    if axis.dilation > 1:
        return f"with dilation {axis.dilation} the taps do not fall evenly on the {axis.stride} phases of the stride"
    return f"the stride {axis.stride} does not divide the kernel {axis.kernel_size}"


DECONV_STEPS: Mapping[str, Callable[[DeconvOperation], list[str]]] = MappingProxyType(
    {
        "scatter": _scatter,
        "zero_insertion": _zero_insertion,
        "gradient": _gradient,
        "subpixel": _subpixel,
        "overlap": _overlap,
    }
)
"""What each view does, in its order."""
