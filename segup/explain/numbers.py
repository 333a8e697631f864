"""Arrays that stay exact while their values are whole numbers, and how a number is written."""

from fractions import Fraction
from math import prod
from typing import Any, TypeAlias

import numpy as np

from segup.errors import DataError

Array: TypeAlias = np.ndarray[Any, Any]
Number: TypeAlias = int | float | Fraction

LONGEST_FRACTION = 1000
"""Fractions with denominators from here on are written as decimals."""
LARGEST_EXACT = 2**53
"""Up to here a float64 holds every whole number."""


def carried(*arrays: Array, products: int) -> list[Array]:
    """Return the arrays in a type that keeps a sum of ``products`` products x·w exact where all values are whole.

    That is float64; or, where such a sum of whole numbers might pass 2**53, Python's ints.

    Raises:
        DataError: A value is not finite.

    >>> big = np.array([2**40])
    >>> [array.dtype.name for array in carried(big, big, products=1)]
    ['object', 'object']
    """
    if not all(array.dtype == object or np.isfinite(array).all() for array in arrays):
        raise DataError("every value must be finite: inf and nan cannot be followed through a sum.")
    bound = products * prod(int(np.abs(array).max(initial=0)) + 1 for array in arrays) * len(arrays)
    whole = all(array.dtype == object or (np.floor(array) == array).all() for array in arrays)
    if whole and bound >= LARGEST_EXACT:
        return [np.vectorize(int, otypes=[object])(array) if array.size else array.astype(object) for array in arrays]
    return [array.astype(np.float64) for array in arrays]


def plain(value: Any) -> Number:
    """Return one value as an int where it is whole, else as a Fraction or a float.

    >>> plain(np.float64(3)), plain(0.5)
    (3, 0.5)
    """
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else value
    if isinstance(value, int):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number


def written(value: Any) -> str:
    """Return a number as it is shown: whole numbers as they are, others with five significant figures.

    >>> written(12.0), written(-0.0), written(0.123456), written(Fraction(3, 16)), written(1234567.25)
    ('12', '0', '0.12346', '3/16', '1234567.2')
    """
    number = plain(value)
    if isinstance(number, Fraction) and number.denominator >= LONGEST_FRACTION:
        number = float(number)
    if isinstance(number, int | Fraction):
        return str(number)
    text = f"{number:.1f}" if abs(number) >= 10000 else f"{number:.5g}"
    return "0" if text in ("-0", "-0.0") else text


def shown(value: Any, digits: int | None = None) -> str:
    """Return a number as it stands in a cell.

    Args:
        value: The number.
        digits: None for a whole number as it is and others with two or three figures; else so many figures, where
            that is shorter.

    >>> shown(12.0), shown(-0.126), shown(0.0012), shown(123.46)
    ('12', '-0.13', '0.001', '123')
    >>> shown(1234), shown(12345678, 4), shown(1234567, 2), shown(-0.126, 2), shown(1.26, 2)
    ('1234', '1.235e7', '1.2e6', '-0.13', '1.3')
    """
    number = plain(value)
    plainest = _shown_plainly(number)
    if digits is None or "∞" in plainest:
        return plainest
    mantissa, _, exponent = f"{float(number):.{digits - 1}e}".partition("e")
    fixed = f"{float(f'{mantissa}e{exponent}'):.{max(0, digits - 1 - int(exponent))}f}"
    forms = (plainest, _trimmed(fixed), f"{_trimmed(mantissa)}e{int(exponent)}")
    return min(forms, key=len)  # the first of the shortest: what rounding does not shorten stays as it is


def _shown_plainly(number: Number) -> str:
    if not isinstance(number, float):
        return written(number)
    size = abs(number)
    if size == float("inf"):
        return "−∞" if number < 0 else "∞"
    text = f"{number:.0f}" if size >= 100 else f"{number:.1f}" if size >= 10 else f"{number:.2f}"
    return _trimmed(text) if float(text) else f"{number:.1g}"


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def is_rounded(value: Any, text: str) -> bool:
    """Return whether a cell's text is not the number itself, up to the rounding of a float.

    >>> is_rounded(0.5, "0.5"), is_rounded(Fraction(1, 3), "1/3"), is_rounded(1 / 3, "0.33")
    (False, False, True)
    """
    if "∞" in text:
        return False
    said, number = Fraction(text), Fraction(value)
    return abs(said - number) > abs(number) * Fraction(1, 10**12)


def factor(value: Any) -> str:
    """Return a number as it stands in a product: a negative one in brackets.

    >>> factor(-2), factor(7)
    ('(-2)', '7')
    """
    text = written(value)
    return f"({text})" if text.startswith("-") else text
