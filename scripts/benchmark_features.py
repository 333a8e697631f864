"""Compare training steps with and without kept features: ``python scripts/benchmark_features.py``.

Four steps take turns in one process, each with what its batch takes: the whole network trained; the encoder frozen, but
run for each batch; the features read from the files of ``data.cache_features=true``; and the decoder alone, its maps at
hand in memory. Times are medians with their quartiles, of the process on one thread, so that other work on the machine
does not count; ratios are to the step with kept features.
"""

import argparse
import itertools
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import torch
from measuring import alternate

from segup.data import SegmentationData, create_data
from segup.losses import create_loss
from segup.models import SegmentationModel, create_model
from segup.training.features import keep_features

CASES: dict[str, dict[str, Any]] = {
    "efficientnet_lite0, unet, deconv": {"encoder": "efficientnet_lite0", "pretrained": True},
    "vit_small_patch16_224, linear head": {
        "encoder": "timm/vit_small_patch16_224", "neck": "linear", "topology": "fcn", "depths": 1, "pretrained": False,
    },
}  # fmt: skip


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, batch {arguments.batch}, {arguments.steps} steps")
    for name, options in list(CASES.items())[arguments.first :]:
        with tempfile.TemporaryDirectory() as folder:
            steps = steps_of(options, arguments.batch, folder)
            measured = alternate(list(steps.values()), arguments.steps, torch.device("cpu"))
        times = dict(zip(steps, measured, strict=True))
        print(f"\n{name}")
        for step, took in times.items():
            print(f"{step:>26}  {took!s:>34}  {took.median / times['features kept'].median:6.2f}")


def steps_of(options: dict[str, Any], batch_size: int, folder: str) -> dict[str, Callable[[], None]]:
    """Return a training step of each kind."""
    trained, frozen = model_of(options, freeze=False), model_of(options, freeze=True)
    plain, kept = data_of(batch_size, folder), data_of(batch_size, folder)
    keep_features(kept, frozen)
    at_hand = next(batches(kept))
    at_hand["features"] = [one.float() for one in at_hand["features"]]
    return {
        "whole network": step(trained, batches(plain)),
        "encoder frozen": step(frozen, batches(plain)),
        "features kept": step(frozen, batches(kept)),
        "decoder, maps at hand": step(frozen, itertools.repeat(at_hand)),
    }


def model_of(options: dict[str, Any], freeze: bool) -> SegmentationModel:
    """Return a model in training mode, in channels_last."""
    model = create_model(num_classes=3, encoder_options={"freeze": freeze}, **options)
    return model.to(memory_format=torch.channels_last).train()


def data_of(batch_size: int, folder: str) -> SegmentationData:
    """Return the embedded frames with the augmentation and the crop of ``data=cells``."""
    augment = {"vertical_flip": 0.5, "horizontal_flip": 0.5, "rotate_90": 0.5, "channel_gain": 0.2, "noise": 0.05}
    classes = ["background", "cytoplasm", "nucleus"]
    data = create_data(
        {"name": "cells", "classes": classes, "crop_size": [161, 193], "batch_size": batch_size, "cache": True}
        | {"augment": augment, "cache_features": True, "cache_dir": folder}
    )
    data.setup("fit")
    return data


def batches(data: SegmentationData) -> Iterator[dict[str, Any]]:
    """Yield training batches without end."""
    for epoch in itertools.count():
        data.start_epoch = epoch
        yield from data.train_dataloader()


def step(model: SegmentationModel, source: Iterator[dict[str, Any]]) -> Callable[[], None]:
    """Return a function that takes the next batch and trains the model for one step."""
    loss_of = create_loss("ce_dice", num_classes=3)
    trained = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)

    def run() -> None:
        batch = next(source)
        loss = loss_of(model(batch["image"], batch.get("features")), batch["mask"])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--first", type=int, default=0, help="the first case to measure: 0 or 1")
    return parser.parse_args()


if __name__ == "__main__":
    main()
