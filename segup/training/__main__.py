"""``python -m segup.training <run folder>``: one process of a run that has several."""

import sys
from pathlib import Path

from segup.errors import SegupError, refusals_named
from segup.training.config import RunConfig
from segup.training.run_folder import read_config


def main() -> int:
    """Train the folder's ``config.yaml`` and return the exit code."""
    folder = Path(sys.argv[1])
    try:
        from segup.training.run import train

        with refusals_named():
            train(RunConfig.of(read_config(folder)), folder)
    except SegupError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
