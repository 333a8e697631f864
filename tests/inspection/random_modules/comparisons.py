"""Conditions on a size: comparisons with whatever compares with an int, and with collections of them."""

import bisect
import decimal
import fractions
import operator

import numpy as np
import torch

from .form import Draw, condition


@condition
def int_comparison(d: Draw):
    op, t, turned = d.op, d.t, d.pick(True, False)
    return lambda n, x: op(t, n) if turned else op(n, t)


@condition
def numpy_integer_comparison(d: Draw):
    op, t, turned = d.op, d.pick(np.int64, np.int32, np.uint16, np.intp)(d.t), d.pick(True, False)
    return lambda n, x: op(t, n) if turned else op(n, t)


@condition
def numpy_float_comparison(d: Draw):
    op, t, turned = d.op, d.pick(np.float64, np.float32)(d.t), d.pick(True, False)
    return lambda n, x: op(t, n) if turned else op(n, t)


@condition
def numpy_array_comparison(d: Draw):
    op, t = d.op, d.pick(np.array(d.t), np.array([d.t]), np.array([[float(d.t)]]))
    return lambda n, x: bool(op(n, t).all())


@condition
def fraction_comparison(d: Draw):
    op, t, turned = d.op, fractions.Fraction(2 * d.t + d.pick(0, 0, 1), 2), d.pick(True, False)
    return lambda n, x: op(t, n) if turned else op(n, t)


@condition
def decimal_comparison(d: Draw):
    op, t, turned = d.op, decimal.Decimal(d.t), d.pick(True, False)
    return lambda n, x: op(t, n) if turned else op(n, t)


@condition
def float_comparison(d: Draw):
    op, t, turned = d.op, d.t + d.pick(0.0, 0.5), d.pick(True, False)
    return lambda n, x: op(t, n) if turned else op(n, t)


@condition
def complex_comparison(d: Draw):
    op, t = d.pick(operator.eq, operator.ne), complex(d.t)
    return lambda n, x: op(n, t)


@condition
def bool_comparison(d: Draw):
    t, op, true = d.t, d.op, d.pick(True, False)
    return lambda n, x: op(n // t, true)


@condition
def tensor_comparison(d: Draw):
    op, t = d.op, d.t
    kind = d.pick(
        lambda: torch.tensor(t), lambda: torch.tensor([float(t)]), lambda: torch.full((1,), t),
        lambda: torch.arange(t).numel(),
    )  # fmt: skip
    turned = d.pick(True, False)
    return lambda n, x: bool(op(kind(), n)) if turned else bool(op(n, kind()))


@condition
def torch_scalar_function(d: Draw):
    t = d.t
    return d.pick(
        lambda n, x: torch.tensor(n).item() > t,
        lambda n, x: torch.tensor([n, t]).max().item() == n,
        lambda n, x: bool(torch.eq(torch.as_tensor(n), t)),
        lambda n, x: torch.sym_max(n, t) == n,
        lambda n, x: torch.zeros(3).new_tensor(n) > t,
    )


@condition
def comparison_with_none_or_text(d: Draw):
    other = d.pick(None, str(d.t), (), [d.t], {d.t}, object())
    return d.pick(lambda n, x: n == other, lambda n, x: not (n != other))  # noqa: SIM202


class Limit:
    """Compares with ints in its own way."""

    def __init__(self, t: int) -> None:
        self.t = t

    def __eq__(self, other) -> bool:
        return operator.index(other) > self.t

    def __hash__(self) -> int:
        return 0

    def __lt__(self, other) -> bool:
        return int(other) > self.t

    __gt__ = __lt__


@condition
def comparison_by_an_object(d: Draw):
    limit, op = Limit(d.t), d.pick(operator.eq, operator.lt, operator.gt)
    return d.pick(lambda n, x: op(n, limit), lambda n, x: op(limit, n))


@condition
def contained_in(d: Draw):
    t = d.t
    where = d.pick(
        (t, t + 2), [t], {t, 2 * t}, {t: 1}, range(t), range(t, 4 * t, 3), frozenset({t, 1}), np.arange(t, t + 4),
        torch.arange(t, t + 3), {t: 0}.keys(), (np.int64(t),), (fractions.Fraction(t), float(t + 1)),
    )  # fmt: skip
    return lambda n, x: n in where


@condition
def looked_up(d: Draw):
    t, table = d.t, {d.t: True, d.t + 2: True}
    places = [t, t + 1, t + 3]
    return d.pick(
        lambda n, x: table.get(n),
        lambda n, x: places.count(n) == 1,
        lambda n, x: bisect.bisect(places, n) in (1, 3),
        lambda n, x: np.searchsorted(places, n) > 1,
        lambda n, x: next((i for i, place in enumerate(places) if place >= n), 4) == 2,
        lambda n, x: (t - 1 < n) * 2 + (n > t + 3) in table or (n, 0) in {(t, 0): 1},
    )


@condition
def choice_of_shape(d: Draw):
    t, axis = d.t, d.axis
    return d.pick(
        lambda n, x: max(x.shape) > t,
        lambda n, x: min(x.shape[-2:]) == t,
        lambda n, x: sorted(x.shape)[-1] >= t,
        lambda n, x: any(size > t for size in x.shape),
        lambda n, x: all(size < t for size in x.shape),
        lambda n, x: sum(x.shape) > t + 64,
        lambda n, x: x.shape[2] > x.shape[3],
        lambda n, x: x.shape[2] == x.shape[3],
        lambda n, x: x.shape[2] * x.shape[3] > t * 64,
        lambda n, x: x.shape[axis] / x.shape[5 - axis] > t / 64,
        lambda n, x: (x.shape[2], 5) > (t, 0),
        lambda n, x: sorted(x.shape[2:], key=lambda size: -size)[0] > t,
        lambda n, x: max(x.shape[2:], default=0) == n,
        lambda n, x: x.shape.index(n) == 3,
        lambda n, x: x.shape.count(n) > 1,
        lambda n, x: hash(x.shape) == hash(torch.Size((1, 4, t, t))),
    )


@condition
def equality_of_shapes(d: Draw):
    t, axis = d.t, d.axis
    pair = (t, 64) if axis == 2 else (64, t)
    other = torch.empty(1, 4, *pair)
    return d.pick(
        lambda n, x: x.shape == torch.Size((1, 4, *pair)),
        lambda n, x: x.shape[-2:] == pair,
        lambda n, x: x.shape != other.shape,
        lambda n, x: list(x.shape[2:]) == list(pair),
        lambda n, x: x.shape[2:] in {pair},
        lambda n, x: x.size() == other.size(),
        lambda n, x: x.is_same_size(other),
        lambda n, x: tuple(x.shape[2:]) < pair,
        lambda n, x: torch.Size(x.shape[2:]) >= torch.Size(pair),
        lambda n, x: np.array_equal(x.shape[2:], pair),
        lambda n, x: x.shape[2:].numel() == t * 64,
    )
