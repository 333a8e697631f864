"""An exported file as a predictor: called with images, it returns logits, as the model that it was made of."""

import io
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segup.calls import annotated
from segup.errors import ConfigError, DataError, ShapeError, figures, wrong_map
from segup.export.about import KEY, About, library, read_about
from segup.export.program import Output
from segup.export.untrusted import checked_onnx, gives_probabilities
from segup.models import logits_of, probabilities_of
from segup.windows import predict_windows

SUFFIXES = (".onnx", ".pt2")
_SURE = 30.0
"""The logit of a class that a file names without a probability."""


class Engine(Protocol):
    """What runs a file's program."""

    about: About
    device: torch.device

    def __call__(self, images: Tensor) -> Tensor:
        """Return the file's output of ``(N, in_channels, H, W)``."""


class Exported:
    """A model from a file, called as the model: ``(N, in_channels, H, W)``, floats in 0 … 1 → logits.

    Args:
        path: The file, as messages call it.
        engine: What runs it.

    A file of probabilities gives their logarithms, which softmax turns back. One of class ids gives logits that are far
    above the others at each pixel's class; they cannot be averaged (windows, reflections).

    Attributes:
        about: What the file says of itself: ``labels``, ``image_range``, ``accepted``, ``version``, ``config``.
    """

    @annotated
    def __init__(self, path: str | Path, engine: Any) -> None:
        if not callable(engine) or not hasattr(engine, "about"):
            raise ConfigError(f"Exported: engine={engine!r} runs no file.\n  try: open_exported(path)")
        self.path, self._engine = Path(path), engine
        self.about: About = engine.about
        self.output, self.device, self.dtype = self.about["output"], engine.device, torch.float32
        self.in_channels, self.num_classes = self.about["in_channels"], self.about["num_classes"]

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits ``(N, num_classes, H, W)``, float32.

        Images that are larger than the encoder takes go through in windows, as in the model.

        Raises:
            ShapeError, ConfigError: The images are not a batch of floats with the model's channels.
            DataError: The program failed, or returned another shape.
        """
        self._check(images)
        most = self.about.get("most")
        if most is None or max(images.shape[-2:]) <= most:
            return self._logits(images)
        if self.output == "labels":
            raise ShapeError(
                f"{self.path} takes images of up to {most}×{most} and gives class ids, which windows cannot average; "
                f"this one is {figures(images.shape[-2:])}.\n  try: export it without --labels."
            )

        def predict(crops: Tensor) -> Tensor:
            return probabilities_of(self._logits(crops))

        return logits_of(torch.stack([predict_windows(predict, one, (most, most)) for one in images]))

    def output_of(self, images: Tensor) -> Tensor:
        """Return what the file gives: logits, probabilities or class ids."""
        self._check(images)
        return self._engine(images.to(self.device, torch.float32))

    def _logits(self, images: Tensor) -> Tensor:
        found = self.output_of(images)
        ids, (batch, _, *sides) = self.output == "labels", images.shape
        wanted = (batch, *([] if ids else [self.num_classes]), *sides)
        if tuple(found.shape) != wanted:
            raise DataError(f"{self.path} gave {figures(found.shape)} where {figures(wanted)} belongs: it is damaged")
        if not ids:
            return found.float() if self.output == "logits" else logits_of(found.float())
        if self.num_classes == 1:
            return torch.where(found[:, None] > 0, _SURE, -_SURE)
        one_hot = F.one_hot(found.long().clamp(0, self.num_classes - 1), self.num_classes)
        return one_hot.permute(0, 3, 1, 2).float() * _SURE

    def _check(self, images: Any) -> None:
        if not isinstance(images, Tensor) or images.dim() != 4 or images.shape[1] != self.in_channels:
            raise ShapeError(wrong_map(f"{self.path}", self.in_channels, images))
        if 0 in images.shape:
            raise ShapeError(wrong_map(f"{self.path}", self.in_channels, images))
        if not images.is_floating_point():
            raise ConfigError(f"{self.path} takes floats in 0 … 1, not {images.dtype}\n  try: image.float() / 255")


@annotated
def open_exported(path: str | Path, trust: bool = False, device: str = "cpu") -> Exported:
    """Open a ``.onnx`` or ``.pt2`` file; no other file is read.

    Args:
        path: The file.
        trust: Whether it may be a ``.pt2``, which can run code, or an ``.onnx`` that segup did not write.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``; for a GPU onnxruntime has to be onnxruntime-gpu.

    Raises:
        DataError: The file is missing, damaged, or keeps weights in other files.
        ConfigError: It is not trusted; the extra ``export`` or the device is missing.

    >>> open_exported("model.onnx")
    Traceback (most recent call last):
    ...
    segup.errors.DataError: no exported file at model.onnx
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path} ends neither in .onnx nor in .pt2.\n  try: segup export RUN --out model.onnx")
    if not path.is_file():
        raise DataError(f"no exported file at {path}")
    if path.suffix.lower() == ".pt2" and not trust:
        raise ConfigError(
            f"{path}: a .pt2 file may run code when it is opened.\n"
            f"  If you trust it: --trust (in Python trust=True); or export the run as .onnx."
        )
    content = path.read_bytes()
    if path.suffix.lower() == ".pt2":
        return Exported(path, TorchEngine(content, path, device))
    checked_onnx(content, path, trust)
    return Exported(path, OnnxEngine(content, path, device))


