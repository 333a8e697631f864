"""``segup check``: for which image sizes a model gives back the image's size."""

import argparse
import ast
import inspect
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from segup.cli.help_text import argument, command, either
from segup.cli.report import report

if TYPE_CHECKING:
    from torch import nn

USAGE = 2

_EPILOG = """\
examples:
  segup check timm/resnet18 --decoder deconv
  segup check efficientnet_lite0 --decoder deconv_matched --topology fpn
  segup check torchvision.models.segmentation:fcn_resnet50 --kwargs num_classes=21
  segup check segmentation_models_pytorch:FPN --kwargs encoder_name=resnet18 --sizes 1-130,224
  segup check mypackage.models:Net --channels 1 --json
  segup check timm/resnet18 --live

No weights are downloaded: arguments called weights, encoder_weights, pretrained, ... are left out unless --kwargs sets
them. The model gets no pixels. segup follows the sizes through it.

exit codes: 0 the output always has the image's size (proved for all sizes, or checked for the sizes that were run);
1 some sizes fail; 2 the command is wrong, or the model cannot be built or followed; 130 after Ctrl-C.
"""
_NO_WEIGHTS: Mapping[str, bool | None] = {
    "weights": None,
    "weights_backbone": None,
    "encoder_weights": None,
    "backbone_weights": None,
    "pretrained": False,
    "pretrained_backbone": False,
}


def run(arguments: list[str]) -> int:
    """Check as the arguments say and return the exit code."""
    from segup.errors import SegupError

    options = _parser().parse_args(arguments)
    try:
        return 0 if _check(options) else 1
    except SegupError as error:
        report(error)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    return command(
        "check",
        "Find the image sizes at which a model's output has the image's size. The answer is proved for all "
        "sizes, or checked for the sizes that were run.",
        _EPILOG,
        argument(
            "model",
            metavar="ENCODER|MODULE:CALLABLE",
            help="an encoder, to which a decoder is added (timm/<model>, torchvision/<model>, efficientnet_lite0), or "
            "module:callable, which builds a model",
        ),
        argument("--decoder", metavar="OPERATOR", help="the upsampling operator (default: deconv)"),
        argument("--topology", metavar="NAME", help="how the decoder joins the maps (default: unet)"),
        argument(
            "--kwargs",
            nargs="+",
            default=[],
            metavar="NAME=VALUE",
            help="more arguments, with values as in Python or YAML: num_classes=21 weights=None dilations=[6,12]",
        ),
        argument("--sizes", type=sizes, metavar="1-130,224", help="the sizes to run on each axis"),
        argument("--other", type=int, metavar="N", help="the size of the other axis"),
        argument(
            "--channels", type=int, metavar="N", help="channels of the image (default: those that the model takes)"
        ),
        argument("--output", metavar="KEY", help='which map, if the model gives several (default: "out")'),
        argument("--training", action="store_true", help="run in training mode, with the limits of BatchNorm"),
        either(
            argument("--json", action="store_true", help="print the report as JSON"),
            argument("--live", action="store_true", help="write a page in which all sizes follow a slider"),
        ),
        argument("--out", nargs="+", default=[], metavar="FILE", help="where the page of --live goes, .html"),
        argument("--overwrite", action="store_true", help="let the page replace the file that is there"),
    )


def sizes(text: str) -> list[int]:
    """Return the sizes of ``"1-130"`` or ``"32,64,100-120"``.

    Raises:
        argparse.ArgumentTypeError: For anything else.

    >>> sizes("1-3,32")
    [1, 2, 3, 32]
    """
    found: list[int] = []
    for part in text.split(","):
        ends = [end.strip() for end in part.split("-")]
        if len(ends) > 2 or not all(end.isdecimal() and int(end) > 0 for end in ends) or int(ends[0]) > int(ends[-1]):
            raise argparse.ArgumentTypeError(f"'{text}' is not sizes of 1 or more such as 32,64,100-120")
        found += range(int(ends[0]), int(ends[-1]) + 1)
    return found


def pairs(words: Iterable[str]) -> dict[str, Any]:
    """Return ``["a=1", "b=None"]`` as arguments; values as Python writes them, else as YAML does, else text.

    Raises:
        ConfigError: A word is not NAME=VALUE.

    >>> pairs(["classes=21", "weights=None", "name=resnet18", "aux_loss=true", "rates=[6, 12]"])
    {'classes': 21, 'weights': None, 'name': 'resnet18', 'aux_loss': True, 'rates': [6, 12]}
    """
    from segup.errors import ConfigError

    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigError(f"--kwargs takes NAME=VALUE, not '{word}'")
        values[name] = _value(text)
    return values


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        import yaml

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text


