"""What a decoder is given: maps ``(N, C, h, w)`` of its pyramid."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from segup.errors import ShapeError, figures
from segup.symbols import is_exporting


def checked_features(features: Sequence[Tensor], channels: Sequence[int]) -> Sequence[Tensor]:
    """Return the maps, laid out alike where torch.export traces: it has to prove how their strides compare.

    Raises:
        ShapeError: They are not of these channels and of one batch size.
    """
    if not isinstance(features, Sequence | Tensor) or not all(isinstance(f, Tensor) for f in features):
        raise ShapeError(
            f"this decoder takes a list of maps (N, C, h, w), from high to low resolution, not a "
            f"{type(features).__name__}"
            + (" of other things" if isinstance(features, Sequence) else "")
            + (".\n  try: list(features.values())" if isinstance(features, Mapping) else "")
        )
    shapes = [tuple(f.shape) for f in features]
    if any(len(shape) != 4 or shape[0] != shapes[0][0] for shape in shapes):
        raise ShapeError(f"this decoder takes maps (N, C, h, w) of one batch size, not {_listed(shapes)}")
    if any(0 in shape[-2:] for shape in shapes):
        raise ShapeError(f"this decoder takes maps (N, C, h, w) with h, w ≥ 1, not {_listed(shapes)}")
    got = tuple(shape[1] for shape in shapes)
    if got != tuple(channels):
        raise ShapeError(
            f"this decoder takes maps of {figures(channels)} channels, from high to low resolution, not "
            f"{figures(got)}.\n"
            f"  try: channels= and strides= of these maps at construction."
        )
    return [f.contiguous() for f in features] if is_exporting() else features


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return f"[{', '.join([figures(shape) for shape in shapes])}]"
