"""Which sizes a module accepts, and what it makes of them: found by runs on shapes alone."""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import lcm

from torch import nn

from segup.inspection.accepted import AcceptedSizes
from segup.inspection.attention import Attention, attention_of
from segup.inspection.copies import as_by_default, meta_copy
from segup.inspection.periodic import LONGEST, PeriodicMap
from segup.inspection.real_model import RealModel
from segup.inspection.trace import ModelRun, Tracer
from segup.inspection.traced import as_ints, periodic_of
from segup.shapes.arguments import whole
from segup.shapes.sets import SizeSet

_LARGEST_MINIMUM = 64
# Both parities at every stride up to 32, and far enough from the minimum to meet a band of refused sizes.
_SAMPLE = (*range(61, 69), 72, 79, 80, 81, 88)
# Of the numbers that sizes may have to be multiples of, each divides one of these: 2⁶·7, 2⁷·3, 2⁶·5, 2⁹.
_BASES = (448, 384, 320, 512)
_FAR = 4  # times a base: there, a map of stride s grows by rows of s pixels, whatever is lost at the borders

_TALL, _NARROW = 449, 32  # of the one image on which a module is run itself: beyond the sizes that weights come from


@dataclass(frozen=True)
class Tried:
    """What came of the sizes that were tried.

    Args:
        runs: The run at each size of a square image that is accepted, from the smallest on.
        refused: For each size that is refused, the message.
        accepted: The sizes that are accepted; None where there are none, or none that go on.
        channels_last: Whether the maps came as ``(N, H, W, C)``; in ``runs`` they are ``(N, C, H, W)``.
        far: Two sizes that lie far apart, between which the maps' growth is measured; None where it is known.
        attention: Of all tokens to all others; None where there is none, or it was not looked for.
    """

    runs: dict[int, ModelRun]
    refused: dict[int, str]
    accepted: AcceptedSizes | None
    channels_last: bool = False
    far: tuple[int, int] | None = None
    attention: Attention | None = None


@as_by_default()
def try_sizes(
    encoder: nn.Module, in_channels: int, img_size: int | None = None, *, channels_last: bool = False
) -> Tried:
    """Run a module on images of a few sizes, on shapes alone.

    The smallest accepted size is found by bisection up to 64; sizes just above it and around 64 are tried too. Where
    some of them are refused, the number is looked for of which the accepted sizes are multiples. Where the calculus
    does not follow every layer, a large square is tried, and a larger image that is none; and the module itself is run
    on one narrow image.

    Args:
        encoder: Any module from an image to its maps.
        in_channels: Channels of the image.
        img_size: The one size that a module which takes no other is made for.
        channels_last: Maps are ``(N, H, W, C)``, where a single size does not show it.

    Raises:
        ShapeError: ``in_channels`` is below 1.
    """
    tracer = Tracer(meta_copy(encoder).eval(), whole(in_channels, "in_channels", 1))
    seen: dict[int, ModelRun] = {}
    refused: dict[int, str] = {}
    usual: list[ModelRun] = []  # to compare channels with

    def accepts(size: int) -> bool:
        if size not in seen and size not in refused:
            run = tracer.run((size, size))
            reason = _flaw(run) or next((_differs(run, other) for other in usual), None)
            if reason is None:
                seen[size] = run
            else:
                refused[size] = reason
        return size in seen

    low, high = 0, 1 if accepts(1) else _LARGEST_MINIMUM
    while accepts(high) and high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if accepts(middle) else (middle, high)
    for size in (*range(high + 1, high + 4), *_SAMPLE):
        accepts(size)
    if seen and min(seen) > high:
        for size in range(high + 4, min(seen)):
            accepts(size)
    if any(_differs(run, seen[max(seen)]) for run in seen.values()) and accepts(_BASES[0]):
        usual.append(seen[_BASES[0]])
        for size, reason in [(size, _differs(run, usual[0])) for size, run in seen.items()]:
            if reason is not None:
                refused[size] = reason
                del seen[size]
    accepted: AcceptedSizes | None
    if seen and not any(size > min(seen) for size in refused):
        accepted, base = AcceptedSizes.all_from(min(seen)), _BASES[0]
    else:
        accepted, base = _with_gaps(accepts, seen)
    far: tuple[int, int] | None = None
    if accepted is not None and accepted.most is None and functions_of(seen[max(seen)], 0) is None:
        far = (base, _FAR * base)
        flaw = next((refused[size] for size in far if not accepts(size)), None)
        uneven = flaw or _uneven(tracer, seen, far)
        if uneven:
            refused[far[1]] = uneven
            accepted = far = None
        else:
            accepted = _as_run(encoder, in_channels, accepted)
    if accepted is None and img_size is not None and accepts(img_size):
        accepted = AcceptedSizes.only(img_size)
    runs = {size: seen[size] for size in sorted(seen) if accepted is None or size in accepted or size in (far or ())}
    last = channels_last or _grow_in_front(runs)
    if last:
        runs = {size: _channels_first(run) for size, run in runs.items()}
    return Tried(runs, refused, accepted, last, far, far and attention_of(runs[far[0]], runs[far[1]]))


