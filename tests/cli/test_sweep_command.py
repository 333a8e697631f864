"""A sweep from the command line to the study on disk."""

import json

import pytest
import yaml

from segup.ablation.study import read_study
from segup.cli.composed import configs_folder
from segup.cli.sweep import read_sweep
from segup.cli.train import run


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


TINY = [
    "encoder=segnet",
    "encoder.options.widths=[2,3,4]",
    "encoder.options.convs=1",
    "decoder.widths=[4,4]",
    "data.crop_size=[33,35]",
    "data.batch_size=2",
    "data.samples_per_epoch=2",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
]


def asked(*words):
    sweep = read_sweep("train.py", ["-m", *words], configs_folder())
    return [(one.label, one.seed) for one in sweep.asked]


def test_a_sweep_keeps_what_finishes_and_says_at_once_what_fails(tmp_path, capfd):
    assert run(["-m", "decoder=bilinear", "optimizer.lr=-2,-1,1e-3", *TINY]) == 1
    out, err = capfd.readouterr()
    for rate in (-2, -1):
        cause = f"ConfigError: optimizer.lr={rate} must be a number above 0"
        assert err.count(f"bilinear,optimizer.lr={rate} seed 0 failed: {cause}") == 1
    assert "2 of 3 runs failed: bilinear,optimizer.lr=-2 seed 0, bilinear,optimizer.lr=-1 seed 0" in err
    assert "study ablations/train: 3 runs\n" in out
    assert "bilinear,optimizer.lr=0.001 seed 0 finished, mIoU 0." in out

    study = read_study("ablations/train")
    assert [member.state for member in study.members] == ["failed", "failed", "finished"]
    cause = "ConfigError: optimizer.lr=-1 must be a number above 0\n  try: optimizer.lr=0.001"
    assert study.members[1].cause == cause
    assert study.members[2].run.upsampler == "bilinear"
    assert study.settings["command"].startswith("segup train -m decoder=bilinear optimizer.lr=-2,-1,1e-3 ")
    assert "epoch   1/1" in (study.members[2].path / "log.txt").read_text()
    before = (study.members[2].path / "result.json").read_bytes()

    assert run(["-m", "decoder=bilinear", "optimizer.lr=1e-3", *TINY, "trainer.max_epochs=2"]) == 1
    err = capfd.readouterr().err
    assert "the study ablations/train was begun with another configuration; nothing in it was touched:\n" in err
    assert "\n  trainer.max_epochs was 1 and is now 2\n" in err

    assert run(["-m", "decoder=bilinear", "optimizer.lr=-1,1e-3", *TINY]) == 1
    out, err = capfd.readouterr()
    assert "2 runs, 1 finished before, 1 to be taken up again" in out
    assert err.count("bilinear,optimizer.lr=-1 seed 0 failed: ") == 1
    assert (study.members[2].path / "result.json").read_bytes() == before
    assert json.loads((study.members[1].path / "status.json").read_text())["attempt"] == 2


def test_each_run_of_a_sweep_is_begun_once_in_order_and_what_is_not_finished_is_said(tmp_path, monkeypatch, capfd):
    begun = []

    class Counting:
        def __init__(self, at_once):
            begun.append(at_once)

        def begin(self, folder):
            begun.append(folder.relative_to(tmp_path / "ablations/mine").as_posix())

        def finish(self):
            begun.append("all ended")

    monkeypatch.setattr("segup.cli.study.Processes", Counting)
    words = ["decoder=deconv,bilinear", "seed=1,0", "ablation.name=mine", "ablation.at_once=2"]
    assert run(["-m", *words, *TINY]) == 1
    assert begun == [2, "deconv/1", "deconv/0", "bilinear/1", "bilinear/0", "all ended"]
    out, err = capfd.readouterr()
    assert "study ablations/mine: 4 runs\n" in out
    assert "not finished: deconv seed 1, deconv seed 0, bilinear seed 1, bilinear seed 0\n" in err
    assert (tmp_path / "ablations/mine/report.html").is_file()


