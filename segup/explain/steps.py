"""Each view in words, step by step, with the numbers put in."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from segup.explain.deconv import DeconvOperation
from segup.explain.deconv_steps import DECONV_STEPS
from segup.explain.operation import Operation, WeightedOperation
from segup.explain.phrases import by, unread_said
from segup.explain.rearrange import CarafeOperation, ShuffleOperation
from segup.explain.resize import ResizeOperation
from segup.explain.window_steps import window_steps
from segup.explain.windows import ConvOperation
from segup.tables import counted

VIEWS: Mapping[str, str] = MappingProxyType(
    {
        "scatter": "scatter: every input stamps value × kernel",
        "zero_insertion": "zero insertion: zeros between the inputs, then a convolution with stride 1",
        "gradient": "gradient: a convolution's connections, walked backwards",
        "subpixel": "sub-pixel: one small convolution for each phase, interleaved",
        "convolution": "convolution: a window moves over the input",
        "pooling": "pooling: a window moves over the input",
        "sampling": "sampling: every output reads inputs at its place",
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
    tellers: Mapping[str, Callable[[Any], list[str]]] = {
        "convolution": window_steps,
        "pooling": window_steps,
        "sampling": _sampling,
        "subpixel": _shuffle,
        "reassembly": _reassembly,
        "overlap": _counts,
    }
    tellers = DECONV_STEPS if isinstance(operation, DeconvOperation) else tellers
    return tellers[view](operation) + _channels(operation, view)


def _counts(operation: Operation) -> list[str]:
    counts = operation.counts()
    low, high = int(counts.min()), int(counts.max())
    if low == high:
        return [f"Every output reads {counted(low, 'input')}{_each(operation)}."]
    inner = counts[..., 1:-1, 1:-1]
    border = (
        "those with fewer lie at the border" if inner.size and (inner == high).all() else "how many, its place says"
    )
    return [f"Outputs read {low} to {high} inputs{_each(operation)}; {border}."]


def _each(operation: Operation) -> str:
    return " of each channel" if operation.x.shape[0] > 1 and isinstance(operation, ConvOperation) else ""


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
    return [
        centre,
        taken,
        *edge,
        *_copied(operation),
        *_rounded(operation),
        f"The output has {by(height, width)}.",
        *skipped,
    ]


def _copied(operation: ResizeOperation) -> list[str]:
    """Say which axes a bilinear resize leaves alone although their factor is not 1."""
    if operation.layer.mode != "bilinear" or operation.align_corners or operation.out is not None:
        return []
    axes = zip(("Rows", "Columns"), operation.layer.axes, operation.x.shape[1:], operation.shape[1:], strict=True)
    return [
        f"{name} stay {made}: there torch copies, whatever the factor."
        for name, axis, had, made in axes
        if made == had and axis.factor != 1
    ]


def _rounded(operation: ResizeOperation) -> list[str]:
    """Say which outputs of a nearest resize copy another input than the rule says, as torch rounds in float32."""
    lines = []
    for i, axis in enumerate(("row", "column")):
        apart = operation.rounded(i)
        if apart:
            out, read, exact = apart[0]
            more = f", and so do {len(apart) - 1} more {axis}s" if len(apart) > 1 else ""
            lines.append(f"torch takes o/factor in float32: output {axis} {out} copies {read}, not {exact}{more}.")
    return lines


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
    if view == "overlap" or not isinstance(operation, WeightedOperation):
        return []
    groups = operation.layer.groups
    inputs = operation.x.shape[0] // groups
    own = f"{groups} groups: each output channel reads the {counted(inputs, 'channel')} of its own group alone."
    summed = f"The {inputs} channels' contributions are summed (never averaged)."
    return [line for line, holds in ((own, groups > 1), (summed, inputs > 1)) if holds]
