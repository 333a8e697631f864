"""Compare bfloat16 with float32 on a CPU: ``python scripts/benchmark_bfloat16.py``.

First single layers, forward and backward, then training steps and evaluation of whole models. Those that are compared
take turns in one process; times are medians with their quartiles, and ratios are to float32 (above 1: faster than it).
*autocast* is torch's own; *segup* is what ``trainer.precision=bf16-mixed`` trains with. On one thread, which is the
default, times are the process's own, so that other work on the machine does not count.
"""

import argparse
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from measuring import Times, alternate, training_step
from torch import Tensor, nn

from segup import create_model
from segup.training.bfloat16 import GroupedInFloat32

LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "3×3, 64 → 64": (nn.Conv2d(64, 64, 3, padding=1), (64, 64, 64)),
    "3×3, 256 → 256": (nn.Conv2d(256, 256, 3, padding=1), (256, 32, 32)),
    "1×1, 32 → 192": (nn.Conv2d(32, 192, 1), (32, 64, 64)),
    "transposed 4×4, stride 2, 64 → 32": (nn.ConvTranspose2d(64, 32, 4, 2, 1), (64, 64, 64)),
    "depthwise 3×3, 96": (nn.Conv2d(96, 96, 3, padding=1, groups=96), (96, 64, 64)),
    "depthwise 3×3, stride 2, 96": (nn.Conv2d(96, 96, 3, 2, 1, groups=96), (96, 64, 64)),
    "depthwise 3×3, dilation 2, 96": (nn.Conv2d(96, 96, 3, 1, 2, 2, groups=96), (96, 64, 64)),
    "depthwise 5×5, 240": (nn.Conv2d(240, 240, 5, padding=2, groups=240), (240, 16, 20)),
    "32 groups, 3×3, stride 2, 128": (nn.Conv2d(128, 128, 3, 2, 1, groups=32), (128, 32, 32)),
    "depthwise transposed 4×4, stride 2, 64": (nn.ConvTranspose2d(64, 64, 4, 2, 1, groups=64), (64, 32, 32)),
    "BatchNorm and ReLU, 64": (nn.Sequential(nn.BatchNorm2d(64), nn.ReLU()), (64, 128, 128)),
    "bilinear ×2, 64": (nn.Upsample(scale_factor=2, mode="bilinear"), (64, 64, 64)),
}
"""By what they are: a layer, and the shape of its input without the batch."""
CPU = torch.device("cpu")


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    flags = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in Path("/proc/cpuinfo").read_text()]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {' and '.join(flags) or 'no bfloat16 units'}")
    print(f"\n{'layer, forward and backward':>39}  {'float32':>28}  {'autocast':>28}  ratio")
    for name, (layer, shape) in LAYERS.items():
        x = torch.randn(arguments.batch, *shape).to(memory_format=torch.channels_last).requires_grad_()
        layer.to(memory_format=torch.channels_last)
        _print(name, alternate([_both(layer, x, mixed) for mixed in (False, True)], arguments.turns, CPU))

    print(f"\nmodels, {arguments.batch} images of {arguments.size[0]}×{arguments.size[1]}")
    image = torch.rand(arguments.batch, 3, *arguments.size).to(memory_format=torch.channels_last)
    target = torch.randint(0, 11, (arguments.batch, *arguments.size))
    for encoder in arguments.encoder:
        for upsampler in arguments.upsampler:
            model = create_model(encoder=encoder, upsampler=upsampler, num_classes=11, pretrained=False)
            model.to(memory_format=torch.channels_last)
            steps = [training_step(model, image, target, bf16=mixed) for mixed in (False, True)]
            steps.append(_within(GroupedInFloat32, steps[1]))
            _print(f"{encoder}, {upsampler}: step", alternate(steps, arguments.turns, CPU))
            model.eval()
            calls = [_forward(model, image, mixed) for mixed in (False, True)]
            _print(f"{encoder}, {upsampler}: evaluation", alternate(calls, arguments.turns, CPU))


def _print(name: str, times: list[Times]) -> None:
    ratios = [f"{times[0].median / each.median:5.2f}" for each in times[1:]]
    print(f"{name:>39}  " + "  ".join(f"{each!s:>28}" for each in times) + "  " + " ".join(ratios), flush=True)


def _both(layer: nn.Module, x: Tensor, mixed: bool) -> Callable[[], None]:
    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            y = layer(x)
        y.backward(torch.ones_like(y))

    return step


def _forward(model: nn.Module, image: Tensor, mixed: bool) -> Callable[[], None]:
    def call() -> None:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16) if mixed else nullcontext():
            model(image)

    return call


def _within(context: type[GroupedInFloat32], step: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        with context():
            step()

    return call


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", nargs="+", default=["efficientnet_lite0", "resnet18"])
    parser.add_argument("--upsampler", nargs="+", default=["deconv", "bilinear"])
    parser.add_argument("--size", type=int, nargs=2, default=[160, 192], metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
