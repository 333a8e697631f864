"""Compare a training step with segmentation_models_pytorch's Unet: ``python scripts/benchmark_training.py``.

Same encoder, same decoder widths, same batch, same loss and optimizer; the two alternate in one process, in both
memory formats, and the ratio of medians is printed (above 1: segup is faster). Needs the extra ``compare``.
"""

import argparse

import segmentation_models_pytorch as smp
import torch
from alternation import alternate, training_step

from segup import create_model
from segup.upsamplers import list_upsamplers

# Each encoder by segup's name and by the other's.
ENCODERS = {"efficientnet_lite0": "timm-tf_efficientnet_lite0", "resnet18": "resnet18"}
FORMATS = {"channels_last": torch.channels_last, "default": torch.contiguous_format}
WIDTHS = [128, 64, 48, 32, 16]


def main() -> None:
    arguments = _arguments()
    device = torch.device(arguments.device)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    height, width = arguments.size
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads")
    print(
        f"{arguments.encoder}, widths {WIDTHS}, batch {arguments.batch}, {height}×{width}, {arguments.steps} steps each"
    )
    for upsampler in arguments.upsampler:
        for name, memory_format in FORMATS.items():
            ours = create_model(arguments.encoder, "unet", upsampler, num_classes=3, widths=WIDTHS, pretrained=False)
            theirs = smp.Unet(ENCODERS[arguments.encoder], encoder_weights=None, decoder_channels=WIDTHS, classes=3)
            image = torch.rand(arguments.batch, 3, height, width, device=device).to(memory_format=memory_format)
            target = torch.randint(0, 3, (arguments.batch, height, width), device=device)
            steps = [training_step(m.to(device).to(memory_format=memory_format), image, target) for m in (ours, theirs)]
            a, b = alternate(steps, arguments.steps, device)
            print(f"{upsampler:>14}  {name:>13}  segup {a * 1e3:7.1f} ms  SMP {b * 1e3:7.1f} ms  ratio {b / a:.2f}")


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
