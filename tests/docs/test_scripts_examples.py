"""The examples in the docstrings of scripts, which pytest does not collect: they are no part of the package."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
RUN = """
import doctest, importlib, sys
failed = [name for name in sys.argv[1:] if doctest.testmod(importlib.import_module(name)).failed]
sys.exit(f"failed: {failed}" if failed else 0)
"""


def test_they_give_what_they_say():
    texts = {
        file.stem: file.read_text() for file in SCRIPTS.glob("*.py") if file.stem != "griffe_docstrings"
    }  # docs extra
    names = sorted(name for name, text in texts.items() if "    >>> " in text)
    assert "noise_floor_parts" in names
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPTS), str(SCRIPTS.parent)])}
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, *names], env=env, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