class OnnxEngine:
    """An .onnx file in onnxruntime, with as many threads as torch has.

    Args:
        content: Of the file.
        path: As messages call it.
        device: As :func:`open_exported` takes it.
    """

    def __init__(self, content: bytes, path: Path, device: str = "cpu") -> None:
        runtime = library("onnxruntime")
        where = torch.device(device)
        provider = "CUDAExecutionProvider" if where.type == "cuda" else "CPUExecutionProvider"
        if provider not in runtime.get_available_providers():
            raise ConfigError(
                f"device={device}: onnxruntime {runtime.__version__} has no {provider}.\n"
                f"  try: --device cpu, or pip install onnxruntime-gpu"
            )
        which = {"device_id": str(where.index)} if where.type == "cuda" and where.index else {}
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        self.path, self.device = path, torch.device("cpu")
        try:
            self._session = runtime.InferenceSession(content, options, providers=[(provider, which)])
        except Exception as cause:  # onnxruntime has a dozen kinds, of no common base
            raise DataError(f"{path} cannot be opened by onnxruntime: {_first_line(cause)}") from cause
        if self._session.get_providers()[0] != provider:  # onnxruntime takes the CPU instead, and goes on
            raise ConfigError(
                f"device={device}: onnxruntime {runtime.__version__} could not load its {provider}; the libraries of "
                f"CUDA that it needs may be missing.\n  try: --device cpu"
            )
        held = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        self.about = read_about(held, path) if held is not None else self._guessed(content)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the first output of ``images``."""
        name = self._session.get_inputs()[0].name
        try:
            (found, *_) = self._session.run(None, {name: np.ascontiguousarray(images.detach().cpu().numpy())})
        except Exception as cause:
            told = _first_line(cause)
            if "allocate" in told.lower() or "bad_alloc" in told:
                raise torch.OutOfMemoryError(told) from cause
            raise DataError(f"{self.path}: onnxruntime could not run it: {told}") from cause
        return torch.from_numpy(found)

    def _guessed(self, content: bytes) -> About:
        """Return what the shapes and the last step of a file say that segup did not write.

        Raises:
            DataError: It does not turn one image into a map of classes.
        """
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shapes = [one.shape for one in (*inputs[:1], *outputs[:1])]
        fits = len(inputs) == 1 and len(shapes) == 2 and all(len(shape) == 4 for shape in shapes)
        if not fits or not all(isinstance(shape[1], int) for shape in shapes) or inputs[0].type != "tensor(float)":
            raise DataError(
                f"{self.path} does not turn images (N, C, H, W) of float32 into logits (N, K, H, W): it takes "
                f"{[(one.name, one.type, one.shape) for one in inputs]} and gives "
                f"{[(one.name, one.type, one.shape) for one in outputs]}"
            )
        output: Output = "probabilities" if gives_probabilities(content) else "logits"
        return About(version="", output=output, in_channels=shapes[0][1], num_classes=shapes[1][1], accepted="unknown")


class TorchEngine:
    """A .pt2 file in torch.

    Args:
        content, path, device: As :class:`OnnxEngine` takes them.
    """

    def __init__(self, content: bytes, path: Path, device: str = "cpu") -> None:
        held = {"segup.json": ""}
        try:
            program = torch.export.load(io.BytesIO(content), extra_files=held)
            self._module = program.module()
        except Exception as cause:
            raise DataError(f"{path} cannot be opened by torch {torch.__version__}: {_first_line(cause)}") from cause
        text: Any = held["segup.json"]
        if not text:
            raise DataError(f"{path} was not written by segup: it does not say what its model is")
        self.path, self.device = path, torch.device(device)
        self.about = read_about(text if isinstance(text, str) else text.decode(), path)
        self._module.to(self.device)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the output of ``images``."""
        try:
            with torch.no_grad():
                found: Tensor = self._module(images)
        except torch.OutOfMemoryError:
            raise
        except Exception as cause:
            raise DataError(f"{self.path}: torch could not run it: {_first_line(cause)}") from cause
        return found


def _first_line(cause: BaseException) -> str:
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return (lines[0] if lines else type(cause).__name__)[:300]
