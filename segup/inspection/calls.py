"""The calls that make a model's maps: what each reads of the maps before it, and the sizes that it gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from segup.inspection.periodic import PeriodicMap
from segup.inspection.traced import Dim, TracedSize, as_int, extent_of
from segup.shapes.layer import LawAxis
from segup.shapes.transposed import StampAxis
from segup.shapes.windows import WindowAxis

IMAGE = -1
"""Where a call reads the model's input."""
_MIXING = frozenset(
    (
        *("flip", "fliplr", "flipud", "roll", "rot90", "cumsum", "cumprod", "sort", "argsort", "topk", "gather"),
        *("scatter", "scatter_add", "index_select", "take_along_dim", "grid_sample", "scaled_dot_product_attention"),
        "multi_head_attention_forward",
    )
)
"""Functions that keep sizes and bring rows to other places, or read all of them."""
_ALONG = frozenset(("softmax", "log_softmax", "softmin"))
"""Functions that read all rows of the dimension that they are given."""


@dataclass(frozen=True)
class Reading:
    """Which rows of an input the rows of a result read, on one axis.

    Args:
        kind: "window": stride·o − before + dilation·j for j below kernel; "stamp": those whose stamp reaches o;
            "shuffle": ⌊o/factor⌋; "resize": as ``interpolate`` reads.
        values: Of a window and a stamp kernel, stride, before and dilation, of a padding other than by a constant its
            mode; of a shuffle its factor; of a resize mode, align_corners, factor (None: by the sizes) and antialias.
    """

    kind: str
    values: tuple[Any, ...]

    @classmethod
    def of(cls, axis: LawAxis) -> "Reading":
        """Return what an axis of a layer reads."""
        if isinstance(axis, WindowAxis):
            return cls("window", (axis.kernel_size, axis.stride, axis.before, axis.dilation))
        if isinstance(axis, StampAxis):
            return cls("stamp", (axis.kernel_size, axis.stride, axis.padding, axis.dilation))
        return cls("shuffle", (axis.law.rise,))

    @classmethod
    def shifted(cls, before: Dim, step: int = 1, mode: str = "constant") -> "Reading":
        """Return the reading of every ``step``-th row, from ``before`` rows ahead of the first one on."""
        return cls("window", (1, step, before, 1) if mode == "constant" else (1, step, before, 1, mode))


SAME = Reading("window", (1, 1, 0, 1))
"""Row o reads row o."""
Readings = tuple[Reading | None, Reading | None]
"""Of height and width; None where all rows are read."""


@dataclass(frozen=True)
class Call:
    """One call of a torch function that was given a map.

    Args:
        layer: Qualified name of the innermost layer at work; empty for the model's own code.
        name: The function's name.
        words: The layer of the calculus, such as ``conv k3 s2 p1``; empty where it has none.
        inputs: For each map that it was given, the call that made it, and what of it is read.
        sizes: (height, width) of the result; None where it has no such axis.
        channels: Of the result; None where it is no map.
        refused: Whether it refused what it was given.
    """

    layer: str
    name: str
    words: str
    inputs: tuple[tuple[int, Readings], ...]
    sizes: tuple[Dim | None, Dim | None]
    channels: int | None
    refused: bool = False


@dataclass
class Said:
    """What a shape rule says of a call besides the shape of its result.

    Args:
        words: The layer of the calculus; empty where it has none.
        reads: What is read of a dimension of a tensor, by the tensor's id (None for all that are given) and the
            dimension; where nothing is said rows stay in place.
        aligned: Whether maps of one size, or of one row, are laid on one another.
    """

    words: str = ""
    reads: dict[tuple[int | None, int], Reading] = field(default_factory=dict)
    aligned: bool = False


