"""Whether a decoder brings every image size back, and where its operators need a correction: proved or checked."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, lcm

import torch
from torch import Tensor, nn

from segup.decoders.contract import Decoder
from segup.decoders.ladder import LadderStep
from segup.errors import SegupError, ShapeError
from segup.inspection import AcceptedSizes
from segup.modes import evaluating
from segup.shapes.sets import Runs, joined
from segup.tables import listed
from segup.upsamplers.contract import Upsampler

EVERY = AcceptedSizes.all_from(1)
MapSizes = Callable[[int], Sequence[int]]
"""The sizes of an encoder's maps, on one axis, for an image of an accepted size."""
Rungs = Callable[[int], list[LadderStep]]


@dataclass(frozen=True)
class Verdict:
    """What is known about a decoder's sizes on one axis; ``str`` says it in one line.

    Args:
        accepted: The image sizes that the encoder accepts; another image is extended to the next of them first.
        period: Sizes over which everything repeats, so that ``sizes`` decide all; None where nothing is proved.
        sizes: The image sizes that were looked at.
        exact: Those of them at which no step corrects anything.
        cut: Most rows that a step cuts.
        repeated: Most rows that a step repeats.
        steps: The operators that correct at some size, as ladders show them.
        failure: The first size at which a step cannot reach its map, with the reason; None where there is none.
    """

    accepted: AcceptedSizes
    period: int | None
    sizes: tuple[int, ...]
    exact: tuple[int, ...]
    cut: int
    repeated: int
    steps: tuple[str, ...] = ()
    failure: tuple[int, str] | None = None

    @property
    def proved(self) -> bool:
        """Whether it holds for every accepted size, and not only for those that were looked at."""
        return self.period is not None

    def __str__(self) -> str:
        if self.failure is not None:
            size, reason = self.failure
            return f"Does not fit at image size {size}: {' '.join(reason.split())}"
        if self.period is None:
            low, high, several = self.sizes[0], self.sizes[-1], len(self.sizes) > 1
            tried = f"{len(self.sizes)} sizes from {low} to {high}" if several else f"size {low} alone"
            scope = f"Checked for {tried}, and proved for none beyond"
        else:
            scope = "Proved for every height and width"
        return f"{scope}: the output has the image's size; {self._corrections()}.{self._extension()}"

    def _extension(self) -> str:
        accepted = self.accepted
        if accepted.most is not None:
            return (
                f" The encoder takes {accepted}: a smaller image is extended, and a larger one goes through in windows."
            )
        if accepted.extension == 0:
            return ""
        most = _rows(accepted.extension)
        return f" The encoder takes {accepted}: an image is extended to the next of them, by at most {most}."

    def _corrections(self) -> str:
        if len(self.exact) == len(self.sizes):
            return "no step corrects anything"
        parts = [
            f"{verb} at most {_rows(most)}" for verb, most in (("cuts", self.cut), ("repeats", self.repeated)) if most
        ]
        return f"a step ({', '.join(self.steps)}) {' or '.join(parts)}, {self._where_none()}"

    def _where_none(self) -> str:
        if not self.exact:
            return "and at every size some step does"
        if self.period is None:
            return f"and none does at {listed(self.exact)}"
        period, residues = _shortest({n % self.period for n in self.exact}, self.period)
        if residues == {0}:
            return f"and none does at the multiples of {period}"
        return f"and none does where the size mod {period} is in {Runs(joined(range(n, n + 1) for n in residues))!r}"


def prove_decoder(
    decoder: Decoder,
    map_sizes: MapSizes,
    period: int,
    growth: Sequence[int],
    accepted: AcceptedSizes = EVERY,
    before: Rungs = lambda _: [],
) -> Verdict:
    """Decide for every accepted image size what each step of ``decoder`` is given and has to correct.

    The maps grow by fixed amounts when a period is added to the image's size. An operator of scale s reaches s·h up to
    a constant; so where each step's result has to grow by s times what its input grows by, all corrections repeat, and
    one period decides. Where that is not so, or where an operator from outside reckons its reach in a way of its own,
    two periods are checked and nothing is proved; so it is with a topology from outside, whose steps are what it says
    of itself. What is from outside is run once beforehand, since all of this relies on the sizes that it says.

    Args:
        decoder: The decoder.
        map_sizes: The sizes of the encoder's maps, which are known for every accepted size.
        period: What is added to the image's size.
        growth: What each map then grows by.
        accepted: The image sizes that the encoder accepts.
        before: The steps of the neck for an image size, whose corrections repeat over ``period`` too.

    Raises:
        ShapeError: An operator or a topology from outside gives another size than it says.

    >>> from segup.decoders import create_decoder
    >>> def halves(n):
    ...     return (n + 1) // 2, (n + 3) // 4
    >>> print(prove_decoder(create_decoder("unet", [8, 16], [2, 4], upsampler="deconv"), halves, 4, (2, 1)))
    Proved for every height and width: the output has the image's size; a step (deconv k4 s2 p1, \
bilinear ×2) cuts at most 1 row or column, and none does at the multiples of 4.
    """
    for *_, up in decoder.steps():
        if not type(up).upsample.__module__.startswith("segup."):
            _run_once(up)
    own = all(getattr(type(decoder), name).__module__.startswith("segup.") for name in ("decode", "steps", "ladder"))
    growing = own and all(
        growth[low] * up.scale == (period if high is None else growth[high])
        and all(getattr(type(up), name).__module__.startswith("segup.") for name in ("own", "span", "reach"))
        for low, high, up in decoder.steps()
    )
    repeats = lcm(period, accepted.sizes.period)
    beyond = max(accepted.sizes.start, accepted.least) + repeats
    if not own:
        size = accepted.next(2 * ceil(max(decoder.strides)))  # which its strides divide, as its author tried
        _run_decoder_once(decoder, map_sizes(size), size)
    if not growing:
        return check_decoder(decoder, map_sizes, accepted.up_to(beyond + repeats - 1), accepted, before)
    return check_decoder(decoder, map_sizes, accepted.up_to(beyond - 1), accepted, before, repeats)


