"""``segup encoders``: the image sizes, strides and rounding of encoders."""

import argparse
import json
import re
from typing import TYPE_CHECKING, Any

from segup.cli.help_text import argument, command
from segup.cli.report import run_reported

if TYPE_CHECKING:
    from segup.encoders import Encoder

_EPILOG = """\
examples:
  segup encoders efficientnet_lite0 timm/resnet18 torchvision/swin_t
  segup encoders vit_tiny_patch16_224 --json
  segup encoders swin_transformer

A family is a word of timm.list_modules(). Its smallest model stands for it: every model of the family is built once,
without memory, to count its weights. No weights are downloaded.

exit codes: 0 all are described; 1 a name is unknown; 2 the command is wrong; 130 after Ctrl-C.
"""
_COLUMNS = ("family", "model", "accepted sizes", "strides", "rounding", "known by")


def run(arguments: list[str]) -> int:
    """Describe as the arguments say and return the exit code."""
    parser = command(
        "encoders",
        "Print a table: which image sizes each encoder accepts, the strides of its maps, and how their "
        "sizes are rounded. segup extends an image to the next accepted size and cuts the output back.",
        _EPILOG,
        argument("names", nargs="+", metavar="ENCODER|FAMILY", help="an encoder, or a family of timm's models"),
        argument("--img-size", type=int, metavar="N", help="build encoders that are tied to one size for this one"),
        argument("--json", action="store_true", help="print the rows as JSON"),
    )
    return run_reported(_show, parser.parse_args(arguments))


def _show(options: argparse.Namespace) -> None:
    models = [smallest_of(name) for name in options.names]  # unknown names are refused before work starts
    if not options.json:
        print(f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}", flush=True)
    rows = []
    for family, model in models:
        rows.append({"family": family, "model": model, **described(model, options.img_size)})
        if not options.json:
            print(f"| {' | '.join(_cells(rows[-1]))} |", flush=True)
    if options.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))


def smallest_of(name: str) -> tuple[str, str]:
    """Return the family of a name, and the model to build: the one named, or the family's smallest."""
    import timm
    import torch

    from segup.encoders.create import family_of

    if name not in timm.list_modules() or name in timm.list_models():
        library, model = family_of(name)
        known = library == "timm" and timm.is_model(model)
        family = timm.model_entrypoint(model).__module__.rpartition(".")[2] if known else library
        return family, f"{library}/{model}" if model else library

    def weights(model: str) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in timm.create_model(model).parameters())

    return name, f"timm/{min(timm.list_models(module=name), key=weights)}"


def described(model: str, img_size: int | None = None) -> dict[str, Any]:
    """Return what is known of an encoder's sizes as plain values, or why it is refused."""
    from segup.errors import ConfigError

    try:
        encoder = _built(model, img_size)
    except ConfigError as refusal:
        return {"refused": str(refusal)}
    pyramid = encoder.pyramid
    return {
        "accepted": str(pyramid.accepted),
        "least": pyramid.accepted.least,
        "most": pyramid.accepted.most,
        "multiple": pyramid.accepted.multiple,
        "strides": encoder.strides,
        "channels": encoder.channels,
        "max_tokens": encoder.max_tokens,
        "rounding": pyramid.roundings,
        "proved": pyramid.proved,
    }


def _built(model: str, img_size: int | None) -> "Encoder":
    from segup.encoders import create_encoder

    sized: dict[str, Any] = {} if img_size is None else {"img_size": img_size}
    return create_encoder(model, pretrained=False, **sized)


def _cells(row: dict[str, Any]) -> list[str]:
    named = [row["family"], f"`{row['model']}`"]
    if "refused" in row:
        return [*named, _in_a_line(row["refused"]), "", "", ""]
    strides = ", ".join(map(str, row["strides"]))
    rounding = list(dict.fromkeys(_word(one) for one in row["rounding"]))
    return [*named, row["accepted"], strides, ", then ".join(rounding), "proof" if row["proved"] else "runs"]


def _in_a_line(refusal: str) -> str:
    r"""Return why an encoder is refused and what to try, without what the row says already; --json has all of it.

    >>> _in_a_line("encoder 'x': at 512×512 pixels, RuntimeError: 3 is not 4! Not at all.\n  try: a=1, or b=2")
    'refused: 3 is not 4; try: a=1'
    """
    said, _, way_out = refusal.partition("\n  try: ")
    reason = re.sub(r".* pixels, |^.* pyramid: ", "", " ".join(said.split()))
    reason = re.split(r"[!;] |[.!] ?$|\. ", re.sub(r"^\w+Error: ", "", reason))[0]
    return f"refused: {reason}; try: {way_out.partition(', or ')[0]}"


def _word(rounding: Any) -> str:
    if rounding is None:
        return "mixed"
    return rounding if isinstance(rounding, str) else f"{rounding:+d}"
