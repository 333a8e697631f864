"""Rows of words as a plain text table."""

from collections.abc import Collection, Sequence


def as_text(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Return the rows as aligned text, columns two spaces apart; those in ``right`` end flush.

    >>> print(as_text([["layer", "out"], ["conv k3", "4"]], right=[1]))
    layer    out
    conv k3    4
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def listed(numbers: Sequence[object], most: int = 4) -> str:
    """Return the numbers, or other things, or the first few and the last.

    >>> listed(range(3)), listed(range(0, 100, 2))
    ('0, 1, 2', '0, 2, 4, …, 98')
    """
    if len(numbers) <= most:
        return ", ".join(str(number) for number in numbers)
    return ", ".join([*(str(numbers[i]) for i in range(most - 1)), "…", str(numbers[-1])])
