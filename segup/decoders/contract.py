"""The one contract that every topology keeps, and the ladder of sizes that it climbs."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from segup.conform import short
from segup.errors import ConfigError, ShapeError, figures
from segup.registry import Registry
from segup.upsamplers.contract import Size, Upsampler

Step = tuple[int, int | None, Upsampler]
"""An upsampling step: level of the input, level of the result (None: the image), operator."""


@dataclass(frozen=True)
class Rung:
    """One upsampling step on one axis: from ``low`` the operator reaches ``reached``; ``wanted`` is what it is given.

    ``correction`` is the number of rows added (positive) or cut (negative) after the operator.
    """

    operator: str
    low: int
    reached: int
    wanted: int
    correction: int


class Decoder(nn.Module, ABC):
    """Turn a pyramid into one map of exactly the size asked for.

    Args:
        channels: Of the pyramid's maps, from high to low resolution.
        strides: Their reductions, each a multiple of the one before.

    A subclass sets :attr:`out_channels` and is entered with :func:`register_topology`. Its class attributes say what
    its steps have to guide an operator, and whether its result needs a classifier:

    Attributes:
        guides: What a step has beside the map that it brings up: ``"skip"``, the encoder's map at the size to reach,
            and ``"indices"``, the pooling indices of an encoder that hands them out.
        gives_scores: Whether the result already has one channel for each class; then it takes ``num_classes``.
        out_channels: Channels of the result.
        widths: The channels that ``widths`` chose, or would have; empty where a topology leaves no choice of them.
    """

    name: ClassVar[str] = "unregistered"
    guides: ClassVar[frozenset[str]] = frozenset({"skip", "indices"})
    gives_scores: ClassVar[bool] = False
    out_channels: int
    widths: tuple[int, ...] = ()

    def __init__(self, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        check_pyramid(channels, strides)
        self.channels, self.strides = tuple(channels), tuple(strides)

    @abstractmethod
    def forward(self, features: Sequence[Tensor], size: Size, indices: Sequence[Tensor] | None = None) -> Tensor:
        """Return ``(N, out_channels, *size)`` from maps ``(N, channels[i], h_i, w_i)``.

        Args:
            features: The maps, from high to low resolution.
            size: (height, width) of the image.
            indices: Of the pooling between each map and the next, for operators that require them.
        """

    @abstractmethod
    def steps(self) -> list[Step]:
        """Return the upsampling steps in the order in which they run."""

    @property
    def requires(self) -> frozenset[str]:
        """What ``forward`` needs beside the maps: ``{"indices"}`` for operators that undo a pooling."""
        needed: frozenset[str] = frozenset().union(*(up.requires for _, _, up in self.steps()))
        return needed - {"skip"}

    def ladder(self, sizes: Sequence[int], size: int) -> list[Rung]:
        """Return the sizes of one axis step by step, for maps of ``sizes`` and an image of ``size``.

        Raises:
            ShapeError: An operator cannot bring its input to the size of the next map.
        """
        rungs = []
        for low, high, up in self.steps():
            wanted = size if high is None else sizes[high]
            reached = up.reach(sizes[low], wanted)
            rungs.append(Rung(up.label(), sizes[low], reached, wanted, wanted - reached))
        return rungs

    def checked_features(self, features: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the maps, laid out alike where torch.export traces: it has to prove how their strides compare.

        Raises:
            ShapeError: They are not of this decoder's channels and of one batch size.
        """
        if not isinstance(features, Sequence | Tensor) or not all(isinstance(f, Tensor) for f in features):
            raise ShapeError(
                f"this decoder takes a list of maps (N, C, h, w), from high to low resolution, not a "
                f"{type(features).__name__}"
                + (".\n  try: list(features.values())" if isinstance(features, Mapping) else " of other things")
            )
        shapes = [tuple(f.shape) for f in features]
        if any(len(shape) != 4 or shape[0] != shapes[0][0] for shape in shapes):
            raise ShapeError(f"this decoder takes maps (N, C, h, w) of one batch size, not {_listed(shapes)}")
        if any(0 in shape[-2:] for shape in shapes):
            raise ShapeError(f"this decoder takes maps (N, C, h, w) with h, w ≥ 1, not {_listed(shapes)}")
        got = tuple(shape[1] for shape in shapes)
        if got != self.channels:
            raise ShapeError(
                f"this decoder takes maps of {figures(self.channels)} channels, from high to low resolution, not "
                f"{figures(got)}.\n"
                f"  try: channels= and strides= of these maps at construction."
            )
        return [f.contiguous() for f in features] if torch.compiler.is_exporting() else features


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return f"[{', '.join([figures(shape) for shape in shapes])}]"


