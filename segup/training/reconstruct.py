"""Train one operator without labels: maps of an image made smaller, brought to those of the whole image.

The encoder is frozen. Its map of the smaller image goes through the operator, guided by the whole image where the
operator is; what comes out is compared with the map of the whole image, by squared differences and cosines.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.text import Text
from torch import Tensor, nn

from segup.data import create_data, read_image
from segup.data.files import IMAGE_SUFFIXES
from segup.encoders import create_encoder
from segup.encoders.contract import Encoder
from segup.errors import ConfigError, DataError
from segup.training.config import Reconstruction, RunConfig
from segup.training.module import TrainingDivergedError
from segup.training.operator_files import FILE, save_operator
from segup.training.run_folder import environment, write_json, write_yaml
from segup.upsamplers import Upsampler, create_upsampler
from segup.upsamplers.contract import operator_class
from segup.upsamplers.guide import listed_guides

HELD_OUT = 5
"""Every fifth image of a folder is held out."""


class Reconstructor(nn.Module):
    """A frozen encoder and the operator that learns.

    Args:
        encoder: From images to maps.
        up: Keeps the channels of the map ``level``.
        level: Which of the maps.
    """

    def __init__(self, encoder: Encoder, up: Upsampler, level: int) -> None:
        super().__init__()
        self.encoder, self.up, self.level = encoder.requires_grad_(False).eval(), up, level
        self.cell = encoder.strides[level] * up.scale

    def cut(self, image: Tensor) -> Tensor:
        """Return the top left of images, so large that both maps have whole cells."""
        height, width = (int(size // self.cell * self.cell) for size in image.shape[-2:])
        return image[..., :height, :width]

    @torch.no_grad()
    def maps(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the map of the image made smaller, that of the whole one, and the image as the operator sees it."""
        smaller = F.interpolate(image, scale_factor=1 / self.up.scale, mode="bilinear", antialias=True)
        low, high = (self.encoder(self.encoder.extend(one))[self.level] for one in (smaller, image))
        return low, high, self.encoder.normalise(image)

    def forward(self, low: Tensor, high: Tensor, image: Tensor) -> Tensor:
        """Return the map of the smaller image at the size of the whole one's."""
        guides = {"image": image} if "image" in self.up.requires else {}
        y: Tensor = self.up(low, (high.shape[-2], high.shape[-1]), **guides)
        return y


def reconstruct(config: RunConfig, folder: Path, console: Console | None = None) -> dict[str, Any]:
    """Train the operator that ``config.decoder`` names, and return what is written to ``reconstruction.json``.

    The operator is written to ``upsampler.ckpt``, which :func:`segup.training.operator_files.load_operator` opens.

    Args:
        config: The checked configuration; ``config.reconstruct`` says for how long, and from which map.
        folder: An existing run folder.
        console: Where lines go; standard output by default.

    Raises:
        ConfigError: The operator cannot stand alone, or has nothing to learn.
        DataError: There are too few images, or they are too small.
        TrainingDivergedError: The loss became NaN or infinite.
    """
    console, own = console or Console(), config.reconstruct or Reconstruction()
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    L.seed_everything(config.seed, verbose=False)
    name, options = checked_operator(config.decoder)
    train, held = images(config)
    channels = int(config.data.get("in_channels") or 3)
    encoder = create_encoder(
        config.encoder.full_name, in_channels=channels, pretrained=config.encoder.pretrained, **config.encoder.options
    )
    level = closest(encoder.strides, own.stride)
    width = encoder.channels[level]
    up = create_upsampler(name, width, width, own.scale, image_channels=channels, **options)
    if not any(True for _ in up.parameters()):
        raise ConfigError(f"{up.describe()} has no parameters to train.\n  try: decoder=naf")
    model = Reconstructor(encoder, up, level)
    crop, batch = crop_size(train, config.data.get("crop_size"), model.cell), int(config.data.get("batch_size") or 8)
    write_yaml(folder / "config.yaml", asdict(config))
    console.print(
        Text(
            f"{up.label()}, {width} channels, to the map of stride {encoder.strides[level]}; "
            f"{len(train)} images train, {len(held)} are held out"
        ),
        soft_wrap=True,
    )
    optimizer = torch.optim.AdamW(up.parameters(), lr=own.lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, own.lr, total_steps=own.steps)
    up.train()
    for view in crops(train, crop, batch, own.steps, config.seed):
        low, high, image = model.maps(view)
        loss = difference(model(low, high, image), high)
        if not torch.isfinite(loss):
            raise TrainingDivergedError(f"the loss became {loss.item()}.\n  try: a smaller rate (reconstruct.lr)")
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    errors = held_out_errors(model.eval(), held)
    result = {
        "operator": name,
        "images": {"train": len(train), "held out": len(held)},
        "stride": encoder.strides[level],
        **errors,
        "environment": environment(),
        "config": asdict(config),
    }
    save_operator(up, folder / FILE, options)
    write_json(folder / "reconstruction.json", result)
    console.print(
        Text(
            f"squared error on held-out images: {errors['error']:.4g}, bilinear {errors['bilinear']:.4g}, "
            f"ratio {errors['ratio']:.3f}\nrun folder: {folder}"
        ),
        soft_wrap=True,
    )
    return result


