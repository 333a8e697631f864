"""Compare a training step with segmentation_models_pytorch's Unet: ``python scripts/benchmark_training.py``.

Same encoder, same decoder widths, same batch, same loss and optimizer; the two alternate in one process, in both
memory formats, and the ratio of medians is printed (above 1: segup is faster). Needs the extra ``compare``.
"""

import argparse

import segmentation_models_pytorch as smp
import torch
from measuring import FORMATS, Times, alternate, training_step
from torch import nn

from segup import create_model
from segup.upsamplers import list_upsamplers

# Each encoder by segup's name and by the other's.
ENCODERS = {"efficientnet_lite0": "timm-tf_efficientnet_lite0", "resnet18": "resnet18"}
WIDTHS = [128, 64, 48, 32, 16]


def main() -> None:
    arguments = _arguments()
    device = torch.device(arguments.device)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads")
    print(
        f"{arguments.encoder}, widths {WIDTHS}, batch {arguments.batch}, {arguments.size[0]}×{arguments.size[1]}, "
        f"{arguments.steps} steps each"
    )
    shape = (arguments.batch, 3, *arguments.size)
    for upsampler in arguments.upsampler:
        for name in FORMATS:
            ours, theirs = compare(arguments.encoder, upsampler, name, shape, arguments.steps, device)
            a, b = ours.median, theirs.median
            print(f"{upsampler:>14}  {name:>13}  segup {a * 1e3:7.1f} ms  SMP {b * 1e3:7.1f} ms  ratio {b / a:.2f}")


def compare(
    encoder: str,
    upsampler: str,
    memory_format: str,
    shape: tuple[int, ...],
    count: int,
    device: torch.device,
    *,
    bf16: bool = False,
    until: float = float("inf"),
) -> tuple[Times, Times]:
    """Return the times of a step of segup's U-Net and of SMP's, on images ``(N, 3, H, W)`` of ``shape``."""
    ours = create_model(encoder, "unet", upsampler, num_classes=3, widths=WIDTHS, pretrained=False)
    layout = FORMATS[memory_format]
    image = torch.rand(shape, device=device).to(memory_format=layout)
    target = torch.randint(0, 3, (shape[0], *shape[2:]), device=device)
    models = [model.to(device).to(memory_format=layout) for model in (ours, their_unet(encoder))]
    steps = [training_step(model, image, target, bf16) for model in models]
    first, second = alternate(steps, count, device, until)
    return first, second


def their_unet(encoder: str) -> nn.Module:
    """Return SMP's Unet with the widths of segup's."""
    model: nn.Module = smp.Unet(ENCODERS[encoder], encoder_weights=None, decoder_channels=WIDTHS, classes=3)
    return model


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="efficientnet_lite0", choices=ENCODERS)
    parser.add_argument("--upsampler", nargs="+", default=["deconv"], choices=list_upsamplers(), metavar="NAME")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(160, 192), help="multiples of 32, which SMP's encoder needs"
    )
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; all by default")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
