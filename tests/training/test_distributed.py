import json
import os
import subprocess
import sys

import pytest

from segup.errors import SegupError
from segup.evaluation.evaluate import evaluate_run
from segup.evaluation.runs import open_run
from segup.training.distributed import _raise_if_failed


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
        "encoder.pretrained=false",
        "decoder.widths=[4,4,4,4,4]",
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
