"""Features that are kept: what the loaders then give, when a file is used again, and what is refused."""

import copy
import importlib
import io
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from groups import group
from rich.console import Console

from segup.atomic import is_part
from segup.data import create_data
from segup.data.records import RecordLayout
from segup.encoders.features import feature_shapes, features_of
from segup.errors import ConfigError, DataError
from segup.models import SegmentationModel, create_model
from segup.training.before import check_parts
from segup.training.config import RunConfig
from segup.training.features import features_folder, keep_features

FROZEN = {"freeze": True}
SMALL = {"encoder": "segnet", "encoder_options": {**FROZEN, "widths": [4, 6], "convs": 1}}
PLAIN = {"topology": "plain", "upsampler": "bilinear"}
MODELS = {
    "the image as guide": {**SMALL, "upsampler": "naf"},
    "indices": {**SMALL, "topology": "plain", "upsampler": "max_unpool"},
    "windows": {"encoder": "timm/test_vit", "encoder_options": {**FROZEN, "max_tokens": 60}, **PLAIN},
}
FURTHER = {
    "a pyramid": {"encoder": "efficientnet_lite0", "encoder_options": FROZEN, "upsampler": "deconv"},
    "a transformer": {"encoder": "timm/test_vit", "encoder_options": FROZEN, "neck": "linear", **PLAIN},
    "one size": {"encoder": "timm/convit_tiny", "encoder_options": {**FROZEN, "img_size": 128}, **PLAIN},
}


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Small images of several sizes, with masks, as a folder of a person's own."""
    folder, source = tmp_path_factory.mktemp("frames"), create_data(group("data", "cells"))
    import cv2

    for split, count in (("train", 3), ("val", 2)):
        for kind in ("images", "masks"):
            (folder / kind / split).mkdir(parents=True)
        for number in range(count):
            sample, size = source.sample(split, number % 2), (60 + number, 90)
            pixels = (sample["image"] * 255).byte().permute(1, 2, 0).numpy()[: size[0], : size[1]]
            cv2.imwrite(str(folder / "images" / split / f"{number}.png"), pixels)
            mask = sample["mask"].byte().numpy()[: size[0], : size[1]]
            cv2.imwrite(str(folder / "masks" / split / f"{number}.png"), mask)
    return folder


def data_in(root, cache, seed=0, **changes):
    augment = {"scale": [0.75, 1.5], "horizontal_flip": 0.5, "noise": 0.05}
    options = {"crop_size": [33, 47], "batch_size": 2, "num_workers": 0, "augment": augment, "samples_per_epoch": 8}
    classes = ["background", "cytoplasm", "nucleus"]
    options |= {"name": "folder", "root": str(root), "classes": classes, "views": 3}
    data = create_data({**options, "cache_features": True, "cache_dir": str(cache), **changes}, seed)
    data.setup("fit")
    return data


def model_of(changes=SMALL):
    torch.manual_seed(0)
    return create_model(num_classes=3, pretrained=False, **changes)


def encoded(model, calls):
    first = next(part for part in model.encoder.modules() if isinstance(part, torch.nn.Conv2d))
    first.register_forward_hook(lambda *_: calls.append(1))
    return model


