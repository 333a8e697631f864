"""Convolution and pooling in words, with the numbers put in."""

from segup.explain.phrases import both, by, unread_said
from segup.explain.windows import PoolOperation, WindowOperation
from segup.shapes.arguments import AXIS_NAMES


def window_steps(operation: WindowOperation) -> list[str]:
    """Return what the window does, in its order."""
    high, wide = operation.layer.axes
    _, h, w = operation.x.shape
    _, height, width = operation.shape
    lines = []
    if operation.is_padded:
        filling = "−∞" if isinstance(operation, PoolOperation) and operation.mode == "max" else "zeros"
        if operation.padding_mode != "zeros":
            filling = f"what padding_mode={operation.padding_mode} gives"
        sides = f"{both(high.before, wide.before)} on every side"
        if (high.before, wide.before) != (high.after, wide.after):
            sides = f"{both(high.before, wide.before)} before and {both(high.after, wide.after)} after"
        padded = by(h + high.before + high.after, w + wide.before + wide.after)
        lines.append(f"Pad with {filling}, {sides}: {by(h, w)} becomes {padded}.")
    apart = ""
    if (high.dilation, wide.dilation) != (1, 1):
        apart = f", its taps {both(high.dilation, wide.dilation)} apart, so {by(high.extent, wide.extent)} wide"
    move = both(high.stride, wide.stride)
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
    if not operation.is_padded:
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
