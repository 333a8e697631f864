"""Make the pictures of docs/convolution-arithmetic.md again: ``python scripts/draw_arithmetic.py``.

Runs the guide's own commands, in the folder of its pictures.
"""

import contextlib
import io
import os
import re
import shlex
from pathlib import Path

from segup.cli.explain import run

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "convolution-arithmetic.md"


def main() -> None:
    folder = GUIDE.with_suffix("")
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    for line in re.findall(r"^\$ segup explain (.*)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE):
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            run(shlex.split(line))
        print("\n".join(re.findall("^picture: .*$", said.getvalue(), re.MULTILINE)) or f"no picture: {line}")


if __name__ == "__main__":
    main()
