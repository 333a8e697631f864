"""The ladder: every size on the way down and back up, with what is unread, cut or repeated at each rung."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, TypeAlias

from segup.errors import ShapeError
from segup.shapes.arguments import AXIS_NAMES, Size, height_width, is_pair, shown, span, split, two, whole
from segup.shapes.chain import Chain, ChainAxis, Stage, stages
from segup.shapes.layer import LawAxis
from segup.shapes.transposed import StampAxis
from segup.shapes.unread import Unread
from segup.shapes.windows import WindowAxis
from segup.tables import as_text, listed

Positions: TypeAlias = Unread | tuple[Unread, Unread]


@dataclass(frozen=True)
class Rung:
    """One layer of the ladder. Every number is a (height, width) pair where the ladder was asked for one.

    Args:
        way: "down" or "up".
        stage: The stage, 1 for the highest resolution; on the way up, the stage that is undone.
        layer: The layer's words.
        size: Size before the layer.
        out: Size that the layer itself gives.
        target: Size that the next layer takes: that of the skip, where the rung ends a stage on the way up; else out.
        residue: Padded positions at the end that no window reaches; None for a layer without windows.
        unread: Input positions that no window reads; None for a layer without windows.
        output_padding: What the layer needs to reach its size; None for other layers than transposed convolutions.
        unwritten: Output positions that hold bias alone; None for other layers than transposed convolutions.
        scale: Factor of the stage on the way up, which a correction has to stay below; None on the way down.
    """

    way: Literal["down", "up"]
    stage: int
    layer: str
    size: Size
    out: Size
    target: Size
    residue: Size | None = None
    unread: Positions | None = None
    output_padding: Size | None = None
    unwritten: Positions | None = None
    scale: Size | None = None

    @property
    def correction(self) -> Size:
        """Rows and columns that are added (positive) or cut (negative) after the layer: target − out."""
        (height, width), (to_height, to_width) = split(self.out), split(self.target)
        return (to_height - height, to_width - width) if isinstance(self.out, tuple) else to_height - height

    def notes(self) -> list[str]:
        """Return what happens besides the layer, in words."""
        values: Any = (self.out, self.target, self.unread, self.output_padding, self.unwritten, self.scale)
        if not isinstance(self.out, tuple):
            return _notes(*values)
        axes = zip(*((None, None) if value is None else value for value in values), strict=True)
        return [f"{name}: {note}" for name, axis in zip(AXIS_NAMES, axes, strict=True) for note in _notes(*axis)]


def _notes(
    out: int, target: int, unread: Unread | None, padding: int | None, unwritten: Unread | None, scale: int | None
) -> list[str]:
    notes = []
    if unread:
        notes.append(f"{len(unread)} unread ({listed(unread)})")
    if padding:
        notes.append(f"output_padding {padding}")
    if unwritten:
        notes.append(f"{len(unwritten)} bias alone ({listed(unwritten)})")
    if out != target:
        verb = "cuts" if out > target else "repeats"
        notes.append(f"{verb} {abs(out - target)} to fit {target}")
        if scale is not None and abs(out - target) >= scale:
            notes.append(f"too far: a correction is at most scale − 1 = {scale - 1}")
    return notes


@dataclass(frozen=True)
class Ladder:
    """The sizes stage by stage; ``str`` is a readable table.

    Args:
        size: The input's size.
        rungs: The layers, down and then up.
    """

    size: Size
    rungs: tuple[Rung, ...]

    @property
    def out(self) -> Size:
        """The size at the end, after the last correction."""
        return self.rungs[-1].target if self.rungs else self.size

    @property
    def corrections(self) -> tuple[Rung, ...]:
        """The rungs after which something is cut or repeated."""
        return tuple(rung for rung in self.rungs if rung.out != rung.target)

    def __str__(self) -> str:
        rows = [["", "layer", "in", "out", "residue", ""]]
        for rung in self.rungs:
            sizes = map(shown, (rung.size, rung.out, rung.residue))
            rows.append([f"{rung.way} {rung.stage}", rung.layer, *sizes, "; ".join(rung.notes())])
        return as_text(rows, right=(2, 3, 4))


def climb(
    down: Sequence[Stage], up: Sequence[Stage], size: Size, matched: bool, out: Size | None, only: int | None = None
) -> Ladder:
    """Return the ladder, of one axis ``only``, if any; refusals propose nothing, unlike those of ``ladder``."""
    downs, ups = stages(down, "down"), stages(up, "up")
    sizes, ends = checked(size, out)
    if out is not None and not ups:
        raise ShapeError(f"out={out} is a size for the way up to reach, and there is no way up.")
    if only is None and not is_pair(size) and not is_pair(out):
        Chain([*downs, *ups]).same_axes(sizes[0])
        only = 0
    if only is not None:
        return Ladder(sizes[only], tuple(_rungs(downs, ups, sizes[only], ends[only], matched, only)))
    columns = [_rungs(downs, ups, n, end, matched, i) for i, (n, end) in enumerate(zip(sizes, ends, strict=True))]
    return Ladder(sizes, tuple(_joined(one, other) for one, other in zip(*columns, strict=True)))


def checked(size: object, out: object) -> tuple[tuple[int, int], tuple[int | None, ...]]:
    """Return the sizes of both axes and those to end with; a ShapeError where one is no int of 1 or more."""
    sizes = height_width(size)
    return sizes, tuple(None if part is None else whole(part, "out", 1) for part in two(out, "out"))


def _joined(height: Rung, width: Rung) -> Rung:
    names = ("size", "out", "target", "residue", "unread", "output_padding", "unwritten", "scale")
    pairs = {name: (getattr(height, name), getattr(width, name)) for name in names}
    values: dict[str, Any] = {name: None if pair == (None, None) else pair for name, pair in pairs.items()}
    return Rung(height.way, height.stage, height.layer, **values)


def _rungs(downs: list[Chain], ups: list[Chain], size: int, end: int | None, matched: bool, i: int) -> list[Rung]:
    rungs: list[Rung] = []
    tops = [size]
    for stage, chain in enumerate(downs, 1):
        path = chain.axes[i].sizes(_accepted(chain, i, tops[-1], f"down stage {stage}"))
        rungs += _stage("down", stage, chain.axes[i], path, path[-1])
        tops.append(path[-1])
    here = tops[-1]
    for chain, target, stage in zip(ups, targets_of(tops, len(ups), end), range(len(ups), 0, -1), strict=True):
        if matched and target is not None:
            path = _path_to(chain, i, here, target, stage)
        else:
            path = chain.axes[i].sizes(_accepted(chain, i, here, f"up stage {stage}"))
        here = path[-1] if target is None else target
        rungs += _stage("up", stage, chain.axes[i], path, here)
    return rungs


def targets_of(tops: Sequence[int], count: int, end: int | None) -> list[int | None]:
    """Return the size that each of ``count`` stages up has to fit, or None where it is free."""
    if count == len(tops) - 1:
        targets: list[int | None] = [*tops[-2::-1]]
    else:
        targets = [None] * count
        targets[-1:] = [tops[0] if len(tops) > 1 else None] * min(count, 1)
    return targets if end is None else [*targets[:-1], end]


def _accepted(chain: Chain, i: int, size: int, where: str) -> int:
    try:
        return chain.accepted(i, size, AXIS_NAMES[i] if chain.axes[0] != chain.axes[1] else "size")
    except ShapeError as cause:
        raise ShapeError(f"{where}: {cause}") from None


def _stage(way: Literal["down", "up"], stage: int, axis: ChainAxis, path: list[int], end: int) -> list[Rung]:
    """Return the rungs of one stage, the last of which fits ``end``."""
    scale = None if way == "down" else max(1, int(1 / axis.pitch))
    if not axis.links and way == "up":
        return [Rung("up", stage, "nothing", path[0], path[0], end, scale=scale)]
    steps = zip(axis.links, path, path[1:], [*path[1:-1], end], strict=False)
    return [
        Rung(way, stage, words, here, out, fit, scale=scale, **_positions(way, link, here, out))
        for (words, link), here, out, fit in steps
    ]


def _positions(way: str, axis: LawAxis, size: int, out: int) -> dict[str, Any]:
    """Return what a layer leaves unread or unwritten, by the names of a rung's fields."""
    if isinstance(axis, WindowAxis):
        return {"residue": axis.residue(size), "unread": axis.unread(size)}
    if isinstance(axis, StampAxis) and way == "up":
        return {"output_padding": out - axis.matched_law.out(size), "unwritten": axis.unwritten(size, out)}
    return {}


