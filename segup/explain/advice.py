"""Parameters that do not work, answered as a lesson: what the formula gives, the rule, what works instead."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from segup.errors import ShapeError
from segup.shapes import Conv, ConvTranspose, Layer, Pool, reaching
from segup.shapes.arguments import AXIS_NAMES, per_axis, span, spell, two
from segup.shapes.layer import EXTENT
from segup.shapes.text.language import KINDS, mended
from segup.shapes.text.spelling import LETTERS
from segup.shapes.transposed import StampAxis

Given = Mapping[str, Any]
Pair = tuple[int, int]
Try = tuple[str, Given, Pair]
"""What is changed, in words; the parameters with it; and the size of the input."""
SEARCHED = 64
WINDOWS = "⌊(n + 2·padding − e)/stride⌋ + 1"
CHANGED = ("padding", "output_padding", "kernel_size", "dilation")


def built(kind: str, given: Given, size: Pair, output_size: Pair | None = None) -> Any:
    """Return the layer, its output_padding chosen for ``output_size``; what does not work on ``size`` is explained.

    Args:
        kind: "conv", "deconv", "pool", "resize" or "pixel_shuffle".
        given: Its parameters by torch's names.
        size: Height and width of the input.
        output_size: Height and width to reach, of a deconv.

    Raises:
        ShapeError: A parameter breaks a rule, or nothing is left of the input.

    >>> built("deconv", {"kernel_size": 3, "stride": 2, "padding": 1}, (6, 6), (12, 12)).output_padding
    1
    """
    if output_size is not None and kind == "deconv":
        given = {**given, "output_padding": 0}  # it follows from the size, as in torch
    # What torch refuses whatever the size, with what the formula would have given for this one.
    if kind == "deconv":
        _teach_output_padding(given, size)
    if kind == "conv" and given.get("padding") == "same":
        _teach_same(given, size)
    if kind == "pool":
        _teach_pool_padding(given, size)
    layer = KINDS[kind][0](**given)
    if output_size is not None:
        layer = _reaching(layer, given, size, output_size)
    _teach_size(kind, given, layer, size)
    return layer


def _axes(given: Given, *names: str) -> Iterator[tuple[int, list[int]]]:
    """Yield each axis' number and its values of ``names``, where all are plain ints; else the layer itself refuses."""
    defaults = {"stride": 1, "padding": 0, "dilation": 1, "output_padding": 0}
    pairs = []
    for name in names:
        value = given.get(name, defaults.get(name))
        if value is None:
            return
        pairs.append(two(value, name))
    if all(isinstance(part, int) and not isinstance(part, bool) for pair in pairs for part in pair):
        for i in (0, 1):
            yield i, [pair[i] for pair in pairs]  # type: ignore[misc]


def _teach_output_padding(given: Given, size: Pair) -> None:
    names = ("kernel_size", "stride", "padding", "dilation", "output_padding")
    for i, (kernel, stride, padding, dilation, more) in _axes(given, *names):
        most = max(stride, dilation)
        if more < most or min(kernel, stride, dilation) < 1 or padding < 0:
            continue
        extent = dilation * (kernel - 1) + 1
        wanted = (size[i] - 1) * stride - 2 * padding + extent + more
        others = _reached_by_others(given, size, _formula(given, size))
        sizes = (
            f"those are {stride}" if stride >= dilation else f"those are {stride}; the dilation leaves room for more"
        )
        raise ShapeError(
            f"'{_spelled('deconv', given)}' has output_padding {more} on the {AXIS_NAMES[i]}.\n"
            f"  {StampAxis.symbols} = ({size[i]} − 1)·{stride} − 2·{padding} + {extent} + {more} = {wanted} "
            f"is what the formula gives{_extent(extent)}.\n"
            f"  rule: output_padding must be less than max(stride, dilation) = max({stride}, {dilation}) = {most}. It "
            f"chooses one of the sizes that the convolution with these parameters brings to {size[i]}, and {sizes}.\n"
            f"  try: {'; or '.join(others) or _alternatives('deconv', given, size)}."
        )


def _extent(extent: int) -> str:
    return f" with {EXTENT} = {extent}" if extent else ""


def _formula(given: Given, size: Pair) -> Pair:
    """Return what the formula of a deconv gives, whatever its output_padding."""
    plain = ConvTranspose(**{**given, "output_padding": 0})
    more = _pair(given, "output_padding", 0)
    return per_axis(lambda i: plain.axes[i].matched_law.out(size[i]) + more[i])


def _reached_by_others(given: Given, size: Pair, wanted: Pair, asked: bool = False) -> list[str]:
    """Return the nearest kernels and paddings that bring ``size`` to ``wanted``, each with its output_padding.

    Where ``wanted`` was ``asked`` for as an output_size, output_padding follows from it and is less than the stride.
    """
    if min(wanted) < 1:
        return []
    before = {name: _pair(given, name, 0) for name in ("kernel_size", "padding", "output_padding")}
    if asked:
        before["output_padding"] = (0, 0)
    near = ConvTranspose(**{**given, "output_padding": 0})
    others = [_changed(other, before) for other in reaching(size, wanted, near, output_padding=not asked)[:2]]
    return [f"{changed}, which gives {wanted[0]}×{wanted[1]}" for changed in others if changed]