@pytest.mark.parametrize(
    "options",
    [pytest.param(options, id=name) for name, options in MODELS.items()]
    + [pytest.param(options, id=name, marks=pytest.mark.slow) for name, options in FURTHER.items()],
)
def test_loaders_give_the_same_samples_and_features_within_half_precision(frames, tmp_path, options):
    model = model_of(options)
    kept, plain = data_in(frames, tmp_path), data_in(frames, tmp_path)
    keep_features(kept, model)
    for split in ("train", "val"):
        ours, theirs = getattr(kept, f"{split}_dataloader")(), getattr(plain, f"{split}_dataloader")()
        for one, other in zip(ours, theirs, strict=True):
            one, other = (one[0], other[0]) if split == "val" else (one, other)
            assert one["name"] == other["name"]
            assert torch.equal(one["image"], other["image"])
            assert torch.equal(one["mask"], other["mask"])
            image = other["image"][None] if split == "val" else other["image"]
            features = [f[None] if split == "val" else f for f in one["features"]]
            shapes = feature_shapes(model.encoder, image.shape[-2:])
            with torch.no_grad():
                expected = features_of(model.encoder, image)
                model.train(split == "train")
                torch.manual_seed(0)
                whole = copy.deepcopy(model)(image)
                torch.manual_seed(0)
                from_kept = model(image, features)
            for found, wanted, shape in zip(features, expected, shapes, strict=True):
                assert found.shape == wanted.shape == (len(image), *shape)
                exact = not wanted.is_floating_point()
                torch.testing.assert_close(found.to(wanted.dtype), wanted, rtol=0 if exact else 2e-3, atol=1e-4)
            torch.testing.assert_close(from_kept, whole, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_is_computed_twice_by_runs_decoders_and_seeds(frames, tmp_path, workers):
    calls, console = [], Console(record=True, width=200, file=io.StringIO())
    first = keep_features(data_in(frames, tmp_path), encoded(model_of(), calls), console=console)
    assert calls
    assert "3 training images × 3 views, 2 to validate" in console.export_text()
    calls.clear()
    other = model_of({**SMALL, "upsampler": "bilinear", "topology": "linknet"})
    data = data_in(frames, tmp_path, seed=7, batch_size=3, samples_per_epoch=9, num_workers=workers)
    assert keep_features(data, encoded(other, calls), console=console) == first
    list(data.train_dataloader())
    list(data.val_dataloader())
    assert not calls
    assert f"as kept in {tmp_path}" in console.export_text()


def test_the_views_are_drawn_alike_without_features(frames, tmp_path):
    views = [data_in(frames, tmp_path, cache_features=False, views=views) for views in (2, None)]
    few, many = ({image.numpy().tobytes() for _ in range(4) for batch in _epochs(data) for image in batch["image"]}
                 for data in views)  # fmt: skip
    assert len(few) == 2 * 3
    assert len(many) > 12


def _epochs(data, count=4):
    for epoch in range(count):
        data.start_epoch = epoch
        yield from data.train_dataloader()


def grown(folder):
    """Other pixels in a file of the same name, size and time."""
    file = folder / "masks" / "val" / "0.png"
    before, content = file.stat(), bytearray(file.read_bytes())
    import cv2

    mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(file), 2 - mask)
    content = file.read_bytes()
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def nudged(model):
    with torch.no_grad():
        next(model.encoder.parameters()).view(-1)[0] += 1e-6
    return model


def with_mean(model):
    model.encoder.mean += 0.01
    return model


CHANGED = {
    "weights": (lambda: nudged(model_of()), {}, {"train", "val"}),
    "normalisation": (lambda: with_mean(model_of()), {}, {"train", "val"}),
    "encoder": (lambda: model_of({**SMALL, "encoder_options": {**FROZEN, "widths": [4, 8]}}), {}, {"train", "val"}),
    "crop": (model_of, {"crop_size": [33, 49]}, {"train"}),
    "augmentation": (model_of, {"augment": {"horizontal_flip": 0.5}}, {"train"}),
    "views": (model_of, {"views": 2}, {"train"}),
    "range": (model_of, {"image_range": [-1, 255]}, {"train", "val"}),
    "meaning of masks": (model_of, {"mask_values": {0: 0, 1: 1, 2: 1}}, {"train", "val"}),
    "ignored": (model_of, {"ignore_index": -1}, {"train", "val"}),
}


@pytest.mark.parametrize(("model", "options", "anew"), CHANGED.values(), ids=CHANGED)
def test_what_changes_the_features_has_files_of_its_own(frames, tmp_path, model, options, anew):
    before = keep_features(data_in(frames, tmp_path), model_of())
    after = keep_features(data_in(frames, tmp_path, **options), model())
    assert {split for split, one, other in zip(("train", "val"), before, after, strict=True) if one != other} == anew


