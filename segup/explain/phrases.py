"""How sizes, counts and places are put in words."""

from segup.explain.operation import Operation


def by(height: object, width: object) -> str:
    """Return height×width."""
    return f"{height}×{width}"


def both(high: object, wide: object) -> str:
    """Return one value for both axes, or height's and width's."""
    return f"{high}" if high == wide else f"{high} (height) and {wide} (width)"


def size_said(operation: Operation) -> list[tuple[str, str]]:
    """Return the size formula in symbols and then with the numbers put in, and where another reading gives another.

    Each is a title and a text; height and width are told apart where they differ.
    """
    said = []
    for title, (height, width) in (("formula", operation.rules()), ("size", operation.formulas())):
        if height == width:
            said.append((title, height))
        elif title == "size":
            said += [("height", height), ("width", width)]
        else:
            said.append((title, f"{height} (height); {width} (width)"))
    return said + [("torch", note) for note in operation.roundings()]


def unread_said(operation: Operation) -> str:
    """Return the rows and columns that go into no output, and how many pixels they hold; nothing where all do."""
    rows, columns = operation.unread()
    if not rows and not columns:
        return ""
    _, h, w = operation.x.shape
    count = h * w - (h - len(rows)) * (w - len(columns))
    return f"{lines_said(rows, columns)}: {count} of {h * w} pixels"


def lines_said(rows: list[int], columns: list[int]) -> str:
    """Return rows and columns by their indices, as ``row 6 and columns 1, 4``.

    >>> lines_said([6], [1, 4])
    'row 6 and columns 1, 4'
    """
    return " and ".join(part for part in (_places("row", rows), _places("column", columns)) if part)


def _places(noun: str, at: list[int]) -> str:
    if not at:
        return ""
    shown = ", ".join(map(str, at[:6])) + (f", … ({len(at)} of them)" if len(at) > 6 else "")
    return f"{noun}{'' if len(at) == 1 else 's'} {shown}"
