"""Each view in words, step by step, with the numbers put in."""

from collections.abc import Mapping
from types import MappingProxyType

from segup.explain.deconv import DeconvOperation
from segup.explain.operation import Operation
from segup.explain.rearrange import CarafeOperation, ShuffleOperation
from segup.explain.resize import ResizeOperation
from segup.explain.windows import ConvOperation, PoolOperation, WindowOperation
from segup.shapes.arguments import AXIS_NAMES
from segup.shapes.transposed import StampAxis

VIEWS: Mapping[str, str] = MappingProxyType(
    {
        "scatter": "scatter: every input stamps value × kernel",
        "zero_insertion": "zero insertion: zeros between the inputs, then a convolution with stride 1",
        "gradient": "gradient: a convolution's connections, walked backwards",
        "subpixel": "sub-pixel: one small convolution for each phase, interleaved",
        "convolution": "convolution: a window moves over the input",
        "pooling": "pooling: a window moves over the input",
        "sampling": "sampling: every output reads the inputs nearest to its centre",
        "reassembly": "reassembly: every output has a kernel of its own",
        "overlap": "overlap: how many inputs go into each output",
    }
)
"""The views and what each shows, in one line."""


def steps(operation: Operation, view: str) -> list[str]:
    """Return what a view does, in its order.

    >>> import torch
    >>> from segup.explain import explain
    >>> e = explain("deconv k4 s2 p1", torch.ones(4, 4))
    >>> print(steps(e.operations[0], "zero_insertion")[1])
    Pad by dilation·(kernel_size − 1) − padding = 1·3 − 1 = 2 on every side: 11×11.
    """
    if isinstance(operation, DeconvOperation):
        told = {
            "scatter": _scatter,
            "zero_insertion": _zero_insertion,
            "gradient": _gradient,
            "subpixel": _subpixel,
            "overlap": _overlap,
        }[view](operation)
    elif view == "overlap":
        told = _counts(operation)
    elif isinstance(operation, WindowOperation):
        told = _windows(operation)
    elif isinstance(operation, ResizeOperation):
        told = _sampling(operation)
    elif isinstance(operation, ShuffleOperation):
        told = _shuffle(operation)
    else:
        assert isinstance(operation, CarafeOperation)
        told = _reassembly(operation)
    return told + _channels(operation, view)


def by(height: object, width: object) -> str:
    """Return height×width."""
    return f"{height}×{width}"


def _both(high: object, wide: object) -> str:
    """Return one value for both axes, or height's and width's."""
    return f"{high}" if high == wide else f"{high} (height) and {wide} (width)"


def _values(operation: DeconvOperation, name: str) -> str:
    return _both(*(getattr(axis, name) for axis in operation.layer.axes))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


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
    return f"; no stamp reaches {_places('row', rows)}{_and(rows, columns)}, which {stay}"


def _sizes(operation: DeconvOperation) -> list[tuple[StampAxis, int, int]]:
    return list(zip(operation.layer.axes, operation.x.shape[1:], operation.shape[1:], strict=True))


def _zero_insertion(operation: DeconvOperation) -> list[str]:
    _, height, width = operation.shape
    spread, padded = operation.inserted().shape[1:], operation.padded().shape[1:]
    axes = operation.layer.axes
    zeros = _both(*(axis.stride - 1 for axis in axes))
    sums = [
        f"{axis.dilation}·{axis.kernel_size - 1} − {axis.padding} = {axis.extent - 1 - axis.padding}" for axis in axes
    ]
    more = _values(operation, "output_padding")
    ending = "" if more == "0" else f", and output_padding {more} more at the bottom and right"
    cut = " (a negative pad cuts)" if any(before < 0 for before, _ in operation.pads) else ""
    return [
        f"Put stride − 1 = {zeros} zero{'' if zeros == '1' else 's'} between neighbouring inputs: {by(*spread)}.",
        f"Pad by dilation·(kernel_size − 1) − padding = {_both(*sums)} on every side{ending}{cut}: {by(*padded)}.",
        "Flip the kernel, top to bottom and left to right.",
        f"Slide it with stride 1 over all of it: {by(height, width)}.",
    ]


