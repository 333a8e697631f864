"""``python -m segup.cli``: the ``segup`` command."""

from segup.cli import main

main()
