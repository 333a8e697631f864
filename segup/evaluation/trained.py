"""A trained model as a value: it predicts the class ids of files, arrays, tensors and pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segup.calls import annotated
from segup.conform import short
from segup.data.images import as_image
from segup.data.labels import Labels
from segup.data.ranges import Range, check_range
from segup.errors import ConfigError
from segup.evaluation.runs import OpenedRun, open_run, trained_reflections
from segup.evaluation.segment import Inference, Predictor, segment
from segup.registry import THE_FILE


class TrainedModel:
    """A trained model with its classes and the range of its images; :func:`segup.load` opens one.

    Args:
        opened: The model and what is known of its training.
    """

    @annotated
    def __init__(self, opened: OpenedRun) -> None:
        self._opened = opened

    @property
    def model(self) -> Predictor:
        """The bare torch module, in evaluation mode; of an exported file, a :class:`segup.export.Exported`."""
        return self._opened.model

    @property
    def path(self) -> Path:
        """The file that it was opened from."""
        return self._opened.path

    @property
    def labels(self) -> Labels:
        """The classes' names and colours."""
        return self._opened.labels

    @property
    def classes(self) -> tuple[str, ...]:
        """What the ids in a mask mean, by id."""
        return self.labels.names

    @property
    def image_range(self) -> Range:
        """The values that are 0 and 1 in images of integers; "dtype" where the type of each says it."""
        return self._opened.image_range

    @annotated
    def predict(
        self,
        image: Any,
        *,
        window: tuple[int, int] | int | None = None,
        overlap: float = 0.5,
        tta: bool = False,
        batch_size: int = 1,
        image_range: Any = None,
    ) -> Any:
        """Return the class ids of an image, ``(H, W)``, or a list of them for several images.

        Args:
            image: A path; an array ``(H, W)`` or ``(H, W, C)``; a tensor ``(C, H, W)``; a PIL image; or a list of
                them, or a batch in one array or tensor. Integers are scaled as image files are: uint8 as the
                training's range says. Floats are 0…1; where the training's images were floats, they are scaled as
                those.
            window: (height, width), or one number, of sliding windows; None runs the image whole.
            overlap: Smallest share that neighbouring windows have in common, from 0 to below 1.
            tta: Average over the image and the reflections that the training drew.
            batch_size: Windows that run at once.
            image_range: The values that are 0 and 1 in these images, such as ``(0, 4095)``; None is the training's.

        Returns:
            numpy arrays of exactly the images' sizes, uint8 for up to 256 classes, else int32.

        Raises:
            ConfigError: It is no image, or its values or channels are not what the model takes.
            DataError: A file cannot be read.

        >>> from segup.data import Labels
        >>> from segup.models import create_model
        >>> model = create_model("resnet18", num_classes=2, pretrained=False, widths=[8, 8, 8, 8, 8])
        >>> predictor = TrainedModel(OpenedRun(Path("x.ckpt"), model.eval(), Labels(("soil", "leaf"))))
        >>> predictor.predict(np.zeros((45, 67, 3), np.uint8)).shape
        (45, 67)
        """
        reflections = trained_reflections(self._opened) if tta else ()
        windows = (window, window) if isinstance(window, int) else window
        how = Inference(windows, overlap, reflections, batch_size)
        own = check_range(image_range, "image_range")
        if isinstance(image, list | tuple):
            return [self._one(one, how, own) for one in image]
        if isinstance(image, np.ndarray | torch.Tensor) and image.ndim == 4:
            return [self._one(one, how, own) for one in image]
        return self._one(image, how, own)

    def _one(self, image: Any, how: Inference, own_range: Range | None) -> np.ndarray:
        taken = as_image(image, self.model.in_channels, self.image_range, own_range)
        return segment(self.model, taken, how).numpy()

    def __repr__(self) -> str:
        return f"TrainedModel({str(self.path)!r}, classes={list(self.classes)!r})"


@annotated
def load(
    source: Any, *, checkpoint: str | None = None, trust: Sequence[str] | bool = (), device: str | torch.device = "auto"
) -> TrainedModel:
    """Open a trained model to predict with; nothing in the file is run.

    Args:
        source: A run, as :func:`segup.train` returns it, a run folder, a checkpoint, or a file of ``segup export``.
        checkpoint: "last" or "best" of a run; None is "last".
        trust: Modules outside segup that may be imported to build the model; each runs its own code. True: an exported
            file that segup did not write, or a ``.pt2``.
        device: "auto" (a GPU where there is one), "cpu", "cuda", or torch's own.

    Raises:
        DataError: Nothing is there, or it is no file of segup's.
        ConfigError: ``source`` is none of these, or has a part from a module that is not trusted.

    >>> load("nowhere")
    Traceback (most recent call last):
    ...
    segup.errors.DataError: no run folder or checkpoint at nowhere
    """
    path = source if isinstance(source, str | Path) else getattr(source, "path", None)
    if not isinstance(path, str | Path) or not str(path):
        raise ConfigError(f"load: source={short(source)} must be a run, a run folder, a checkpoint or an exported file")
    modules = ((THE_FILE,) if trust else ()) if isinstance(trust, bool) else trust
    return TrainedModel(open_run(path, checkpoint, modules, device))
