import errno
import sys

import pytest
import yaml

from segup.cli.train import run


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["decoder=decov"],
            "ConfigError: decoder=decov: unknown decoder option 'decov': did you mean 'deconv'? known: anyup",
        ),
        (["decoder=null"], "ConfigError: decoder=null: unknown decoder option 'null': known: anyup"),
        (["trainer=4"], "ConfigError: trainer=4: unknown trainer option '4': known: auto, "),
        (["=3"], "ConfigError: '3' is no override; one has the form key=value"),
        (["decodr=deconv"], "ConfigError: unknown key 'decodr': did you mean 'decoder'? known: "),
        (["optimzer.lr=1"], "ConfigError: unknown key 'optimzer': did you mean 'optimizer'? known: "),
        (["optimizer.lrr=1"], "ConfigError: unknown key 'optimizer.lrr': did you mean 'lr'? known: betas, "),
        (
            ["data=folder", "data.val_fracton=0.1"],
            "unknown key 'data.val_fracton': did you mean 'val_fraction'? known: ",
        ),
        (["init_from.upsampler=RUN"], "init_from holds one value, and no group.\n  try: init_from=RUN"),
        (["logger.x=5"], "unknown key 'logger.x': logger holds one value, and no group.\n  try: logger=null"),
        (
            ["decoder=bilinear", "decoder.final_options.align_corners=true"],
            "holds no keys by itself; with + it takes new ones.\n  try: +decoder.final_options.align_corners=true",
        ),
        (["seed.x=3"], "seed holds one value, and no group.\n  try: seed=0"),
        (["reconstruct.steps=5"], "a key of the experiment of that name.\n  try: experiment=reconstruct before it"),
        (["trust.x=5"], "trust is a list, and takes all its values.\n  try: 'trust=[]'"),
        (["data.crop_size.x=3"], "data.crop_size is a list, and takes all its values.\n  try: 'data.crop_size=["),
        (["+sed=1"], "ConfigError: unknown key 'sed': did you mean 'seed'? known: "),
        (["seed=one"], "ConfigError: seed='one' must be an int\n  try: seed=0"),
        (
            ["decoder.widths=[0]"],
            "ConfigError: decoder.widths[0]=0 must be an int of 1 or more\n  try: decoder.widths=null",
        ),
        (["encoder=timm"], "ConfigError: encoder.name is not set: give encoder.name=..."),
        (["data=folder"], "give data.classes=...\n  try: segup data FOLDER, which prints a line that gives it"),
        (["data=folder", "data.root=my images"], "  try: segup data 'my images', which prints"),
        (["data.mask=masks"], "unknown key 'data.mask': did you mean"),
        (["experiment=camvidd"], "experiment=camvidd: unknown experiment option 'camvidd': did you mean 'camvid'"),
        (["decoder.widths=[1,2"], "ConfigError: 'decoder.widths=[1,2' cannot be read: its brackets do not match"),
        (
            ["data.root=spåce dir"],
            "data.root=spåce dir' cannot be read: a value with spaces, commas, brackets",
        ),
        (["data.root=spåce dir"], "try: \"data.root='spåce dir'\""),
        (["deconv"], "ConfigError: 'deconv' is no override; one has the form key=value"),
        (["ckpt_path=nowhere.ckpt"], "DataError: no checkpoint at nowhere.ckpt"),
        (["data=camvid", "data.root=nowhere"], "nowhere"),
        (
            ["decoder.widths=[8,8]", "encoder.pretrained=false"],
            "decoder.widths=[8, 8] must have one width for each step: 5",
        ),
        (["loss.name=dise"], "unknown loss 'dise': did you mean 'dice'"),
        (["decoder.upsampler_options.kernel=3"], "unknown key 'decoder.upsampler_options.kernel'"),
        (["encoder=timm", "encoder.options.weights=w"], "'encoder.options.weights': did you mean 'encoder.weights'?"),
        (["decoder={widht:3}"], "unknown key 'decoder.widht': did you mean 'widths'?"),
        (
            ["decoder=deconv", "decoder.upsampler_options.conv_first=true"],
            "unknown key 'decoder.upsampler_options.conv_first' of this decoder; it is an option of bicubic, ",
        ),
        (["decoder.upsampler_options={kernl:3}"], "unknown key 'decoder.upsampler_options.kernl': did you mean 'kern"),
        (
            ["+decoder.upsampler_options.kernel=3"],
            "unknown option of upsampler 'deconv' 'kernel': did you mean 'kernel_size'",
        ),
    ],
)
def test_a_wrong_command_is_answered_in_one_message(capfd, words, message):
    assert run(words) == 1
    err = capfd.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert "HYDRA_FULL_ERROR" not in err
    assert "Error executing job" not in err


def test_an_existing_run_folder_is_refused_before_anything_is_written(tmp_path, capfd):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    assert run(["run_dir=mine"]) == 1
    assert "run_dir mine exists already; nothing in it was touched" in capfd.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_a_failed_command_leaves_no_folder_of_hydras(tmp_path):
    assert run(["decoder=decov"]) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_is_given_back():
    before = list(sys.argv)
    run(["decoder=decov"])
    assert sys.argv == before


TINY = [
    "encoder.pretrained=false",
    "decoder.widths=[4,4,4,4,4]",
    "data.crop_size=[33,35]",
    "data.batch_size=2",
    "data.samples_per_epoch=2",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
]


def test_what_was_run_is_in_the_folder_and_can_be_run_again(tmp_path):
    assert run(["run_dir=a", "seed=3", *TINY]) == 0
    config = yaml.safe_load((tmp_path / "a" / "config.yaml").read_text())
    assert (config["seed"], config["decoder"]["widths"], config["data"]["crop_size"]) == (3, [4] * 5, [33, 35])
    assert run(["ckpt_path=a/last.ckpt"]) == 1  # finished


def test_what_the_system_refuses_is_one_message_with_the_file(capfd, tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("segup.data.sets.folder.image_files", refused)
    images = tmp_path / "data" / "images"
    images.mkdir(parents=True)
    assert run(["run_dir=a", "data=folder", f"data.root={tmp_path / 'data'}", "data.classes=[a,b]"]) == 1
    assert capfd.readouterr().err == f"DataError: {images}: Permission denied\n"
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["train", f"trainer.threads={'a' * 5000}", "triner.max_steps=1"],
        ["train", "--experimental-rerun", "a" * 5000],
        ["train", "-m", f"ablation.name={'a' * 5000}"],
        ["train", f"ckpt_path={'a' * 5000}"],
        ["report", "a" * 5000],
        ["evaluate", "a" * 300],
        ["shapes", f"conv k{'9' * 5000}"],
        ["shapes", "conv k3", "9" * 5000],
        ["explain", "9" * 5000],
        ["check", "resnet18", "--sizes", "9" * 5000],
        ["train", f"seed={'9' * 5000}"],
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_a_name_or_number_longer_than_there_are_is_refused_in_a_line(words, capsys, monkeypatch, tmp_path):
    from segup.cli import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code in (1, 2)
    assert "Error: " in capsys.readouterr().err
