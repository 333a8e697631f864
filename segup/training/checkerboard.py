"""The checkerboard figure of a model's upsampling operators, followed through training."""

from fractions import Fraction
from typing import Any

import lightning as L

from segup.errors import SegupError
from segup.models import SegmentationModel
from segup.upsamplers import Upsampler, checkerboard, checkerboard_spectrum
from segup.upsamplers.contract import operator_class


def checkerboard_figures(model: SegmentationModel) -> dict[str, Any]:
    """Return ``{"mean": ..., "operators": {path: figure}}``, figures of :func:`segup.upsamplers.checkerboard`.

    The mean is over the operators that the model's ``upsampler`` names; the step to the image, which has an operator of
    its own, is listed beside them. An operator that cannot be measured (what it makes of a constant depends on the
    place, or it needs another guide than a skip or indices) has the figure None, and so has a mean over nothing.

    >>> from segup import create_model
    >>> model = create_model(encoder="resnet18", upsampler="nearest", num_classes=2, pretrained=False)
    >>> figures = checkerboard_figures(model)
    >>> round(figures["mean"], 12), list(figures["operators"])[-1]
    (0.0, 'decoder.final')
    """
    found = _operators(model)
    figures = {path: _figure(up) for path, up in found.items()}
    kind = operator_class(model.decoder.upsampler)
    named = [figures[path] for path, up in found.items() if isinstance(up, kind)] or list(figures.values())
    measured = [figure for figure in named if figure is not None]
    return {"mean": sum(measured) / len(measured) if measured else None, "operators": figures}


def checkerboard_spectra(model: SegmentationModel) -> list[dict[str, Any]]:
    """Return at which frequencies each step of neck and decoder makes a pattern of a constant, in their order.

    Each is ``{"operator": path, "reduction": r, "energy": (sh, sw)}``: ``energy`` is what
    :func:`segup.upsamplers.checkerboard_spectrum` returns, and ``reduction`` that of the map the step leads to, so that
    a pattern with a period of s pixels in it has one of ``r·s`` pixels in the image. A step that cannot be measured is
    left out.

    >>> from segup import create_model
    >>> model = create_model(encoder="resnet18", upsampler="nearest", num_classes=2, pretrained=False)
    >>> [(step["operator"], step["reduction"]) for step in checkerboard_spectra(model)][-2:]
    [('decoder.blocks.3.up', 2), ('decoder.final', 1)]
    """
    names = {id(up): path for path, up in _operators(model).items()}
    strides = model.decoder.strides
    reached = [(up, 1 if high is None else strides[high]) for _, high, up in model.decoder.steps()]
    in_neck = [(up, Fraction(model.neck.cell * law.run, law.rise)) for _, law, up in model.neck.steps()]
    spectra = []
    for up, reduction in (*in_neck, *reached):
        try:
            energy = checkerboard_spectrum(up).tolist()
        except SegupError:  # as in _figure
            continue
        shown = int(reduction) if reduction.denominator == 1 else float(reduction)
        spectra.append({"operator": names[id(up)], "reduction": shown, "energy": energy})
    return spectra


def _operators(model: SegmentationModel) -> dict[str, Upsampler]:
    parts = {"neck": model.neck, "decoder": model.decoder}
    named = {f"{name}.{path}": up for name, part in parts.items() for path, up in part.named_modules()}
    return {path: up for path, up in named.items() if isinstance(up, Upsampler)}


def _figure(up: Upsampler) -> float | None:
    try:
        return checkerboard(up)
    except SegupError:  # the measurement's own refusal: it is no reason to stop a training
        return None


class CheckerboardFigure(L.Callback):
    """Log the mean figure with the scores of each validated epoch, as ``val/checkerboard``."""

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Measure the operators as they are now; it is the same on every process."""
        mean = checkerboard_figures(pl_module.model)["mean"]
        if mean is not None:
            pl_module.log("val/checkerboard", mean, sync_dist=trainer.world_size > 1, batch_size=1)
