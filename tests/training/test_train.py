import hashlib
import json
import re
import signal

import pytest
import torch
from PIL import Image

from segup import load_model
from segup.errors import ConfigError, DataError
from segup.models import load_checkpoint
from segup.training.checkpoints import RunInterruptedError, take_over
from segup.training.config import RunConfig
from segup.training.history import read_history
from segup.training.module import SegmentationModule, TrainingDivergedError
from segup.training.resume import read_position, resumed_config


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_run_leaves_a_finished_folder(small_run):
    result, folder = small_run()
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
    for upsampler in ("deconv", "deconv_matched", "bilinear", "pixel_shuffle", "carafe", "dysample"):
        seen.clear()
        small_run(upsampler, decoder={"upsampler": upsampler, "upsampler_options": {}}, trainer={"max_epochs": 1})
        found.append(list(seen))
    assert len(found[0]) == len(set(found[0])) == 4
    assert all(hashes == found[0] for hashes in found)
    assert len(starts[0]) > 300
    assert all(same(start, starts[0]) for start in starts)


class PowerCutError(Exception):
    """The process ends here: nothing is saved."""


@pytest.mark.parametrize("at", [1, 2, 5, 9, 11])
@pytest.mark.parametrize("how", ["ctrl-c", "power cut"])
def test_a_stopped_run_continues_to_the_same_numbers(small_run, monkeypatch, at, how):
    if how == "power cut" and at < 5:
        return  # nothing was saved yet: the run begins anew
    whole, whole_folder = small_run("whole")
    step, count = SegmentationModule.training_step, 0

    def stopped(self, batch, batch_idx):
        nonlocal count
        count += 1
        if count == at and how == "ctrl-c":
            signal.raise_signal(signal.SIGINT)
        if count == at and how == "power cut":
            raise PowerCutError
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(SegmentationModule, "training_step", stopped)
        with pytest.raises((RunInterruptedError, PowerCutError)):
            small_run("stopped")
    checkpoint = str(whole_folder.parent / "stopped" / "last.ckpt")
    result, folder = small_run("stopped", ckpt_path=checkpoint)
    assert (result["last"], result["best"]) == (whole["last"], whole["best"])
    assert same(weights(folder / "last.ckpt"), weights(whole_folder / "last.ckpt"))
    assert same(weights(folder / "best.ckpt"), weights(whole_folder / "best.ckpt"))
    assert (folder / "metrics.csv").read_text() == (whole_folder / "metrics.csv").read_text()


def test_a_run_that_goes_on_in_another_folder_takes_its_checkpoints_along(small_run, monkeypatch, tmp_path):
    whole, whole_folder = small_run("whole")
    step, count = SegmentationModule.training_step, 0

    def cut(self, batch, batch_idx):
        nonlocal count
        count += 1
        if count == 10:
            raise PowerCutError
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(SegmentationModule, "training_step", cut)
        with pytest.raises(PowerCutError):
            small_run("cut")
    result, folder = small_run("elsewhere", ckpt_path=str(tmp_path / "cut" / "last.ckpt"))
    assert (result["last"], result["best"]) == (whole["last"], whole["best"])
    for name in ("last.ckpt", "best.ckpt"):
        assert same(weights(folder / name), weights(whole_folder / name))
    with pytest.raises(ConfigError, match="has finished its 3 epochs: there is nothing to continue"):
        small_run("third", ckpt_path=str(folder / "last.ckpt"))


@pytest.mark.parametrize("best", [True, False])
def test_the_best_checkpoint_is_the_one_that_goes_on_or_the_one_beside_it(tmp_path, best):
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir(), here.mkdir()
    (there / "last.ckpt").write_bytes(b"last")
    (there / "best.ckpt").write_bytes(b"older")
    take_over(there / "last.ckpt", here, best)
    assert (here / "last.ckpt").read_bytes() == b"last"
    assert (here / "best.ckpt").read_bytes() == (b"last" if best else b"older")
    take_over(there / "last.ckpt", there, best)
    assert (there / "last.ckpt").read_bytes() == b"last"
    assert (there / "best.ckpt").read_bytes() == (b"last" if best else b"older")


def test_a_terminated_run_saves_and_says_that_it_was_stopped(small_run, monkeypatch, tmp_path):
    step = SegmentationModule.training_step

    def stopped(self, batch, batch_idx):
        signal.raise_signal(signal.SIGTERM)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", stopped)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RunInterruptedError, match="stopped after step 1; to continue: ckpt_path="):
        small_run("stopped")
    assert read_position(tmp_path / "stopped" / "last.ckpt").step == 1
    assert signal.getsignal(signal.SIGTERM) == before


def test_dropout_draws_the_same_after_a_resume(small_run, monkeypatch, tmp_path):
    forward = SegmentationModule.forward

    def with_dropout(self, image):
        return torch.nn.functional.dropout(forward(self, image), 0.5, self.training)

    monkeypatch.setattr(SegmentationModule, "forward", with_dropout)
    whole, _ = small_run("whole")
    step, count = SegmentationModule.training_step, 0

    def stopped(self, batch, batch_idx):
        nonlocal count
        count += 1
        if count == 6:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(SegmentationModule, "training_step", stopped)
        with pytest.raises(RunInterruptedError, match=r"stopped after step 6; to continue: ckpt_path=.*last.ckpt"):
            small_run("stopped")
    result, _ = small_run("stopped", ckpt_path=str(tmp_path / "stopped" / "last.ckpt"))
    assert result["last"] == whole["last"]


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


def test_a_finished_run_is_not_continued(small_run):
    _, folder = small_run(trainer={"max_epochs": 1})
    with pytest.raises(ValueError, match="has finished its 1 epochs: there is nothing to continue"):
        small_run(ckpt_path=str(folder / "last.ckpt"), trainer={"max_epochs": 1})


def test_what_a_resumed_run_may_change(small_run):
    _, folder = small_run(trainer={"max_epochs": 1})
    path = folder / "last.ckpt"
    assert read_position(path).step == 4
    config = RunConfig.of(
        resumed_config(path, {"ckpt_path": str(path), "trainer.threads": 2, "data.root": "elsewhere"})
    )
    assert (config.trainer.threads, config.data["root"], config.ckpt_path) == (2, "elsewhere", str(path))
    with pytest.raises(ValueError, match=r"seed was 0 in the run of .* and is now 1: that would be another run"):
        resumed_config(path, {"seed": 1})
    with pytest.raises(ValueError, match="decoder.upsampler was 'deconv' in the run of .* and is now 'bilinear'"):
        resumed_config(path, {"decoder.upsampler": "bilinear"})
    with pytest.raises(ValueError, match="its schedule 'one_cycle' is laid out over them: it cannot become 9"):
        resumed_config(path, {"trainer.max_epochs": 9})


def test_a_run_that_is_out_of_steps_is_not_continued(small_run):
    _, folder = small_run(trainer={"max_steps": 1})
    before = (folder / "result.json").read_bytes()
    with pytest.raises(ConfigError, match="has finished its 1 steps: there is nothing to continue"):
        small_run(ckpt_path=str(folder / "last.ckpt"), trainer={"max_steps": 1})
    assert (folder / "result.json").read_bytes() == before


def test_a_training_state_of_another_kind_is_refused(tmp_path):
    content = {"segup": {"format": 1, "model": {}}, "state_dict": {}, "loops": {}, "epoch": 1, "global_step": 1}
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(DataError, match="last.ckpt: its training state is not one that segup wrote"):
        read_position(tmp_path / "last.ckpt")
