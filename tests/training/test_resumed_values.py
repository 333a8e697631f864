"""Which values a run goes on with: its own, but for where it runs."""

from dataclasses import asdict

import pytest
import torch

from segup.checkpoints import save_model
from segup.cli.composed import checked, composed, plain_values
from segup.data import create_data
from segup.errors import ConfigError, DataError
from segup.models import create_model
from segup.training.config import RunConfig
from segup.training.module import SegmentationModule
from segup.training.resume import read_position


@pytest.fixture
def goes_on(tmp_path):
    """Return a function: the configuration with which the run of the first words goes on when the others are given."""

    def resumed(first, *given):
        values = plain_values(composed(first))
        values.pop("ablation")
        model = create_model("test_efficientnet", num_classes=3, pretrained=False, widths=[8, 8, 8, 8, 8])
        path = tmp_path / "last.ckpt"
        save_model(model, path, {"config": asdict(RunConfig.of(values))})
        words = [f"ckpt_path={path}", *given]
        return checked(composed(words), words)

    return resumed


RECIPE = {"accumulate": 2, "gradient_clip_val": 0.1, "val_every_n_epochs": 3, "sync_batchnorm": True, "max_epochs": 7}
PLACE = {"precision": "32-true", "threads": 3, "deterministic": True}


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("auto", ("auto", 1, "auto")),
        ("cpu", ("cpu", 1, "auto")),
        ("gpu", ("gpu", 1, "auto")),
        ("ddp", ("gpu", 2, "ddp")),
    ],
)
@pytest.mark.parametrize("scheduler", ["constant", "one_cycle"])
def test_the_word_of_a_trainer_changes_the_place_alone(goes_on, word, place, scheduler):
    own = [f"trainer.{key}={value}" for key, value in (RECIPE | PLACE).items()]
    found = goes_on(["trainer=cpu", *own, "trainer.max_steps=9", f"scheduler={scheduler}"], f"trainer={word}").trainer
    assert {key: getattr(found, key) for key in RECIPE | PLACE} == RECIPE | PLACE
    assert (found.accelerator, found.devices, found.strategy) == place
    assert found.max_steps == 9


def test_what_is_typed_beside_the_word_counts(goes_on):
    found = goes_on(
        ["scheduler=constant", "trainer.max_steps=2"], "trainer.max_steps=4", "trainer=cpu", "trainer.precision=32-true"
    )
    assert (found.trainer.accelerator, found.trainer.max_steps, found.trainer.precision) == ("cpu", 4, "32-true")


@pytest.mark.parametrize(
    ("key", "value"),
    [("accumulate", 3), ("gradient_clip_val", 1.0), ("val_every_n_epochs", 1), ("sync_batchnorm", False)],
)
def test_another_recipe_is_refused_where_it_is_typed(goes_on, key, value):
    own = [f"trainer.{name}={usual}" for name, usual in RECIPE.items()]
    with pytest.raises(
        ConfigError, match=rf"trainer\.{key} was {RECIPE[key]} in the run of .* and is now {value}: that"
    ):
        goes_on(own, "trainer=cpu", f"trainer.{key}={value}")
    assert goes_on(own, f"trainer.{key}={RECIPE[key]}").trainer.accumulate == 2


def test_values_that_had_no_effect_do_not_stop_a_run_of_before(goes_on):
    found = goes_on(["+optimizer.fused=true", "+loss.ignore_index=0", "+scheduler.steps=7"])
    assert not {"fused", "ignore_index", "steps"} & {*found.optimizer, *found.loss, *found.scheduler}