def test_code_that_an_encoder_from_outside_uses_counts(frames, tmp_path, monkeypatch):
    (tmp_path / "own_encoder.py").write_text(
        "from torch import nn\n"
        "from own_layers import act\n"
        "from segup.encoders import Encoder\n"
        "class Body(nn.Sequential):\n"
        "    def forward(self, x):\n"
        "        return [super().forward(x)]\n"
        "def small(in_channels=3, *, pretrained=False, freeze=False, freeze_norm=False):\n"
        "    body = Body(nn.Conv2d(in_channels, 4, 3, 2, 1), act())\n"
        "    return Encoder('small', body, in_channels=in_channels, freeze=freeze, freeze_norm=freeze_norm)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    def files(layer):
        (tmp_path / "own_layers.py").write_text(f"from torch import nn\nact = nn.{layer}\n")
        for name in ("own_encoder", "own_layers"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        model = {"encoder": "own_encoder:small", "encoder_options": FROZEN, **PLAIN}
        return keep_features(data_in(frames, tmp_path / "kept"), model_of(model))

    before = files("ReLU")
    assert files("ReLU") == before
    assert not {*files("ReLU  # otherwise")} & {*before}


def test_a_mask_that_was_changed_in_place_has_a_file_of_its_own(frames, tmp_path):
    root = tmp_path / "frames"
    shutil.copytree(frames, root)
    before = keep_features(data_in(root, tmp_path / "kept"), model_of())
    grown(root)
    after = keep_features(data_in(root, tmp_path / "kept"), model_of())
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)
    moved = keep_features(data_in(shutil.move(root, tmp_path / "moved"), tmp_path / "kept"), model_of())
    assert moved == after


def test_a_write_that_is_killed_leaves_nothing_that_is_used(tmp_path):
    layout, path = RecordLayout([[("float16", (3, 2))]] * 2), tmp_path / "a.features"
    rows = [np.full((3, 2), 1.5), np.full((3, 2), -2.0)]
    child = os.fork()
    if not child:
        layout.write(path, ([row] if number == 0 else os._exit(9) for number, row in enumerate(rows)))
    os.waitpid(child, 0)
    assert [is_part(file) for file in tmp_path.iterdir()] == [True]
    layout.write(path, ([row] for row in rows))
    assert list(tmp_path.iterdir()) == [path]
    assert layout.is_at(path)
    read = np.fromfile(path, np.uint8)
    assert [next(layout.arrays(number, read))[0, 0] for number in (0, 1)] == [1.5, -2.0]
    with pytest.raises(ZeroDivisionError):
        layout.write(tmp_path / "b.features", ([row / (1 // number)] for number, row in enumerate(rows)))
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_was_cut_is_made_again(frames, tmp_path):
    file, _ = keep_features(data_in(frames, tmp_path), model_of())
    whole = file.read_bytes()
    os.truncate(file, len(whole) // 2)
    assert keep_features(data_in(frames, tmp_path), model_of())[0].read_bytes() == whole


def test_a_second_process_waits_for_the_first(frames, tmp_path):
    files = keep_features(data_in(frames, tmp_path / "first"), model_of())
    script = (
        "import shutil, sys, time; from pathlib import Path; from segup.lock import lock\n"
        "source, target = map(Path, sys.argv[1:])\n"
        "with lock(target):\n"
        "    print('held', flush=True); time.sleep(1)\n"
        "    [shutil.copy(file, target) for file in source.glob('*.features')]\n"
    )
    (tmp_path / "second").mkdir()
    command = [sys.executable, "-c", script, str(tmp_path / "first"), str(tmp_path / "second")]
    console, calls = Console(record=True, width=200, file=io.StringIO()), []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "held\n"
        found = keep_features(data_in(frames, tmp_path / "second"), encoded(model_of(), calls), console=console)
    assert [file.name for file in found] == [file.name for file in files]
    assert not calls
    assert "another process computes some" in console.export_text()


def test_what_would_take_too_much_is_refused_before_it_is_made(frames, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"take [\d.]+ MB in .*, and data.max_cache_gb=1e-05 allows less.\n  try: "):
        keep_features(data_in(frames, tmp_path, max_cache_gb=1e-5), model_of())
    held = sum(file.stat().st_size for file in keep_features(data_in(frames, tmp_path), model_of()))
    said = r", which holds [\d.]+ MB of earlier ones, and .*\n  try: data.max_cache_gb=1, or remove files from "
    with pytest.raises(ConfigError, match=said):
        keep_features(data_in(frames, tmp_path, max_cache_gb=1.9e-9 * held), nudged(model_of()))
    keep_features(data_in(frames, tmp_path, max_cache_gb=2e-9 * held), nudged(model_of()))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(ConfigError, match=r"the disk of .* has 0.0 MB left.\n  try: data.cache_dir=DIR on another"):
        keep_features(data_in(frames, tmp_path), with_mean(model_of()))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/x, cannot be made: Not a directory.\n  try: data.cache_dir=DIR"):
        keep_features(data_in(frames, tmp_path / "file" / "x"), model_of())


def test_a_map_beyond_half_precision_is_refused(frames, tmp_path):
    model = model_of()
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.mul_(1e4)
    with pytest.raises(DataError, match=r"half precision, .* ends at 65504.\n  try: data.cache_features=false"):
        keep_features(data_in(frames, tmp_path), model)
    assert not list(tmp_path.glob("*.features"))


BRIEF = {
    "encoder": {"name": "segnet", "pretrained": False, "options": {"widths": [4, 6], "convs": 1}},
    "decoder": {**PLAIN, "widths": None, "convs": None, "upsampler_options": None},
    "scheduler": {"name": "constant"},
}


def test_an_encoder_that_is_trained_is_refused_before_the_start(small_run, tmp_path):
    said = r"keeps what .* encoder 'segnet' is trained, .*\n  try: encoder.freeze=true"
    parts = {name: group(name, word) for name, word in (("loss", "ce_dice"), ("optimizer", "adamw"))}
    data = {"cache_features": True, "cache_dir": str(tmp_path / "kept")}
    with pytest.raises(ConfigError, match=said):
        check_parts(RunConfig.of({**BRIEF, **parts, "data": group("data", "cells", **data)}))
    with pytest.raises(ConfigError, match=said):
        small_run(**BRIEF, data=data)
    assert not (tmp_path / "kept").exists()


def test_a_run_has_the_scores_of_one_without_and_goes_on_from_the_same_files(small_run, tmp_path, monkeypatch):
    trained, encode = [], SegmentationModel.encode

    def watched(model, image, features=None):
        trained.append(features is not None) if model.training else None
        return encode(model, image, features)

    monkeypatch.setattr(SegmentationModel, "encode", watched)
    data = {"views": 2, "cache_dir": str(tmp_path / "kept")}
    brief = {**BRIEF, "encoder": {**BRIEF["encoder"], "options": {**BRIEF["encoder"]["options"], **FROZEN}}}
    without, _ = small_run("without", **brief, data=data)
    assert not any(trained)
    steps = len(trained)
    data["cache_features"] = True
    whole, _ = small_run("with", **brief, data=data)
    assert trained[steps:] == [True] * steps  # no step runs the encoder
    for score in ("miou", "pixel_accuracy"):
        assert whole["last"][score] == pytest.approx(without["last"][score], abs=0.01)
    files = sorted((tmp_path / "kept").glob("*.features"))
    assert len(files) == 2
    small_run("stopped", **brief, data=data, trainer={"max_steps": 5})
    last = str(tmp_path / "stopped" / "last.ckpt")
    again, _ = small_run("stopped", **brief, data=data, trainer={"max_steps": None}, ckpt_path=last)
    assert again["last"] == whole["last"]
    assert sorted((tmp_path / "kept").glob("*.features")) == files


def test_the_folder_is_that_of_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert features_folder() == tmp_path / "segup" / "features"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert features_folder() == tmp_path / ".cache" / "segup" / "features"
