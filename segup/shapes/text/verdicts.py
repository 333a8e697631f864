"""What is asked of a chain of layers, so that a report can say it: its ladder, and its verdicts for all sizes."""

from collections.abc import Sequence
from typing import Any

from segup.errors import ShapeError
from segup.shapes.arguments import Size, figure, flag, is_pair, split
from segup.shapes.chain import Chain
from segup.shapes.inversion import inverse
from segup.shapes.layer import Layer
from segup.shapes.resize import Resize, ScaleAxis
from segup.shapes.rungs import Ladder, checked
from segup.shapes.text.down_up import DownUp, down_up
from segup.shapes.text.proof import Proof, prove_inversion
from segup.shapes.text.proposals import climbed, with_proposals
from segup.shapes.text.report import Report
from segup.shapes.transposed import ConvTranspose
from segup.shapes.windows import Conv, Pool, WindowAxis

GIVEN = "each given the size to reach"


def chain_report(
    layers: Layer | Sequence[Layer], size: Size | None = None, *, matched: bool = False, out: Size | None = None
) -> Report:
    r"""Return what ``segup shapes`` prints about a chain: every layer at ``size``, and the verdicts for all sizes.

    A chain that goes down and up again (:func:`segup.shapes.text.down_up.down_up` says where) is asked whether every
    stage up gives back the size of the stage down that it undoes: as it is written, with every transposed convolution
    given the size to reach, and at the ends alone. A chain that goes down alone is asked the same with its inverse
    layers.

    Args:
        layers: The layers, first to last, as :func:`segup.shapes.parse` returns them.
        size: The input's size, or a (height, width) pair; None for what holds for all sizes alone.
        matched: Give each transposed convolution the size to reach, as torch's ``output_size``.
        out: The size to end with in place of the input's, or a (height, width) pair.

    Raises:
        ShapeError: There is no layer, one of them refuses its size, or a size cannot be reached.

    >>> from segup.shapes import parse
    >>> report = chain_report(parse("conv k3 s2 p1, deconv k3 s2 p1"), 416)
    >>> print(str(report).split("\n\n")[0])
            layer             in  out  residue
    down 1  conv k3 s2 p1    416  208        1
    up 1    deconv k3 s2 p1  208  415           repeats 1 to fit 416
    >>> [(about, proof.always) for about, proof in report.proofs]
    [('as written', False), ('each given the size to reach', True)]
    >>> report.nearest(report.proofs[0][1])
    (415, 417)
    """
    chain = Chain(layers if not isinstance(layers, Layer) else [layers])
    if not chain.layers:
        raise ShapeError("there are no layers to report on.\n  try: segup.shapes.parse('conv k3 s2 p1').")
    matched, stages, steps = flag(matched, "matched"), down_up(chain), None
    if size is not None:
        sizes, ends = checked(size, out)
        # ints, whatever kind of numbers they came as
        size = sizes if is_pair(size) else sizes[0]
        out = (ends[0] or 0, ends[1] or 0) if is_pair(out) else ends[0]
        try:
            stages, steps = climbed(chain, size, matched, out)
        except ShapeError as cause:
            raise with_proposals(cause, chain, size, matched, out) from None
    proofs, remarks = _verdicts(chain, stages)
    if steps is not None:
        remarks += _roundings(chain, steps)
    return Report(chain, stages, size, steps, tuple(proofs), tuple(remarks))


def _roundings(chain: Chain, steps: Ladder) -> list[str]:
    """Return where the exact fraction of a resize and torch's float part."""
    found: dict[str, None] = {}
    for rung, layer in zip(steps.rungs, chain.layers, strict=False):
        for axis, size in zip(layer.axes, split(rung.size), strict=True):
            if isinstance(axis, ScaleAxis) and axis.rounding(size):
                found[f"'{layer}' at {size}: {axis.rounding(size)}."] = None
    return list(found)


def _verdicts(chain: Chain, stages: DownUp) -> tuple[list[tuple[str, Proof]], list[str]]:
    try:
        if not all(axis.laws for axis in chain.axes) or not stages.down:
            return [], []
        if not stages.up and any(isinstance(layer, Resize) for layer in chain.layers):
            way_back = ", ".join(map(_way_back, reversed([layer for stage in stages.down for layer in stage])))
            return [], [
                f"No verdict for all sizes: inverse takes a Conv or a Pool, and no way back is given for a resize.\n"
                f'  try: segup shapes "{chain}, {way_back}"'
            ]
        return (_of_the_way_back(stages) if stages.up else _of_the_inverse(stages)), []
    except ShapeError as cause:
        return [], [f"No verdict for all sizes: {cause}"]


def _way_back(layer: Layer[Any]) -> str:
    """Return a layer that brings a size back, up to the rows that were lost, in words."""
    if isinstance(layer, Conv | Pool):
        return str(inverse(layer))
    high, wide = (axis.pitch for axis in layer.axes)
    return f"resize x{figure(high if high == wide else (high, wide))}"


def _of_the_way_back(stages: DownUp) -> list[tuple[str, Proof]]:
    down, up = stages.down, stages.up
    written = prove_inversion(down, up)
    if written.always:
        return [("as written", written)]
    proofs = [("as written", written)]
    ends = prove_inversion(down, up, ends_only=True)
    if ends.axes != written.axes:
        proofs.append(("as written, the ends alone", ends))
    if any(axis.slack for stage in up for layer in stage for axis in layer.axes):
        proofs.append((GIVEN, prove_inversion(down, up, matched=True)))
    axes = [axis for stage in down for layer in stage for axis in layer.axes]
    if not proofs[-1][1].always and all(isinstance(axis, WindowAxis) and axis.before == axis.after for axis in axes):
        proofs.append(_matched_inverse(stages))
    return proofs


def _of_the_inverse(stages: DownUp) -> list[tuple[str, Proof]]:
    proofs = [("the inverse layers", prove_inversion(stages.down, _inverses(stages)))]
    return proofs if proofs[0][1].always else [*proofs, _matched_inverse(stages)]


def _matched_inverse(stages: DownUp) -> tuple[str, Proof]:
    up = _inverses(stages)
    words = ", ".join(str(layer) for stage in up for layer in stage)
    return f"the inverse layers, {GIVEN}: {words}", prove_inversion(stages.down, up, matched=True)


def _inverses(stages: DownUp) -> list[list[ConvTranspose]]:
    return [[inverse(layer) for layer in reversed(stage)] for stage in reversed(stages.down)]
