"""How a view shows many input channels: some by themselves, the others together, and their sum."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from segup.explain.deconv import DeconvOperation
from segup.explain.drawing.palette import VALUE
from segup.explain.drawing.story import Block, Grid, Sign
from segup.explain.numbers import Array
from segup.explain.operation import Operation, WeightedOperation
from segup.explain.views.common import Place, entry_lines, numbers_grid

MOST_CHANNELS = 4
"""So many channels are shown each by itself at most; the others together."""


@dataclass(frozen=True)
class ChannelGroup:
    """Input channels that are shown as one: a single one, or those that have no room of their own together."""

    channels: tuple[int, ...]

    @property
    def single(self) -> bool:
        """Whether it is one channel, so that its input and kernel can be shown."""
        return len(self.channels) == 1

    @property
    def name(self) -> str:
        """The channels as they are written, such as ``x[3] … x[7]``."""
        first, last = self.channels[0], self.channels[-1]
        return f"x[{first}]" if self.single else f"x[{first}] … x[{last}]"


def channel_groups(channels: range, most: int) -> list[ChannelGroup]:
    """Return how channels are shown, at most ``most`` of them by themselves.

    >>> [group.channels for group in channel_groups(range(5), most=3)]
    [(0,), (1,), (2,), (3, 4)]
    """
    if len(channels) <= most:
        return [ChannelGroup((channel,)) for channel in channels]
    return [*(ChannelGroup((channel,)) for channel in channels[:most]), ChannelGroup(tuple(channels[most:]))]


def channel_title(name: str, channel: int, of: int, *more: int) -> str:
    """Return ``x``, or ``x[2]`` where there are several channels."""
    return name if of == 1 else f"{name}[{','.join(map(str, (channel, *more)))}]"


class ByChannel:
    """What the views of one output channel share: the input channels that go into it, and what they contribute."""

    operation: Any
    titles: ClassVar[tuple[str, str, str]] = ("{y}", "contribution of {x}", "their contribution")
    """Of what is made by the only group, by one of several channels, and by the channels that are shown together."""

    def __init__(self, operation: Operation, channel: int, most: int) -> None:
        self.operation, self.channel, self.most = operation, channel, most
        self.inputs = operation.inputs_of(channel)
        self.groups = channel_groups(self.inputs, most)
        self.alone = len(self.groups) == 1
        self.y = channel_title("y", channel, operation.shape[0])

    def x(self, source: int) -> str:
        """Return what an input channel is called."""
        return channel_title("x", source, self.operation.x.shape[0])

    def w(self, source: int) -> str:
        """Return what the kernel from an input channel is called: by its place in torch's weight."""
        first, second = self.operation.pair(source, self.channel)
        return channel_title("w", first, self.operation.x.shape[0] * self.operation.shape[0], second)

    def weight(self, source: int) -> Array:
        """Return the kernel ``(kh, kw)`` from an input channel."""
        return self.operation.weight[self.operation.pair(source, self.channel)]

    def said(self, at: Place) -> tuple[str, ...]:
        """Return what a caption says of an output entry."""
        return entry_lines(self.operation.entry(self.channel, *at), self.most)

    @cached_property
    def padded(self) -> Array:
        """The image over which a kernel slides."""
        return self.operation.padded()

    @cached_property
    def partials(self) -> dict[ChannelGroup, Array]:
        """What each group contributes to the output channel."""
        return {group: self._partial(group) for group in self.groups}

    def _partial(self, group: ChannelGroup) -> Array:
        operation = self.operation
        if not isinstance(operation, WeightedOperation):
            return operation.compute(operation.ways[0])[self.channel]
        kernels = operation.flipped() if isinstance(operation, DeconvOperation) else operation.weight
        y = np.zeros(operation.shape[1:], dtype=operation.x.dtype)
        for source in group.channels:
            for (i, j), weight in np.ndenumerate(kernels[operation.pair(source, self.channel)]):
                y = y + weight * operation.window(self.padded[[source]], i, j)[0]
        return y

    @cached_property
    def total(self) -> Array:
        """The output: the sum of what the groups contribute, and the bias."""
        first, *others = self.partials.values()
        return sum(others, start=first) + self.operation.bias_of(self.channel)

    def result(self, group: ChannelGroup | None, done: int, at: Place | None) -> Grid:
        """Return what a group contributes, or None for all that they make, up to entry number ``done``."""
        if group is None or self.alone:
            title = self.y if group is None else self.titles[0].format(y=self.y)
            values, name = self.total, "y"
        else:
            title = self.titles[1 if group.single else 2].format(x=group.name, y=self.y)
            values, name = self.partials[group], ""
        width = values.shape[1]
        return numbers_grid(
            title, values, name, VALUE, framed=[at], shown=lambda row, column: row * width + column <= done
        )

    def rows(
        self, given: Callable[[int], Sequence[tuple[Block, ...]]], made: Callable[[ChannelGroup | None], Grid]
    ) -> Iterator[tuple[Block, ...]]:
        """Yield a row for each group, what is given and what it makes of that, and one for the sum of several.

        Args:
            given: What is shown of a single channel; rows but for the last one stand above.
            made: What a group makes; what all of them make of None.
        """
        for group in self.groups:
            *above, blocks = given(group.channels[0]) if group.single else [(Sign(f"{group.name} together"),)]
            yield from above
            yield (*blocks, Sign("→"), made(group))
        if not self.alone:
            yield Sign("the sum of the channels"), Sign("→"), made(None)
