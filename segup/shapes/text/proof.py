"""The proof that a way up gives back every size of the way down, or the exact sizes for which it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segup.errors import ShapeError
from segup.shapes.arguments import Size, flag, height_width, is_pair
from segup.shapes.axis_proof import prove_axis
from segup.shapes.chain import Stage, stages
from segup.shapes.text.words import Statement


def _of_each_axis(name: str) -> property:
    """Return a property: what each axis' proof says, as a pair where the axes differ."""

    def read(proof: Statement) -> Any:
        values = tuple(getattr(axis, name) for axis in proof.axes)
        return values[0] if proof.same_axes else values

    return property(read)


@dataclass(frozen=True)
class Proof(Statement):
    """What :func:`prove_inversion` found; ``str`` says it in words.

    Where the layers treat height and width differently, ``period``, ``start``, ``residues`` and ``exceptions`` are
    (height, width) pairs, and sizes are pairs as well; else they are single values.
    """

    @property
    def always(self) -> bool:
        """Whether it holds for every size that the way down accepts."""
        return all(axis.always for axis in self.axes)

    @property
    def never(self) -> bool:
        """Whether it holds for no size at all."""
        return any(axis.never for axis in self.axes)

    period = _of_each_axis("period")
    """The sizes over which the statement repeats; None where only finitely many sizes can hold."""
    min_size = _of_each_axis("min_size")
    """The smallest size that the way down accepts."""
    start = _of_each_axis("start")
    """The size from which on the residues decide; below it the exceptions do."""
    residues = _of_each_axis("residues")
    """The residues modulo ``period`` of the sizes from ``start`` on that hold, as a computed sequence."""
    exceptions = _of_each_axis("exceptions")
    """The sizes below ``start`` that hold, as a computed sequence."""

    @property
    def counterexample(self) -> Size | None:
        """The smallest accepted size for which it does not hold, a pair where the axes differ; None when always."""
        height, width = self.axes
        if self.same_axes:
            return height.counterexample
        if height.counterexample is not None:
            return height.counterexample, width.min_size
        return None if width.counterexample is None else (height.min_size, width.counterexample)

    def holds(self, size: Size) -> bool:
        """Return whether ``size`` is given back; False for a size that the way down does not accept.

        Raises:
            ShapeError: The size is not an int of at least 1 or a pair of them; or one int is given where the layers
                treat height and width differently.
        """
        return all(n in axis.sizes for n, axis in zip(self._sizes(size), self.axes, strict=True))

    def nearest(self, size: Size) -> tuple[Any, Any]:
        """Return the largest holding size up to ``size`` and the smallest from it on; None where there is none.

        For a (height, width) pair both are pairs: the largest height and width below, the smallest above.

        >>> from segup.shapes import Conv, ConvTranspose
        >>> proof = prove_inversion([Conv(3, 2, 1)] * 2, [ConvTranspose(3, 2, 1)] * 2)
        >>> proof.nearest(416), proof.nearest((416, 417))
        ((413, 417), ((413, 417), (417, 417)))
        """
        found = [axis.nearest(n) for n, axis in zip(self._sizes(size), self.axes, strict=True)]
        if not is_pair(size):
            return found[0]
        return (found[0][0], found[1][0]), (found[0][1], found[1][1])

    def _sizes(self, size: Size) -> tuple[int, int]:
        if not is_pair(size) and not self.same_axes:
            raise ShapeError(
                f"one size, {size}, is given to a proof about layers that treat height and width differently.\n"
                f"  try: a (height, width) pair, such as ({size}, {size})."
            )
        return height_width(size)


def prove_inversion(
    down: Sequence[Stage], up: Sequence[Stage], *, matched: bool = False, ends_only: bool = False
) -> Proof:
    """Decide for ALL sizes whether ``up`` gives back the sizes of ``down``, stage by stage.

    A skip has to fit at every level: 7 → 4 → 2 → 6 → 7 ends right and is useless. So the first of ``up`` has to bring
    the last size to the one before it, and so on to the input's.

    Args:
        down: The stages of the way down, each a layer, or a list of the layers of one stage.
        up: The stages of the way up in the order of use, as many as ``down``.
        matched: Each transposed convolution is given the size to reach, as torch's ``output_size``; its own
            output_padding plays no part. Without it the layers are taken as they are.
        ends_only: Compare the input's size with the last size alone; then the lists may differ in length. With
            ``matched``, the sizes in between are free.

    Returns:
        A :class:`Proof`: always, never, or the exact set of sizes (residues modulo the period, from which size on,
        and the finite exceptions) with the smallest counterexample.

    Raises:
        ShapeError: The lists have different lengths and ``ends_only`` is False; a part is no layer; or a resize has a
            float factor, whose rounding no law describes.

    Each layer is a floor of a line (arXiv 1603.07285), so that the statement repeats with a period: a finite check
    decides all sizes. Where the slope of the whole chain is not 1, finitely many sizes are left, and they are found.

    >>> from segup.shapes import Conv, ConvTranspose
    >>> down, up = Conv(3, stride=2, padding=1), ConvTranspose(3, stride=2, padding=1)
    >>> proof = prove_inversion([down, down], [up, up])
    >>> proof.always, proof.period, proof.holds(417), proof.counterexample, proof.residues
    (False, 4, True, 2, {1})
    >>> prove_inversion([down, down], [up, up], matched=True).always
    True
    """
    downs, ups = stages(down, "down"), stages(up, "up")
    matched, ends_only = flag(matched, "matched"), flag(ends_only, "ends_only")
    if len(downs) != len(ups) and not ends_only:
        raise ShapeError(
            f"down has {len(downs)} stages and up has {len(ups)}: stage by stage, each needs its way back.\n"
            f"  try: ends_only=True, or a list of the layers of one stage, such as [[conv, pool], conv]."
        )
    height = prove_axis(downs, ups, matched, ends_only, 0)
    same = all(chain.axes[0] == chain.axes[1] for chain in (*downs, *ups))
    width = height if same else prove_axis(downs, ups, matched, ends_only, 1)
    return Proof(tuple(downs), tuple(ups), matched, ends_only, (height, width))
