"""What every explained layer has: its numbers, the ways to compute it, and what goes into each entry."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from segup.errors import ShapeError
from segup.explain.numbers import Array, Number, factor, plain, written
from segup.shapes import Conv, ConvTranspose, Layer
from segup.shapes.arguments import per_axis

Index = tuple[int, ...]


@dataclass(frozen=True)
class Term:
    """One input value and the weight with which an output entry takes it.

    Args:
        source: (channel, row, column) of the value in the input.
        value: The value.
        tap: Where the weight stands in torch's weight, or None where a weight is not looked up.
        weight: The weight.
    """

    source: tuple[int, int, int]
    value: Number
    tap: Index | None
    weight: Number

    @property
    def product(self) -> Number:
        """What the value adds to the entry: value·weight."""
        return self.value * self.weight


@dataclass(frozen=True)
class Entry(Sequence[Term]):
    """All that goes into one output entry, in the order of the input; ``str`` is the equation.

    Args:
        place: (channel, row, column) of the entry.
        terms: The terms.
        bias: What is added, 0 without a bias.
        value: The entry's value.
        rule: "sum", "mean" (every weight is 1/``divisor``) or "max".
        short: Whether channels are left out of the indices, since there is one in and one out.
        divisor: Of a mean.
        decimal: Whether weights are written as decimals, since those of the layer are no short fractions.
    """

    place: tuple[int, int, int]
    terms: tuple[Term, ...]
    bias: Number
    value: Number
    rule: str = "sum"
    short: bool = True
    divisor: int = 1
    decimal: bool = False

    def __len__(self) -> int:
        return len(self.terms)

    def __getitem__(self, item: Any) -> Any:
        return self.terms[item]

    @property
    def name(self) -> str:
        """The entry as it is written, such as ``y[0,1]``."""
        return f"y[{_joined(self.place, self.short)}]"

    def by_channel(self) -> Mapping[int, tuple[Term, ...]]:
        """Return the terms of each input channel."""
        parts: dict[int, list[Term]] = {}
        for term in self.terms:
            parts.setdefault(term.source[0], []).append(term)
        return {channel: tuple(terms) for channel, terms in parts.items()}

    def weight_of(self, term: Term) -> Number:
        """Return a term's weight as it is written: all of a layer as fractions, or all as decimals."""
        return plain(float(term.weight)) if self.decimal and isinstance(term.weight, Fraction) else term.weight

    def symbols(self, term: Term) -> str:
        """Return a term in symbols, such as ``x[0,0]·w[1,2]``."""
        source = f"x[{_joined(term.source, self.short)}]"
        if self.rule != "sum":
            return source
        weight = factor(self.weight_of(term)) if term.tap is None else f"w[{_joined(term.tap, self.short)}]"
        return f"{source}·{weight}"

    def figures(self, term: Term) -> str:
        """Return a term in figures, such as ``1·7``."""
        if self.rule != "sum":
            return written(term.value)
        return f"{factor(term.value)}·{factor(self.weight_of(term))}"

    def equation(self, most: int = 10**6) -> str:
        """Return the equation in symbols and in figures; of more than ``most`` terms, the first ones and their number.

        >>> entry = Entry((0, 0, 1), (Term((0, 0, 0), 1, (0, 0, 1, 2), 7), Term((0, 0, 1), 1, (0, 0, 1, 0), 5)), 0, 12)
        >>> entry.equation(1)
        'y[0,1] = x[0,0]·w[1,2] + … (2 terms) = 1·7 + … = 12'
        """
        if self._copied():
            return f"{self.name} = x[{_joined(self.terms[0].source, self.short)}] = {written(self.value)}"
        shown = self.terms if len(self.terms) <= most else self.terms[:most]
        symbols, figures = [self.symbols(t) for t in shown], [self.figures(t) for t in shown]
        if len(shown) < len(self.terms):
            symbols.append(f"… ({len(self.terms)} terms)")
            figures.append("…")
        if self.rule != "sum":
            return self._pooled(symbols, figures)
        if self.bias:
            symbols.append("bias" if self.short else f"bias[{self.place[0]}]")
            figures.append(factor(self.bias))
        if not symbols:
            return f"{self.name} = {written(self.value)}: nothing reaches it"
        return f"{self.name} = {' + '.join(symbols)} = {' + '.join(figures)} = {written(self.value)}"

    def _copied(self) -> bool:
        """Return whether the entry is one value as it was, with no weight looked up."""
        alone = self.rule == "sum" and len(self.terms) == 1 and not self.bias
        return alone and self.terms[0].tap is None and self.terms[0].weight == 1

    def _pooled(self, symbols: list[str], figures: list[str]) -> str:
        if self.rule == "max" and not symbols:
            return f"{self.name} = {written(self.value)}: the window sees padding alone"
        if self.rule == "max":
            return f"{self.name} = max({', '.join(symbols)}) = max({', '.join(figures)}) = {written(self.value)}"
        top = " + ".join(factor(figure) if figure.startswith("-") else figure for figure in figures) or "0"
        return f"{self.name} = ({' + '.join(symbols) or '0'})/{self.divisor} = ({top})/{self.divisor} = " + written(
            self.value
        )

    def __str__(self) -> str:
        return self.equation()


