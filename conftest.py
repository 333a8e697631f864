"""Every message that a test meets is tried: see tests/messages/ways_out.py."""

import gc

pytest_plugins = ["ways_out"]

gc.disable()


def pytest_collection_finish():
    """Leave what the collection made, near a million objects that live to the end, out of every later search."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure():
    """Let go of it: what nobody collects, some libraries report as leaked."""
    gc.unfreeze()
