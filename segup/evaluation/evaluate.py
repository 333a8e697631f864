"""A trained model scored on a data set, each image at its own size."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from segup.atomic import check_folder, check_free
from segup.calls import annotated
from segup.data.config import create_data
from segup.data.labels import Labels
from segup.data.module import SegmentationData
from segup.data.samples import Loader, Sample, as_list
from segup.data.sets import SPLITS
from segup.errors import ConfigError, DataError, unknown
from segup.evaluation.runs import OpenedRun, in_own_fold
from segup.evaluation.segment import WHOLE, Inference, Predictor, segment
from segup.metrics import Metrics, create_metrics
from segup.training.run_folder import environment, write_json


def evaluate(
    model: Predictor,
    samples: Iterable[Sample],
    labels: Labels,
    how: Inference = WHOLE,
    metrics: Metrics | None = None,
) -> dict[str, Any]:
    """Score a model on samples, each at its own size.

    Args:
        model: On any device; it computes in its own precision, which is float32 for one that was opened.
        samples: Each with an ``image`` ``(C, H, W)``, float32 in 0 … 1, and a ``mask`` ``(H, W)``, int64.
        labels: What the masks' ids mean.
        how: Whole or in windows, with reflections or without.
        metrics: What is computed, of these samples alone: it is reset first. segup's own scores by default.

    Raises:
        ConfigError: The model and the labels do not have one number of classes.
        DataError: A sample cannot be read.

    >>> import torch
    >>> from segup.models import create_model
    >>> model = create_model("resnet18", num_classes=2, pretrained=False, widths=[8, 8, 8, 8, 8])
    >>> sample = {"image": torch.rand(3, 33, 47), "mask": torch.ones(33, 47).long(), "name": "a"}
    >>> 0 <= evaluate(model, [sample], Labels(("background", "cell")))["pixel_accuracy"] <= 1
    True
    """
    check_number_of_classes(model, None, labels)
    metrics = create_metrics(labels.num_classes, labels.ignore_index) if metrics is None else metrics
    metrics.reset()
    for sample in samples:
        metrics.update(segment(model, sample["image"], how), sample["mask"])
    return metrics.compute()


@annotated
def evaluate_run(
    run: OpenedRun,
    data: Mapping[str, Any],
    split: str = "val",
    how: Inference = WHOLE,
    watch: Callable[[Iterable[Sample], int], Iterable[Sample]] | None = None,
    also: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Score an opened run on a split of a data set.

    Args:
        run: From :func:`segup.evaluation.runs.open_run`.
        data: The data configuration: the run's own, or another of the same classes. Without an ``image_range`` images
            are read as the run's were; without a ``fold``, its folds validate on the run's own, or on that which the
            run's seed chooses among another number.
        split: "train", "val" or "test"; no augmentation in any of them.
        how: Whole or in windows, with reflections or without.
        watch: Wraps the samples, given their number: a progress bar.
        also: Further metrics, as :func:`segup.metrics.create_metrics` takes them; a run's own are
            :func:`segup.evaluation.runs.stored_metrics`.

    Returns:
        Plain values: where the model and the images came from, ``images``, ``classes``, ``scores``, and what each of
        these is, ``metrics``.

    Raises:
        ConfigError: Model and data do not have the same classes or channels.
        DataError: The data set has no such split, or an image or a mask cannot be used.
    """
    if split not in SPLITS:
        raise ConfigError(unknown("split", split, SPLITS))
    data = in_own_fold(run, data)
    # Every image is read once: a cache would only fill the memory.
    image_range = data.get("image_range") or run.image_range
    source = create_data({**data, "image_range": image_range, "cache": False})
    check_classes(run, source.labels)
    channels = run.model.in_channels
    if source.in_channels != channels:
        raise ConfigError(
            f"data.in_channels={source.in_channels}, but the model of {run.path} takes {channels}.\n"
            f"  try: data.in_channels={channels}."
        )
    metrics = create_metrics(source.labels.num_classes, source.labels.ignore_index, also)
    source.prepare_data()
    samples, images = _whole_images(source, split, str(data["name"]))
    scores = evaluate(run.model, samples if watch is None else watch(samples, images), source.labels, how, metrics)
    return {
        "checkpoint": str(run.path),
        "data": dict(data),
        "split": split,
        "images": images,
        "image_range": image_range,
        "inference": asdict(how),
        "device": str(run.model.device),
        "classes": list(source.labels.names),
        "metrics": [asdict(score) for score in metrics.scores],
        "scores": scores,
        "environment": environment(),
    }