@dataclass(frozen=True, eq=False)
class Operation(ABC):
    """A layer of the size calculus together with one image and, where it has them, weights and a bias.

    Args:
        layer: Its parameters.
        x: The image, ``(C, h, w)``.
    """

    layer: Layer
    x: Array
    ways: ClassVar[tuple[str, ...]]
    """The names of the views that compute the output, the one shown first leading."""
    rule: ClassVar[str] = "sum"
    decimal: ClassVar[bool] = False
    """Whether weights are written as decimals where they are fractions."""
    fractional: ClassVar[bool] = False
    """Whether whole inputs may become other numbers."""

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Of the output, (channels, height, width)."""
        return self.channels, *per_axis(lambda i: self.layer.axes[i].out(self.x.shape[i + 1]))

    @property
    def channels(self) -> int:
        """Of the output."""
        return self.x.shape[0]

    @property
    def words(self) -> str:
        """The layer in the layer language."""
        return str(self.layer)

    @property
    def short(self) -> bool:
        """Whether there is one channel in and one out, so that indices need none."""
        return self.x.shape[0] == self.shape[0] == 1

    @abstractmethod
    def compute(self, way: str) -> Array:
        """Return the output ``(C, H, W)``, computed the way of one view."""

    @abstractmethod
    def in_torch(self, x: Tensor) -> Tensor:
        """Return what torch makes of ``x`` ``(1, C, h, w)`` in float64."""

    def by_torch(self) -> Array:
        """Return what torch makes of the same numbers in float64."""
        return self.in_torch(torch.from_numpy(self.x.astype(np.float64))[None])[0].numpy()

    @abstractmethod
    def reads(self, i: int, out: int) -> Sequence[tuple[int, Any]]:
        """Return what output ``out`` reads on axis ``i``, in the input's order: indices with their taps or weights."""

    def weighed(self, source: int, place: Index, above: Any, beside: Any) -> tuple[Index | None, Number]:
        """Return the weight of what an entry reads of a channel with these taps, and where it stands in torch's."""
        return None, 1

    def terms(self, channel: int, row: int, column: int) -> list[Term]:
        """Return what goes into one output entry, in the order of the input."""
        place = (channel, row, column)
        return [
            Term((source, n, m), plain(self.x[source, n, m]), *self.weighed(source, place, above, beside))
            for source in self.inputs_of(channel)
            for n, above in self.reads(0, row)
            for m, beside in self.reads(1, column)
        ]

    def formulas(self) -> tuple[str, str]:
        """Return the size formula of height and width with the numbers put in."""
        return per_axis(lambda i: self.layer.axes[i].size_rule(self.x.shape[i + 1]))

    def rules(self) -> tuple[str, str]:
        """Return the size formula of height and width in symbols."""
        return per_axis(lambda i: self.layer.axes[i].symbols_explained)

    def roundings(self) -> list[str]:
        """Return where the output's size is not what another reading of the parameters gives."""
        return []

    def counts(self) -> Array:
        """Return how many input positions go into each output position, ``(H, W)``."""
        return np.outer(*per_axis(lambda i: [len(self.reads(i, out)) for out in range(self.shape[i + 1])]))

    def cropped(self, size: int) -> "Operation":
        """Return the same layer on the first ``size`` rows and columns of the image."""
        return replace(self, x=self.x[:, :size, :size])

    def parts(self) -> list[Array]:
        """Return the arrays of which the output is a sum of products: the image and, where there is one, the weight."""
        return [self.x]

    def largest(self) -> float:
        """Return a bound of every sum that the output takes."""
        arrays = self.parts()
        products = max(1, int(np.prod(arrays[1].shape)) // self.shape[0]) if len(arrays) > 1 else 1
        bias = max((abs(float(self.bias_of(channel))) for channel in range(self.shape[0])), default=0.0)
        return float(np.prod([float(np.abs(array).max()) for array in arrays])) * products + bias

    def whole(self) -> bool:
        """Return whether all values are whole numbers, and the output with them."""
        if self.fractional:
            return False
        biases = [self.bias_of(channel) for channel in range(self.shape[0])]
        return all(isinstance(bias, int) for bias in biases) and all(
            bool((np.floor(array.astype(float)) == array).all()) for array in self.parts()
        )

    def unread(self) -> tuple[list[int], list[int]]:
        """Return the rows and the columns of the input that go into no output."""
        read = per_axis(lambda i: {n for out in range(self.shape[i + 1]) for n, _ in self.reads(i, out)})
        return per_axis(lambda i: [n for n in range(self.x.shape[i + 1]) if n not in read[i]])

    def doubt(self) -> str:
        """Return why torch itself may give several answers; nothing where it gives one."""
        return ""

    def contribution(self, source: int, channel: int) -> Array:
        """Return what one input channel adds to an output channel, ``(H, W)``; all of them and the bias are its sum."""
        alone = np.zeros_like(self.x)
        alone[source] = self.x[source]
        return replace(self, x=alone).compute(self.ways[0])[channel] - self.bias_of(channel)

    def inputs_of(self, channel: int) -> range:
        """Return the input channels that go into an output channel."""
        return range(channel, channel + 1)

    def bias_of(self, channel: int) -> Number:
        """Return what is added to every entry of an output channel."""
        return 0

    def value_of(self, terms: Sequence[Term], channel: int) -> Number:
        """Return the value of the entry with these terms."""
        return sum((term.product for term in terms), start=self.bias_of(channel))

    def divisor_at(self, row: int, column: int) -> int:
        """Return by what the sum of an entry is divided."""
        return 1

    def entry(self, channel: int, row: int, column: int) -> Entry:
        """Return one output entry, explained.

        Raises:
            ShapeError: There is no such entry.
        """
        for name, at, size in zip(("channel", "row", "column"), (channel, row, column), self.shape, strict=True):
            if not isinstance(at, int | np.integer) or isinstance(at, bool):
                raise ShapeError(f"the {name} of an entry is an int, not {at!r}.")
            if not 0 <= at < size:
                raise ShapeError(
                    f"the output of '{self.words}' has {name}s 0 … {size - 1}, not {at}: it is "
                    f"{' × '.join(map(str, self.shape))} (channels × height × width)."
                )
        terms = tuple(self.terms(channel, row, column))
        place = (channel, row, column)
        value, bias = self.value_of(terms, channel), self.bias_of(channel)
        return Entry(place, terms, bias, value, self.rule, self.short, self.divisor_at(row, column), self.decimal)


@dataclass(frozen=True, eq=False)
class WeightedOperation(Operation):
    """A convolution or a transposed one: groups of channels, a kernel for each pair within a group, and a bias.

    Args:
        weight: As torch keeps it.
        bias: ``(Co,)`` or None.
    """

    layer: Conv | ConvTranspose
    weight: Array
    bias: Array | None = None

    @abstractmethod
    def pair(self, source: int, channel: int) -> tuple[int, int]:
        """Return where the kernel from an input channel to an output channel stands in the weight."""

    @abstractmethod
    def window(self, seen: Array, i: int, j: int) -> Array:
        """Return what tap (i, j) sees of the padded image, as it slides over it."""

    def weighed(self, source: int, place: Index, above: int, beside: int) -> tuple[Index | None, Number]:
        """Return where the weight stands, and the weight."""
        tap = (*self.pair(source, place[0]), above, beside)
        return tap, plain(self.weight[tap])

    def groups(self) -> Iterator[tuple[slice, slice]]:
        """Yield the input and the output channels of each group."""
        inputs, outputs = self.x.shape[0] // self.layer.groups, self.channels // self.layer.groups
        for group in range(self.layer.groups):
            yield slice(group * inputs, (group + 1) * inputs), slice(group * outputs, (group + 1) * outputs)

    def inputs_of(self, channel: int) -> range:
        """Return the channels of the output channel's group."""
        inputs = self.x.shape[0] // self.layer.groups
        first = channel // (self.channels // self.layer.groups) * inputs
        return range(first, first + inputs)

    def parts(self) -> list[Array]:
        """Return the image and the weight."""
        return [self.x, self.weight]

    def bias_of(self, channel: int) -> Number:
        """Return the channel's bias."""
        return 0 if self.bias is None else plain(self.bias[channel])

    def with_bias(self, y: Array) -> Array:
        """Return the output of what the sums of products are."""
        return y if self.bias is None else y + self.bias[:, None, None]

    def tensors(self) -> tuple[Tensor, Tensor | None]:
        """Return the weight and the bias in float64, for torch."""
        bias = None if self.bias is None else torch.from_numpy(self.bias.astype(np.float64))
        return torch.from_numpy(self.weight.astype(np.float64)), bias


def _joined(place: Sequence[int], short: bool) -> str:
    return ",".join(map(str, place[-2:] if short else place))
