"""Compare a training step of every operator in the same U-Net: ``python scripts/benchmark_operators.py``.

The models take turns in one process, so that what else the machine does falls on all of them; times are medians, and
ratios are to ``deconv`` (above 1: slower). Operators that need the encoder's pooling indices stand on ``segnet``, in
rows of their own beside ``deconv`` on the same encoder.
"""

import argparse

import torch
from measuring import alternate, training_step

from segup import create_model
from segup.models import SegmentationModel
from segup.training.cost import count_macs, count_parameters
from segup.upsamplers import list_upsamplers
from segup.upsamplers.contract import operator_class

REFERENCE = "deconv"


def main() -> None:
    arguments = _arguments()
    device = torch.device(arguments.device)
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads")
    print(f"batch {arguments.batch}, {arguments.size[0]}×{arguments.size[1]}, {arguments.steps} steps each")
    for encoder, names in by_encoder(arguments.upsampler, arguments.encoder).items():
        models = {name: build(encoder, name) for name in dict.fromkeys([REFERENCE, *names])}
        image = torch.rand(arguments.batch, 3, *arguments.size, device=device).to(memory_format=torch.channels_last)
        target = torch.randint(0, 3, (arguments.batch, *arguments.size), device=device)
        steps = [training_step(model.to(device), image, target) for model in models.values()]
        times = dict(zip(models, alternate(steps, arguments.steps, device), strict=True))
        print(f"\n{encoder}\n{'':>18}  parameters      MACs       step  ratio")
        for name, time in times.items():
            model = models[name]
            print(
                f"{name:>18}  {count_parameters(model)['total'] / 1e6:8.2f} M  "
                f"{count_macs(model, tuple(arguments.size))['total'] / 1e9:6.2f} G  {time.median * 1e3:6.0f} ms  "
                f"{time.median / times[REFERENCE].median:5.2f}"
            )


def by_encoder(names: list[str], encoder: str) -> dict[str, list[str]]:
    """Return the operators under the encoder on which they can stand."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault("segnet" if "indices" in operator_class(name).requires else encoder, []).append(name)
    return groups


def build(encoder: str, upsampler: str) -> SegmentationModel:
    """Return the U-Net, in channels_last."""
    model = create_model(encoder, "unet", upsampler, num_classes=3, pretrained=False)
    return model.to(memory_format=torch.channels_last)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="efficientnet_lite0")
    parser.add_argument("--upsampler", nargs="+", default=list_upsamplers(), choices=list_upsamplers(), metavar="NAME")
    parser.add_argument("--size", type=int, nargs=2, default=(161, 193))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; all by default")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
