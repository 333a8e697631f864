import os
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from segup.checkpoints import load_model, save_model
from segup.cli.predict import run
from segup.data.images import read_image
from segup.data.labels import Labels
from segup.data.masks import read_mask
from segup.evaluation.runs import open_run
from segup.models import create_model, predicted_labels

NAMES = ("background", "a", "b")
SIZES = [(1, 1), (33, 47), (64, 20)]


def make_checkpoint(path: Path, num_classes: int = 3, in_channels: int = 3) -> Path:
    torch.manual_seed(0)
    model = create_model(
        "test_efficientnet", num_classes=num_classes, in_channels=in_channels, pretrained=False, widths=[8, 8, 8, 8, 8]
    )
    names = NAMES if num_classes == 3 else tuple(f"c{index}" for index in range(max(2, num_classes)))
    labels = {"names": names, "colors": (), "ignore_index": -1}
    save_model(model, path, {"labels": labels, "config": {"data": {"augment": {"horizontal_flip": 0.5}}}})
    return path


def write_image(path: Path, size: tuple[int, int], seed: int = 0, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("run") / "last.ckpt")


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_every_image_comes_back_at_its_own_size_as_its_class_ids(checkpoint, capsys):
    for index, size in enumerate(SIZES):
        write_image(Path(f"in/sub{index}/{index}.png"), size, index)
    assert run([str(checkpoint.parent), "in", "--out", "out"]) == 0
    assert "3 images segmented: out" in capsys.readouterr().out
    model = load_model(checkpoint)
    labels = Labels(NAMES)
    for index, size in enumerate(SIZES):
        with torch.no_grad():
            expected = predicted_labels(model(read_image(f"in/sub{index}/{index}.png")[None]))[0]
        file = Path(f"out/sub{index}/{index}.png")
        assert torch.equal(read_mask(file, labels), expected)
        assert np.array_equal(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), expected.numpy())
        with Image.open(file) as ids, Image.open(f"out/sub{index}/{index}_overlay.png") as overlay:
            assert (ids.mode, ids.size) == ("L", size[::-1])
            assert (overlay.mode, overlay.size) == ("RGB", size[::-1])
    written = [path for path in Path("out").rglob("*") if path.is_file()]
    assert len(written) == 6


@pytest.mark.parametrize(
    "options", [["--window", "32", "--batch-size", "2"], ["--window", "21,33", "--overlap", "0.2"], ["--tta"]]
)
def test_windows_and_reflections_keep_the_size(checkpoint, options):
    write_image(Path("a.png"), (70, 45))
    assert run([str(checkpoint), "a.png", "--out", "out", *options]) == 0
    with Image.open("out/a.png") as ids:
        assert ids.size == (45, 70)


def test_a_cameras_orientation_is_followed(checkpoint):
    exif = Image.Exif()
    exif[0x0112] = 6
    write_image(Path("turned.jpg"), (20, 30), exif=exif)
    assert run([str(checkpoint), "turned.jpg", "--out", "out"]) == 0
    for name in ("turned.png", "turned_overlay.png"):
        with Image.open(f"out/{name}") as file:
            assert (file.height, file.width) == (30, 20)


def test_channels_are_those_of_the_model():
    checkpoint = make_checkpoint(Path("grey.ckpt"), num_classes=1, in_channels=1)
    write_image(Path("colour.png"), (20, 30))
    assert run([str(checkpoint), "colour.png", "--out", "out"]) == 0
    with Image.open("out/colour.png") as ids:
        assert set(np.unique(np.asarray(ids))) <= {0, 1}


def test_more_than_256_classes_are_written_in_16_bits():
    checkpoint = make_checkpoint(Path("many.ckpt"), num_classes=300)
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["model.head.bias"][299] = 1e4
    torch.save(content, checkpoint)
    write_image(Path("a.png"), (20, 30))
    assert run([str(checkpoint), "a.png", "--out", "out"]) == 0
    with Image.open("out/a.png") as ids:
        assert ids.mode == "I;16"
        assert np.unique(np.asarray(ids)).tolist() == [299]


