"""The upsampling steps of a topology: which operator, from which map to which, guided by what."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, cast

from torch import Tensor, nn

from segup.decoders.arguments import BETWEEN_MAPS, checked_operator
from segup.decoders.rounding import Rounding, composed
from segup.errors import ConfigError, ShapeError
from segup.upsamplers import create_upsampler
from segup.upsamplers.contract import Fit, Upsampler, operator_class
from segup.upsamplers.guided import Encoding, Guided, sharing

Step = tuple[int, int | None, Upsampler]
"""An upsampling step: level of the input, level of the result (None: the image), operator."""


@dataclass(frozen=True)
class StepPlan:
    """How one decoder makes its steps; each goes from a map to the next one above it, or from a map to the image.

    So every operator multiplies by the ratio of two neighbouring strides and is given a size that the pyramid really
    has: what it corrects stays below that ratio at each step, however far the way is.

    Args:
        channels, strides: Of the pyramid's maps.
        upsampler: Name of the operator.
        fit: ``"correct"`` or ``"strict"``.
        options: The operator's own.
        final, final_options: The operator of the step to the image, and its own options.
        convs: 3×3 convolutions at each step.
        final_convs: Those after the step to the image.
        roundings: How each map's size follows from the one above it, the first from the image.
        own: The topology's further options.
        image_channels: Of the image.
        published: Whether the parts are those of the published network, see :attr:`Decoder.published`.
        encoders: Those of the image, which the steps share.
    """

    channels: tuple[int, ...]
    strides: tuple[int | Fraction, ...]
    upsampler: str
    fit: Fit
    options: Mapping[str, Any]
    final: str
    final_options: Mapping[str, Any] | None
    convs: int
    final_convs: int
    roundings: tuple[Rounding, ...]
    own: Mapping[str, Any]
    image_channels: int = 3
    published: bool = False
    encoders: dict[str, nn.Module] = field(default_factory=dict)

    def between(self, level: int, in_channels: int, out_channels: int) -> Upsampler:
        """Return the operator of the step from map ``level + 1`` to map ``level``."""
        high, low = self.strides[level : level + 2]
        return self._create(
            self.upsampler, in_channels, out_channels, int(low // high), skip_channels=self.channels[level],
            **self.stage_options(level),
        )  # fmt: skip

    def to_image(self, level: int, in_channels: int, out_channels: int) -> Upsampler:
        """Return the operator of the one step from map ``level`` to the image."""
        return self._whole(self.upsampler, level, in_channels, out_channels, self.options, "upsampler")

    def last(self, level: int, in_channels: int, out_channels: int, *, alone: bool = False) -> Upsampler | None:
        """Return the operator of the last step, from map ``level`` to the image, guided by it alone; None at stride 1.

        Args:
            level: Of the map.
            in_channels, out_channels: Of the operator.
            alone: Whether it brings up scores, or a map that convolutions follow: then a resize has none of its own.

        Raises:
            ConfigError: An operator that requires something.
        """
        name = self.final
        own = checked_operator(
            name, self.final_options, "final_options", BETWEEN_MAPS, f"final='{name}'",
            "and the step to the image has none", "decoder.final=bilinear, or another operator",
        )  # fmt: skip
        if self.strides[level] == 1:
            return None
        usual = operator_class(name).final_options
        usual = dict.fromkeys(usual) if alone else usual
        return self._whole(name, level, in_channels, out_channels, {**usual, **own}, "final")

    def stage_options(self, level: int) -> dict[str, Any]:
        """Return the operator's options for the step to ``level``, with the rounding it inverts where it takes one.

        Raises:
            ConfigError: The operator has to be matched to a stage that follows no single rule.
        """
        chosen = dict(self.options)
        if not operator_class(self.upsampler).takes_rounding or chosen.get("rounding") is not None:
            return chosen
        rounding = self.roundings[level + 1]
        if rounding is None:
            high, low = self.strides[level : level + 2]
            raise ConfigError(
                f"'{self.upsampler}' has to know how the encoder rounds from stride {high} to {low}, "
                f"and no single rule covers it.\n"
                f"  try: decoder.upsampler_options.rounding=up (or down), or decoder=deconv, which corrects instead."
            )
        return {**chosen, "rounding": rounding}

    def _whole(
        self, name: str, level: int, in_channels: int, out_channels: int, options: Mapping[str, Any], asked: str
    ) -> Upsampler:
        chosen, stride, kind = dict(options), self.strides[level], operator_class(name)
        if stride.denominator > 1 and not kind.takes_fractions:
            raise ConfigError(
                f"{asked}='{name}' multiplies by whole numbers, and the step to the image is one by {stride}.\n"
                f"  try: decoder.{asked}=bilinear, or nearest or bicubic, which resize."
            )
        if kind.takes_rounding and chosen.get("rounding") is None:
            chosen["rounding"] = composed(self.roundings[: level + 1], self.strides[: level + 1])
        return self._create(name, in_channels, out_channels, stride, **chosen)

    def _create(
        self, name: str, in_channels: int, out_channels: int, scale: int | Fraction, **options: Any
    ) -> Upsampler:
        """Return an operator; one that is guided by the image shares its encoder with the steps before."""
        given = {"fit": self.fit, "image_channels": self.image_channels, **options}
        return sharing(create_upsampler(name, in_channels, out_channels, scale, **given), self.encoders)


@dataclass(frozen=True)
class Encoded:
    """What flows from the encoder to the steps: its maps, and whatever else may guide an operator.

    Args:
        maps: ``(N, channels[i], h_i, w_i)``, from high to low resolution.
        beside: By name: ``"indices"``, those of the pooling between each map and the next; ``"image"``,
            ``(N, C, H, W)`` as the encoder sees it. What no operator requires may be left out.
        encodings: Of the image, by the identity of the operators' encoder that made them: each is made once.
    """

    maps: Sequence[Tensor]
    beside: Mapping[str, Any] = field(default_factory=dict)
    encodings: dict[int, Encoding] = field(default_factory=dict)

    def step(self, up: Upsampler, x: Tensor, level: int) -> Tensor:
        """Bring ``x`` from map ``level + 1`` to the size of map ``level``, guided by what the operator requires."""
        high = self.maps[level]
        return up(x, (high.shape[-2], high.shape[-1]), **self.guides(up, level))

    def join(self, up: Upsampler, x: Tensor, level: int) -> tuple[Tensor, Tensor]:
        """Return what :meth:`step` does, and the skip to join it with: map ``level``, or as the operator changed it."""
        high = self.maps[level]
        return up.with_skip(x, (high.shape[-2], high.shape[-1]), **{**self.guides(up, level), "skip": high})

    def guides(self, up: Upsampler, level: int | None) -> dict[str, Any]:
        """Return what an operator requires at the step to map ``level``, or to the image (None).

        Raises:
            ShapeError: The indices that it requires are not there, or are of another encoder.
        """
        return {name: self._guide(name, up, level) for name in up.requires}

    def _guide(self, name: str, up: Upsampler, level: int | None) -> Any:
        if name == "skip" and level is not None:
            return self.maps[level]
        given = self.beside.get(name)
        if name == "image" and isinstance(up, Guided) and isinstance(given, Tensor):
            which = id(vars(up.encoder))  # torch.export makes a proxy for each access, with the attributes of the one
            if which not in self.encodings:
                self.encodings[which] = up.encoded(given)
            return self.encodings[which]
        if name != "indices" or level is None:
            return given
        poolings = len(self.maps) - 1
        if given is None or len(given) != poolings:
            raise ShapeError(
                f"'{up.name}' undoes the encoder's poolings: this decoder takes a list of {poolings} indices, one "
                f"between each map and the next, and got {'none' if given is None else len(given)}.\n"
                f"  try: maps, indices = encoder.with_indices(image); decoder(maps, size, indices)"
            )
        return given[level]


def operators(modules: nn.ModuleList) -> list[Upsampler]:
    """Return the modules as the operators that they are."""
    return [cast(Upsampler, module) for module in modules]


def steps_to(levels: Iterable[int], ups: nn.ModuleList) -> list[Step]:
    """Return the steps that operators make, one to each of these levels."""
    return [(level + 1, level, up) for level, up in zip(levels, operators(ups), strict=True)]


def top_down_steps(first: int, ups: nn.ModuleList) -> list[Step]:
    """Return the steps of :func:`top_down`, from low to high resolution."""
    return steps_to(range(first, first + len(ups)), ups)[::-1]


def top_down(encoded: "Encoded", first: int, top: Tensor, ups: nn.ModuleList, laterals: nn.ModuleList) -> list[Tensor]:
    """Return maps from high to low resolution, each the one below brought up, plus a lateral of the encoder's map.

    Args:
        encoded: What the encoder gave.
        first: The level of the highest map.
        top: The lowest.
        ups, laterals: For each level above, from high to low resolution.
    """
    maps = [top]
    for i in range(len(ups) - 1, -1, -1):
        y, skip = encoded.join(operators(ups)[i], maps[0], first + i)
        maps.insert(0, laterals[i](skip) + y)
    return maps


class Climb(nn.Module):
    """Successive steps of one width, from map ``start`` up to map ``stop``; none where they are the same.

    Args:
        plan: Makes the operators.
        start, stop: Levels, ``start >= stop``.
        channels: Of the map, before and after each step.

    Shape: ``(N, channels, h_start, w_start)`` → ``(N, channels, h_stop, w_stop)``; a map from between may join on its
    way.
    """

    def __init__(self, plan: StepPlan, start: int, stop: int, channels: int) -> None:
        super().__init__()
        self.levels = tuple(range(start - 1, stop - 1, -1))
        self.ups = nn.ModuleList(plan.between(level, channels, channels) for level in self.levels)

    def forward(self, x: Tensor, encoded: Encoded, start: int | None = None) -> Tensor:
        """Return ``x``, which has the size of map ``start``, at the size of map ``stop``."""
        for up, level in zip(operators(self.ups), self.levels, strict=True):
            if start is None or level < start:
                x = encoded.step(up, x, level)
        return x

    def join(self, x: Tensor, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """Return ``x`` at the size of map ``stop``, and that map as the last of one or more operators changed it."""
        *before, (last, stop) = zip(operators(self.ups), self.levels, strict=True)
        for up, level in before:
            x = encoded.step(up, x, level)
        return encoded.join(last, x, stop)

    def steps(self) -> list[Step]:
        """Return the steps in order."""
        return steps_to(self.levels, self.ups)
