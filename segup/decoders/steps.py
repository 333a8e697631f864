"""The upsampling steps of a topology: which operator, from which map to which, guided by what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from segup.decoders.arguments import checked_count, checked_options
from segup.decoders.blocks import conv_stack
from segup.decoders.contract import Decoder, Step
from segup.decoders.rounding import composed, whole_roundings
from segup.errors import ConfigError, ShapeError, figures
from segup.registry import check_options
from segup.upsamplers import create_upsampler, list_upsamplers
from segup.upsamplers.arguments import checked_size
from segup.upsamplers.contract import Fit, Size, Upsampler, check_fit, operator_class
from segup.upsamplers.fitting import without_gaps

GUIDES = {"skip": "the skip", "indices": "the encoder's pooling indices"}
"""How errors call what an operator may require."""


@dataclass(frozen=True)
class StepPlan:
    """How one decoder makes its steps; each goes from a map to the next one above it, or from a map to the image.

    So every operator multiplies by the ratio of two neighbouring strides and is given a size that the pyramid really
    has: what it corrects stays below that ratio at each step, however far the way is.

    Args:
        decoder: Whose maps and guides these are.
        upsampler: Name of the operator.
        fit: ``"correct"`` or ``"strict"``.
        options: The operator's own.
        roundings: How each map's size follows from the one above it: as many as there are maps, the first from the
            image, or one fewer, between the maps alone. All round up by default.

    Raises:
        ConfigError: The operator requires what the topology's steps do not have.
    """

    decoder: Decoder
    upsampler: str
    fit: Fit
    options: Mapping[str, Any]
    roundings: tuple[str | int | None, ...]

    @classmethod
    def of(
        cls,
        decoder: Decoder,
        upsampler: str,
        fit: Fit,
        options: Mapping[str, Any] | None,
        roundings: Sequence[str | int | None] | None,
    ) -> "StepPlan":
        """Check what was given and fill in the defaults."""
        missing = operator_class(upsampler).requires - decoder.guides
        if missing:
            raise ConfigError(
                f"upsampler '{upsampler}' requires {listed_guides(missing)}, "
                f"which topology '{decoder.name}' does not have at its steps.\n"
                f"  try: decoder.topology=unet, or an operator that requires nothing: {unguided_upsamplers()}."
            )
        check_fit(fit, "decoder.fit")
        rules = whole_roundings(roundings, len(decoder.strides))
        own = checked_options("upsampler_options", options)
        check_options(operator_class(upsampler), own, f"upsampler '{upsampler}'")
        return cls(decoder, upsampler, fit, own, rules)

    def between(self, level: int, in_channels: int, out_channels: int) -> Upsampler:
        """Return the operator of the step from map ``level + 1`` to map ``level``."""
        high, low = self.decoder.strides[level : level + 2]
        return create_upsampler(
            self.upsampler, in_channels, out_channels, low // high, skip_channels=self.decoder.channels[level],
            fit=self.fit, **self.stage_options(level),
        )  # fmt: skip

    def to_image(self, level: int, in_channels: int, out_channels: int) -> Upsampler:
        """Return the operator of the one step from map ``level`` to the image."""
        return self._whole(self.upsampler, level, in_channels, out_channels, self.options)

    def final(
        self, name: str, level: int, in_channels: int, out_channels: int, options: Mapping[str, Any] | None
    ) -> Upsampler | None:
        """Return the operator ``name`` for the step from map ``level`` to the image; None at stride 1.

        Raises:
            ConfigError: An operator that requires something: this step has no skip.
        """
        if not isinstance(name, str):
            raise ConfigError(f"decoder.final={name!r} must be the name of an upsampler, such as bilinear")
        required = operator_class(name).requires
        if required:
            raise ConfigError(
                f"final='{name}' requires {listed_guides(required)}, and the step to the image has none.\n"
                f"  try: decoder.final=bilinear, or another operator that requires nothing: {unguided_upsamplers()}."
            )
        own = checked_options("final_options", options)
        check_options(operator_class(name), own, f"upsampler '{name}'")
        if self.decoder.strides[level] == 1:
            return None
        chosen = {**operator_class(name).final_options, **own}
        return self._whole(name, level, in_channels, out_channels, chosen)

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
            high, low = self.decoder.strides[level : level + 2]
            raise ConfigError(
                f"'{self.upsampler}' has to know how the encoder rounds from stride {high} to {low}, "
                f"and no single rule covers it.\n"
                f"  try: decoder.upsampler_options.rounding=up (or down), or decoder=deconv, which corrects instead."
            )
        return {**chosen, "rounding": rounding}

    def _whole(
        self, name: str, level: int, in_channels: int, out_channels: int, options: Mapping[str, Any]
    ) -> Upsampler:
        chosen = dict(options)
        if operator_class(name).takes_rounding and chosen.get("rounding") is None:
            chosen["rounding"] = composed(self.roundings[: level + 1], self.decoder.strides[: level + 1])
        return create_upsampler(name, in_channels, out_channels, self.decoder.strides[level], fit=self.fit, **chosen)


def take_step(
    up: Upsampler, x: Tensor, level: int, features: Sequence[Tensor], indices: Sequence[Tensor] | None = None
) -> Tensor:
    """Bring ``x`` from level ``level + 1`` to the size of map ``level``, handing the operator what it requires."""
    high = features[level]
    y: Tensor = up(
        x,
        (high.shape[-2], high.shape[-1]),
        skip=high if "skip" in up.requires else None,
        indices=step_indices(up, level, features, indices),
    )
    return y


def step_indices(
    up: Upsampler, level: int, features: Sequence[Tensor], indices: Sequence[Tensor] | None
) -> Tensor | None:
    """Return the indices of the pooling after map ``level``, or None for an operator that does not require them.

    Raises:
        ShapeError: It does, and they were not given.
    """
    if "indices" not in up.requires:
        return None
    poolings = len(features) - 1
    if indices is None or len(indices) != poolings:
        raise ShapeError(
            f"'{up.name}' undoes the encoder's poolings: this decoder takes a list of {poolings} indices, one between "
            f"each map and the next, and got {'none' if indices is None else len(indices)}.\n"
            f"  try: maps, indices = encoder.with_indices(image); decoder(maps, size, indices)"
        )
    return indices[level]


def operators(modules: nn.ModuleList) -> list[Upsampler]:
    """Return the modules as the operators that they are."""
    return [cast(Upsampler, module) for module in modules]


class Climb(nn.Module):
    """Successive steps of one width, from map ``start`` up to map ``stop``; none where they are the same.

    Args:
        plan: Makes the operators.
        start, stop: Levels, ``start >= stop``.
        channels: Of the map, before and after each step.

    Shape: ``(N, channels, h_start, w_start)`` → ``(N, channels, h_stop, w_stop)``.
    """

    def __init__(self, plan: StepPlan, start: int, stop: int, channels: int) -> None:
        super().__init__()
        self.levels = tuple(range(start - 1, stop - 1, -1))
        self.ups = nn.ModuleList(plan.between(level, channels, channels) for level in self.levels)

    def forward(self, x: Tensor, features: Sequence[Tensor], indices: Sequence[Tensor] | None = None) -> Tensor:
        """Return ``x`` at the size of map ``stop``."""
        for up, level in zip(operators(self.ups), self.levels, strict=True):
            x = take_step(up, x, level, features, indices)
        return x

    def steps(self) -> list[Step]:
        """Return the steps in order."""
        return [(level + 1, level, up) for up, level in zip(operators(self.ups), self.levels, strict=True)]


class FinalStepDecoder(Decoder):
    """A decoder whose last step, from its highest map to the image, has an operator of its own and no skip.

    Attributes:
        final: The operator; None where the map already has the image's size.
        final_act: BatchNorm and ReLU after it, then the convolutions; scores stay as they are.
    """

    final: Upsampler | None
    final_act: nn.Module

    def add_final(self, up: Upsampler | None, convs: int | None = None) -> None:
        """Register the step and the ``convs`` 3×3 convolutions after it, at the image's size."""
        convs = checked_count("final_convs", convs, default=0, least=0)
        self.final = up
        if up is not None and not self.gives_scores:
            stack = conv_stack(up.out_channels, up.out_channels, convs)
            self.final_act = nn.Sequential(nn.BatchNorm2d(up.out_channels), nn.ReLU(inplace=True), *stack)

    def finish(self, x: Tensor, size: Size) -> Tensor:
        """Return ``x`` at exactly ``size``.

        Raises:
            ShapeError: ``x`` has stride 1 and another size: no step follows that could change it.
        """
        if self.final is None:
            wanted = checked_size(size)
            if (x.shape[-2], x.shape[-1]) != wanted:
                raise ShapeError(
                    f"the map of stride 1 has size {figures(x.shape[-2:])}, not the image's, {figures(wanted)}"
                )
            return x
        y: Tensor = self.final(x, size)
        return y if self.gives_scores else self.final_act(without_gaps(y))

    def final_steps(self, level: int) -> list[Step]:
        """Return the step from map ``level`` to the image, if there is one."""
        return [] if self.final is None else [(level, None, self.final)]


def listed_guides(required: frozenset[str]) -> str:
    """Return in words what operators require.

    >>> listed_guides(frozenset({"skip"})), listed_guides(frozenset({"indices"}))
    ('the skip', "the encoder's pooling indices")
    """
    return " and ".join(GUIDES.get(guide, f"'{guide}'") for guide in sorted(required))


def unguided_upsamplers() -> str:
    """Return the names of the operators that require nothing beside the map that they bring up, as errors list them.

    >>> names = unguided_upsamplers().split(", ")
    >>> "deconv" in names, "max_unpool" in names
    (True, False)
    """
    return ", ".join(name for name in list_upsamplers() if not operator_class(name).requires)