def functions_of(run: ModelRun, axis: int, *, on_its_path: bool = False) -> tuple[PeriodicMap, ...] | None:
    """Return each map's height (axis 0) or width as a function of the image's, where a run followed all of them.

    Args:
        run: The run.
        axis: 0 for heights, 1 for widths.
        on_its_path: Also where the code branches on a size: then they hold for the sizes that branch alike.
    """
    branches = (decision for decision in run.record.decisions if not decision.required)
    if (
        run.record.unfollowed
        or run.record.together
        or (not on_its_path and any(decision.axis == axis for decision in branches))
    ):
        return None
    found = [periodic_of(shape[axis - 2]) for shape in run.outputs.values()]
    functions = [one[1] for one in found if one is not None and one[0] == axis]
    return tuple(functions) if len(functions) == len(found) else None


def _flaw(run: ModelRun) -> str | None:
    """Return why what came of a size is no set of maps, or None."""
    if run.refusal is not None:
        said = run.refusal.message  # an assertion need not say anything
        return f"{said} in layer '{run.refusal.layer}'" if said.endswith(":") and run.refusal.layer else said
    shapes = [as_ints(shape) for shape in run.outputs.values()]
    if not shapes or any(len(shape) != 4 for shape in shapes):
        return f"its outputs {', '.join(map(str, shapes)) or 'hold no tensor'}, which are no maps (N, C, H, W)"
    return "a map without pixels" if any(0 in shape for shape in shapes) else None


def _differs(run: ModelRun, other: ModelRun) -> str | None:
    """Return what is wrong where the maps of two runs have other channels, be they first or last; else None."""
    pairs = zip(*(map(as_ints, one.outputs.values()) for one in (run, other)), strict=True)
    wrong = next(((a, b) for a, b in pairs if a[1] != b[1] and a[3] != b[3]), None)
    return wrong and f"its maps have {wrong[0][1]} channels, and {wrong[1][1]} at {'×'.join(map(str, other.size))}"


