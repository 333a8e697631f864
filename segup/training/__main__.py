"""``python -m segup.training <run folder>``: one process of a run that has several; its configuration comes by pipe."""

import json
import sys
from pathlib import Path

from segup.errors import INTERRUPTED, RunInterruptedError, SegupError, refusals_named
from segup.terminal import show_everything
from segup.training.config import RunConfig
from segup.training.start import received


def main() -> int:
    """Train what standard input says in the folder and return the exit code."""
    show_everything()
    try:
        config = RunConfig.of(json.loads(received()))

        from segup.training.run import train

        with refusals_named():
            train(config, Path(sys.argv[1]))
    except (SegupError, KeyboardInterrupt) as error:
        stopped = isinstance(error, RunInterruptedError | KeyboardInterrupt)
        print(f"{type(error).__name__}: {error}" if str(error) else "interrupted", file=sys.stderr)
        return INTERRUPTED if stopped else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