D = TypeVar("D", bound=type[Decoder])
topologies: Registry[type[Decoder]] = Registry("topology", "segup.decoders")


def register_topology(name: str, storable: Mapping[str, Any] | None = None) -> Callable[[D], D]:
    """Return a decorator that enters a topology under ``name``.

    Args:
        name: The word.
        storable: Its options that a checkpoint may hold, see :meth:`segup.registry.Registry.register`.
    """

    def enter(topology: D) -> D:
        topology.name = name
        topologies.register(name, storable)(topology)
        return topology

    return enter


def create_decoder(topology: str, channels: Sequence[int], strides: Sequence[int], **options: Any) -> Decoder:
    """Build a decoder for any library's pyramid, from plain ints.

    Args:
        topology: One of :func:`list_decoders`.
        channels: Of the maps, from high to low resolution.
        strides: Their reductions.
        **options: The topology's own, ``upsampler`` and ``widths`` among them.

    Raises:
        ConfigError: An unknown name or option, or a pyramid that cannot be decoded.

    >>> import torch
    >>> decoder = create_decoder(
    ...     "unet", channels=[24, 40, 112, 320], strides=[4, 8, 16, 32], upsampler="deconv", widths=[128, 64, 32, 16]
    ... )
    >>> maps = [torch.zeros(2, c, -(-417 // s), -(-353 // s)) for c, s in zip(decoder.channels, decoder.strides)]
    >>> decoder(maps, size=(417, 353)).shape
    torch.Size([2, 16, 417, 353])
    """
    decoder: Decoder = topologies.create(topology, channels, strides, **options)
    return decoder


def topology_class(name: str) -> type[Decoder]:
    """Return the class called ``name``.

    Raises:
        ConfigError: An unknown name, or a part from outside that is no :class:`Decoder`.
    """
    part = topologies.get(name)
    if not (isinstance(part, type) and issubclass(part, Decoder)):
        raise ConfigError(f"topology '{name}' is no subclass of segup.decoders.Decoder")
    return part


def list_decoders() -> list[str]:
    """Return the names of all topologies.

    >>> list_decoders()
    ['deeplabv3plus', 'duc', 'fcn', 'fpn', 'linknet', 'plain', 'segformer', 'unet']
    """
    return topologies.names()


def check_pyramid(channels: Sequence[int], strides: Sequence[int]) -> None:
    """Raise a ConfigError unless channels and strides describe a pyramid from high to low resolution."""
    for name, values in (("channels", channels), ("strides", strides)):
        if not isinstance(values, Sequence):
            raise ConfigError(f"{name}={values!r} must be a list of ints of 1 or more, one for each map")
    if len(channels) != len(strides) or not channels:
        raise ConfigError(f"channels={list(channels)} and strides={list(strides)} must be two lists of one length, ≥ 1")
    for name, values in (("channels", channels), ("strides", strides)):
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
                raise ConfigError(f"{name}={short(list(values))} must be ints of 1 or more; {short(value)} is not")
    for high, low in itertools.pairwise(strides):
        if low <= high or low % high:
            raise ConfigError(
                f"strides={list(strides)} must go from high to low resolution, each a multiple of the one before; "
                f"{low} after {high} is not"
            )
