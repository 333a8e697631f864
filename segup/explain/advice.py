"""Parameters that do not work, answered as a lesson: what the formula gives, the rule, what works instead."""

from collections.abc import Iterator, Mapping
from typing import Any

from segup.errors import ShapeError
from segup.shapes import Conv, ConvTranspose, Layer, Pool
from segup.shapes.arguments import AXIS_NAMES, spell, two
from segup.shapes.language import KINDS

Given = Mapping[str, Any]
Pair = tuple[int, int]
SEARCHED = 64
CHANGED = ("padding", "output_padding", "kernel_size", "dilation")


def built(kind: str, given: Given, size: Pair, output_size: Pair | None = None) -> Layer:
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
    _teach_values(kind, given, size)
    layer = KINDS[kind][0](**given)
    if output_size is not None:
        layer = _reaching(layer, given, size, output_size)
    _teach_size(kind, given, layer, size)
    return layer


def _teach_values(kind: str, given: Given, size: Pair) -> None:
    """Refuse what torch refuses whatever the size, with what the formula would have given for this one."""
    if kind == "deconv":
        _teach_output_padding(given, size)
    if kind == "conv" and given.get("padding") == "same":
        _teach_same(given, size)
    if kind == "pool":
        _teach_pool_padding(given, size)


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
        others = _reached_by_others(given, i, size, wanted)
        raise ShapeError(
            f"'{_spelled('deconv', given)}' has output_padding {more} on the {AXIS_NAMES[i]}.\n"
            f"  ({size[i]} − 1)·{stride} − 2·{padding} + {extent} + {more} = {wanted} is what the formula gives.\n"
            f"  rule: output_padding must be less than max(stride, dilation) = max({stride}, {dilation}) = {most}. It "
            f"chooses one of the sizes that the convolution with these parameters brings to {size[i]}, and those are "
            f"{stride}.\n"
            f"  try: {others or _alternatives('deconv', given, size)}."
        )


def _reached_by_others(given: Given, i: int, size: Pair, wanted: int) -> str:
    """Return the nearest kernel and padding that bring axis ``i`` to ``wanted`` with an output_padding in its range."""
    kernel, stride, padding, dilation, given_more = (
        int(two(given.get(name, default), name)[i])  # type: ignore[call-overload]
        for name, default in (
            ("kernel_size", 1),
            ("stride", 1),
            ("padding", 0),
            ("dilation", 1),
            ("output_padding", 0),
        )
    )
    found = []
    for other in range(1, kernel + SEARCHED):
        for cut in range(padding + SEARCHED):
            more = wanted - ((size[i] - 1) * stride - 2 * cut + dilation * (other - 1) + 1)
            if 0 <= more < max(stride, dilation) and cut <= dilation * (other - 1):
                found.append((abs(other - kernel) + abs(cut - padding), more, other, cut))
    ways = []
    for _, more, other, cut in sorted(found)[:2]:
        named = {"kernel_size": (other, kernel), "padding": (cut, padding), "output_padding": (more, given_more)}
        changed = [f"{name}={value}" for name, (value, before) in named.items() if value != before]
        ways.append(", ".join(changed))
    return "; or ".join(f"{way}, which gives {wanted}" for way in ways)


