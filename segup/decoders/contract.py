"""The contract of every topology."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor

from segup.calls import CheckedPart, check
from segup.conform import Count, Counts, Few, Name, OddKernel, Within
from segup.decoders.arguments import IMAGE_WIDTH, check_pyramid, checked_operator, checked_widths
from segup.decoders.features import checked_features
from segup.decoders.image_step import ImageStep
from segup.decoders.ladder import LadderStep
from segup.decoders.rounding import Roundings, whole_roundings
from segup.decoders.steps import Encoded, Step, StepPlan
from segup.errors import ConfigError, ShapeError, figures, unknown
from segup.registry import Registry
from segup.upsamplers.contract import Fit, Size
from segup.upsamplers.guide import GUIDES

Strides = Annotated[list[Count | Annotated[Fraction, Within(above=0)]], Within(0, 64)]
"""Reductions of a pyramid's maps; patches of 14 pixels make 7/2, 7, 14, 28."""
Preset = Literal["published"]
Place = Literal["before", "after"]


class Decoder(ImageStep, CheckedPart, ABC):
    """Turn a pyramid into one map of exactly the size asked for.

    Args:
        channels: Channels of the pyramid's maps, from high to low resolution.
        strides: Reductions of the maps, each a multiple of the one before. A pyramid may begin at stride 1, 2, 4 or
            more, or at a fraction such as 7/2: then the step to the image takes an operator that resizes.
        upsampler: Name of the operator of the steps between the maps; None is the topology's default.
        preset: ``"published"``: all that is None is as published, see :attr:`published`.
        widths: Channels of the maps between the steps; None is the topology's default.
        final: Name of the operator of the last step, to the image. This step has no skip. None is ``"bilinear"``.
        fit: ``"correct"`` or ``"strict"``, see :class:`segup.upsamplers.Upsampler`.
        convs: Number of 3×3 convolutions at each step; None is the topology's default.
        upsampler_options: The operator's own options.
        final_options: Options of the operator of the step to the image. There a resize has a 1×1 convolution unless
            ``kernel_size`` is given, or the step keeps the channels: then it stands alone.
        head: Where the classifier, the head, stands: ``"after"`` the step to the image, outside the decoder, or
            ``"before"`` it. Then the step brings scores up, on fewer channels, and nothing follows it. None is
            ``"after"``.
        head_kernel_size: Of the head; None is 1.
        roundings: How the encoder's stages round, from high to low resolution: ``"up"``, ``"down"`` or the int c of ⌊(n
            + c)/stride⌋ (``segup.inspection.inverse_of``). Operators that match the size get it. Give one for each map
            (the first is from the image to the first map), or one between each map and the next. By default all round
            up.
        image_channels: Channels of the image, for operators that are guided by it.
        **own: The topology's own options, see :attr:`options`.

    Raises:
        ConfigError: Widths do not match the steps, a name or an option is unknown, or an operator requires a guide that
            its step does not have.

    :func:`register_topology` gives a subclass its name. A subclass sets class attributes, makes its parts in
    :meth:`build`, and runs them in :meth:`decode`.

    Attributes:
        lacks: The guides of :data:`segup.upsamplers.guide.GUIDES` that its steps do not have.
        gives_scores: Whether the result has one channel for each class. It always has with ``head="before"``. Then the
            decoder takes ``num_classes``, else ``final_convs``.
        published: What ``preset="published"`` gives where nothing is given, by the names of the arguments; None where
            there is no published form. Widths follow from :meth:`usual_widths`, parts from ``plan.published``.
        options: Its own options, and which values of each a checkpoint may hold. Their default is None.
        own_widths: The default width of each of its own parts, and what it is of. The base class adds the step to the
            image. Where widths follow from the pyramid, a subclass defines :meth:`usual_widths`.
        usual_upsampler, usual_convs, least_convs: The defaults, and the smallest number of convolutions.
        usual_depths: How many of the deepest maps are used by default; the option ``depths`` changes it. None: all
            maps, and no option.
        first: The highest-resolution map that is used.
        widths: The channels that ``widths`` sets; empty if the topology has no widths to choose.
        num_classes: Channels of the scores, if it gives scores.
        out_channels: Channels of the result.
        final: The operator of the step to the image, or None.
        final_act: What follows ``final``: BatchNorm and ReLU, then ``final_convs`` convolutions. Scores get neither.
        head: The classifier, where it stands before ``final``, or None.
        upsampler: The name of the operator of the steps.
    """

    name: ClassVar[str] = "unregistered"
    group: ClassVar[str] = "decoder"
    lacks: ClassVar[frozenset[str]] = frozenset()
    gives_scores: bool = False
    published: ClassVar[Mapping[str, Any] | None] = None
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    own_widths: ClassVar[tuple[tuple[int, str], ...]] = ()
    usual_upsampler: ClassVar[str] = "deconv"
    usual_convs: ClassVar[int] = 0
    least_convs: ClassVar[int] = 0
    usual_depths: ClassVar[int | None] = None

    def __init__(
        self,
        channels: Counts,
        strides: Strides,
        *,
        upsampler: Name | None = None,
        preset: Preset | None = None,
        widths: Counts | None = None,
        final: Name | None = None,
        fit: Fit = "correct",
        convs: Few | None = None,
        head: Place | None = None,
        head_kernel_size: OddKernel | None = None,
        upsampler_options: dict[str, Any] | None = None,
        final_options: dict[str, Any] | None = None,
        roundings: Roundings | None = None,
        image_channels: Count = 3,
        **own: Any,
    ) -> None:
        super().__init__()
        given = {
            "channels": channels, "strides": strides, "upsampler": upsampler, "preset": preset, "widths": widths,
            "final": final, "fit": fit, "convs": convs, "head": head, "head_kernel_size": head_kernel_size,
            "upsampler_options": upsampler_options, "final_options": final_options, "roundings": roundings,
            "image_channels": image_channels, **own,
        }  # fmt: skip
        known = inspect.signature(type(self)).parameters
        for option, value in own.items():
            if option not in known:
                raise ConfigError(unknown(f"option of topology '{self.name}'", option, known))
            check(f"decoder.{option}", known[option].annotation, value)
        check_pyramid(channels, strides)
        chosen = self.filled(given)
        check("decoder.convs", Annotated[int, Within(self.least_convs)], chosen["convs"])
        self.channels, self.strides, self.image_channels = tuple(channels), tuple(strides), image_channels
        self.preset, self.upsampler, self.head_kernel_size = preset, chosen["upsampler"], chosen["head_kernel_size"]
        operators_own = checked_operator(
            self.upsampler, chosen["upsampler_options"], "upsampler_options", self.lacks,
            f"upsampler '{self.upsampler}'", f"which topology '{self.name}' does not have at its steps",
            "decoder.topology=unet, or an operator",
        )  # fmt: skip
        rules = whole_roundings(roundings, len(strides))
        self.gives_scores, self.head = self.scored(chosen), None
        self.num_classes = chosen.get("num_classes", IMAGE_WIDTH)
        self.first = 0
        if self.usual_depths is not None:
            maps, depths = len(channels), chosen.get("depths")
            check("decoder.depths", Annotated[int, Within(1, maps)] | None, depths)
            self.first = maps - (depths or self.usual_maps(self.usual_depths))
        self.widths = tuple(checked_widths(widths, *self.usual_widths()))
        self.out_channels = self.num_classes if self.gives_scores else [channels[0], *self.widths][-1]
        self.build(
            StepPlan(
                channels=self.channels,
                strides=self.strides,
                upsampler=self.upsampler,
                fit=fit,
                options=operators_own,
                final=chosen["final"],
                final_options=chosen["final_options"],
                convs=chosen["convs"],
                final_convs=chosen.get("final_convs", 0),
                roundings=rules,
                image_channels=image_channels,
                published=preset is not None,
                own={option: chosen.get(option) for option in self.options},
            )
        )

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.name == Decoder.name:  # until it is registered
            cls.name = cls.__name__
        whole = inspect.signature(cls)
        named = [p for p in whole.parameters.values() if p.kind is not p.VAR_KEYWORD]
        own = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in cls.all_options().items()
        ]
        cls.__signature__ = whole.replace(parameters=[*named, *own])  # type: ignore[attr-defined]

    @classmethod
    def all_options(cls) -> dict[str, Any]:
        """Return :attr:`options`, and the options that follow from the other attributes."""
        derived: dict[str, Any] = {"num_classes": Count | None}
        if not cls.gives_scores:
            derived["final_convs"] = Few | None
        if cls.usual_depths is not None:
            derived["depths"] = Few | None
        return {**derived, **cls.options}

    @classmethod
    def filled(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return options, with what the preset gives where nothing was given, or else the topology.

        Options of an operator that the preset names hold for that operator alone. What stays None is left out.

        Raises:
            ConfigError: A preset of a topology that has none.

        >>> filled = topology_class("unet").filled
        >>> filled({"preset": "published"})["upsampler_options"], filled({})["upsampler"]
        ({'kernel_size': None}, 'deconv')
        """
        chosen = {option: value for option, value in given.items() if value is not None}
        usual: dict[str, Any] = {
            "upsampler": cls.usual_upsampler, "final": "bilinear", "convs": cls.usual_convs, "head_kernel_size": 1
        }  # fmt: skip
        preset = chosen.get("preset")
        if preset is not None and cls.published is None:
            known = ", ".join(name for name in topologies.names() if topology_class(name).published is not None)
            raise ConfigError(
                f"topology '{cls.name}' has no preset '{preset}'; those that have are {known}.\n"
                f"  try: decoder.preset=null, or decoder.topology=unet"
            )
        if preset is not None:
            usual |= cls.published or {}
        if chosen.get("head") == "before":
            usual.pop("final_convs", None)
        for operator in ("upsampler", "final"):
            own = usual.pop(f"{operator}_options", {})
            own = {} if operator in chosen else own
            chosen[f"{operator}_options"] = {**own, **chosen.get(f"{operator}_options", {})}
        return {**usual, **chosen}

    @classmethod
    def scored(cls, options: Mapping[str, Any]) -> bool:
        """Return whether a decoder with these options, see :meth:`filled`, gives scores.

        Raises:
            ConfigError: They ask for a head in two places, or for what the scores are followed by.
        """
        place, convs = options.get("head"), options.get("final_convs")
        if cls.gives_scores and place == "after":
            raise ConfigError(
                f"topology '{cls.name}' brings scores up: its head stands before.\n  try: decoder.head=before"
            )
        scored = cls.gives_scores or place == "before"
        if scored and convs:
            raise ConfigError(
                f"decoder.final_convs={convs} would convolve scores: with head=before, nothing follows the last step.\n"
                f"  try: decoder.head=after, or decoder.final_convs=0"
            )
        if not scored and options.get("num_classes") is not None:
            raise ConfigError(
                f"decoder.num_classes={options['num_classes']} is for a head before the step to the image, and this "
                f"one stands after, outside the decoder.\n  try: decoder.head=before"
            )
        return scored

    def usual_widths(self) -> tuple[list[int], str]:
        """Return the default widths, and the rule for others, which errors show: here those of :attr:`own_widths`.

        :attr:`channels`, :attr:`strides`, :attr:`first` and :attr:`num_classes` are known.
        """
        return self.widths_of(*self.own_widths)

    def usual_maps(self, depths: int) -> int:
        """Return how many of the deepest maps are used by default: ``depths``, or all of fewer."""
        return min(depths, len(self.strides))

    def widths_of(self, *usual: tuple[int, str]) -> tuple[list[int], str]:
        """Return widths and their rule from (width, what it is of); a step to the image is added where there is one."""
        if self.widens:
            usual = (*usual, (IMAGE_WIDTH, "the step to the image"))
        listed = ", of ".join(what for _, what in usual)
        return [width for width, _ in usual], f"must have length {len(usual)}: the channels of {listed}"

    @property
    def widens(self) -> bool:
        """Whether there is a step to the image, of a map whose channels can be chosen."""
        return self.strides[self.first] > 1 and not self.gives_scores

    @abstractmethod
    def build(self, plan: StepPlan) -> None:
        """Make the parts, their operators by ``plan``; :attr:`widths` are known."""

    def forward(
        self, features: Sequence[Tensor] | Encoded, size: Size, indices: Sequence[Tensor] | None = None, **beside: Any
    ) -> Tensor:
        """Return ``(N, out_channels, *size)`` from maps ``(N, channels[i], h_i, w_i)``.

        Args:
            features: The maps, from high to low resolution; or an ``Encoded`` with all that flows from the encoder.
            size: (height, width) of the image.
            indices: Indices of the pooling between each map and the next, for operators that require them.
            **beside: Other guides of the operators: ``image=``, the image that the encoder sees.

        Raises:
            ShapeError: The maps do not have this decoder's channels and one batch size, or a required guide is missing;
                or :meth:`decode` gave another size.
            ConfigError: There is a guide that no operator takes.
        """
        for name in beside:
            if name not in GUIDES and name not in self.requires:
                raise ConfigError(unknown("guide of a decoder", name, {*GUIDES, *self.requires}))
        encoded = features if isinstance(features, Encoded) else Encoded(features, {"indices": indices, **beside})
        y = self.decode(Encoded(checked_features(encoded.maps, self.channels), encoded.beside), size)
        if not torch.compiler.is_compiling() and not torch.jit.is_tracing() and tuple(y.shape[-2:]) != tuple(size):
            raise ShapeError(
                f"topology '{self.name}': decode gave {figures(y.shape[-2:])} for an image of {figures(size)}\n"
                f"  try: return self.finish(y, size, encoded), which brings y to the image's size"
            )
        return y

    @abstractmethod
    def decode(self, encoded: Encoded, size: Size) -> Tensor:
        """Return ``(N, out_channels, *size)``; :meth:`forward` has checked the maps."""

    @abstractmethod
    def steps(self) -> list[Step]:
        """Return the upsampling steps in the order in which they run."""

    @property
    def requires(self) -> frozenset[str]:
        """The guides that ``forward`` needs beside the maps: ``"indices"``, ``"image"``."""
        needed: frozenset[str] = frozenset().union(*(up.requires for _, _, up in self.steps()))
        return needed - {"skip"}

    def ladder(self, sizes: Sequence[int], size: int) -> list[LadderStep]:
        """Return the sizes of one axis step by step, for maps of ``sizes`` and an image of ``size``.

        Raises:
            ShapeError: An operator cannot bring its input to the size of the next map.
        """
        return [LadderStep.of(up, sizes[low], size if high is None else sizes[high]) for low, high, up in self.steps()]


topologies: Registry[type[Decoder]] = Registry(
    "topology", "segup.decoders", place=("channels", "strides"), base=Decoder
)
register_topology = topologies.register
"""Registers a topology under a name: ``@register_topology("mine")`` above its class."""
topology_class = topologies.get
"""Returns the class of a name; a ConfigError where the name is unknown, or no :class:`Decoder` from outside."""
list_decoders = topologies.names
"""Returns the names of all topologies."""


def create_decoder(
    topology: str, channels: Sequence[int], strides: Sequence[int | Fraction], **options: Any
) -> Decoder:
    """Build a decoder for the pyramid of any library, from plain ints.

    Args:
        topology: One of :func:`list_decoders`.
        channels: Of the maps, from high to low resolution.
        strides: Their reductions.
        **options: The topology's options, for example ``upsampler`` and ``widths``; see :class:`Decoder`.

    Raises:
        ConfigError: A name or an option is unknown, or the pyramid cannot be decoded.

    >>> import torch
    >>> decoder = create_decoder(
    ...     "unet", channels=[24, 40, 112, 320], strides=[4, 8, 16, 32], upsampler="deconv", widths=[128, 64, 32, 16]
    ... )
    >>> maps = [torch.zeros(2, c, -(-417 // s), -(-353 // s)) for c, s in zip(decoder.channels, decoder.strides)]
    >>> decoder(maps, size=(417, 353)).shape
    torch.Size([2, 16, 417, 353])
    """
    return topologies.create(topology, channels, strides, **options)
