"""Widths with which every decoder costs what the baseline's does."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from segup.errors import ConfigError
from segup.training.config import RunConfig

_DOUBLINGS = 6
_LEEWAY = 0.05
"""How far a width may lie from its share, so that a decoder keeps its proportions; one step is always allowed."""


@dataclass(frozen=True)
class MatchedWidths:
    """What was found.

    Args:
        widths: Channels; those that were given where nothing else comes nearer.
        budget: What they cost.
        difference: From the target, as a share of it.
    """

    widths: tuple[int, ...]
    budget: int
    difference: float


def matched_widths(
    usual: Sequence[int], target: int, cost: Callable[[tuple[int, ...]], int], multiple: int = 1
) -> MatchedWidths:
    """Return widths near in proportion to ``usual`` that cost as near to ``target`` as whole channels allow.

    All are scaled by one factor; then one after another is moved by a step, within a twentieth of its share, as long
    as that comes nearer.

    Args:
        usual: The widths to scale, one or more.
        target: What they shall cost.
        cost: What widths cost; a ConfigError for channels that the operator cannot have.
        multiple: Of what the widths shall be; of a multiple of it where the operator refuses these.

    Raises:
        ConfigError: The operator can have none of the widths.

    >>> matched_widths([64, 32], 1000, lambda widths: sum(widths) * 9)
    MatchedWidths(widths=(74, 37), budget=999, difference=-0.001)
    """
    known = cache(cost)
    for step in (multiple << doubling for doubling in range(_DOUBLINGS)):
        try:
            return _matched(usual, target, known, step)
        except ConfigError:
            if step == multiple << (_DOUBLINGS - 1):
                raise
    raise AssertionError("every step returned or raised")


def _matched(usual: Sequence[int], target: int, cost: Callable[[tuple[int, ...]], int], step: int) -> MatchedWidths:
    # One factor for all widths keeps a decoder's proportions, and its cost rises with it: bisection finds the factor.
    # Rounded to whole channels, that misses the target by up to a percent. Single steps of single widths close most of
    # the gap; they stay near the shares, so that no width pays for all. The loop ends, since each turn comes nearer.
    def scaled(factor: float) -> tuple[int, ...]:
        return tuple(max(step, round(width * factor / step) * step) for width in usual)

    def error(widths: tuple[int, ...]) -> int:
        return abs(cost(widths) - target)

    low, high = 0.0, 1.0
    while cost(scaled(high)) < target and high < 2**10:
        low, high = high, high * 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(scaled(middle)) < target else (low, middle)
    shares = [width * high for width in usual]
    best = min((scaled(low), scaled(high)), key=error)
    while True:
        nearer = min([best, *_neighbours(best, shares, step)], key=error)
        if error(nearer) >= error(best):
            return MatchedWidths(best, cost(best), round((cost(best) - target) / target, 6))
        best = nearer


def _neighbours(widths: tuple[int, ...], shares: Sequence[float], step: int) -> list[tuple[int, ...]]:
    return [
        (*widths[:place], moved, *widths[place + 1 :])
        for place, share in enumerate(shares)
        for moved in (widths[place] - step, widths[place] + step)
        if moved >= step and abs(moved - share) <= max(step, _LEEWAY * share)
    ]


def match_decoders(
    configs: Mapping[str, Mapping[str, Any]], baseline: Mapping[str, Any], by: str
) -> dict[str, MatchedWidths]:
    """Return for each label the widths with which its decoder and head cost what the baseline's do.

    Decoders are built without memory and counted; of each encoder its map sizes alone are found out, without
    pretrained weights.

    Args:
        configs: A run's configuration for each label.
        baseline: That of the baseline.
        by: ``"params"`` or ``"macs"``, those for one training crop.

    Raises:
        ConfigError: A part is unknown, cannot have any widths, or leaves no choice of them.
    """
    maps_of = cache(_maps_of)
    reference = _budget(baseline, by, maps_of)
    target = reference.cost(reference.widths)
    found = {}
    for label, config in configs.items():
        budget = _budget(config, by, maps_of)
        if config["decoder"] == baseline["decoder"]:
            whole = budget.cost(budget.widths)
            found[label] = MatchedWidths(budget.widths, whole, round((whole - target) / target, 6))
        elif not budget.widths:
            topology = config["decoder"]["topology"]
            raise ConfigError(
                f"ablation.match={by}: '{label}' cannot be matched: topology '{topology}' leaves no choice of widths.\n"
                f"  try: ablation.match=none, or decoder.topology=unet"
            )
        else:
            found[label] = matched_widths(budget.widths, target, budget.cost, budget.multiple)
    return found


def stages_of(config: Mapping[str, Any]) -> list[tuple[int, str | int | None]]:
    """Return the factor of each step between two maps of a run's encoder, and how the stage that it inverts rounds."""
    run = RunConfig.of(config)
    maps, roundings = _maps_of(json.dumps([_pyramid(run), None]))
    factors = [low // high for high, low in itertools.pairwise(maps.strides)]
    return list(zip(factors, roundings[1:], strict=True))


@dataclass(frozen=True)
class _Budget:
    """The widths that a run's decoder has, what it costs with given ones, and of what they should be multiples."""

    widths: tuple[int, ...]
    cost: Callable[[tuple[int, ...]], int]
    multiple: int


def _budget(config: Mapping[str, Any], by: str, maps_of: Callable[[str], Any]) -> _Budget:
    from segup.decoders.contract import topology_class
    from segup.decoders.costs import cost_of, parameters_of, without_memory
    from segup.shapes import Conv, Cost
    from segup.shapes import cost as conv_cost
    from segup.upsamplers.contract import operator_class

    run = RunConfig.of(config)
    options = {key: value for key, value in run.decoder.items() if value is not None}
    topology = str(options.pop("topology"))
    kind = topology_class(topology)
    chosen = kind.filled(options)
    scores, size = kind.scored(chosen), chosen["head_kernel_size"]
    maps, options["roundings"] = maps_of(json.dumps([_pyramid(run), _crop(run) if by == "macs" else None]))
    classes = len(run.data["classes"]) if run.num_classes is None else run.num_classes
    if scores:
        options["num_classes"] = classes

    def cost(widths: tuple[int, ...]) -> int:
        decoder = without_memory(topology, maps, **{**options, "widths": list(widths) or None})
        rule = Conv(size, padding=size // 2)
        head = Cost(0, 0) if scores else conv_cost(rule, maps.image, decoder.out_channels, classes)
        if by == "params":  # known without a forward, which is most of the time
            return parameters_of(decoder) + head.parameters
        return cost_of(decoder, maps).macs + head.macs

    multiple = operator_class(str(chosen["upsampler"])).multiple(**chosen["upsampler_options"])
    return _Budget(without_memory(topology, maps, **options).widths, cost, multiple)


def _pyramid(run: RunConfig) -> dict[str, Any]:
    from segup.training.build import encoder_options, neck_names

    names = neck_names(run)
    body = {
        "name": run.encoder.full_name,
        "in_channels": run.data.get("in_channels", 3),
        **encoder_options(run.encoder),
    }
    return {"encoder": body, "neck": {"name": names["neck"], **names.get("neck_options", {})}}


def _maps_of(asked: str) -> Any:
    """Return the maps of encoder and neck for one training crop, and how they round."""
    from segup.decoders.costs import Maps
    from segup.encoders import create_encoder
    from segup.necks import create_neck

    named, crop = json.loads(asked)
    options, of_neck = named["encoder"], named["neck"]
    body = create_encoder(options.pop("name"), options.pop("in_channels"), pretrained=False, **options)
    roundings = list(body.pyramid.roundings)
    neck = create_neck(of_neck.pop("name"), body.channels, body.strides, roundings, body.in_channels, **of_neck)
    body.take_whole_cells(neck.cell)
    image = body.accepted_size(tuple(crop or (1, 1)))
    sizes = zip(*(neck.map_sizes(body.map_sizes(size)) for size in image), strict=True)
    maps = Maps(tuple(neck.channels), tuple(neck.strides), tuple(sizes), image)
    return maps, list(neck.roundings)


def _crop(run: RunConfig) -> list[int]:
    """Return the size of a training crop; the first image's where whole images are trained on."""
    if run.data.get("crop_size") is not None:
        return list(run.data["crop_size"])
    from segup.data import create_data

    data = create_data(run.data, run.seed)
    data.prepare_data()
    data.setup("fit")
    return list(data.training_size())
