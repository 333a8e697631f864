"""The ladder of a chain, and what is proposed where it refuses a size: commands, each tried before."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import accumulate, chain
from typing import Any

from segup.errors import ShapeError
from segup.shapes.arguments import Size, figure, flag, is_pair, per_axis
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
Ends = tuple[int | None, ...]
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
    for others, there, wanted in _candidates(layers, size, matched, out) if layers.layers else ():
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
    sizes, ends = checked(size, out)
    for strategy in ("inverse", "first", "second") if matched else ("padded",):
        with suppress(ShapeError):
            yield _repaired(layers, sizes, ends, strategy), size, KEPT
    with suppress(ShapeError):
        yield layers, size, _like(size, _reached(layers, sizes, ends))
    with suppress(ShapeError):
        yield layers, _like(size, _nearest(layers, sizes, matched, ends)), KEPT
    if matched:
        with suppress(ShapeError):
            yield _repaired(layers, sizes, ends, "direct"), size, KEPT
    with suppress(ShapeError):
        yield layers, _like(size, _nearest(layers, sizes, False, (None, None))), None


def _like(size: Size, pair: Pair) -> Size:
    """Return a pair as the one number that it may be where one was given."""
    return pair if is_pair(size) or pair[0] != pair[1] else pair[0]


def _repaired(layers: Chain, sizes: Pair, ends: Ends, strategy: str) -> Chain:
    """Return the chain with each stage up that does not reach its size replaced, or a refusing window padded.

    Raises:
        ShapeError: There is none. So do all functions below; nobody reads why.
    """
    if strategy == "padded":
        return _padded(layers, sizes)
    stages = down_up(layers)
    tops = list(accumulate(map(Chain, stages.down), lambda here, stage: stage.out(here), initial=sizes))
    ups, here = _ups(stages, True), tops[-1]
    highs, wides = (targets_of([top[i] for top in tops], len(ups), ends[i]) for i in (0, 1))
    parts: list[Layer] = list(chain.from_iterable(stages.down))
    for place, (stage, high, wide) in enumerate(zip(map(Chain, ups), highs, wides, strict=False)):
        if high is None or wide is None:
            goal = stage.out(here)
        else:
            goal = (high, wide)
            if any(here[i] not in askable_from(stage.axes[i], goal[i]) for i in (0, 1)):
                undone = stages.down[-1 - place] if len(stages.down) == len(stages.up) else ()
                stage = _replaced(stage, here, goal, undone, strategy)
        parts.append(stage)
        here = goal
    return Chain(parts)


def _replaced(stage: Chain, here: Pair, goal: Pair, undone: Sequence[Layer], strategy: str) -> Chain:
    """Return what brings ``here`` to ``goal`` in the place of a stage."""
    last = stage.layers[-1] if stage.layers else None
    if strategy == "inverse":
        found: list[list[Layer]] = [[inverse(layer) for layer in reversed(undone)]] if undone else []
    elif strategy == "direct" or not isinstance(last, ConvTranspose):
        found = [[layer] for layer in reaching(here, goal)[:1]]
    else:
        before = Chain(stage.layers[:-1])
        found = [[before, layer] for layer in reaching(before.out(here), goal, last)]
    place = 1 if strategy == "second" else 0
    if place >= len(found):
        raise ShapeError(f"nothing brings {here} to {goal}")
    return Chain(found[place])


def _padded(layers: Chain, sizes: Pair) -> Chain:
    """Return the chain with the least padding at the first window that does not fit."""
    here, parts = sizes, list(layers.layers)
    for place, layer in enumerate(parts):
        if any(n < axis.least for n, axis in zip(here, layer.axes, strict=True)) and isinstance(layer, Conv | Pool):
            high, wide = (max(-((n - a.extent) // 2), a.before) for n, a in zip(here, layer.axes, strict=True))
            parts[place] = replace(layer, padding=(high, wide))
            return Chain(parts)
        here = layer.out(here)
    raise ShapeError("every layer accepts its size")


def _reached(layers: Chain, sizes: Pair, ends: Ends) -> Pair:
    """Return the sizes nearest to the wanted ends that the last stage reaches."""
    spans = [outs_through([link for _, link in axis.links], n) for axis, n in zip(layers.axes, sizes, strict=True)]
    if ends[0] is None or ends[1] is None or not all(spans) or down_up(layers).down:
        raise ShapeError("there is no end to come near to")
    high, wide = (min(max(end, span[0]), span[-1]) for end, span in zip((ends[0], ends[1]), spans, strict=True))
    return high, wide


def _nearest(layers: Chain, sizes: Pair, matched: bool, ends: Ends) -> Pair:
    """Return the nearest height and width, these first, that the chain takes."""
    return per_axis(lambda i: _nearest_size(layers, i, sizes[i], matched, ends[i]))


def _nearest_size(layers: Chain, i: int, size: int, matched: bool, end: int | None) -> int:
    around = [size + sign * step for step in range(SEARCHED) for sign in (1, -1) if size + sign * step >= 1]
    stages, least = down_up(layers), layers.axes[i].least
    for n in [*around, least]:
        with suppress(ShapeError):
            if matched or n >= least:
                climb(stages.down, _ups(stages, matched), n, matched, end, only=i)
                return n
    raise ShapeError(f"the chain takes no size near {size}")