def _another(given: Given, size: Pair, wanted: Pair) -> str:
    """Return a transposed convolution of another stride that brings ``size`` to ``wanted``."""
    defaults = {"kernel_size": 0, "stride": 1, "padding": 0, "dilation": 1}
    changed = _changed(reaching(size, wanted)[0], {name: _pair(given, name, least) for name, least in defaults.items()})
    return f"{changed}, which gives {wanted[0]}×{wanted[1]}"


def _changed(other: ConvTranspose, before: Mapping[str, Pair]) -> str:
    """Return the parameters that are others than ``before``, with their values."""
    values = {name: getattr(other, name) for name in before}
    return ", ".join(f"{name}={value}" for name, value in values.items() if two(value, name) != before[name])


def _reachable(layer: ConvTranspose, size: Pair, wanted: Pair) -> list[str]:
    """Return the nearest output size within reach of both axes, in words; none where an axis reaches nothing."""
    reach = [axis.reachable(n) for axis, n in zip(layer.axes, size, strict=True)]
    if not all(reach):
        return []
    high, wide = (min(one, key=lambda o: abs(o - out)) for one, out in zip(reach, wanted, strict=True))
    return [f"output_size {high}×{wide}"]


def _pair(given: Given, name: str, default: int) -> Pair:
    high, wide = two(given.get(name, default), name)
    return int(high), int(wide)  # type: ignore[call-overload]


def _single(pair: Pair) -> int | Pair:
    return pair[0] if pair[0] == pair[1] else pair


