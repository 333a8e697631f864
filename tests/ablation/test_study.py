import json
import os
import socket
import subprocess
import sys
import time

import pytest
import yaml

from segup.ablation.member import Status, read_status, stored_status, write_status
from segup.ablation.study import read_study
from segup.errors import DataError
from segup.lock import HeldError, lock


@pytest.fixture
def write_study(tmp_path, write_run):
    """A function that writes a study whose runs are in the states given by label and seed."""

    def write(states, **settings):
        study = tmp_path / "ablations" / "mine"
        study.mkdir(parents=True)
        for (label, seed), status in states.items():
            folder = study / label / str(seed)
            folder.parent.mkdir(exist_ok=True)
            if status.state == "finished":
                write_run(label, seed).rename(folder)
            else:
                folder.mkdir()
            write_status(folder, status)
        content = {"baseline": "deconv", "members": [list(member) for member in states], **settings}
        (study / "study.yaml").write_text(yaml.safe_dump(content))
        return study

    return write


def test_a_study_is_read_in_the_order_that_was_asked_for(write_study):
    path = write_study(
        {
            ("deconv", 0): Status("finished", attempt=2, seconds=12.5),
            ("bilinear", 0): Status("failed", "DataError: no image", attempt=1, seconds=1.0),
            ("deconv", 1): Status("waiting"),
        },
        match="params",
    )
    study = read_study(path)
    assert (study.name, study.settings["match"], study.settings["baseline"]) == ("mine", "params", "deconv")
    assert [(m.label, m.seed, m.state) for m in study.members] == [
        ("deconv", 0, "finished"),
        ("bilinear", 0, "failed"),
        ("deconv", 1, "waiting"),
    ]
    first, second, third = study.members
    assert (first.run.seed, first.run.upsampler, first.wall_seconds) == (0, "deconv", 12.5)
    assert (second.cause, second.run) == ("DataError: no image", None)
    assert (third.wall_seconds, third.path) == (None, path / "deconv" / "1")


def test_what_is_no_study_is_refused_with_the_cause(tmp_path, write_run):
    with pytest.raises(DataError, match=r"no study folder at .*nowhere$"):
        read_study(tmp_path / "nowhere")
    with pytest.raises(DataError, match="has no study.yaml: it is no study"):
        read_study(tmp_path)
    with pytest.raises(DataError, match="has no study.yaml: it is a single run.\n  try: segup compare"):
        read_study(write_run())
    for content in ("[1, 2]", "a: [", "members: 3", "name: x"):
        (tmp_path / "study.yaml").write_text(content)
        with pytest.raises(DataError, match=r"study.yaml is not what segup writes: "):
            read_study(tmp_path)


def test_a_folder_of_studies_is_no_study_but_leads_to_one(tmp_path, make_study):
    study = make_study(tmp_path, {("deconv", 0): 0.7})
    with pytest.raises(DataError, match=f"it is no study, but holds 1.\n  try: {study}$"):
        read_study(tmp_path)


def test_a_finished_run_whose_result_is_gone_is_told_as_interrupted(tmp_path, make_study):
    path = make_study(tmp_path, {("deconv", 0): 0.7, ("bilinear", 0): 0.6})
    (path / "bilinear" / "0" / "result.json").unlink()
    study = read_study(path)
    assert [member.state for member in study.members] == ["finished", "interrupted"]
    assert list(study.finished()) == ["deconv"]


def test_a_status_that_segup_did_not_write_is_refused(tmp_path):
    assert read_status(tmp_path) == Status()
    for content in ("{", '{"states": 1}', '{"state": "asleep"}', "[]"):
        (tmp_path / "status.json").write_text(content)
        with pytest.raises(DataError, match=r"status.json is not what segup writes: [^\n]+\n  try: remove the file"):
            read_status(tmp_path)


HOLD = """
import os, sys, time, socket, pathlib
from segup.ablation.member import Status, write_status
from segup.lock import lock
folder = pathlib.Path(sys.argv[1])
with lock(folder):
    write_status(folder, Status("running", started=time.time(), pid=os.getpid(), host=socket.gethostname(), attempt=1))
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_run_is_running_while_its_process_lives_and_interrupted_once_it_is_killed(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        assert read_status(tmp_path).state == "running"
        with pytest.raises(HeldError, match="another process works in .* and holds "), lock(tmp_path, patience=0.2):
            pass
    finally:
        holder.kill()
        holder.wait()
    assert read_status(tmp_path).state == "interrupted"
    assert stored_status(tmp_path).state == "running"
    with lock(tmp_path, patience=0):
        assert read_status(tmp_path).pid == holder.pid


def test_a_run_of_this_process_is_running_and_looking_leaves_its_lock(tmp_path):
    own = Status("running", started=time.time(), pid=os.getpid(), host=socket.gethostname(), attempt=1)
    with lock(tmp_path):
        write_status(tmp_path, own)
        assert read_status(tmp_path).state == "running"
        take = "import sys, pathlib; from segup.lock import lock\n"
        take += "with lock(pathlib.Path(sys.argv[1]), patience=0): pass"
        other = subprocess.run([sys.executable, "-c", take, str(tmp_path)], capture_output=True, text=True)
        assert "HeldError" in other.stderr


def test_a_run_on_another_machine_is_what_it_says(tmp_path):
    write_status(tmp_path, Status("running", pid=1, host="elsewhere", attempt=1))
    assert read_status(tmp_path).state == "running"
    assert json.loads((tmp_path / "status.json").read_text())["host"] == "elsewhere"
