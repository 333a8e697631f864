"""What guides an operator: its names in words, and the skip brought to the operator's own grid."""

from torch import Tensor

from segup.errors import ConfigError
from segup.upsamplers.contract import GUIDES, list_upsamplers, operator_class
from segup.upsamplers.fitting import fit_to


def on_grid(x: Tensor, skip: Tensor, scale: int) -> Tensor:
    """Return the skip at ``scale·h × scale·w``, where each pixel of ``x`` has ``scale × scale`` pixels of its own.

    A skip that is up to ``scale - 1`` rows or columns larger is cut, a smaller one repeats its last row and column, at
    the bottom and right: the rule for sizes, so that both stay on one grid. What the operator makes of the grid is
    then corrected to the skip's size in the same way.

    >>> import torch
    >>> on_grid(torch.zeros(1, 1, 2, 2), torch.arange(15.0).reshape(1, 1, 3, 5), scale=2).squeeze().tolist()
    [[0.0, 1.0, 2.0, 3.0], [5.0, 6.0, 7.0, 8.0], [10.0, 11.0, 12.0, 13.0], [10.0, 11.0, 12.0, 13.0]]
    """
    return fit_to(skip, (scale * x.shape[-2], scale * x.shape[-1]), most=scale - 1)


def listed_guides(required: frozenset[str]) -> str:
    """Return in words what operators require.

    >>> listed_guides(frozenset({"skip"})), listed_guides(frozenset({"indices"}))
    ('the skip', "the encoder's pooling indices")
    """
    return " and ".join(GUIDES.get(guide, f"'{guide}'") for guide in sorted(required))


def refuse_guides(missing: frozenset[str], said: str, why: str, way_out: str = "") -> None:
    """Raise a ConfigError where an operator requires what its place does not have.

    Args:
        missing: The guides that are missing.
        said, why, way_out: How the operator was asked for, what is missing, and what begins the list of the operators
            that require nothing beside the map that they bring up.
    """
    if missing:
        unguided = ", ".join(name for name in list_upsamplers() if not operator_class(name).requires)
        raise ConfigError(f"{said} requires {listed_guides(missing)}, {why}.\n  try: {way_out}{unguided}.")
