"""Train from a checkout: ``python train.py decoder=deconv`` is ``segup train decoder=deconv``."""

import sys

from segup.cli.train import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
