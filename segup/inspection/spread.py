"""In which order sizes are run where there may be no time for all."""

_GOLDEN = (5**0.5 - 1) / 2


def spread(most: int) -> list[int]:
    """Return the sizes 1 … ``most`` in an order of which every beginning covers them evenly, even and odd alike.

    >>> spread(144)[:8], sorted(spread(144)[:16])[:8]
    ([89, 34, 123, 68, 13, 102, 47, 136], [5, 13, 26, 34, 39, 47, 60, 68])
    """
    return sorted(range(1, most + 1), key=lambda size: size * _GOLDEN % 1)
