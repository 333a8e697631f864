"""Train one operator without labels: maps of an image made smaller, brought to those of the whole image.

The encoder is frozen. Its map of the smaller image goes through the operator, guided by the whole image where the
operator is; what comes out is compared with the map of the whole image, by squared differences and cosines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.text import Text
from torch import Tensor, nn

from segup.encoders import create_encoder, load_weights
from segup.encoders.contract import Encoder
from segup.errors import ConfigError
from segup.stored import visible
from segup.training.build import encoder_options
from segup.training.config import EncoderConfig, Reconstruction, RunConfig
from segup.training.module import TrainingDivergedError
from segup.training.operator_files import FILE, save_operator, start_operators
from segup.training.reconstruct_images import WholeCells, crop_size, crops, images
from segup.training.run_folder import environment, write_json, write_yaml
from segup.upsamplers import Upsampler, create_upsampler
from segup.upsamplers.contract import operator_class
from segup.upsamplers.guide import listed_guides


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
        self.cells = WholeCells(self.encoder, encoder.strides[level], up.scale)

    def cut(self, image: Tensor) -> Tensor:
        """Return the top left of images, so large that both maps have whole cells."""
        height, width = (self.cells.whole(size) for size in image.shape[-2:])
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
    if config.ckpt_path is not None:
        raise ConfigError("ckpt_path: a run of experiment=reconstruct is not continued\n  try: init_from=RUN")
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    L.seed_everything(config.seed, verbose=False)
    name, options = checked_operator(config.decoder)
    channels = int(config.data.get("in_channels") or 3)
    encoder = built_encoder(config.encoder, channels)
    level = closest(encoder.strides, own.stride)
    width = encoder.channels[level]
    up = create_upsampler(name, width, width, own.scale, image_channels=channels, **options)
    if not any(True for _ in up.parameters()):
        raise ConfigError(f"{up.describe()} has no parameters to train.\n  try: decoder=naf")
    model = Reconstructor(encoder, up, level)
    taken = None if config.init_from is None else start_operators(model, config.init_from, config.trust or ())
    train, held = images(config.data, config.seed, model.cells)
    crop, batch = crop_size(train, config.data.get("crop_size"), model.cells), int(config.data.get("batch_size") or 8)
    write_yaml(folder / "config.yaml", asdict(config))
    if taken is not None:
        console.print(Text(visible(str(taken), keep="\n")), soft_wrap=True)
    console.print(
        Text(
            f"{up.label()}, {width} channels, to the map of stride {encoder.strides[level]}; "
            f"images: {len(train)} to train, {len(held)} held out"
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
    save_operator(up, folder / FILE, name, options)
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
        ConfigError: There is none, or it requires more than the map and the image.
    """
    if not decoder.get("upsampler"):
        raise ConfigError("decoder.upsampler is not set, and reconstruction trains one operator.\n  try: decoder=naf")
    name = str(decoder["upsampler"])
    options = dict(decoder.get("upsampler_options") or {})
    beyond = operator_class(name).required(**options) - {"image"}
    if beyond:
        raise ConfigError(
            f"decoder={name} is guided by {listed_guides(beyond)}, and reconstruction has the map and the image alone."
            f"\n  try: decoder=naf, or another operator that is guided by nothing or by the image"
        )
    return name, options


def built_encoder(config: EncoderConfig, channels: int) -> Encoder:
    """Return the encoder, its weights those of the library or of ``encoder.weights``.

    Raises:
        ConfigError: See :func:`segup.encoders.create_encoder`.
        DataError: The file of weights cannot be read, or nothing of it fits.
    """
    pretrained = config.pretrained and config.weights is None
    encoder = create_encoder(config.full_name, channels, pretrained=pretrained, **encoder_options(config))
    if config.weights is not None:
        load_weights(encoder, config.weights)
    return encoder


def closest(strides: Sequence[Any], wanted: int) -> int:
    """Return the place of the stride closest to ``wanted``.

    >>> closest((2, 4, 8, 16), 8), closest((4, 14), 8)
    (2, 0)
    """
    return min(range(len(strides)), key=lambda place: abs(strides[place] - wanted))