@dataclass(eq=False)
class Calls:
    """The calls of one run, in their order."""

    made: list[Call] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.made)

    def enter(self, image: Tensor) -> None:
        """Keep that ``image`` is the model's input."""
        image._segup_call = (self, IMAGE)  # type: ignore[attr-defined]

    def maker(self, tensor: Tensor) -> int | None:
        """Return the call that made a tensor; None where it does not follow from the input."""
        calls, place = getattr(tensor, "_segup_call", (None, None))
        return place if calls is self else None

    def pass_on(self, tensor: Tensor, result: Any) -> None:
        """Keep that ``result`` holds the same numbers at the same places."""
        place = self.maker(tensor)
        if place is not None and isinstance(result, Tensor):
            result._segup_call = (self, place)  # type: ignore[attr-defined]

    def note(
        self,
        layer: str,
        name: str,
        said: "Said",
        given: Sequence[tuple[Tensor, Sequence[Dim]]],
        results: Sequence[tuple[Tensor, Sequence[Dim]]],
        arguments: tuple[Any, Mapping[str, Any]],
    ) -> None:
        """Note a call.

        Args:
            layer, name: As :class:`Call` has them.
            said: What its rule said.
            given: The tensors that it was given, with their shapes.
            results: Those that it made; none where it refused.
            arguments: Of the function.
        """
        sources = [(self.maker(tensor), tensor, shape) for tensor, shape in given]
        known = [(place, tensor, shape) for place, tensor, shape in sources if place is not None]
        if not known:
            return
        made = results[0][1] if results else ()
        inputs = []
        for place, tensor, shape in known:
            own = {dim: reading for (of, dim), reading in said.reads.items() if of in (None, id(tensor))}
            inputs.append((place, _readings(name, shape, made, own, arguments, said.aligned)))
        sizes = [None if place is None or len(made) != 4 else made[place] for place in _place_of_axes(made)]
        if results and len(made) != 4:  # tokens keep the sizes of the map that they were
            place, readings = inputs[0]
            if readings == (SAME, SAME) and place != IMAGE:
                sizes = list(self.made[place].sizes)
        channels = made[1] if len(made) == 4 and type(made[1]) is int else None
        name = f"{name} rows" if any(of is not None for of, _ in said.reads) else name
        self.made.append(Call(layer, name, said.words, tuple(inputs), (sizes[0], sizes[1]), channels, not results))
        for tensor, _ in results:
            tensor._segup_call = (self, len(self.made) - 1)  # type: ignore[attr-defined]


def _place_of_axes(shape: Sequence[Dim]) -> list[int | None]:
    """Return which dimension is the height and which the width: by what their sizes follow from, or else by place."""
    places: list[int | None] = [None, None]
    for place, dim in enumerate(shape):
        if type(dim) is TracedSize:
            extent = extent_of(dim)
            for axis in {axis for axis, _ in extent.factors} if extent is not None else ():
                places[axis] = place
    if len(shape) == 4:
        for axis in (0, 1):
            if places[axis] is None and 2 + axis not in places:
                places[axis] = 2 + axis
    return places


def _factors(shape: Sequence[Dim], axis: int) -> list[PeriodicMap] | None:
    """Return all functions of one axis of the image in a shape, sorted; None where a size is not followed."""
    found: list[PeriodicMap] = []
    for dim in shape:
        if type(dim) is TracedSize:
            extent = extent_of(dim)
            if extent is None:
                return None
            found += [function for of, function in extent.factors if of == axis]
    return sorted(found, key=lambda one: (one.growth, one.values))


def _readings(
    name: str,
    shape: Sequence[Dim],
    made: Sequence[Dim],
    reads: Mapping[int, Reading],
    arguments: tuple[Any, Mapping[str, Any]],
    aligned: bool,
) -> Readings:
    places, results = _place_of_axes(shape), _place_of_axes(made)
    found: list[Reading | None] = []
    for axis in (0, 1):
        place, result = places[axis], results[axis]
        if place is not None and place in reads:
            found.append(reads[place])
        elif place is None or result is None:
            found.append(SAME if place is None else None)
        elif name in _MIXING or (name in _ALONG and _along(arguments, len(shape)) in (None, place)):
            found.append(None)
        else:
            found.append(SAME if _keeps(shape, made, axis, place, result, aligned) else None)
    return found[0], found[1]


def _keeps(shape: Sequence[Dim], made: Sequence[Dim], axis: int, place: int, result: int, aligned: bool) -> bool:
    """Return whether rows stay where they are: by what their sizes follow from, or by their place from the end."""
    one, other = _factors(shape, axis), _factors(made, axis)
    at_place = len(shape) - place == len(made) - result
    if one is None or other is None:
        return at_place and as_int(shape[place]) in (1, as_int(made[result]))
    return one == other or (aligned and at_place)


def _along(arguments: tuple[Any, Mapping[str, Any]], rank: int) -> int | None:
    args, kwargs = arguments
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    return dim % rank if isinstance(dim, int) and rank else None
