import hashlib
import json
import re

import pytest
import torch
from PIL import Image

from segup import load_model
from segup.checkpoints import load_checkpoint
from segup.training.history import read_history
from segup.training.module import SegmentationModule, TrainingDivergedError


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_run_leaves_a_finished_folder(small_run):
    result, folder = small_run(pictures=True, encoder={"name": "efficientnet_lite0"})
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "last.ckpt",
        "best.ckpt",
        "metrics.csv",
        "tensorboard",
        "curves.png",
        "predictions.png",
        "result.json",
    }
    written = json.loads((folder / "result.json").read_text())
    assert written["last"]["step"] == 12
    assert written["last"]["epoch"] == 3
    assert len(written["last"]["iou"]) == 3
    validated = [float(row["val/miou"]) for row in read_history(folder / "metrics.csv") if row["val/miou"]]
    assert len(validated) == 3
    assert written["best"]["miou"] == pytest.approx(max(validated), abs=1e-6)
    model = load_model(folder / "last.ckpt")
    assert written["parameters"]["total"] == sum(p.numel() for p in model.parameters())
    assert written["macs"]["total"] == written["macs"]["encoder"] + written["macs"]["decoder_and_head"] > 1e6
    assert written["step_seconds"] > 0
    assert 0 < written["inference_seconds"] < written["step_seconds"]
    assert written["last"]["band_widths"] == [1, 2, 3, 5, 8, 12, 20]
    assert len(written["last"]["band_iou"]) == 7
    assert written["peak_memory_bytes"] > 1e8
    assert (written["config"]["trainer"]["precision"], written["precision"]) == ("auto", "32-true")
    assert written["config"]["seed"] == result["config"]["seed"] == 0
    for name in ("curves.png", "predictions.png"):
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 200
    info = load_checkpoint(folder / "best.ckpt").info
    assert info["labels"]["names"] == ("background", "cytoplasm", "nucleus")


def test_a_seed_repeats_a_run_and_another_does_not(small_run):
    (_, a), (_, b), (_, c) = (
        small_run(f"run{i}", seed=seed, trainer={"max_epochs": 1}) for i, seed in enumerate((0, 0, 1))
    )
    assert same(weights(a / "last.ckpt"), weights(b / "last.ckpt"))
    assert not same(weights(a / "last.ckpt"), weights(c / "last.ckpt"))


def test_all_decoders_see_the_same_batches_and_start_from_the_same_weights(small_run, monkeypatch):
    seen, starts = [], []
    step = SegmentationModule.training_step

    def watched(self, batch, batch_idx):
        if not seen:
            starts.append({name: w.clone() for name, w in self.model.state_dict().items() if ".up." not in name})
        seen.append(hashlib.sha256(batch["image"].numpy().tobytes() + batch["mask"].numpy().tobytes()).hexdigest())
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", watched)
    found = []
    for upsampler in ("deconv", "deconv_matched", "bilinear", "pixel_shuffle"):
        seen.clear()
        small_run(upsampler, decoder={"upsampler": upsampler, "upsampler_options": {}}, trainer={"max_epochs": 1})
        found.append(list(seen))
    assert len(found[0]) == len(set(found[0])) == 4
    assert all(hashes == found[0] for hashes in found)
    assert len(starts[0]) > 100
    assert all(same(start, starts[0]) for start in starts)


def test_training_that_diverges_says_where(small_run):
    with pytest.raises(TrainingDivergedError) as caught:
        small_run(optimizer={"lr": 1e30}, trainer={"gradient_clip_val": None})
    message = str(caught.value)
    assert message.startswith("the loss became ")
    assert re.search(r"at step \d+, learning rate \d[.\d]*e\+\d\d, files frame_\d, frame_\d\.\n  try: ", message), (
        message
    )


def test_the_last_epoch_is_validated_whatever_the_interval(small_run):
    result, folder = small_run(trainer={"max_epochs": 2, "val_every_n_epochs": 5})
    assert (result["last"]["epoch"], result["last"]["step"]) == (2, 8)
    assert result["best"] == result["last"]
    assert (folder / "best.ckpt").exists()
    rows = read_history(folder / "metrics.csv")
    assert [(row["step"], row["epoch"]) for row in rows if row["val/miou"]] == [("8", "1")]


def test_one_sigmoid_channel_trains(small_run, tmp_path):
    small_run(
        num_classes=1,
        data={"classes": ["background", "cell"], "colors": None, "mask_values": {0: 0, 1: 1, 2: 1}},
        trainer={"max_epochs": 1},
    )
    assert load_model(tmp_path / "run" / "last.ckpt").num_classes == 1


@pytest.mark.parametrize("wanted", [1, 2, 4])
def test_a_number_of_classes_that_the_data_does_not_have_is_refused(small_run, wanted):
    with pytest.raises(
        ValueError, match=rf"num_classes={wanted} must be 3, one for each class of the data \(background"
    ):
        small_run(num_classes=wanted)


def test_median_frequency_weights_are_counted_over_the_training_masks(small_run):
    result, _ = small_run(loss={"class_weights": "median_frequency"}, trainer={"max_epochs": 1})
    assert result["last"]["miou"] > 0
    with pytest.raises(ValueError, match="loss.class_weights='median' must be null, median_frequency or a list"):
        small_run("other", loss={"class_weights": "median"})


def test_bfloat16_trains_with_clipped_gradients(small_run, monkeypatch):
    """What a GPU does by default."""
    clipped, clip = [], torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr("torch.nn.utils.clip_grad_norm_", lambda p, most: clipped.append((float(clip(p, most)), most)))
    small_run(trainer={"precision": "bf16-mixed", "max_epochs": 1})
    assert [most for _, most in clipped] == [1.0] * 4
    assert all(0 < norm < float("inf") for norm, _ in clipped)
