"""Several layers one after the other, as one layer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from itertools import accumulate
from typing import TypeAlias

from segup.errors import ShapeError
from segup.shapes.arguments import per_axis
from segup.shapes.law import FloorLaw
from segup.shapes.layer import Axis, LawAxis, Layer

DEEPEST = 32
"""So deep may lists of layers be nested."""
Stage: TypeAlias = "Layer | Sequence[Layer]"


@dataclass(frozen=True)
class ChainAxis(Axis):
    """One axis of a chain: the axes of its layers, each with the layer's words for messages."""

    links: tuple[tuple[str, LawAxis], ...]

    @property
    def laws(self) -> tuple[FloorLaw, ...]:
        """The size rules, first to last; a ShapeError where a layer has none that holds for all sizes."""
        return tuple(axis.law for _, axis in self.links)

    @property
    def least(self) -> int:
        """The smallest size that every layer accepts in its turn."""
        back = reversed(self.links)
        return reduce(lambda needed, link: max(link[1].least, link[1].inputs_of_at_least(needed)), back, 1)

    def out(self, size: int) -> int:
        """Return the output size of an accepted ``size``."""
        return reduce(lambda n, link: link[1].out(n), self.links, size)

    def sizes(self, size: int) -> list[int]:
        """Return the accepted ``size`` and the size after each layer."""
        return list(accumulate(self.links, lambda n, link: link[1].out(n), initial=size))

    def inputs_of_at_least(self, out: int) -> int:
        """Return the smallest accepted or smaller size that gives at least ``out``."""
        return reduce(lambda needed, link: link[1].inputs_of_at_least(needed), reversed(self.links), out)

    @property
    def pitch(self) -> Fraction:
        """Input pixels from one output to the next."""
        return reduce(lambda pitch, link: pitch * link[1].pitch, self.links, Fraction(1))

    def taps(self, out: int) -> list[int]:
        """Return the input indices that output ``out`` reads, borders ignored."""
        indices = {out}
        for _, axis in reversed(self.links):
            indices = {tap for index in indices for tap in axis.taps(index)}
        return sorted(indices)

    def size_rule(self, size: int) -> str:
        """Return the arithmetic of the first layer that refuses what ``size`` has become, or of the last."""
        for place, (words, axis) in enumerate(self.links, 1):
            if size < axis.least or place == len(self.links):
                where = f" at layer {place}, '{words}'" if len(self.links) > 1 else ""
                return f"{axis.size_rule(size)}{where}"
            size = axis.out(size)
        return str(size)


@dataclass(frozen=True)
class Chain(Layer[ChainAxis]):
    """Layers one after the other, first to last, as one layer; chains within are taken apart.

    Args:
        layers: The layers. None at all is the identity.

    Raises:
        ShapeError: A part is not a layer of the calculus.

    >>> from segup.shapes import Conv, Pool
    >>> stem = Chain([Conv(7, 2, 3), Pool(3, 2, 1)])
    >>> stem.out(417), stem.inputs(105), print(stem)
    conv k7 s2 p3, pool k3 s2 p1
    (105, range(417, 421), None)
    >>> Chain([Pool(2), Conv(3)]).out(5)
    Traceback (most recent call last):
    ...
    segup.errors.ShapeError: 'pool k2 s2, conv k3' does not accept size 5: it would give ⌊(2 + 2·0 − 3)/1⌋ + 1 = 0 at \
layer 2, 'conv k3', and an output is at least 1.
      try: a size of at least 6, 1 more.
    """

    layers: tuple[Layer, ...]

    axes: tuple[ChainAxis, ChainAxis] = field(init=False, repr=False, compare=False)

    def __init__(self, layers: Iterable[Layer]) -> None:
        parts = tuple(flat(layers, "layers"))
        axes = per_axis(lambda i: ChainAxis(tuple((str(layer), layer.axes[i]) for layer in parts)))
        object.__setattr__(self, "layers", parts)
        object.__setattr__(self, "axes", axes)

    def __str__(self) -> str:
        return ", ".join(map(str, self.layers))


def flat(parts: object, name: str, depth: int = 0) -> list[Layer]:
    """Return the layers of a layer, a chain, or nested lists of them, in order; ``depth`` counts the lists around.

    >>> from segup.shapes import Conv
    >>> flat([Conv(3), [Conv(1)]], "down")
    [Conv(kernel_size=3, stride=1, padding=0, dilation=1, groups=1), \
Conv(kernel_size=1, stride=1, padding=0, dilation=1, groups=1)]
    >>> flat([3], "down")
    Traceback (most recent call last):
    ...
    segup.errors.ShapeError: down must hold layers such as Conv(3, stride=2, padding=1), not 3.
    """
    if isinstance(parts, Chain):
        return list(parts.layers)
    if isinstance(parts, Layer):
        return [parts]
    if depth > DEEPEST:
        raise ShapeError(f"{name} must hold layers, or lists of them at most {DEEPEST} deep.\n  try: one list.")
    if isinstance(parts, Iterable) and not isinstance(parts, str) and not hasattr(parts, "dtype"):  # no array
        return [layer for part in parts for layer in flat(part, name, depth + 1)]
    hint = f"\n  try: segup.shapes.parse({parts!r})" if isinstance(parts, str) else ""
    raise ShapeError(f"{name} must hold layers such as Conv(3, stride=2, padding=1), not {parts!r}.{hint}")


def stages(parts: object, name: str) -> list[Chain]:
    """Return one chain for every part of a list: a layer, a chain, or a list of the layers of one stage."""
    if isinstance(parts, Layer | str) or not isinstance(parts, Iterable) or hasattr(parts, "dtype"):
        parts = [parts]
    return [Chain(flat(part, name)) for part in parts]
