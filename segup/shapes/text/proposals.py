"""The ladder of a chain, and what is proposed where it refuses a size: commands, each tried before."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from segup.errors import ShapeError
from segup.shapes.arguments import Size, figure, flag, is_pair, split
from segup.shapes.chain import Chain, Stage, stages
from segup.shapes.inversion import inverse
from segup.shapes.layer import Layer
from segup.shapes.rungs import Ladder, askable_from, checked, climb, outs_through, targets_of
from segup.shapes.search import reaching
from segup.shapes.text.down_up import DownUp, down_up
from segup.shapes.text.language import parse
from segup.shapes.transposed import ConvTranspose
from segup.shapes.windows import Conv, Pool

Pair = tuple[int, int]
Ends = tuple[int | None, int | None]
MOST = 3
SEARCHED = 64
KEPT = object()


def ladder(
    down: Sequence[Stage] = (),
    up: Sequence[Stage] = (),
    *,
    size: Size,
    matched: bool = False,
    out: Size | None = None,
) -> Ladder:
    """Return the sizes stage by stage, with what is cut, repeated or unread at each.

    With as many stages up as down, each stage up has to fit the size that the stage it undoes was given: a larger
    result is cut and a smaller one extended by repeating the end, as ``fit="correct"`` does. With other numbers of
    stages, only the last has to fit, namely the input's size. Without a way down there is nothing to fit.

    Args:
        down: The stages of the way down, each a layer or a list of the layers of one stage.
        up: The stages of the way up in the order of use; may be left out.
        size: The input's size, or a (height, width) pair.
        matched: Transposed convolutions are given the size to reach, so nothing is corrected.
        out: The size to end with in place of the input's, or a (height, width) pair.

    Raises:
        ShapeError: A layer refuses its size; with ``matched``, a stage cannot reach its size; or there is an ``out``
            and no way up.

    >>> from segup.shapes import parse
    >>> print(ladder(down=parse("conv k3 s2 p1, conv k2 s2"), up=parse("deconv k4 s2 p1, deconv k4 s2 p1"), size=417))
            layer             in  out  residue
    down 1  conv k3 s2 p1    417  209        0
    down 2  conv k2 s2       209  104        1  1 unread (208)
    up 2    deconv k4 s2 p1  104  208           repeats 1 to fit 209
    up 1    deconv k4 s2 p1  209  418           cuts 1 to fit 417
    """
    downs, ups = (
        [] if parts is None or (isinstance(parts, Sequence) and not parts) else stages(parts, name)
        for parts, name in ((down, "down"), (up, "up"))
    )
    checked(size, out)
    matched = flag(matched, "matched")
    try:
        return climb(downs, ups, size, matched, out)
    except ShapeError as cause:
        raise with_proposals(cause, Chain([*downs, *ups]), size, matched, out) from None


def climbed(layers: Chain, size: Size, matched: bool, out: Size | None) -> tuple[DownUp, Ladder]:
    """Return a chain's stages and its ladder at one size.

    Raises:
        ShapeError: A layer refuses its size, or a size cannot be reached.
    """
    stages = down_up(layers)
    if not matched:
        layers.out(size)
    return stages, climb(stages.down, _ups(stages, matched), size, matched, out)


def _ups(stages: DownUp, matched: bool) -> tuple[tuple[Layer, ...], ...]:
    """Return the stages up; of a way up alone that is given a size to reach, the sizes between are free."""
    return stages.up if stages.down or not matched else (sum(stages.up, ()),)


def with_proposals(cause: ShapeError, layers: Chain, size: Size, matched: bool, out: Size | None) -> ShapeError:
    """Return a refusal with the commands that work in place of what it proposes, where there are any."""
    found = proposals(layers, size, matched, out)
    text = str(cause)
    return ShapeError(f"{text.partition(chr(10) + '  try: ')[0]}\n  try: {'; or '.join(found)}" if found else text)


def proposals(layers: Chain, size: Size, matched: bool, out: Size | None) -> list[str]:
    """Return up to three commands near to what was asked that give an answer.

    >>> for way in proposals(Chain(parse("deconv k16 s8 p4")), 62, True, 489):
    ...     print(way)
    segup shapes "deconv k15 s8 p7" 62 --output-size 489
    segup shapes "deconv k16 s8 p8 op1" 62 --output-size 489
    segup shapes "deconv k16 s8 p4" 62 --output-size 496
    """
    found: list[str] = []
    if not layers.layers:
        return found
    for others, there, wanted in _candidates(layers, size, matched, out):
        end = out if wanted is KEPT else wanted
        asked = matched and wanted is not None
        command = _command(others, there, asked, end)
        if command not in found and _works(others, there, asked, end):
            found.append(command)
        if len(found) == MOST:
            break
    return found


def _command(layers: Chain, size: Size, matched: bool, out: Size | None) -> str:
    ending = f" --output-size {figure(out)}" if out is not None else " --matched" if matched else ""
    return f'segup shapes "{layers}" {figure(size)}{ending}'


def _works(layers: Chain, size: Size, matched: bool, out: Size | None) -> bool:
    try:
        climbed(Chain(parse(str(layers))), size, matched, out)
    except ShapeError:
        return False
    return True


def _candidates(layers: Chain, size: Size, matched: bool, out: Size | None) -> Iterator[tuple[Chain, Size, Any]]:
    """Yield layers, a size, and the size to end with: KEPT as it was asked for, None where none is asked for."""
    sizes, ends = split(_pair(size)), split(_pair(out))
    for strategy in ("inverse", "first", "second") if matched else ("padded",):
        other = _repaired(layers, sizes, ends, strategy)
        if other is not None:
            yield other, size, KEPT
    reached = _reached(layers, sizes, ends)
    if reached is not None:
        yield layers, size, _like(size, reached)
    near = [_nearest_size(layers, i, sizes[i], matched, ends[i]) for i in (0, 1)]
    if near[0] is not None and near[1] is not None:
        yield layers, _like(size, (near[0], near[1])), KEPT
    direct = _repaired(layers, sizes, ends, "direct") if matched else None
    if direct is not None:
        yield direct, size, KEPT
    free = [_nearest_size(layers, i, sizes[i], False, None) for i in (0, 1)]
    if free[0] is not None and free[1] is not None:
        yield layers, _like(size, (free[0], free[1])), None


def _pair(size: Any) -> Any:
    return tuple(size) if is_pair(size) else size


def _like(size: Size, pair: Pair) -> Size:
    """Return a pair as the one number that it may be where one was given."""
    return pair if is_pair(size) or pair[0] != pair[1] else pair[0]


def _repaired(layers: Chain, sizes: Pair, ends: Ends, strategy: str) -> Chain | None:
    """Return the chain with each stage up that does not reach its size replaced, or a refusing window padded."""
    if strategy == "padded":
        return _padded(layers, sizes)
    stages = down_up(layers)
    tops = [sizes]
    for stage in stages.down:
        part = Chain(stage)
        if any(n < axis.least for n, axis in zip(tops[-1], part.axes, strict=True)):
            return None
        tops.append(part.out(tops[-1]))
    ups, here = [], tops[-1]
    goals = [targets_of([top[i] for top in tops], len(_ups(stages, True)), ends[i]) for i in (0, 1)]
    for place, stage in enumerate(_ups(stages, True)):
        high, wide, part = goals[0][place], goals[1][place], Chain(stage)
        if high is None or wide is None:
            if any(n < axis.least for n, axis in zip(here, part.axes, strict=True)):
                return None
            ups.append(part)
            here = part.out(here)
            continue
        goal = (high, wide)
        if any(here[i] not in askable_from(part.axes[i], goal[i]) for i in (0, 1)):
            undone = stages.down[len(stages.down) - 1 - place] if len(stages.down) == len(stages.up) else ()
            other = _replaced(part, here, goal, undone, strategy)
            if other is None:
                return None
            part = other
        ups.append(part)
        here = goal
    return Chain([layer for part in (*map(Chain, stages.down), *ups) for layer in part.layers])


def _replaced(stage: Chain, here: Pair, goal: Pair, undone: Sequence[Layer], strategy: str) -> Chain | None:
    """Return what brings ``here`` to ``goal`` in the place of a stage."""
    if strategy == "inverse":
        return _inverse_of(undone) if undone else None
    last = stage.layers[-1] if stage.layers else None
    if strategy == "direct" or not isinstance(last, ConvTranspose):
        found = reaching(here, goal)
        return Chain(found[:1]) if found and strategy in ("direct", "first") else None
    before = Chain(stage.layers[:-1])
    if any(n < axis.least for n, axis in zip(here, before.axes, strict=True)):
        return None
    found = reaching(before.out(here), goal, last)
    chosen = found[0:1] if strategy == "first" else found[1:2]
    return Chain([before, *chosen]) if chosen else None


def _inverse_of(layers: Sequence[Layer]) -> Chain | None:
    try:
        return Chain([inverse(layer) for layer in reversed(layers)])
    except ShapeError:
        return None


def _padded(layers: Chain, sizes: Pair) -> Chain | None:
    """Return the chain with the least padding at the first window that does not fit; None where nothing helps."""
    here, parts = sizes, list(layers.layers)
    for place, layer in enumerate(parts):
        if any(n < axis.least for n, axis in zip(here, layer.axes, strict=True)):
            if not isinstance(layer, Conv | Pool):
                return None
            short = [-((n - axis.extent) // 2) for n, axis in zip(here, layer.axes, strict=True)]
            try:
                high, wide = (max(p, axis.before) for p, axis in zip(short, layer.axes, strict=True))
                parts[place] = replace(layer, padding=(high, wide))
            except ShapeError:
                return None
            return Chain(parts)
        here = layer.out(here)
    return None


def _reached(layers: Chain, sizes: Pair, ends: Ends) -> Pair | None:
    """Return the sizes nearest to the wanted ends that the last stage reaches."""
    if ends[0] is None or ends[1] is None or down_up(layers).down:
        return None
    spans = [outs_through([link for _, link in axis.links], n) for axis, n in zip(layers.axes, sizes, strict=True)]
    if not all(spans):
        return None
    high, wide = (min(max(end, span[0]), span[-1]) for end, span in zip((ends[0], ends[1]), spans, strict=True))
    return high, wide


def _nearest_size(layers: Chain, i: int, size: int, matched: bool, end: int | None) -> int | None:
    """Return the nearest size, this one first, that the chain takes on one axis."""
    around = [size + sign * step for step in range(SEARCHED) for sign in (1, -1) if size + sign * step >= 1]
    stages = down_up(layers)
    down, up = [Chain(stage) for stage in stages.down], [Chain(stage) for stage in _ups(stages, matched)]
    for n in [*around, layers.axes[i].least]:
        try:
            if matched or n >= layers.axes[i].least:
                climb(down, up, n, matched, end, only=i)
                return n
        except ShapeError:
            continue
    return None