def test_a_run_is_called_after_its_decoder_and_what_else_was_swept():
    assert asked("decoder=deconv,carafe", "seed=0,1") == [("deconv", 0), ("deconv", 1), ("carafe", 0), ("carafe", 1)]
    assert asked("decoder=deconv", "decoder.topology=unet,fpn") == [
        ("deconv,decoder.topology=unet", 0),
        ("deconv,decoder.topology=fpn", 0),
    ]
    assert asked("decoder.upsampler=nearest,bicubic", "+decoder.upsampler_options={}") == [
        ("nearest", 0),
        ("bicubic", 0),
    ]
    assert asked("encoder=timm", "encoder.name=a/b,c") == [
        ("deconv,encoder.name=a%2Fb", 0),
        ("deconv,encoder.name=c", 0),
    ]
    long = asked("data.classes=[" + ",".join(f"class{i}" for i in range(60)) + "],[a,b]")
    assert len(long[0][0]) == 150
    assert long[1] == ("deconv,data.classes=[a,b]", 0)


def test_what_a_command_line_does_not_ask_for_is_no_sweep():
    for words in (["decoder=deconv"], ["-m", "--cfg", "job"], ["--help"], ["-m", "--info"]):
        assert read_sweep("train.py", words, configs_folder()) is None


def test_what_all_runs_share_is_kept_without_what_was_swept():
    sweep = read_sweep(
        "train.py", ["-m", "decoder=carafe,deconv", "trainer.max_epochs=3", "decoder.convs=1"], configs_folder()
    )
    assert (sweep.config["trainer"]["max_epochs"], sweep.config["decoder"]["convs"]) == (3, 1)
    assert not {"seed", "ablation", "run_dir"} & sweep.config.keys()
    assert "upsampler" not in sweep.config["decoder"]
    only = read_sweep("train.py", ["-m", "decoder=carafe", "decoder.upsampler_options.groups=1,2"], configs_folder())
    assert [run.config["decoder"]["upsampler_options"]["groups"] for run in only.asked] == [1, 2]


def test_a_folder_of_configurations_of_ones_own_is_searched(tmp_path):
    (tmp_path / "mine" / "decoder").mkdir(parents=True)
    own = yaml.safe_load((configs_folder() / "decoder" / "bilinear.yaml").read_text())
    (tmp_path / "mine" / "decoder" / "smooth.yaml").write_text(yaml.safe_dump(own))
    assert asked("decoder=smooth,deconv", "--config-dir", "mine") == [("smooth", 0), ("deconv", 0)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["run_dir=a", "seed=0,1"],
            "run_dir is for a single run; the runs of a sweep lie in ablations/<name>/",
        ),
        (["ckpt_path=a,b"], "ckpt_path is for a single run"),
        (["ablation.match=none,params"], "one sweep is one study: give ablation.match one value"),
        (["name=a,b"], "one sweep is one study: give name one value"),
        (["ablation.match=parms"], "unknown ablation.match 'parms': did you mean 'params'? known: macs, none, params"),
        (["ablation.metric=mioy"], "ablation.metric=mioy: unknown metric 'mioy': did you mean 'miou'?"),
        (["ablation.metric=iou"], "ablation.metric=iou: unknown metric 'iou'"),
        (["ablation.margin=-0.1"], "ablation.margin=-0.1 must be a number of 0 or more"),
        (["ablation.level=95"], "ablation.level=95 must be a number of 0.5 or more and at most 0.9999"),
        (["ablation.start=interpolation"], "unknown ablation.start 'interpolation': did you mean 'interpolate'"),
        (["ablation.baseline=bilinear", "decoder=deconv,nearest"], "unknown decoder of the study 'bilinear'"),
        (["ablation.floor=5"], "ablation.floor=5 must be true or false"),
        (
            ["data.folds=20", "seed=0,1"],
            "data.folds=20: there are 5 groups of 10 images to divide.\n  try: data.folds=5",
        ),
        (["ablation.at_once=0"], "ablation.at_once=0 must be an int of 1 or more, or null"),
        (["ablation.name=../a"], "ablation.name=../a must name a folder below ablations/"),
        (["ablation.name=/a"], "ablation.name=/a must name a folder below ablations/"),
        (["ablation.name=''"], "ablation.name='' must name a folder below ablations/"),
        (["ablation.name=."], "ablation.name=. must name a folder below ablations/"),
        (["ablation.name=null"], "ablation.name=null must name a folder below ablations/"),
        (["encoder=timm"], "encoder.name is not set: give encoder.name=..."),
        (["decoder=deconv,decov"], "decoder=decov: unknown decoder option 'decov': did you mean 'deconv'?"),
        (["seed=0,1,one"], "seed='one' must be an int"),
        (["optimzer.lr=1,2"], "unknown key 'optimzer': did you mean 'optimizer'?"),
    ],
)
def test_a_sweep_that_cannot_be_begun_is_refused_whole(tmp_path, capfd, words, message):
    assert run(["-m", *words]) == 1
    err = capfd.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
