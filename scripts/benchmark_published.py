"""Compare a training step of the published networks with segmentation_models_pytorch's, at equal work.

``python scripts/benchmark_published.py`` (extra ``compare``): same encoder, batch, loss and optimizer, both in
channels_last. The two take turns in one process; a row has the medians with their quartiles and the ratio (above 1:
segup is faster). The most memory that a step holds is measured in a process of its own for each. ``--default`` adds
segup's U-Net as it trains by default. Work is counted in multiply-accumulates of a forward pass of one image.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from measuring import alternate, measure, training_step
from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from segup import create_model
from segup.upsamplers.nearest import conv_of_repeated

CLASSES = 19
THEIRS: dict[str, Callable[..., nn.Module]] = {
    "unet": smp.Unet,
    "fpn": smp.FPN,
    "linknet": smp.Linknet,
    "deeplabv3plus": smp.DeepLabV3Plus,
    "segformer": smp.Segformer,
    "upernet": smp.UPerNet,
    "pspnet": smp.PSPNet,
}
FIVE = ["unet", "fpn", "linknet", "deeplabv3plus", "segformer"]
DEFAULT = "unet, default"
BLOCKS = ((512, 256, 256), (256, 128, 128), (128, 64, 64), (64, 64, 32), (32, 0, 16))
"""Of the published U-Net on a resnet18: channels of the map, of the skip, and of the result."""
ENCODER: dict[str, dict[str, Any]] = {"deeplabv3plus": {"output_stride": 16}, "pspnet": {"out_indices": [0, 1, 2]}}


class FourMaps(nn.Module):
    """SMP's Segformer on the paper's four maps; its own takes a ResNet's map of stride 2 beside them."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.encoder, self.head = whole.encoder, whole.segmentation_head
        channels = whole.encoder.out_channels
        self.decoder = SegformerDecoder([channels[0], 0, *channels[2:]])

    def forward(self, image: Tensor) -> Tensor:
        """Return the scores of an image."""
        maps = self.encoder(image)
        scores: Tensor = self.head(self.decoder([maps[0], maps[1][:, :0], *maps[2:]]))
        return scores


def ours(name: str) -> nn.Module:
    """Return segup's network, in channels_last."""
    topology, preset = (name, "published") if name != DEFAULT else ("unet", None)
    model = create_model(
        "resnet18",
        topology,
        preset=preset,
        num_classes=CLASSES,
        pretrained=False,
        encoder_options=ENCODER.get(name),
    )
    return model.to(memory_format=torch.channels_last)


def theirs(name: str) -> nn.Module:
    """Return SMP's network, in channels_last."""
    model = THEIRS[name.partition(",")[0]]("resnet18", encoder_weights=None, classes=CLASSES)
    return (FourMaps(model) if name == "segformer" else model).to(memory_format=torch.channels_last)


SIDES = {"segup": ours, "SMP": theirs}


def batch(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return images and labels."""
    image = torch.rand(shape).to(memory_format=torch.channels_last)
    return image, torch.randint(0, CLASSES, (shape[0], *shape[2:]))


def macs(model: nn.Module, image: Tensor) -> int:
    """Return the multiply-accumulates of a forward pass of one image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(image[:1])
    model.train()
    return counter.get_total_flops() // 2


def memory(name: str, side: str, shape: tuple[int, ...]) -> int:
    """Return the most bytes that a training step holds beyond the model, the second one, in this process."""
    step = training_step(SIDES[side](name), *batch(shape))
    step()
    return measure(step, torch.device("cpu"))[0]


def memory_of_its_own(name: str, side: str, arguments: argparse.Namespace) -> int:
    """Return :func:`memory` of a process that does nothing else."""
    size = [str(number) for number in (arguments.batch, *arguments.size, arguments.threads)]
    given = ["--memory-of", name, side, "--batch", size[0], "--size", *size[1:3], "--threads", size[3]]
    # glibc would keep what was freed, in pieces whose number depends on the order; so it gives maps back at once.
    exact = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    environment = {**os.environ, **exact}
    command = [sys.executable, __file__, *given]
    run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return int(run.stdout)


def first_convolutions(arguments: argparse.Namespace) -> None:
    """Print how much faster the first convolution of each block of the U-Net is part by part, forward and backward."""
    print("| channels, skip → result | size | two convolutions | with the transposed one |\n|---|---|---|---|")
    for stride, (ins, skips, outs) in zip((16, 8, 4, 2, 1), BLOCKS, strict=True):
        height, width = (side // stride for side in arguments.size)

        def leaf(channels: int, height: int = height, width: int = width) -> Tensor:
            x = torch.rand(arguments.batch, channels, height, width).to(memory_format=torch.channels_last)
            return x.requires_grad_()

        x, skip = leaf(ins, height // 2, width // 2), leaf(skips)
        weight = torch.rand(outs, ins + skips, 3, 3).to(memory_format=torch.channels_last).requires_grad_()

        def step(way: str, x: Tensor = x, skip: Tensor = skip, weight: Tensor = weight) -> None:
            own, other = torch.split(weight, [x.shape[1], skip.shape[1]], dim=1)
            high = x if way == "transposed" else F.interpolate(x, scale_factor=2)
            if way == "joined":
                y = F.conv2d(torch.cat((high, skip), dim=1), weight, padding=1)
            else:
                y = conv_of_repeated(x, own, 2) if way == "transposed" else F.conv2d(high, own, padding=1)
                y = y + F.conv2d(skip, other, padding=1) if skip.shape[1] else y
            y.sum().backward()

        ways = [partial(step, way) for way in ("joined", "apart", "transposed")]
        joined, apart, transposed = alternate(ways, arguments.steps, torch.device("cpu"))
        ratios = [f"{joined.median / one.median:.2f}" for one in (apart, transposed)]
        print(f"| {ins} + {skips} → {outs} | {height}×{width} | {ratios[0]} | {ratios[1]} |", flush=True)


def main() -> None:
    arguments = _arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    shape = (arguments.batch, 3, *arguments.size)
    if arguments.parts:
        first_convolutions(arguments)
        return
    if arguments.memory_of:
        print(memory(arguments.memory_of[0], arguments.memory_of[1], shape))
        return
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, resnet18, {shape}, {arguments.steps} steps each"
    )
    print(
        "| network | MACs, segup / SMP | segup | SMP | SMP / segup | memory, segup / SMP |\n|---|---|---|---|---|---|"
    )
    for name in [*arguments.topology, *([DEFAULT] if arguments.default else [])]:
        image, target = batch(shape)
        models = [make(name) for make in SIDES.values()]
        work = [macs(model, image) for model in models]
        steps = [training_step(model, image, target) for model in models]
        first, second = alternate(steps, arguments.steps, torch.device("cpu"))
        held = [memory_of_its_own(name, side, arguments) / 2**20 for side in SIDES] if arguments.memory else [0, 0]
        print(
            f"| {name} | {work[0] / 1e9:.2f} / {work[1] / 1e9:.2f} G | {first} | {second} | "
            f"{second.median / first.median:.2f} | {held[0]:.0f} / {held[1]:.0f} MiB |",
            flush=True,
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topology", nargs="+", default=FIVE, choices=THEIRS)
    parser.add_argument("--default", action="store_true", help="segup's U-Net with deconv, as it trains by default")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 320), help="multiples of 32")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; all by default")
    parser.add_argument("--parts", action="store_true", help="the first convolution of each block of the U-Net alone")
    parser.add_argument("--memory", action="store_true", help="measure the memory too")
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
