"""``python -m segup.cli``: the ``segup`` command."""

import os
import sys

if not sys.flags.safe_path and sys.path[0] == os.getcwd():
    del sys.path[0]  # where python -m looks first: a file there would stand in for any library's module

from segup.cli import main

main()