def _with_gaps(accepts: Callable[[int], bool], seen: dict[int, ModelRun]) -> tuple[AcceptedSizes | None, int]:
    """Return the accepted sizes of a module that refuses some above others, and one of them to start from."""
    for base in filter(accepts, _BASES):
        for step in (step for step in range(1, base // 2 + 1) if base % step == 0):
            if accepts(base - step) and accepts(base + step) and accepts(base + 3 * step):
                found, alike = _multiples(accepts, step), _of_its_path(seen[base])
                known = set() if alike is None else set(alike.up_to(2 * base))
                return (alike if known > set(found.up_to(2 * base)) else found), base
    return None, 0


def _multiples(accepts: Callable[[int], bool], step: int) -> AcceptedSizes:
    """Return the multiples of ``step`` that are accepted: up to some size each is tried."""
    tried = range(step, max(_SAMPLE[-1], 2 * step) + 1, step)
    fine = [size for size in tried if accepts(size)]
    least = next((size + step for size in reversed(tried) if size not in fine), step)
    return AcceptedSizes.multiples(step, least, [size for size in fine if size < least])


def _of_its_path(run: ModelRun) -> AcceptedSizes | None:
    """Return the sizes that are known to go the way of an accepted one; None where it was not followed."""
    if run.record.unfollowed or run.record.together:
        return None
    decisions = {(one.function, one.relation): one for one in run.record.decisions}.values()
    period = lcm(*(decision.function.period for decision in decisions))
    start = max([1, *(decision.repeats_from for decision in decisions)])
    if start + period > LONGEST:
        return None

    def alike(sizes: Iterable[int]) -> list[range]:
        return [range(n, n + 1) for n in sizes if all(decision.at(n) == decision.outcome for decision in decisions)]

    return AcceptedSizes(SizeSet.of(start, period, alike(range(start, start + period)), alike(range(1, start))))


def _as_run(encoder: nn.Module, in_channels: int, accepted: AcceptedSizes) -> AcceptedSizes:
    """Return the sizes up to the largest that the module itself bears: an index into a table has a value, no shape.

    A copy is run on a narrow image, which takes little time; one without weights cannot be run.
    """
    real, narrow = RealModel(encoder, in_channels), accepted.next(_NARROW)
    if real.on_meta:
        return accepted

    def bears(height: int) -> bool:
        return real.run((height, narrow)).refusal is None

    tall = accepted.up_to(accepted.next(_TALL))
    if bears(tall[-1]):
        return accepted
    most = bisect_left(tall, True, key=lambda height: not bears(height))
    return (
        AcceptedSizes(SizeSet.finite(accepted.sizes.between(1, tall[most - 1]), accepted.least)) if most else accepted
    )


def _uneven(tracer: Tracer, seen: dict[int, ModelRun], far: tuple[int, int]) -> str | None:
    """Return what is wrong where a still larger image, not square, is refused or does not go on as ``far`` began."""
    near, distant = far
    largest = 2 * distant - near
    run = tracer.run((largest, near))
    reason = _flaw(run)
    if reason is not None:
        return f"{largest}×{near}: {reason}"
    shapes = [tuple(map(as_ints, r.outputs.values())) for r in (seen[near], seen[distant], run)]
    for first, second, third in zip(*shapes, strict=True):
        across = next((axis for axis in (1, 2) if first[axis] != second[axis]), 0)
        if not across:
            return f"a map stays {'×'.join(map(str, first[1:]))} at {near}×{near} and at {distant}×{distant}"
        if abs(third[across] - 2 * second[across] + first[across]) > 1 or third[across + 1] != first[across + 1]:
            words = ["×".join(map(str, shape[across : across + 2])) for shape in (first, second, third)]
            sizes = f"{near}×{near}, {distant}×{distant} and {largest}×{near}"
            return f"of {sizes} a map becomes {words[0]}, {words[1]} and {words[2]}, which follows no stride"
    return None


def _grow_in_front(runs: dict[int, ModelRun]) -> bool:
    """Return whether the maps grow with the image where ``(N, C, H, W)`` has its channels, and not at the end."""
    if len(runs) < 2:
        return False
    small, large = ([as_ints(shape) for shape in runs[size].outputs.values()] for size in (min(runs), max(runs)))
    return all(a[1] != b[1] and a[3] == b[3] for a, b in zip(small, large, strict=True))


def _channels_first(run: ModelRun) -> ModelRun:
    return replace(run, outputs={name: (n, c, h, w) for name, (n, h, w, c) in run.outputs.items()})