def _check(options: argparse.Namespace) -> bool:
    values = pairs(options.kwargs)

    from segup.cli.live import page_paths
    from segup.errors import ConfigError
    from segup.inspection import check_sizes

    if (options.out or options.overwrite) and not options.live:
        raise ConfigError("--out and --overwrite are for the page.\n  try: --live.")
    page_paths(options.out, overwrite=options.overwrite)
    title, model = _built(options, values)
    asked = {
        "in_channels": options.channels,
        "sizes": options.sizes,
        "other": options.other,
        "output": options.output,
        "training": options.training,
    }
    if options.live:
        return _live(title, model, asked, options)
    found = check_sizes(model, **asked)
    if options.json:
        print(json.dumps({"target": title, **found.as_dict()}, indent=2))
    else:
        print(f"{title}\n{found}")
    return found.always


def _live(title: str, model: "nn.Module", asked: dict[str, Any], options: argparse.Namespace) -> bool:
    """Write the page of the model; return whether its output always has the image's size."""
    from segup.cli.live import write_page
    from segup.explain.live.page import model_page, static_of
    from segup.inspection.model_map import model_map

    found = model_map(model, **asked)
    print(f"{title}\n{found.report}")
    static = static_of(str(found.report), title=title)
    write_page(title, model_page(title, found.data, static), options.out, overwrite=options.overwrite)
    return found.report.always


def _built(options: argparse.Namespace, values: dict[str, Any]) -> "tuple[str, nn.Module]":
    """Return what is checked, in words, and the model."""
    from segup.errors import ConfigError

    if ":" in options.model:
        given = [name for name in ("decoder", "topology") if getattr(options, name) is not None]
        if given:
            raise ConfigError(
                f"--{given[0]} is for encoders of segup's, and '{options.model}' builds a model of its own.\n"
                f"  try: --kwargs for its arguments."
            )
        return options.model, _imported(options.model, values)

    from segup.models import create_model

    topology, upsampler = options.topology or "unet", options.decoder
    channels = {} if options.channels is None else {"in_channels": options.channels}
    arguments = {"num_classes": 2, "pretrained": False, **channels, **values}
    title = f"{options.model}, {topology}, {upsampler or values.get('preset') or 'deconv'}"
    return title, create_model(options.model, topology, upsampler, **arguments)


def _imported(target: str, values: dict[str, Any]) -> "nn.Module":
    """Call ``module:callable`` and return the model that it builds."""
    from torch import nn

    from segup.errors import ConfigError, unknown
    from segup.imports import import_named

    module, _, attribute = target.partition(":")
    try:
        home = import_named(module)
    except ImportError as cause:
        raise ConfigError(f"'{target}' cannot be imported: {cause}") from cause
    build: Any = home
    for part in attribute.split("."):
        if not hasattr(build, part):
            known = [name for name in dir(build) if name[0] != "_"]
            raise ConfigError(unknown(f"name in {module}", part, known) + _by_its_builder(home, attribute))
        build = getattr(build, part)
    if isinstance(build, nn.Module):
        return build
    if not callable(build):
        raise ConfigError(f"'{target}' is {type(build).__name__}, not something that builds a model")
    try:
        model = build(**{**_without_weights(build), **values})
    except Exception as cause:  # whatever builds a model may raise anything
        raise ConfigError(
            f"'{target}' cannot be built: {type(cause).__name__}: {cause}\n"
            f"  try: --kwargs NAME=VALUE for its arguments."
        ) from cause
    if not isinstance(model, nn.Module):
        raise ConfigError(f"'{target}' builds {type(model).__name__}, not a torch module")
    return model


def _by_its_builder(home: Any, name: str) -> str:
    """Return how a library that lists its models by name builds this one; nothing where it does not list it."""
    for builder in ("create_model", "get_model"):
        if callable(getattr(home, builder, None)) and name in getattr(home, "list_models", list)():
            argument = next(iter(inspect.signature(getattr(home, builder)).parameters))
            return f"\n  try: segup check {home.__name__}:{builder} --kwargs {argument}={name}"
    return ""


def _without_weights(build: Any) -> dict[str, Any]:
    """Return the arguments by which ``build`` does not fetch weights."""
    try:
        known = inspect.signature(build).parameters
    except (ValueError, TypeError):
        return {}
    return {name: value for name, value in _NO_WEIGHTS.items() if name in known}