def test_a_home_folder_in_a_configuration_is_the_persons(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    values = plain_values(composed(["decoder=deconv"]))
    values.pop("ablation")
    values |= {"run_dir": "~/run", "init_from": "~/before", "ckpt_path": "/there/~"}
    values["encoder"]["weights"] = "~/w.pth"
    found = RunConfig.of(values)
    assert (found.run_dir, found.init_from, found.ckpt_path, found.encoder.weights) == (
        "/home/me/run",
        "/home/me/before",
        "/there/~",
        "/home/me/w.pth",
    )
    with pytest.raises(DataError, match="^/home/me/d: no such folder"):
        create_data({"name": "folder", "root": "~/d", "classes": ["a", "b"]}).setup("fit")


def test_no_accumulation_is_one_batch(goes_on):
    assert goes_on([], "trainer.accumulate=1").trainer.accumulate is None


@pytest.mark.parametrize(("before", "now"), [("9", "null"), ("null", "9"), ("9", "8")])
def test_steps_cannot_change_below_a_schedule_that_is_laid_out_over_them(goes_on, before, now):
    first, given = [f"trainer.max_steps={before}"], f"trainer.max_steps={now}"
    with pytest.raises(ConfigError, match="its schedule 'one_cycle' is laid out over them: it cannot become") as told:
        goes_on(first, given)
    assert f"trainer.max_steps was {before} in" in str(told.value)
    assert str(told.value).endswith(f"try: leave out ckpt_path to begin anew with {given}.")
    assert goes_on([*first, "scheduler=constant"], given).trainer.max_steps == (None if now == "null" else int(now))


@pytest.mark.parametrize("words", [["data=cells", "data.folds=5"], ["data.fold=null"], ["data.fold=2"], []])
def test_a_fold_that_the_seed_chose_is_not_typed_again(goes_on, words):
    assert goes_on(["seed=7", "data=cells", "data.folds=5"], *words).data["fold"] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.fold=3"], "data.fold was 2 in the run of .* and is now 3: that"),
        (["data=cells", "data.folds=4"], "data.folds was 5 in the run of .* and is now 4: that"),
        (["data=cells"], "data.folds was 5 in the run of .* and is now None: that"),
        (["data=cells", "data.folds=x"], "data.folds='x' must be an int"),
        (["data=cells", "data.folds=0"], "data.folds=0 must be an int of 2 or more"),
    ],
)
def test_another_fold_is_another_run(goes_on, words, said):
    with pytest.raises(ConfigError, match=said):
        goes_on(["seed=7", "data=cells", "data.folds=5"], *words)


@pytest.fixture(scope="module")
def one_epoch(run_in, tmp_path_factory):
    """Return a function: the folder of a run of four steps by a schedule, which was killed before its pictures."""

    def run(scheduler):
        _, folder = run_in(
            tmp_path_factory.mktemp(scheduler) / "run", scheduler={"name": scheduler}, trainer={"max_epochs": 1}
        )
        (folder / "predictions.png").unlink()
        return folder

    return run


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("scheduler", ["one_cycle", "cosine", "poly"])
def test_a_schedule_over_other_steps_is_refused_before_anything_is_trained(
    small_run, one_epoch, monkeypatch, tmp_path, scheduler, earlier
):
    """As where images were added, or on more devices. Earlier versions kept the steps in torch's state alone."""
    folder = one_epoch(scheduler)
    path = folder / "last.ckpt"
    if earlier:
        content = torch.load(path, weights_only=True)
        assert content["segup"].pop("steps") == 4
        torch.save(content, path)
        content["segup"]["config"]["scheduler"]["name"] = "own:restarts"  # whose T_max is its own matter
        torch.save(content, tmp_path / "of_others.ckpt")
        assert read_position(tmp_path / "of_others.ckpt").steps is None
    assert read_position(path).steps == 4
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}

    def never(self, batch, batch_idx):
        pytest.fail("a step was trained")

    monkeypatch.setattr(SegmentationModule, "training_step", never)
    for changed in ({"samples_per_epoch": 10}, {"samples_per_epoch": 6}):
        with pytest.raises(ConfigError) as told:
            small_run(
                folder, scheduler={"name": scheduler}, trainer={"max_epochs": 1}, data=changed, ckpt_path=str(path)
            )
        assert str(told.value) == (
            f"{path}: its schedule '{scheduler}' is laid out over 4 steps, and its values and images make "
            f"{changed['samples_per_epoch'] // 2} now: nothing was trained.\n"
            f"  try: the values and images from before, or init_from={path} in place of ckpt_path to begin anew."
        )
    assert {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()} == before


def test_a_constant_rate_goes_on_over_other_steps(small_run, one_epoch):
    folder = one_epoch("constant")
    options = {"scheduler": {"name": "constant"}, "trainer": {"max_epochs": 2}, "data": {"samples_per_epoch": 10}}
    result, _ = small_run(folder, **options, ckpt_path=str(folder / "last.ckpt"))
    assert result["last"]["step"] == 9