def _path_to(chain: Chain, i: int, size: int, target: int, stage: int) -> list[int]:
    """Return the sizes with which the stage reaches its target, the smallest ones, or raise."""
    links = [link for _, link in chain.axes[i].links]
    wanted = _wanted(links, target)
    if size not in wanted[0]:
        reached = span(outs_through(links, size))
        raise ShapeError(f"up stage {stage}: '{chain}' brings {size} to {reached}, not to {target}.")
    goals = zip(links, wanted[1:], strict=True)
    return list(accumulate(goals, lambda n, goal: max(goal[0].reachable(n).start, goal[1].start), initial=size))


def _wanted(links: Sequence[LawAxis], target: int) -> list[range]:
    """Return the sizes before each layer from which ``target`` can be asked for, and the target.

    What may come before a layer, so that it can be asked for one of a range of sizes, is a range again.
    """
    wanted = [range(target, target + 1)]
    for link in reversed(links):
        wanted.insert(0, _askable(link, wanted[0]))
    return wanted


def askable_from(axis: ChainAxis, target: int) -> range:
    """Return the sizes from which a chain can be asked for ``target``."""
    return _wanted([link for _, link in axis.links], target)[0]


def outs_through(links: Sequence[LawAxis], size: int) -> range:
    """Return the range of the sizes, of at least 1, that layers can be asked for."""
    low, high = size, size
    for link in links:
        low, high = link.reachable(low).start, link.reachable(high).stop - 1
    return range(low, high + 1)


def _askable(link: LawAxis, outs: range) -> range:
    """Return the sizes from which the layer can be asked for one of ``outs``."""
    first = link.matched_law.first if isinstance(link, StampAxis) else link.inputs_of_at_least
    return range(max(1, first(outs.start - link.slack)), first(outs.stop)) if outs else outs
