"""Rows of words, names and times as plain text."""

from collections.abc import Collection, Iterable, Sequence


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


def first_of(names: Iterable[object], most: int) -> str:
    """Return the first names, and how many more there are.

    >>> first_of("abc", 3), first_of("abcde", 3)
    ('a, b, c', 'a, b, c and 2 more')
    """
    every = [str(name) for name in names]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def counted(number: int, noun: str) -> str:
    """Return a number of things.

    >>> counted(1, "zero"), counted(2, "zero")
    ('1 zero', '2 zeros')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """Return a share of 1 in percent, with as many digits as it has up to four: a level below 1 is never "100%".

    >>> percent(0.95), percent(0.9999), percent(1 - 0.9999), percent(1 - 0.975)
    ('95%', '99.99%', '0.01%', '2.5%')
    """
    return f"{100 * share:.4g}%"


def duration(seconds: float) -> str:
    """Return a time in words.

    >>> duration(42.4), duration(200), duration(9000)
    ('42 s', '3 min 20 s', '2 h 30 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
