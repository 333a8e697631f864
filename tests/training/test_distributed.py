import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segup.errors import ConfigError, DataError, SegupError
from segup.evaluation.evaluate import evaluate_run
from segup.evaluation.runs import open_run
from segup.training.config import RunConfig
from segup.training.ranks import followed, launch_name
from segup.training.run_folder import run_folder
from segup.training.start import _raise_if_failed, start

WORDS = [
    "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_steps=2", "data.crop_size=[33,35]",
    "data.batch_size=2", "data.samples_per_epoch=8", "encoder.pretrained=false", "decoder.widths=[4,4,4,4,4]",
]  # fmt: skip


KEPT = ["encoder.options.freeze=true", "data.cache_features=true", "data.cache_dir=kept", "data.views=1"]


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], KEPT], ids=["", "features kept"])
def test_the_processes_of_torchrun_share_one_run_folder(tmp_path, words):
    train = Path(__file__).parents[2] / "train.py"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(train)]
    done = subprocess.run(
        [*launcher, *WORDS, *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=500,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(train.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (made,) = (tmp_path / "outputs" / "train" / "deconv").iterdir()
    assert json.loads((made / "result.json").read_text())["last"]["step"] == 2
    assert len((made / "metrics.csv").read_text().splitlines()) > 1
    assert len(list(tmp_path.glob("kept/*.features"))) == (2 if words else 0)


@pytest.mark.slow
def test_two_nodes_train_into_one_folder_and_score_what_one_process_scores(tmp_path):
    """Two launches of torchrun, as on two machines that share a file system."""
    train = Path(__file__).parents[2] / "train.py"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [*WORDS, "trainer.devices=1", "trainer.num_nodes=2"]
    nodes = [
        subprocess.Popen(
            [
                sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(rank),
                "--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", str(port), str(train), *words,
            ],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(train.parent)},
        )
        for rank in range(2)
    ]  # fmt: skip
    said = [node.communicate(timeout=500)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    (made,) = (tmp_path / "outputs" / "train" / "deconv").iterdir()
    result = json.loads((made / "result.json").read_text())
    assert result["last"]["step"] == 2
    run = open_run(made)
    alone = evaluate_run(run, run.config["data"])
    for name in ("miou", "pixel_accuracy", "boundary_iou", "bf_score"):
        assert alone["scores"][name] == result["last"][name]


def test_several_machines_without_a_launcher_are_refused_with_the_command(tmp_path):
    config = RunConfig.of({
        "encoder": {"name": "resnet18"}, "decoder": {"upsampler": "deconv"}, "trainer": {"devices": 4, "num_nodes": 2},
    })  # fmt: skip
    with pytest.raises(ConfigError, match=r"num_nodes=2 with trainer.devices=4 are 8 processes.*\n  try: trainer"):
        start(config, tmp_path)


LAUNCHES = {
    "torchrun": ("RANK", {"MASTER_ADDR": "here", "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "none"}),
    "Slurm": ("SLURM_PROCID", {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}),
}
FOLLOWING = """
import sys
from segup.training.config import RunConfig
from segup.training.run_folder import run_folder
with run_folder(RunConfig.of({"encoder": {"name": "resnet18"}, "decoder": {"upsampler": "deconv"}})) as folder:
    print(folder)
"""


@pytest.mark.parametrize("launch", LAUNCHES)
def test_a_process_that_was_launched_follows_the_first_and_not_what_a_killed_launch_left(launch, tmp_path, monkeypatch):
    rank, names = LAUNCHES[launch]
    monkeypatch.chdir(tmp_path)
    for name, value in {**names, rank: "0"}.items():
        monkeypatch.setenv(name, value)
    parent = tmp_path / "outputs" / "train" / "deconv"
    stale = parent / "0-20200101-000000"
    stale.mkdir(parents=True)
    (stale / "lock").touch()
    (parent / f".launch-{launch_name()}").write_text(stale.name)
    follower = subprocess.Popen(
        [sys.executable, "-c", FOLLOWING], stdout=subprocess.PIPE, text=True, env={**os.environ, rank: "1"}
    )
    config = RunConfig.of({"encoder": {"name": "resnet18"}, "decoder": {"upsampler": "deconv"}})
    time.sleep(1)
    with run_folder(config) as folder:
        (folder / "ladder.txt").write_text("of the first process")
        assert follower.communicate(timeout=60)[0].strip() == str(folder)
        assert (folder / "ladder.txt").exists()
    assert {path.name for path in parent.iterdir()} == {stale.name, folder.name}


def test_where_the_first_process_makes_no_folder_the_others_say_so(tmp_path, monkeypatch):
    for name, value in {"RANK": "1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DataError, match=r"no run folder in .* within 0.1 s.\n  try: run_dir=FOLDER"):
        followed(tmp_path, patience=0.1)


def test_two_processes_train_into_one_folder_and_score_what_one_process_scores(tmp_path):
    """Three validation images over two processes: none is counted twice."""
    words = [
        "trainer=ddp",
        "trainer.accelerator=cpu",
        "trainer.devices=2",
        "trainer.max_epochs=1",
        "data.crop_size=[33,35]",
        "data.batch_size=2",
        "data.samples_per_epoch=8",
        "encoder=segnet",
        "encoder.options.widths=[2,3,4]",
        "encoder.options.convs=1",
        "decoder.widths=[4,4]",
        "run_dir=run",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "segup.cli", "train", *words], cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["last"]["step"] == 2  # 8 samples, 2 processes of 2
    run = open_run(tmp_path / "run")
    alone = evaluate_run(run, run.config["data"])
    for name in ("miou", "pixel_accuracy", "boundary_iou", "bf_score"):
        assert alone["scores"][name] == result["last"][name]


def test_a_failed_process_is_named():
    class Ended:
        returncode = 3

    with pytest.raises(SegupError, match="process 0 of the run ended with exit code 3; its message stands above"):
        _raise_if_failed([Ended()])