def _teach_same(given: Given, size: Pair) -> None:
    for i, (kernel, stride, dilation) in _axes(given, "kernel_size", "stride", "dilation"):
        if stride == 1 or min(kernel, stride, dilation) < 1:
            continue
        extent = dilation * (kernel - 1) + 1
        out = (size[i] + extent - 1 - extent) // stride + 1
        half = (extent - 1) // 2
        near = Conv(kernel, stride, half, dilation).axes[0].law(size[i])
        raise ShapeError(
            f"'{_spelled('conv', given)}' asks for padding=\"same\" with stride {stride} on the {AXIS_NAMES[i]}.\n"
            f"  ⌊({size[i]} + {extent - 1} − {extent})/{stride}⌋ + 1 = {out} is what the formula gives, not {size[i]}: "
            f"with a stride above 1 windows are fewer than pixels.\n"
            f'  rule: "same" means an output of the input\'s size, and needs stride 1.\n'
            f"  try: padding={half}, which gives {near}"
            f"{f' = ⌈{size[i]}/{stride}⌉' if near == -(-size[i] // stride) else ''}; or stride=1."
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
            f"  ⌊({size[i]} + 2·{padding} − {extent})/{stride}⌋ + 1 = {out} is what the formula gives.\n"
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
        span = f"{reach[0]} … {reach[-1]}" if len(reach) > 1 else str(reach[0]) if reach else "no size of at least 1"
        others = _reached_by_others({**given, "output_padding": 0}, i, size, wanted)
        ways = [f"output_size {min(reach, key=lambda o: abs(o - wanted))}"] if reach else []
        raise ShapeError(
            f"'{layer}' cannot bring {AXIS_NAMES[i]} {n} to {wanted}.\n"
            f"  {axis.size_rule(n, padding=False)} is what the formula gives without output_padding.\n"
            f"  rule: output_size may ask for {span}: output_padding adds 0 … stride − 1 = {axis.slack}.\n"
            f"  try: {'; or '.join([*ways, *([others] if others else [])])}."
        )
    extra = tuple(o - axis.matched_law(n) for axis, n, o in zip(layer.axes, size, output_size, strict=True))
    return KINDS["deconv"][0](**{**given, "output_padding": extra})


def _teach_size(kind: str, given: Given, layer: Layer, size: Pair) -> None:
    """Refuse an input of which the layer leaves nothing."""
    for i, axis in enumerate(layer.axes):
        if size[i] >= axis.least:
            continue
        n = size[i]
        if isinstance(layer, ConvTranspose):
            said, rule = "leaves nothing of", "the padding may not cut all that the stamps fill"
        elif isinstance(layer, Conv | Pool):
            taps = axis.extent
            said, rule = "does not fit in", f"the kernel, {taps} wide with its dilation, has to fit in the padded input"
        else:
            said, rule = "leaves nothing of", "an output has at least one row and one column"
        raise ShapeError(
            f"'{layer}' {said} {size[0]}×{size[1]}.\n"
            f"  {axis.size_rule(n)} is what the formula gives for the {AXIS_NAMES[i]}.\n"
            f"  rule: an output has at least 1 row and 1 column{'' if rule.startswith('an output') else '; ' + rule}.\n"
            f"  try: {_alternatives(kind, given, size)}."
        )


def _alternatives(kind: str, given: Given, size: Pair) -> str:
    """Return the nearest value of each single parameter, and the nearest larger input, with which the layer works."""
    ways = []
    for name in CHANGED:
        if name in given or (name == "padding" and kind == "conv"):
            found = _nearest(kind, given, size, name)
            if found is not None:
                value, out = found
                ways.append(f"{name}={_shown(value)}, which gives {out[0]}×{out[1]}")
    for more in range(1, SEARCHED):
        larger = (size[0] + more, size[1] + more)
        out_ = _works(kind, given, larger)
        if out_ is not None:
            ways.append(f"an input of {larger[0]}×{larger[1]}, which gives {out_[0]}×{out_[1]}")
            break
    return "; or ".join(ways) or "other parameters"


def _nearest(kind: str, given: Given, size: Pair, name: str) -> tuple[Any, Pair] | None:
    value = given.get(name, 0)
    if not isinstance(value, int | tuple | list):
        return None
    high, wide = two(value, name)
    for step in range(1, SEARCHED):
        for sign in (-1, 1):
            moved: Any = (high + sign * step, wide + sign * step)  # type: ignore[operator]
            moved = moved[0] if moved[0] == moved[1] else moved
            out = _works(kind, {**given, name: moved}, size)
            if out is not None:
                return moved, out
    return None


def _works(kind: str, given: Given, size: Pair) -> Pair | None:
    try:
        out: Pair = KINDS[kind][0](**given).out(size)
    except ShapeError:
        return None
    return out


def _shown(value: Any) -> str:
    return f"({value[0]}, {value[1]})" if isinstance(value, tuple) else str(value)


def _spelled(kind: str, given: Given) -> str:
    letters = {
        "kernel_size": "k",
        "stride": "s",
        "padding": "p",
        "dilation": "d",
        "output_padding": "op",
        "groups": "g",
    }
    values = {letters[name]: tuple(v) if isinstance(v, list) else v for name, v in given.items() if name in letters}
    return spell(kind, **values)