def _gradient(operation: DeconvOperation) -> list[str]:
    _, h, w = operation.x.shape
    _, height, width = operation.shape
    forward = str(operation.layer).replace("deconv", "conv", 1).partition(" op")[0]
    return [
        f"The convolution '{forward}' brings {by(height, width)} to {by(h, w)}: window n reads the positions "
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
    without = f"; {_count(empty, 'phase')} {'has' if empty == 1 else 'have'} none and stay 0" if empty else ""
    cut = ", and the padding is cut off" if high.padding or wide.padding else ""
    phases = high.stride * wide.stride
    woven = f"The {phases} maps are interleaved" if phases > 1 else "The one map is the output"
    _, height, width = operation.shape
    return [
        f"An output's phase is its position modulo the stride, before the cut: {high.stride}·{wide.stride} = "
        f"{_count(phases, 'phase')}.",
        f"Outputs of one phase use the same few taps of the kernel: small kernels of {kernels}{without}.",
        "Each small kernel is a convolution of the input itself, at its size: no zeros are inserted.",
        f"{woven}{cut}: {by(height, width)}.",
    ]


def _overlap(operation: DeconvOperation) -> list[str]:
    axes = operation.layer.axes
    counts = interior_counts(operation)
    told = ", ".join(map(str, counts))
    if len(counts) == 1:
        return [f"Away from the border every output gets {told} contributions: the stride divides the kernel evenly."]
    reasons = {
        name: _why_uneven(axis)
        for name, axis, found in zip(AXIS_NAMES, axes, operation.phases, strict=True)
        if len({len(phase.taps) for phase in found}) > 1
    }
    if len(reasons) == 2 and len(set(reasons.values())) == 1:
        why = next(iter(reasons.values()))
    else:
        why = " and ".join(f"{reason} (on the {name})" for name, reason in reasons.items())
    even = _both(*(-(-axis.kernel_size // axis.stride) * axis.stride for axis in axes))
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


def interior_counts(operation: DeconvOperation) -> list[int]:
    """Return the different numbers of contributions that outputs get where no border is near."""
    rows, columns = ({len(phase.taps) for phase in axis} for axis in operation.phases)
    return sorted({r * c for r in rows for c in columns})


def _counts(operation: Operation) -> list[str]:
    counts = operation.counts()
    low, high = int(counts.min()), int(counts.max())
    if low == high:
        return [f"Every output reads {_count(low, 'input')}{_each(operation)}."]
    return [f"Outputs read {low} to {high} inputs{_each(operation)}; those with fewer lie at the border."]


def _each(operation: Operation) -> str:
    return " of each channel" if operation.x.shape[0] > 1 and isinstance(operation, ConvOperation) else ""


def _windows(operation: WindowOperation) -> list[str]:
    high, wide = operation.layer.axes
    _, h, w = operation.x.shape
    _, height, width = operation.shape
    lines = []
    if max(high.before, high.after, wide.before, wide.after):
        filling = "−∞" if isinstance(operation, PoolOperation) and operation.mode == "max" else "zeros"
        if operation.padding_mode != "zeros":
            filling = f"what padding_mode={operation.padding_mode} gives"
        sides = f"{_both(high.before, wide.before)} on every side"
        if (high.before, wide.before) != (high.after, wide.after):
            sides = f"{_both(high.before, wide.before)} before and {_both(high.after, wide.after)} after"
        padded = by(h + high.before + high.after, w + wide.before + wide.after)
        lines.append(f"Pad with {filling}, {sides}: {by(h, w)} becomes {padded}.")
    apart = ""
    if (high.dilation, wide.dilation) != (1, 1):
        apart = f", its taps {_both(high.dilation, wide.dilation)} apart, so {by(high.extent, wide.extent)} wide"
    move = _both(high.stride, wide.stride)
    lines.append(
        f"A window of {by(high.kernel_size, wide.kernel_size)}{apart} starts at the top left and moves by {move}: "
        f"{by(height, width)} positions."
    )
    made = _pooled(operation) if isinstance(operation, PoolOperation) else "the sum of value × weight"
    lines.append(f"Each position gives one output, {made}.")
    if isinstance(operation, PoolOperation):
        lines += _ceiled(operation)
    unread = unread_said(operation)
    if unread:
        lines.append(f"No window ever reads {unread}.")
    return lines


def _pooled(operation: PoolOperation) -> str:
    if operation.mode == "max":
        return "the largest value in it"
    if operation.divisor_override is not None:
        return f"the sum of what is in it, divided by divisor_override = {operation.divisor_override}"
    if not any(axis.before or axis.after for axis in operation.layer.axes):
        return "the mean of what is in it"
    counted = "the padding's zeros counted" if operation.count_include_pad else "the padding left out"
    return f"the mean of what is in it, {counted}"


def _ceiled(operation: PoolOperation) -> list[str]:
    """Return what ceil_mode does: a last window that reaches too far, or one dropped since it starts too far."""
    if not operation.layer.ceil_mode:
        return []
    lines = []
    beyond, dropped = [], []
    for i, (name, axis) in enumerate(zip(AXIS_NAMES, operation.layer.axes, strict=True)):
        more, last = operation.overhang(i), operation.shape[i + 1] - 1
        if more:
            beyond.append(f"that of {('row', 'column')[i]} {last} reaches {more} beyond the {name}")
        room = operation.x.shape[i + 1] + axis.before + axis.after
        if last * axis.stride + axis.extent < room:
            dropped.append(name)
    if beyond:
        lines.append(f"ceil_mode keeps a last window that is not full: {' and '.join(beyond)}{_shortened(operation)}.")
    if dropped:
        lines.append(
            f"One more window on the {' and the '.join(dropped)} would start beyond the input and see none of it: "
            f"ceil_mode drops it."
        )
    return lines


def _shortened(operation: PoolOperation) -> str:
    """Return what a window that is not full makes of what is not there."""
    if operation.mode == "max":
        return "; what is not there is never the largest"
    if operation.divisor_override is not None:
        return "; what is not there adds nothing, and the divisor stays"
    taps = operation.layer.axes[0].kernel_size * operation.layer.axes[1].kernel_size
    _, height, width = operation.shape
    at = (height - 1 if operation.overhang(0) else 0, width - 1 if operation.overhang(1) else 0)
    divisor = operation.divisor_at(*at)
    return f"; what is not there is not counted: y[{at[0]},{at[1]}] is divided by {divisor}, not {taps}"


def unread_said(operation: Operation) -> str:
    """Return the rows and columns that go into no output, and how many pixels they hold; nothing where all do."""
    rows, columns = operation.unread()
    if not rows and not columns:
        return ""
    _, h, w = operation.x.shape
    count = h * w - (h - len(rows)) * (w - len(columns))
    return f"{_places('row', rows)}{_and(rows, columns)}: {count} of {h * w} pixels"


def _and(rows: list[int], columns: list[int]) -> str:
    return (" and " if rows and columns else "") + _places("column", columns)


def _places(noun: str, at: list[int]) -> str:
    if not at:
        return ""
    shown = ", ".join(map(str, at[:6])) + (f", … ({len(at)} of them)" if len(at) > 6 else "")
    return f"{noun}{'' if len(at) == 1 else 's'} {shown}"


def _sampling(operation: ResizeOperation) -> list[str]:
    _, height, width = operation.shape
    mode = operation.layer.mode
    if operation.align_corners and mode in ("bilinear", "bicubic"):
        centre = "The centre of output o lies at o·(h − 1)/(H − 1) in input pixels: the outermost centres meet."
    elif mode == "nearest":
        centre = "Output o reads input ⌊o/factor⌋."
    else:
        centre = "The centre of output o lies at (o + ½)/factor − ½ in input pixels (align_corners=False)."
    taken = {
        "nearest": "It copies that value.",
        "nearest-exact": "It copies the input whose pixel holds that centre.",
        "bilinear": "It is the mean of the two nearest inputs on each axis, the nearer weighing more: up to 4 in all.",
        "bicubic": "It is a weighted sum of the four nearest inputs on each axis, some weights negative: up to 16.",
    }[mode]
    edge = [] if mode.startswith("nearest") else ["Beyond the edge the outermost row or column is repeated."]
    unread = unread_said(operation)
    skipped = [f"No output ever reads {unread}."] if unread else []
    return [centre, taken, *edge, f"The output has {by(height, width)}.", *skipped]


def _shuffle(operation: ShuffleOperation) -> list[str]:
    r = operation.layer.upscale_factor
    _, height, width = operation.shape
    return [
        f"Every {r}² = {r * r} channels become one: channel c·{r * r} + a·{r} + b goes to row a, column b of a cell.",
        "Values are moved, none is changed: what they are comes from the convolution before.",
        f"The output has {by(height, width)}.",
    ]


def _reassembly(operation: CarafeOperation) -> list[str]:
    k, scale = operation.kernel_size, operation.scale
    _, height, width = operation.shape
    return [
        f"Output (i, j) belongs to input pixel (i // {scale}, j // {scale}).",
        f"It has a kernel of its own of {by(k, k)} weights, predicted from the content; a softmax makes them sum to 1.",
        f"It is the mean of that pixel's {by(k, k)} neighbourhood with these weights; beyond the border are zeros.",
        f"The output has {by(height, width)}.",
    ]


def _channels(operation: Operation, view: str) -> list[str]:
    if view == "overlap" or not isinstance(operation, ConvOperation | DeconvOperation):
        return []
    groups = operation.layer.groups
    inputs = operation.x.shape[0] // groups
    lines = []
    if groups > 1:
        lines.append(
            f"{groups} groups: each output channel reads the {_count(inputs, 'channel')} of its own group alone."
        )
    if inputs > 1:
        lines.append(f"The {inputs} channels' contributions are summed (never averaged).")
    return lines