def test_a_broken_image_is_reported_after_the_others_are_done(checkpoint, capsys):
    write_image(Path("in/a.png"), (20, 30))
    whole = write_image(Path("in/b.png"), (200, 300)).read_bytes()
    Path("in/b.png").write_bytes(whole[: len(whole) // 2])
    Path("in/c.jpg").write_text("no image")
    write_image(Path("in/d.png"), (20, 30))
    assert run([str(checkpoint), "in", "--out", "out"]) == 1
    said = capsys.readouterr()
    first, *causes = said.err.strip().splitlines()
    assert first == "DataError: 2 of 4 images could not be used:"
    assert causes[0].startswith("  in/b.png: not a readable image, or cut short")
    assert causes[1] == "  in/c.jpg: not a readable image, or cut short (unknown format)"
    assert len(causes) == 2
    assert "2 images segmented" in said.out
    assert sorted(path.name for path in Path("out").iterdir()) == [
        *("a.png", "a_overlay.png"),
        *("d.png", "d_overlay.png"),
    ]


def test_a_single_broken_image_is_one_line(checkpoint, capsys):
    Path("c.jpg").write_text("no image")
    assert run([str(checkpoint), "c.jpg", "--out", "out"]) == 1
    said = capsys.readouterr()
    assert said.err == "DataError: c.jpg: not a readable image, or cut short (unknown format)\n"
    assert said.out == ""
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "words", [["--overlap", "0.9"], ["--batch-size", "8"], ["--overlap", "0.9", "--batch-size", "8"]]
)
def test_what_is_said_of_windows_without_one_is_refused(checkpoint, capsys, words):
    write_image(Path("a.jpg"), (20, 30))
    assert run([str(checkpoint), "a.jpg", "--out", "out", *words]) == 1
    told = capsys.readouterr().err
    assert f"{' '.join(words)} is of windows, and there are none.\n  try: --window 512 {' '.join(words)}" in told
    assert run([str(checkpoint), "a.jpg", "--out", "out", "--window", "512", *words]) == 0


def test_a_file_that_comes_between_is_not_replaced(checkpoint, capsys, monkeypatch):
    write_image(Path("a.jpg"), (20, 30))
    Path("out").mkdir()

    def opened(*given):
        Path("out/a.png").write_text("mine")
        return open_run(*given)

    monkeypatch.setattr("segup.evaluation.runs.open_run", opened)
    assert run([str(checkpoint), "a.jpg", "--out", "out"]) == 1
    assert "out/a.png exists already; nothing was written" in capsys.readouterr().err
    assert [path.read_text() for path in Path("out").iterdir()] == ["mine"]


def test_existing_files_stay_unless_they_may_be_replaced(checkpoint, capsys):
    write_image(Path("a.jpg"), (20, 30))
    Path("out").mkdir()
    Path("out/a.png").write_text("mine")
    assert run([str(checkpoint), "a.jpg", "--out", "out"]) == 1
    assert "1 of 2 files exist already: out/a.png" in capsys.readouterr().err
    assert [path.read_text() for path in Path("out").iterdir()] == ["mine"]
    assert run([str(checkpoint), "a.jpg", "--out", "out", "--overwrite"]) == 0
    with Image.open("out/a.png") as ids:
        assert ids.size == (30, 20)


def test_an_image_of_too_many_pixels_is_refused_unread(checkpoint, capsys):
    write_image(Path("a.png"), (20, 30))
    assert run([str(checkpoint), "a.png", "--out", "out", "--max-pixels", "599"]) == 1
    assert capsys.readouterr().err == (
        "DataError: a.png: 20×30 is 600 pixels, more than --max-pixels 599; if you trust the file: --max-pixels 600\n"
    )
    assert run([str(checkpoint), "a.png", "--out", "out", "--max-pixels", "600"]) == 0


def test_max_pixels_stands_in_for_pillows_limit(checkpoint, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow refuses more than twice as many
    write_image(Path("a.png"), (20, 30))
    assert run([str(checkpoint), "a.png", "--out", "out"]) == 0
    assert Image.MAX_IMAGE_PIXELS == 100


def test_a_full_disk_leaves_no_half_file(checkpoint, monkeypatch, capsys):
    write_image(Path("a.png"), (20, 30))

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert run([str(checkpoint), "a.png", "--out", "out"]) == 1
    assert capsys.readouterr().err == (
        "DataError: out/a.png cannot be written: No space left on device; there is none before it\n"
    )
    assert list(Path("out").iterdir()) == []


def test_an_image_too_large_for_the_memory_names_the_way_out(checkpoint, monkeypatch, capsys):
    write_image(Path("a.png"), (20, 30))
    monkeypatch.setattr("segup.evaluation.predict.segment_stored", lambda *_: torch.empty(10**15))
    assert run([str(checkpoint), "a.png", "--out", "out"]) == 1
    message = "DataError: a.png: 20×30 needs more memory than there is.\n  try: --window 1024.\n"
    assert capsys.readouterr().err == message


def test_another_fault_of_the_model_is_not_hidden(checkpoint, monkeypatch):
    write_image(Path("a.png"), (20, 30))

    def segment(*_):
        raise RuntimeError("a defect")

    monkeypatch.setattr("segup.evaluation.predict.segment_stored", segment)
    with pytest.raises(RuntimeError, match="a defect"):
        run([str(checkpoint), "a.png", "--out", "out"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: None, "DataError: no run folder or checkpoint at RUN"),
        (lambda: Path("RUN").mkdir(), "DataError: RUN has no last.ckpt; it is no run folder, or its run ended"),
        (
            lambda: (Path("RUN").mkdir(), Path("RUN/best.ckpt").touch()),
            "DataError: RUN has no last.ckpt; it has best.ckpt",
        ),
        (lambda: Path("RUN").write_text("text"), "DataError: RUN is not a segup checkpoint: "),
        (lambda: torch.save({"state_dict": {}}, "RUN"), "DataError: RUN is not a segup checkpoint: it has no 'segup'"),
    ],
)
def test_what_is_no_run_is_refused_in_one_line(make, message, capsys):
    write_image(Path("a.png"), (20, 30))
    make()
    assert run(["RUN", "a.png", "--out", "out"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(message)
    assert len(said.splitlines()) == 1
    assert not Path("out").exists()


class _Opens:
    """Its pickle opens a file for writing when it is read."""

    def __reduce__(self):
        return open, ("was_run", "w")


@pytest.mark.parametrize("as_checkpoint", [True, False])
def test_a_malicious_pickle_is_not_run(checkpoint, as_checkpoint, capsys):
    write_image(Path("a.png"), (20, 30))
    if as_checkpoint:
        torch.save({**torch.load(checkpoint, weights_only=True), "more": _Opens()}, "bad.ckpt")
        torch.load("bad.ckpt", weights_only=False)
    else:
        Path("bad.ckpt").write_bytes(pickle.dumps(_Opens(), protocol=2))
        pickle.loads(Path("bad.ckpt").read_bytes())
    assert Path("was_run").exists()  # it does do harm
    Path("was_run").unlink()
    assert run(["bad.ckpt", "a.png", "--out", "out"]) == 1
    assert not Path("was_run").exists()
    said = capsys.readouterr().err
    assert said.startswith("DataError: bad.ckpt is not a segup checkpoint: ")
    assert len(said.splitlines()) == 1


def test_a_module_from_outside_is_imported_only_when_trusted(checkpoint, tmp_path, monkeypatch, capsys):
    write_image(Path("a.png"), (20, 30))
    Path("outside_upsampler.py").write_text(
        "import pathlib\n"
        "from segup.upsamplers.deconv import Deconv\n"
        "pathlib.Path('was_run').touch()\n"
        "class Own(Deconv):\n"
        "    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    content = torch.load(checkpoint, weights_only=True)
    content["segup"]["model"]["upsampler"] = "outside_upsampler:Own"
    torch.save(content, "own.ckpt")
    assert run(["own.ckpt", "a.png", "--out", "out"]) == 1
    said = capsys.readouterr().err
    assert "has a part from outside segup, 'outside_upsampler:Own'" in said
    assert "--trust outside_upsampler" in said
    assert not Path("was_run").exists()
    assert run(["own.ckpt", "a.png", "--out", "out", "--trust", "outside_upsampler"]) == 0
    assert Path("was_run").exists()


def test_labels_that_do_not_fit_the_model_are_refused(checkpoint, capsys):
    write_image(Path("a.png"), (20, 30))
    content = torch.load(checkpoint, weights_only=True)
    content["segup"]["labels"] = {"names": ("x", "y")}
    torch.save(content, "two.ckpt")
    assert run(["two.ckpt", "a.png", "--out", "out"]) == 1
    assert "its labels name 2 classes (x, y), its model has num_classes=3" in capsys.readouterr().err
    content["segup"]["labels"] = 7
    torch.save(content, "none.ckpt")
    assert run(["none.ckpt", "a.png", "--out", "out"]) == 1
    assert "none.ckpt: its labels cannot be read" in capsys.readouterr().err


def test_a_model_saved_without_labels_calls_its_classes_by_their_ids(capsys):
    save_model(create_model("test_efficientnet", num_classes=300, pretrained=False), "without.ckpt")
    write_image(Path("a.png"), (20, 30))
    assert run(["without.ckpt", "a.png", "--out", "out"]) == 0
    assert "classes: 0 class 0, 1 class 1, 2 class 2, " in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named(checkpoint, capsys):
    write_image(Path("a.png"), (20, 30))
    assert run([str(checkpoint), "a.png", "--out", "out", "--device", "cuda"]) == 1
    assert "device=cuda: torch" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys; from segup.cli import main\n"
        f"try: main(['{command}', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print('heavy:', [name for name in ('torch', 'hydra', 'numpy', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert f"usage: segup {command}" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_what_a_folder_holds_beside_images_is_counted_and_named(checkpoint, capsys):
    write_image(Path("in/a.png"), (20, 30))
    write_image(Path("in/sub/b.gif"), (20, 30))
    for name in ("in/notes.txt", "in/sub/c.heic", "in/.d.png", "in/.cache/e.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("")
    assert run([str(checkpoint), "in", "--out", "out"]) == 0
    said = capsys.readouterr().out
    assert "in: 4 skipped (no image files): .cache/e.png, .d.png, notes.txt, sub/c.heic\n" in said
    assert "2 images segmented: out" in said
    assert run([str(checkpoint), "in", "--out", "in/out"]) == 0
    assert "in: 4 skipped" in capsys.readouterr().out


def ranged(path: Path, image_range: object) -> Path:
    """A checkpoint whose images spanned ``image_range``."""
    content = torch.load(make_checkpoint(path, in_channels=1), weights_only=True)
    content["segup"]["image_range"] = image_range
    torch.save(content, path)
    return path


def test_images_are_read_in_the_range_of_the_training(capsys):
    checkpoint = ranged(Path("twelve.ckpt"), [0, 4095])
    pixels = np.random.default_rng(0).integers(0, 4096, (20, 30), dtype=np.uint16)
    Image.fromarray(pixels).save("a.png")
    assert run([str(checkpoint), "a.png", "--out", "out"]) == 0
    with torch.no_grad():
        expected = predicted_labels(load_model(checkpoint)(torch.from_numpy(pixels / np.float32(4095))[None, None]))[0]
    assert np.array_equal(np.asarray(Image.open("out/a.png")), expected.numpy())
    Image.fromarray(pixels * np.uint16(2)).save("bright.png")
    Image.fromarray((pixels >> 4).astype(np.uint8)).save("eight.png")
    assert run([str(checkpoint), "a.png", "bright.png", "eight.png", "--out", "again"]) == 1
    first, *causes = capsys.readouterr().err.strip().splitlines()
    assert first == "DataError: 2 of 3 images could not be used:"
    assert "bright.png: 16-bit values from" in causes[0]
    assert "where 0…4095 is allowed; data.image_range=[0,8191] covers them" in causes[0]
    assert "eight.png: 8-bit values in 0…255, and the range of the data set is 0…4095" in causes[1]
    assert run([str(checkpoint), "bright.png", "--out", "wide", "--image-range", "0,8191"]) == 0
    assert run([str(checkpoint), "eight.png", "--out", "wide", "--image-range", "0,255"]) == 0


def test_a_checkpoint_without_a_range_goes_by_the_files_types(checkpoint):
    write_image(Path("a.png"), (20, 30))
    assert run([str(checkpoint), "a.png", "--out", "own"]) == 0
    assert run([str(checkpoint), "a.png", "--out", "given", "--image-range", "0,255"]) == 0
    assert Path("own/a.png").read_bytes() == Path("given/a.png").read_bytes()


@pytest.mark.parametrize("stored", [[5, 1], "all", 3, [0, 0]])
def test_a_stored_range_that_is_none_is_one_line(capsys, stored):
    write_image(Path("a.png"), (20, 30))
    assert run([str(ranged(Path("odd.ckpt"), stored)), "a.png", "--out", "out"]) == 1
    assert capsys.readouterr().err.startswith("DataError: odd.ckpt: its image_range cannot be read: ")


@pytest.mark.parametrize("text", ["4095", "5,1", "a,b", "0,inf", "1,2,3", ""])
def test_a_range_that_cannot_be_meant_is_refused(checkpoint, capsys, text):
    with pytest.raises(SystemExit):
        run([str(checkpoint), "a.png", "--out", "out", f"--image-range={text}"])
    assert f"argument --image-range: '{text}' is not LOW,HIGH, two numbers such as 0,4095" in capsys.readouterr().err
