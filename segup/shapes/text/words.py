"""A proof in words: for which sizes, from which size on, and why it is enough to check what was checked."""

from dataclasses import dataclass
from itertools import accumulate

from segup.shapes.arguments import span
from segup.shapes.axis_proof import AxisProof
from segup.shapes.chain import Chain
from segup.shapes.decide import way
from segup.shapes.law import FloorLaw, period_through


@dataclass(frozen=True)
class Statement:
    r"""What is proved about a way down and a way up; ``str`` says it axis by axis where they differ.

    Args:
        down, up: The stages, each as a chain.
        matched: Whether each transposed convolution is given the size to reach.
        ends_only: Whether the ends alone are compared.
        axes: What is proved of height and width.

    >>> from segup.shapes import Conv, ConvTranspose, prove_inversion
    >>> proof = prove_inversion([Conv(3, 2, 1)] * 2, [ConvTranspose(3, 2, 1)] * 2)
    >>> print("\n".join(str(proof).splitlines()[:4]))
    down: conv k3 s2 p1 | conv k3 s2 p1
    up:   deconv k3 s2 p1 | deconv k3 s2 p1
    Every stage gets back its size exactly for n mod 4 in {1}, from 1 on.
      Fails first at 2: down 2 → 1 → 1, and up stage 1 brings 1 to 1, not to 2.
    """

    down: tuple[Chain, ...]
    up: tuple[Chain, ...]
    matched: bool
    ends_only: bool
    axes: tuple[AxisProof, AxisProof]

    @property
    def same_axes(self) -> bool:
        """Whether height and width obey the same rules."""
        return all(chain.axes[0] == chain.axes[1] for chain in (*self.down, *self.up))

    def verdicts(self) -> list[list[str]]:
        """Return what is proved, and where it fails first, without the reason: once, or for height and then width."""
        axes = ((0, ""),) if self.same_axes else ((0, "Height. "), (1, "Width. "))
        return [[name + _verdict(self, i), *_failure(self, i)] for i, name in axes]

    def reasons(self) -> list[str]:
        """Return why what was checked decides for all sizes: once, or for height and then width."""
        return [_reason(self, i) for i in ((0,) if self.same_axes else (0, 1))]

    def __str__(self) -> str:
        lines = [_listed("down: ", self.down), _listed("up:   ", self.up)]
        if self.matched:
            lines[1] += " (each transposed convolution is given the size to reach)"
        for verdict, reason in zip(self.verdicts(), self.reasons(), strict=True):
            lines += [*verdict, f"  {reason}"]
        return "\n".join(lines)


def _listed(title: str, chains: tuple[Chain, ...]) -> str:
    return title + (" | ".join(str(chain) or "nothing" for chain in chains) or "nothing")


def _verdict(proof: Statement, i: int) -> str:
    axis = proof.axes[i]
    subject = "The way up ends at the input's size" if proof.ends_only else "Every stage gets back its size"
    if axis.always:
        return f"{subject} for every size from {axis.min_size} on: always."
    if axis.never:
        return f"{subject} at no size: never."
    if axis.period is None or not axis.residues:
        return f"{subject} for {axis.exceptions!r} alone."
    if len(axis.residues) == axis.period:
        return f"{subject} for every size from {axis.start} on{_below(axis)}."
    return f"{subject} exactly for n mod {axis.period} in {axis.residues!r}, from {axis.start} on{_below(axis)}."


def _below(axis: AxisProof) -> str:
    if axis.start <= axis.min_size:
        return ""
    return f"; below {axis.start}, for {axis.exceptions!r}" if axis.exceptions else f"; below {axis.start}, for none"


def _failure(proof: Statement, i: int) -> list[str]:
    """Return the line that shows the smallest counterexample, if there is one."""
    size = proof.axes[i].counterexample
    if size is None:
        return []
    path = list(accumulate(proof.down, lambda n, chain: chain.axes[i].out(n), initial=size))
    if proof.ends_only:
        steps = [("up", Chain(proof.up), path[-1], size)]
    else:
        names = (f"up stage {stage}" for stage in range(len(proof.up), 0, -1))
        steps = list(zip(names, proof.up, path[:0:-1], path[-2::-1], strict=True))
    failed = next(
        f"{name} {missed}"
        for name, chain, low, top in steps
        if (missed := _missed(way(chain.axes[i], proof.matched).reach(low), low, top))
    )
    return [f"  Fails first at {size}: down {' → '.join(map(str, path))}, and {failed}."]


def _missed(reached: tuple[range, ...], low: int, top: int) -> str:
    """Return how ``top`` is missed from ``low``; nothing where it is among the sizes that are reached."""
    if any(top in run for run in reached):
        return ""
    return f"brings {low} to {', '.join(map(span, reached))}, not to {top}" if reached else f"refuses {low}"


def _reason(proof: Statement, i: int) -> str:
    period = proof.axes[i].period
    if period is None:
        return _why_finite(proof, i)
    steps = accumulate(proof.down, lambda growth, chain: _grown(chain.axes[i].laws, growth), initial=period)
    start = proof.axes[i].start
    back = f"the last one on the way up by {period}" if proof.ends_only else "those on the way up by the same"
    early = f", and those below {start} were looked at one by one" if start > proof.axes[i].min_size else ""
    decided = (
        f"the size {start} decides" if period == 1 else f"the {period} sizes {start} … {start + period - 1} decide"
    )
    return (
        f"Why this is proved: every layer is the floor of a line. With n + {period} for n, the sizes on the way down "
        f"grow by {', '.join(map(str, steps))}, {back}, and every comparison stays as it was: {decided} all that "
        f"follow{early}."
    )


def _why_finite(proof: Statement, i: int) -> str:
    """Say how far the sizes drift apart with every period, at the first stage where they do."""
    pairs = [(Chain(proof.down), Chain(proof.up))] if proof.ends_only else zip(proof.down, proof.up[::-1], strict=True)
    for down, up in pairs:
        run, rise = period_through(down.axes[i].laws)
        back_run, back_rise = period_through(up.axes[i].laws)
        if run * back_run != rise * back_rise:
            step = run * back_run
            return (
                f"Why this is proved: every layer is the floor of a line. With n + {step} for n, '{down}' adds "
                f"{rise * back_run}, and '{up}' makes of it {rise * back_rise} where {step} is needed: the two drift "
                f"apart, each residue modulo {step} can hold in a bounded stretch only, and all of these were solved."
            )
    raise AssertionError("no stage drifts, and the statement was called finite")


def _grown(laws: tuple[FloorLaw, ...], growth: int) -> int:
    run, rise = period_through(laws)
    return growth // run * rise
