"""How a view shows many input channels: some by themselves, the others together, and their sum."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from segup.explain.deconv import DeconvOperation
from segup.explain.numbers import Array
from segup.explain.operation import Operation

LANES = 4
"""So many channels are shown each by itself at most; the others together."""
Kind = TypeVar("Kind", bound=Operation)


@dataclass(frozen=True)
class Lane:
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


def lanes(channels: range, most: int) -> list[Lane]:
    """Return how channels are shown, at most ``most`` of them by themselves.

    >>> [lane.channels for lane in lanes(range(5), most=3)]
    [(0,), (1,), (2,), (3, 4)]
    """
    if len(channels) <= most:
        return [Lane((channel,)) for channel in channels]
    return [*(Lane((channel,)) for channel in channels[:most]), Lane(tuple(channels[most:]))]


def channel_title(name: str, channel: int, of: int, *more: int) -> str:
    """Return ``x``, or ``x[2]`` where there are several channels."""
    return name if of == 1 else f"{name}[{','.join(map(str, (channel, *more)))}]"


class ByChannel(Generic[Kind]):
    """What the views of one output channel share: the input channels that go into it, and what they are called."""

    def __init__(self, operation: Kind, channel: int, most: int) -> None:
        self.operation, self.channel = operation, channel
        self.inputs = operation.inputs_of(channel)
        self.lanes = lanes(self.inputs, most)
        self.alone = len(self.lanes) == 1
        self.y = channel_title("y", channel, operation.shape[0])

    def x(self, channel: int) -> str:
        """Return what an input channel is called."""
        return channel_title("x", channel, self.operation.x.shape[0])

    def w(self, *place: int) -> str:
        """Return what the kernel at a place in torch's weight is called."""
        return channel_title("w", place[0], self.operation.x.shape[0] * self.operation.shape[0], *place[1:])

    def part(self, values: Array) -> Array:
        """Return what is shown of a lane: its contribution, with the bias where it is the whole output."""
        return values + self.operation.bias_of(self.channel) if self.alone else values

    def total(self, parts: Mapping[Lane, Array]) -> Array:
        """Return the output: the sum of what the lanes contribute, and the bias."""
        values = list(parts.values())
        made: Array = sum(values[1:], start=values[0]) + self.operation.bias_of(self.channel)
        return made


class Stamped(ByChannel[DeconvOperation]):
    """The same of a transposed convolution, with the kernels that lead to the output channel."""

    def __init__(self, operation: DeconvOperation, channel: int, most: int) -> None:
        super().__init__(operation, channel, most)
        self.inner = channel % operation.weight.shape[1]

    def weight(self, channel: int) -> Array:
        """Return the kernel ``(kh, kw)`` from an input channel."""
        found: Array = self.operation.weight[channel, self.inner]
        return found
