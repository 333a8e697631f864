"""Whether an exported file computes what the model does: both run on the same images, the smallest among them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from segup.errors import DataError
from segup.export.exported import Exported
from segup.models import SegmentationModel, probabilities_of
from segup.modes import modes_of, set_modes

TOLERANCE = 1e-4
"""The largest difference that is allowed, as a share of the largest logit, which counts as 1 at least."""


@dataclass(frozen=True)
class OutputDifference:
    """How far a file's output is from the model's.

    Args:
        sizes: Height and width of the images that both ran on.
        largest: The largest difference of a logit; of class ids, the largest amount by which the model prefers
            another class than the file's.
        allowed: The largest that is tolerated.
    """

    sizes: tuple[tuple[int, int], ...]
    largest: float
    allowed: float

    def __str__(self) -> str:
        sizes = ", ".join(f"{height}×{width}" for height, width in self.sizes)
        return f"largest difference from torch at {sizes}: {self.largest:.1e} (at most {self.allowed:.1e} is allowed)"


def check_sizes_of(model: SegmentationModel) -> tuple[tuple[int, int], ...]:
    """Return five sizes that say much: one pixel, the smallest that is not extended, narrow, odd, and larger ones.

    >>> from segup import create_model
    >>> check_sizes_of(create_model("resnet18", num_classes=4, pretrained=False, widths=[8, 8, 8, 8, 8]))
    ((1, 1), (1, 33), (65, 97), (130, 67), (96, 160))
    """
    accepted = model.encoder.pyramid.accepted
    wanted = [(1, 1), (accepted.least, 33), (65, 97), (130, 67), (96, 160)]
    most = accepted.most
    if most is not None:
        wanted = [(1, 1), (most, most), (most // 2 + 1, most - 1), (most - 2, 33), (7, most)]
        wanted = [(max(1, min(h, most)), max(1, min(w, most))) for h, w in wanted]
    return tuple(wanted)


def compare(model: SegmentationModel, exported: Exported) -> OutputDifference:
    """Run both on random images of :func:`check_sizes_of` and return the largest difference.

    Raises:
        DataError: It is larger than :data:`TOLERANCE` allows, or no number, or the file fails at one of the sizes.
    """
    generator, modes = torch.Generator().manual_seed(0), modes_of(model)
    sizes, largest, top = check_sizes_of(model), 0.0, 1.0
    for number, size in enumerate(sizes):
        images = torch.rand(1 + number % 2, model.in_channels, *size, generator=generator)
        with torch.no_grad():
            logits = model.eval()(images.to(model.device)).cpu()
        set_modes(model, modes)
        found = exported.output_of(images)
        difference = _difference(logits, found, exported.output)
        largest = difference if not difference <= largest else largest  # one that is no number stays
        top = max(top, float(logits.abs().max()))
        if not largest <= TOLERANCE * top:
            raise DataError(
                f"at {size[0]}×{size[1]} the file's {exported.output} differ from the model's by {largest:.1e}, and "
                f"{TOLERANCE * top:.1e} is allowed ({TOLERANCE:g} of the largest logit, {top:.3g}); no file was "
                f"written.\n  try: another operator or encoder; --no-check writes it nevertheless."
            )
    return OutputDifference(sizes, largest, TOLERANCE * top)


def _difference(logits: Tensor, found: Tensor, output: str) -> float:
    if output == "probabilities":
        return _largest(probabilities_of(logits), found)
    if output == "logits":
        return _largest(logits, found)
    if tuple(found.shape) != (logits.shape[0], *logits.shape[-2:]):
        return float("inf")
    both = torch.cat((-logits, logits), 1) if logits.shape[1] == 1 else logits
    return float((both.amax(1) - both.gather(1, found.long()[:, None])[:, 0]).max())


def _largest(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max()) if one.shape == other.shape else float("inf")
