"""Train from a checkout: ``python train.py decoder=deconv`` is ``segup train decoder=deconv``."""

import sys

from segup.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
