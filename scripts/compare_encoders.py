"""Compare which transformers segmentation_models_pytorch and segup take: ``python scripts/compare_encoders.py``.

Every model is built without pretrained weights and run in evaluation at each size, in one process. A size counts where
the output has exactly the image's height and width. SMP's models are built both as they are and with timm's switches
for dynamic sizes; the better of the two counts. Prints a table in Markdown. Needs the extra ``compare``.
"""

import argparse
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn

from segup import create_model

ENCODERS = (
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "vit_small_patch14_dinov2",
    "vit_small_patch16_dinov3",
    "eva02_tiny_patch14_224",
    "samvit_base_patch16_224",
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "swinv2_cr_tiny_224",
)
SIZES = ((33, 47), (67, 45), (96, 131), (161, 193), (224, 224), (240, 320), (250, 333))
THEIRS: Mapping[str, Any] = {"SMP Unet": smp.Unet, "SMP FPN": smp.FPN, "SMP DPT": smp.DPT}
OURS: Mapping[str, dict[str, Any]] = {
    "segup unet": {"topology": "unet"},
    "segup fpn": {"topology": "fpn"},
    "segup neck=dpt": {"topology": "plain", "neck": "dpt"},
}
SWITCHES: Sequence[dict[str, Any]] = ({}, {"dynamic_img_size": True}, {"strict_img_size": False})
_WORDS = 70  # letters of a reason


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=ENCODERS, metavar="MODEL", help="models of timm")
    names = parser.parse_args().names
    warnings.filterwarnings("ignore")
    print(
        f"segmentation_models_pytorch {smp.__version__}, timm {timm.__version__}, torch {torch.__version__}; sizes ",
        end="",
    )
    print(", ".join(f"{height}×{width}" for height, width in SIZES), end=".\n\n")
    print(f"| encoder | {' | '.join([*THEIRS, *OURS])} |\n|{'---|' * (len(THEIRS) + len(OURS) + 1)}")
    for name in names:
        cells = [best_of([partial(their, make, name, switches) for switches in SWITCHES]) for make in THEIRS.values()]
        cells += [best_of([partial(ours, name, **options)]) for options in OURS.values()]
        print(f"| `{name}` | {' | '.join(cells)} |", flush=True)


def their(make: Callable[..., nn.Module], name: str, switches: Mapping[str, Any]) -> nn.Module:
    """Build a model of SMP's on one of timm's encoders."""
    return make(f"tu-{name}", encoder_weights=None, classes=2, **switches)


def ours(name: str, **options: Any) -> nn.Module:
    """Build a model of segup's."""
    return create_model(f"timm/{name}", upsampler="bilinear", num_classes=2, pretrained=False, **options)


def best_of(builders: Sequence[Callable[[], nn.Module]]) -> str:
    """Return at which sizes the best of the models gives the image's size, or why it takes none."""
    found = [taken(build) for build in builders]
    sizes, reason = max(found, key=lambda one: len(one[0]))
    if len(sizes) == len(SIZES):
        return "all"
    return ", ".join(f"{height}×{width}" for height, width in sizes) or f"none: {found[0][1] or reason}"


@torch.inference_mode()
def taken(build: Callable[[], nn.Module]) -> tuple[list[tuple[int, int]], str]:
    """Return the sizes that a model gives back, and the first reason why it does not give back another."""
    reason = ""
    sizes = []
    try:
        model = build().eval()
    except Exception as cause:  # a library refuses with whatever its parts raise
        return [], _said(cause)
    for size in SIZES:
        try:
            found = tuple(model(torch.rand(1, 3, *size)).shape[-2:])
        except Exception as cause:
            reason = reason or _said(cause)
            continue
        if found == size:
            sizes.append(size)
        else:
            reason = reason or f"{size[0]}×{size[1]} gives {found[0]}×{found[1]}"
    return sizes, reason


def _said(cause: Exception) -> str:
    words = " ".join(str(cause).split()).replace("|", "/")
    return f"{type(cause).__name__}, {words[:_WORDS]}{'…' if len(words) > _WORDS else ''}"


if __name__ == "__main__":
    main()
