"""The size rule of a chain as one formula in n."""

from collections.abc import Sequence

from segup.shapes.law import FloorLaw


def merged(laws: Sequence[FloorLaw]) -> list[FloorLaw]:
    """Return the fewest laws that say the same: floors within floors become one wherever that is exact.

    ⌊(r·⌊(a·n + b)/q⌋ + o)/s⌋ is one floor when q = 1, which leaves nothing to round, or when r = 1, since
    ⌊⌊x⌋/s + o/s⌋ = ⌊(x + o)/s⌋ for integers o and s.

    >>> down = FloorLaw(1, 1, 2)
    >>> merged([down, down]), len(merged([down, FloorLaw(2, 0, 1)]))
    ([FloorLaw(rise=1, offset=3, run=4)], 2)
    """
    result: list[FloorLaw] = []
    for law in laws:
        before = result[-1] if result else None
        if before is not None and (before.run == 1 or law.rise == 1):
            offset = law.rise * before.offset + law.offset * before.run
            result[-1] = FloorLaw(law.rise * before.rise, offset, before.run * law.run)
        else:
            result.append(law)
    return result


def formula(laws: Sequence[FloorLaw], name: str = "n") -> str:
    """Return what the laws make of ``name``.

    >>> formula([FloorLaw(1, 1, 2), FloorLaw(1, 1, 2)]), formula([FloorLaw(1, -1, 2), FloorLaw(2, 1, 1)])
    ('⌊(n + 3)/4⌋', '2·⌊(n − 1)/2⌋ + 1')
    """
    text = name
    for law in merged(laws):
        line = text if law.rise == 1 else f"{law.rise}·{text}"
        if law.offset:
            line += f" + {law.offset}" if law.offset > 0 else f" − {-law.offset}"
        bracketed = f"({line})" if law.offset else line
        text = line if law.run == 1 else f"⌊{bracketed}/{law.run}⌋"
    return text