def difference(y: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean squared difference, divided by the mean square of what is wanted, and 1 − cosine.

    >>> round(difference(torch.ones(1, 2, 3, 3), torch.zeros(1, 2, 3, 3) + 2).item(), 4)
    0.25
    """
    squared = F.mse_loss(y, wanted) / wanted.square().mean()
    return squared + (1 - F.cosine_similarity(y, wanted, dim=1)).mean()


@torch.no_grad()
def held_out_errors(model: Reconstructor, held: Sequence[Tensor]) -> dict[str, float]:
    """Return the mean squared errors of the operator and of a bilinear resize, and their ratio."""
    totals = {"error": 0.0, "bilinear": 0.0}
    for whole in held:
        low, high, image = model.maps(model.cut(whole[None]))
        resized = F.interpolate(low, high.shape[-2:], mode="bilinear", align_corners=False)
        for name, y in (("error", model(low, high, image)), ("bilinear", resized)):
            totals[name] += F.mse_loss(y, high).item() / len(held)
    return {**totals, "ratio": totals["error"] / totals["bilinear"]}


def checked_operator(decoder: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the operator's name and options.

    Raises:
        ConfigError: It requires more than the map and the image.
    """
    name = str(decoder.get("upsampler"))
    options = {key: value for key, value in (decoder.get("upsampler_options") or {}).items() if value is not None}
    beyond = operator_class(name).required(**options) - {"image"}
    if beyond:
        raise ConfigError(
            f"decoder={name} is guided by {listed_guides(beyond)}, and reconstruction has the map and the image alone."
            f"\n  try: decoder=naf, or another operator that is guided by nothing or by the image"
        )
    return name, options


def images(config: RunConfig) -> tuple[list[Tensor], list[Tensor]]:
    """Return the images that train, and those that are held out: the validation images, or every fifth of a folder.

    ``data=folder`` takes all images below its root, or below the folder ``images`` there.

    Raises:
        DataError: There are fewer than two.
    """
    options = config.data
    channels = int(options.get("in_channels") or 3)
    if options.get("name") == "folder":
        root = Path(str(options.get("root")))
        root = root / "images" if (root / "images").is_dir() else root
        files = sorted(file for file in root.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
        if len(files) < 2:
            raise DataError(f"{root}: {len(files)} images below it, and reconstruction needs two at least")
        held = files[HELD_OUT - 1 :: HELD_OUT] or files[-1:]
        train = [file for file in files if file not in set(held)]
    else:
        source = create_data(options, config.seed).source
        source.prepare()
        train, held = ([pair.image for pair in source.pairs(split)] for split in ("train", "val"))
    return [read_image(file, channels) for file in train], [read_image(file, channels) for file in held]


def crop_size(train: Sequence[Tensor], wanted: Sequence[int] | None, cell: int) -> tuple[int, int]:
    """Return the size of crops: as ``wanted``, rounded down to whole cells and to the smallest image.

    Raises:
        DataError: That is less than two cells.

    >>> crop_size([torch.zeros(3, 70, 100)], (64, 200), cell=16)
    (64, 96)
    """
    height, width = (min(image.shape[axis] for image in train) for axis in (-2, -1))
    if wanted is not None:
        height, width = min(height, wanted[0]), min(width, wanted[1])
    if min(height, width) < 2 * cell:
        raise DataError(
            f"crops of {height}×{width} are too small: this map needs {2 * cell}×{2 * cell} at least.\n"
            f"  try: a map of a smaller stride (reconstruct.stride), or larger images"
        )
    return height // cell * cell, width // cell * cell


def crops(train: Sequence[Tensor], size: tuple[int, int], batch: int, steps: int, seed: int) -> Iterator[Tensor]:
    """Yield batches of random crops."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda below: int(torch.randint(below, (), generator=generator))  # noqa: E731
    height, width = size
    for _ in range(steps):
        views = []
        for _ in range(batch):
            image = train[draw(len(train))]
            top, left = draw(image.shape[-2] - height + 1), draw(image.shape[-1] - width + 1)
            views.append(image[:, top : top + height, left : left + width])
        yield torch.stack(views)


def closest(strides: Sequence[Any], wanted: int) -> int:
    """Return the place of the stride closest to ``wanted``.

    >>> closest((2, 4, 8, 16), 8), closest((4, 14), 8)
    (2, 0)
    """
    return min(range(len(strides)), key=lambda place: abs(strides[place] - wanted))