def write_report(report: Mapping[str, Any], out: Path | None = None) -> Path:
    """Write what :func:`evaluate_run` returned as JSON and return the file; none that is there is written over.

    Args:
        report: What is written.
        out: The file; None is ``evaluation-<data name>-<split>.json`` beside the checkpoint, or with -2, -3, … where
            that exists.

    Raises:
        ConfigError: ``out`` exists.
        DataError: The file cannot be written.
    """
    check_out(out)
    file = out or _free_file(Path(report["checkpoint"]).parent, f"{report['data']['name']}-{report['split']}")
    write_json(file, report, replace=False)
    return file


def check_out(out: Path | None, checkpoint: Path | None = None) -> None:
    """Raise a ConfigError if ``out`` exists, or nothing can be written there: before the work, not after it.

    Args:
        out: The file of the scores; None is one beside the checkpoint.
        checkpoint: Where it is known already.
    """
    if out is not None:
        check_free([out], "another --out")
    if place := out or checkpoint:
        said = f"--out {out}" if out else "the scores, beside the checkpoint"
        check_folder(place.parent, said, lambda _: "--out scores.json")


def _free_file(folder: Path, name: str) -> Path:
    plain = "".join(letter if letter.isalnum() or letter in "_-." else "-" for letter in name)
    names = (f"evaluation-{plain}{f'-{number}' if number > 1 else ''}.json" for number in count(1))
    return next(folder / file for file in names if not (folder / file).exists())


def check_classes(run: OpenedRun, labels: Labels) -> None:
    """Raise a ConfigError unless the data's classes can be the model's: one number, and no known name elsewhere."""
    check_number_of_classes(run.model, run.labels, labels)
    moved = [name for name, own in zip(labels.names, run.labels.names, strict=True) if name != own]
    if any(name in run.labels.names for name in moved):
        raise ConfigError(
            f"the model's classes are {_listed(run.labels)}; the data's are {_listed(labels)}: '{moved[0]}' has "
            f"another id.\n  try: data.classes in the model's order, and data.mask_values={{value:id,...}} where the "
            f"masks follow another."
        )


def check_number_of_classes(model: Predictor, trained: Labels | None, labels: Labels) -> None:
    """Raise a ConfigError unless a model's logits tell the labels' classes apart."""
    if labels.num_classes == max(2, model.num_classes):
        return
    own = f" ({_listed(trained)})" if trained is not None else ""
    raise ConfigError(
        f"the model has num_classes={model.num_classes}{own}, the data {labels.num_classes} classes "
        f"({_listed(labels)}): they must be the same.\n"
        f"  try: data of the model's classes; data.mask_values={{value:id,...}} brings masks to other ids."
    )


def _listed(labels: Labels) -> str:
    return ", ".join(f"{index} {name}" for index, name in enumerate(labels.names))


def _whole_images(data: SegmentationData, split: str, name: str) -> tuple[Iterator[Sample], int]:
    found = data.source.splits()
    if split not in found:
        raise DataError(f"data set '{name}' has no split '{split}'; it has {', '.join(found) or 'none'}")
    samples = data.samples(split)
    loader = Loader(samples, batch_size=1, collate_fn=as_list, num_workers=data.num_workers)
    return (sample for batch in loader for sample in batch), len(samples)