def check_decoder(
    decoder: Decoder,
    map_sizes: MapSizes,
    sizes: Iterable[int],
    accepted: AcceptedSizes = EVERY,
    before: Rungs = lambda _: [],
    period: int | None = None,
) -> Verdict:
    """Look at what each step of ``decoder`` is given and has to correct at these image sizes.

    Nothing is proved unless they are known to repeat with a ``period``.

    >>> from segup.decoders import create_decoder
    >>> decoder = create_decoder("unet", [8, 16], [1, 2], upsampler="bilinear")
    >>> print(check_decoder(decoder, lambda n: (n, n // 2), range(2, 12)))
    Checked for 10 sizes from 2 to 11, and proved for none beyond: the output has the image's size; a step (bilinear \
×2) repeats at most 1 row or column, and none does at 2, 4, 6, …, 10.
    """
    sizes = sorted(sizes)
    exact, cut, repeated, steps = [], 0, 0, dict[str, None]()
    for size in sizes:
        try:
            steps_up = [*before(size), *decoder.ladder(map_sizes(size), size)]
        except ShapeError as cause:
            return Verdict(accepted, None, tuple(sizes), (), cut, repeated, failure=(size, str(cause)))
        corrections = [step.correction for step in steps_up]
        steps.update((step.operator, None) for step in steps_up if step.correction)
        cut, repeated = max(cut, -min(corrections, default=0)), max(repeated, max(corrections, default=0))
        if not any(corrections):
            exact.append(size)
    return Verdict(accepted, period, tuple(sizes), tuple(exact), cut, repeated, tuple(steps))


def _run_once(up: Upsampler) -> None:
    """Run an operator on zeros; guides of a kind of their own cannot be made up, so such an operator is left alone."""
    zeros = _like(up).new_zeros
    low = (5 * up.run, 6 * up.run)
    high = (up.grid(low[0]), up.grid(low[1]))
    guides = {
        "skip": lambda: zeros(1, up.skip_channels or 1, *high),
        "image": lambda: zeros(1, up.image_channels or 1, *high),
    }
    if up.requires <= guides.keys():
        with torch.no_grad(), evaluating(up):
            up(zeros(1, up.in_channels, *low), high, **{name: guides[name]() for name in up.requires})


def _run_decoder_once(decoder: Decoder, sides: Sequence[int], size: int) -> None:
    """Run a decoder on zeros, for a square image; one whose operators are guided by indices is left alone."""
    zeros = _like(decoder).new_zeros
    maps = [zeros(1, channels, side, side) for channels, side in zip(decoder.channels, sides, strict=True)]
    guides = {"image": zeros(1, decoder.image_channels, size, size)} if "image" in decoder.requires else {}
    if decoder.requires <= guides.keys():
        try:
            with torch.no_grad(), evaluating(decoder):
                decoder(maps, (size, size), **guides)
        except SegupError:
            raise
        except Exception as cause:  # a foreign decoder raises whatever it likes
            shown = ", ".join(map(str, sides))
            raise ShapeError(
                f"topology '{decoder.name}' fails at image size {size}, where the maps have {shown}: {cause}"
            ) from cause


def _like(module: nn.Module) -> Tensor:
    return next(iter((*module.parameters(), *module.buffers())), torch.empty(0))


def _shortest(residues: set[int], period: int) -> tuple[int, set[int]]:
    """Return the smallest period with which the residues say the same."""
    for divisor in (divisor for divisor in range(1, period + 1) if period % divisor == 0):
        fewer = {n % divisor for n in residues}
        if len(fewer) * (period // divisor) == len(residues):
            return divisor, fewer
    return period, residues


def _rows(count: int) -> str:
    return "1 row or column" if count == 1 else f"{count} rows or columns"