def _halved(given: Given, size: Pair) -> str:
    """Return the padding that is half of a kernel on both axes, and what it gives; nothing where that does not work."""
    kernels, dilations = _pair(given, "kernel_size", 1), _pair(given, "dilation", 1)
    half: Any = _single((dilations[0] * (kernels[0] - 1) // 2, dilations[1] * (kernels[1] - 1) // 2))
    out = _works("conv", {**given, "padding": half}, size)
    if out is None:
        return ""
    strides = _pair(given, "stride", 1)
    full = all(o == -(-n // s) for o, n, s in zip(out, size, strides, strict=True))
    same = ", the size over the stride, rounded up" if full else ""
    return f"padding={half}, which gives {out[0]}×{out[1]}{same}; or "


def _teach_same(given: Given, size: Pair) -> None:
    for i, (kernel, stride, dilation) in _axes(given, "kernel_size", "stride", "dilation"):
        if stride == 1 or min(kernel, stride, dilation) < 1:
            continue
        extent = dilation * (kernel - 1) + 1
        out = (size[i] + extent - 1 - extent) // stride + 1
        raise ShapeError(
            f"'{_spelled('conv', given)}' asks for padding=\"same\" with stride {stride} on the {AXIS_NAMES[i]}.\n"
            f"  {WINDOWS} = ⌊({size[i]} + {extent - 1} − {extent})/{stride}⌋ + 1 = {out} is what the formula gives"
            f"{_extent(extent)}, not {size[i]}: with a stride above 1 windows are fewer than pixels.\n"
            f'  rule: "same" means an output of the input\'s size, and needs stride 1.\n'
            f"  try: {_halved(given, size)}stride=1."
        )


def _teach_pool_padding(given: Given, size: Pair) -> None:
    filled = {**given, "stride": given.get("stride") or given["kernel_size"]}
    for i, (kernel, stride, padding, dilation) in _axes(filled, "kernel_size", "stride", "padding", "dilation"):
        if padding <= kernel // 2 or min(kernel, stride, dilation) < 1:
            continue
        extent = dilation * (kernel - 1) + 1
        out = (size[i] + 2 * padding - extent) // stride + 1
        raise ShapeError(
            f"'{_spelled('pool', given)}' has padding {padding} on the {AXIS_NAMES[i]}.\n"
            f"  {WINDOWS} = ⌊({size[i]} + 2·{padding} − {extent})/{stride}⌋ + 1 = {out} is what the formula gives"
            f"{_extent(extent)}.\n"
            f"  rule: padding of a pool must be at most half its kernel_size, {kernel} // 2 = {kernel // 2}: a window "
            f"further out would see nothing but padding.\n"
            f"  try: {_alternatives('pool', given, size)}."
        )


def _reaching(layer: Layer, given: Given, size: Pair, output_size: Pair) -> Layer:
    """Return the layer with the output_padding that reaches ``output_size``."""
    if not isinstance(layer, ConvTranspose):
        raise ShapeError(f"output_size is what a deconv can be asked for; '{layer}' has one output size alone.")
    for i, (n, wanted) in enumerate(zip(size, output_size, strict=True)):
        axis = layer.axes[i]
        reach = axis.reachable(n)
        if wanted in reach:
            continue
        ways = [*_reachable(layer, size, output_size), *_reached_by_others(given, size, output_size, asked=True)]
        raise ShapeError(
            f"'{layer}' cannot bring {AXIS_NAMES[i]} {n} to {wanted}.\n"
            f"  {axis.symbols} = {axis.size_rule(n, padding=False)} is what the formula gives without output_padding"
            f"{_extent(axis.extent)}.\n"
            f"  rule: output_size may ask for {span(reach)}: output_padding adds 0 … stride − 1 = {axis.slack}.\n"
            f"  try: {'; or '.join(ways or [_another(given, size, output_size)])}."
        )
    extra = tuple(o - axis.matched_law.out(n) for axis, n, o in zip(layer.axes, size, output_size, strict=True))
    return KINDS["deconv"][0](**{**given, "output_padding": extra})


def _teach_size(kind: str, given: Given, layer: Layer, size: Pair) -> None:
    """Refuse an input of which the layer leaves nothing."""
    for n, axis, name in zip(size, layer.axes, AXIS_NAMES, strict=True):
        if n >= axis.least:
            continue
        said, rule = "leaves nothing of", ""
        if isinstance(layer, ConvTranspose):
            rule = "; the padding may not cut all that the stamps fill"
        if isinstance(layer, Conv | Pool):
            said = "does not fit in"
            rule = f"; the kernel, {axis.extent} wide with its dilation, has to fit in the padded input"
        raise ShapeError(
            f"'{layer}' {said} {size[0]}×{size[1]}.\n"
            f"  {axis.symbols} = {axis.size_rule(n)} is what the formula gives for the {name}"
            f"{_extent(getattr(axis, 'extent', 0))}.\n"
            f"  rule: an output has at least 1 row and 1 column{rule}.\n"
            f"  try: {_alternatives(kind, given, size)}."
        )


def _alternatives(kind: str, given: Given, size: Pair) -> str:
    """Return in words with which values of single parameters, or with which larger input, the layer works."""
    ways = _ways(kind, given, size)
    if not ways and kind == "deconv":
        rest = {name: value for name, value in given.items() if name != "output_padding"}
        ways = [f"output_padding=0, {way}" for way in _ways(kind, rest, size)]
    return "; or ".join(ways or [_farther(kind, given, size)])


def _farther(kind: str, given: Given, size: Pair) -> str:
    """Return the parameters that were out of their range moved into it, and the smallest input that they take."""
    values = mended(kind, given)
    layer = KINDS[kind][0](**values)
    least = two(layer.min_size, "size")
    larger = max(size[0], int(least[0])), max(size[1], int(least[1]))  # type: ignore[call-overload]
    out = layer.out(larger)
    before = {name: two(given[name], name) for name in values if given.get(name) is not None}
    changed = [
        f"{name}={_single(_pair(values, name, 0))}"
        for name, value in values.items()
        if name in before and name in CHANGED and two(value, name) != before[name]
    ]
    needed = [f"an input of {larger[0]}×{larger[1]}"] if larger != size else []
    return f"{', '.join(changed + needed)}, which gives {out[0]}×{out[1]}"


def _ways(kind: str, given: Given, size: Pair) -> list[str]:
    """Return the nearest value of each single parameter, and the nearest larger input, with which the layer works."""
    changed = [name for name in CHANGED if name in given or (name == "padding" and kind == "conv")]
    tries = [_moved(given, size, name) for name in changed]
    larger = [(size[0] + more, size[1] + more) for more in range(1, SEARCHED)]
    tries.append((f"an input of {high}×{wide}", given, (high, wide)) for high, wide in larger)
    return [way for one in tries for way in _first_that_works(kind, one)]


def _moved(given: Given, size: Pair, name: str) -> Iterator[Try]:
    """Yield a parameter's values, the nearest first, to be tried."""
    value = given.get(name, 0)
    if isinstance(value, int | tuple | list):
        high, wide = _pair(given, name, 0)
        moves = [(1, 1)] if high == wide else [(1, 1), (1, 0), (0, 1)]  # what was one number stays one
        for step, sign, (rows, columns) in product(range(1, SEARCHED), (-1, 1), moves):
            moved = _single((high + sign * step * rows, wide + sign * step * columns))
            yield f"{name}={moved}", {**given, name: moved}, size


def _first_that_works(kind: str, tries: Iterable[Try]) -> list[str]:
    """Return in words the first of several that works, and what it gives."""
    for said, given, size in tries:
        out = _works(kind, given, size)
        if out is not None:
            return [f"{said}, which gives {out[0]}×{out[1]}"]
    return []


def _works(kind: str, given: Given, size: Pair) -> Pair | None:
    try:
        return KINDS[kind][0](**given).out(size)
    except ShapeError:
        return None


def _spelled(kind: str, given: Given) -> str:
    letters = {name: letter for letter, name in LETTERS.items()}
    values = {letters[name]: tuple(v) if isinstance(v, list) else v for name, v in given.items() if name in letters}
    return spell(kind, **values)
