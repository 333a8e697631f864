"""``--cfg job`` shows what can be trained, and refuses what training would refuse, without training."""

import pytest

from segup.cli.train import run

REFUSED = {
    "seed=-1": "seed=-1 must be an int of 0 or more",
    "optimizer.lr=-1": "optimizer.lr=-1 must be a number above 0",
    "optimizer.lr=nan": "optimizer.lr=nan must be a number above 0",
    "optimizer.weight_decay=-0.1": "optimizer.weight_decay=-0.1 must be a number of 0 or more",
    "optimizer.encoder_lr_factor=0": "optimizer.encoder_lr_factor=0 must be a number above 0",
    "optimizer.name=zzq": "unknown optimizer 'zzq'",
    "+optimizer.zzq=1": "zzq",
    "scheduler.name=zzq": "unknown scheduler 'zzq'",
    "+scheduler.zzq=1": "zzq",
    "trainer.max_epochs=0": "trainer.max_epochs=0 must be",
    "trainer.precision=zzq": "precision=zzq cannot be used here",
    "loss.name=zzq": "unknown loss 'zzq'",
    "decoder.convs=0": "convs=0",
    "data.classes=1e3": "classes must be a list of names, not 1000.0",
    "data.classes=7": "classes must be a list of names, not 7",
    "data.classes=abc": "classes must be a list of names, not the word 'abc'",
    "data.classes={a:1}": "classes",
    "data.in_channels=[3]": "in_channels",
    "data.in_channels=x": "in_channels",
    "data.image_range=[0,0]": "data.image_range=[0, 0] must be [low, high] with low < high",
    "data.mask_orientation=zzq": "data.mask_orientation='zzq' is unknown; known: own, image",
    "data.mask_values={0:9}": "mask_values: 0 becomes 9, which is neither a class (0…2)",
    "data.ignore_index=1": "ignore_index 1 is class 'cytoplasm'",
    "data.augment.scale=[2,1]": "augment.scale=[2, 1] must be [smallest, largest]",
}


@pytest.mark.parametrize("word", REFUSED)
def test_what_training_would_refuse_is_refused_in_a_message(word, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["encoder=segnet", word, "--cfg", "job"]) == 1
    said = capsys.readouterr()
    assert REFUSED[word] in said.err
    assert not said.out
    assert "Traceback" not in said.err
    assert not list(tmp_path.iterdir())


def test_what_can_be_trained_is_shown(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["encoder=segnet", "optimizer=sgd", "scheduler=poly", "seed=3", "--cfg", "job"]) == 0
    assert "seed: 3" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["-m"], ["--multirun", "seed=0,1"], ["seed=0", "-m"]])
def test_a_sweep_is_not_shown_as_one_job(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run([*words, "--cfg", "job"]) == 1
    said = capsys.readouterr().err
    assert "--multirun and --cfg cannot be given together.\n  try:" in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())
