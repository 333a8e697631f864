"""TensorBoard's events: where they cannot be written, the folder is named, once."""

import errno
import os
import time

import pytest
from tensorboard.compat.tensorflow_stub.io.gfile import LocalFileSystem

from segup.errors import DataError
from segup.training.history import EventHistory, told_once


def go_on(events, waited):
    events.log_metrics({"train/loss": 1.0}, 1)
    if waited:
        time.sleep(0.3)
        events.log_metrics({"train/loss": 1.0}, 2)
    events.save()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG])
@pytest.mark.parametrize("waited", [False, True])
def test_events_that_cannot_be_written_are_told_once(tmp_path, monkeypatch, capsys, code, waited):
    """Met by the call itself, or, after a while, by the thread that writes, and so by a later call."""
    events = EventHistory(tmp_path)
    events.log_metrics({"train/loss": 1.0}, 0)
    events.save()

    def refused(*arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(LocalFileSystem, "append", refused)
    told = rf"tensorboard cannot be written: {os.strerror(code)}$"
    with told_once():
        with pytest.raises(DataError, match=told):
            go_on(events, waited)
        with pytest.raises(DataError, match=told):
            events.finalize("failed")
        time.sleep(0.1)
    assert capsys.readouterr().err == ""
    with pytest.raises(ValueError, match="currently not supported"):
        EventHistory(tmp_path).log_metrics({"train/loss": object()}, 0)
