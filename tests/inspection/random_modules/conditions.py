"""Conditions on a size: arithmetic, tests of its type, texts, loops, and what follows from it."""

import cmath
import decimal
import fractions
import itertools
import math
import operator
import re

import numpy as np
import torch

from .form import Draw, condition


@condition
def parity(d: Draw):
    k, r = d.pick(2, 2, 3, 4, 8, 32), d.pick(0, 1)
    return d.pick(
        lambda n, x: n % k == r,
        lambda n, x: n & 1,
        lambda n, x: divmod(n, k)[1] > r,
        lambda n, x: bool(n % 2) ^ (n % k == r),
        lambda n, x: not n % k,
        lambda n, x: (n // k) * k != n,
        lambda n, x: n.__mod__(k) == r,
        lambda n, x: n / k == n // k,
        lambda n, x: (n ^ 1) < n,
        lambda n, x: np.gcd(n, k) == k,
        lambda n, x: math.gcd(n, k) != 1,
    )


@condition
def math_function(d: Draw):
    t = d.t
    return d.pick(
        lambda n, x: math.sqrt(n) > math.sqrt(t),
        lambda n, x: math.log2(n) >= math.log2(t),
        lambda n, x: math.floor(n / t) > 0,
        lambda n, x: math.ceil(n / t) == 2,
        lambda n, x: math.isclose(n, t),
        lambda n, x: math.fmod(n, t) < 2,
        lambda n, x: math.isqrt(n) ** 2 == n,
        lambda n, x: math.trunc(n / t) >= 1,
        lambda n, x: math.copysign(1, n - t) > 0,
        lambda n, x: math.hypot(n, 0) > t,
        lambda n, x: math.prod([n, 2]) > 2 * t,
        lambda n, x: math.fsum([n, -t]) > 0,
        lambda n, x: abs(cmath.sqrt(n)) > math.sqrt(t),
        lambda n, x: math.lcm(n, 2) == n,
    )


@condition
def numpy_arithmetic(d: Draw):
    t = d.t
    return d.pick(
        lambda n, x: np.floor(n / t) > 0,
        lambda n, x: np.ceil(np.log2(n)) > np.log2(t),
        lambda n, x: np.prod(x.shape[-2:]) > t * 64,
        lambda n, x: np.array(x.shape).max() > t,
        lambda n, x: (np.array(x.shape[-2:]) > t).any(),
        lambda n, x: np.asarray(n) // t == 1,
        lambda n, x: np.divmod(n, t)[0],
        lambda n, x: np.int64(n) - t > 0,
        lambda n, x: np.maximum(n, t) == t,
        lambda n, x: np.sqrt(np.float32(n)) > np.sqrt(t),
        lambda n, x: np.isclose(n, t, rtol=0, atol=1.5),
        lambda n, x: np.full((2,), n).sum() > 2 * t,
        lambda n, x: np.equal(n, t) or np.greater(n, t + 5),
        lambda n, x: np.linspace(0, n, 5)[-1] > t,
        lambda n, x: len(np.zeros(n)) > t,
    )


@condition
def python_arithmetic(d: Draw):
    t = d.t
    return d.pick(
        lambda n, x: round(n / t) == 1,
        lambda n, x: n // t,
        lambda n, x: n - t > 0,
        lambda n, x: -n < -t,
        lambda n, x: abs(n - t) < 3,
        lambda n, x: pow(n, 2) > t * t,
        lambda n, x: n**0.5 > t**0.5,
        lambda n, x: 2 ** min(n, 1100) > 2**t,
        lambda n, x: (n << 1) >= 2 * t,
        lambda n, x: n >> 5,
        lambda n, x: n.bit_length() > t.bit_length(),
        lambda n, x: n.bit_count() == 1,
        lambda n, x: (n | 1) == n,
        lambda n, x: float(n) > t,
        lambda n, x: int(n) >= t,
        lambda n, x: (n - t).__gt__(0),
        lambda n, x: n.real > t,
        lambda n, x: n.numerator == t,
        lambda n, x: n.conjugate() > t or n.imag,
        lambda n, x: n.as_integer_ratio()[0] > t,
        lambda n, x: float.__gt__(float(n), float(t)),
        lambda n, x: int.__gt__(n, t),
        lambda n, x: operator.index(n) > t,
        lambda n, x: n.to_bytes(2, "big") > t.to_bytes(2, "big"),
        lambda n, x: fractions.Fraction(n, t) > 1,
        lambda n, x: decimal.Decimal(n) > t,
        lambda n, x: complex(n).real > t,
        lambda n, x: n and n > t,
        lambda n, x: (n > t) is not False,
        lambda n, x: 3 < n < t,
        lambda n, x: t // n == 0,
        lambda n, x: t % n == 0,
    )


@condition
def type_of_size(d: Draw):
    t = d.t
    return d.pick(
        lambda n, x: type(n) is int and n > t,
        lambda n, x: isinstance(n, int) and n > t,
        lambda n, x: type(n) in (int,),
        lambda n, x: type(x.shape) is torch.Size,
        lambda n, x: isinstance(x.shape, torch.Size) and n > t,
        lambda n, x: type(n).__name__ == "int",
        lambda n, x: isinstance(n, torch.SymInt),
        lambda n, x: n.__class__ is int and n >= t,
        lambda n, x: type(n + 1) is int,
        lambda n, x: type(x.shape[2:]) is not torch.Size,
        lambda n, x: id(type(n)) == id(int),
        lambda n, x: type(n)(0) == 0,
        lambda n, x: callable(getattr(type(n), "from_bytes", None)),
        lambda n, x: issubclass(type(n), int) and n == t,
    )


@condition
def type_of_tensor(d: Draw):
    t = d.t
    return d.pick(
        lambda n, x: x.is_meta,
        lambda n, x: x.device.type == "cpu" and n > t,
        lambda n, x: str(x.device) != "cpu",
        lambda n, x: x.data_ptr() == 0,
        lambda n, x: torch.compiler.is_compiling() or n > t,
        lambda n, x: torch.is_grad_enabled() and n > t,
    )


@condition
def text_of_size(d: Draw):
    t = d.t
    return d.pick(
        lambda n, x: str(n) == str(t),
        lambda n, x: f"{n}".endswith("7"),
        lambda n, x: f"{n:>4d}" > f"{t:>4d}",
        lambda n, x: "%d" % n == "%d" % t,  # noqa: UP031
        lambda n, x: "{}".format(n) in f"{t} {t + 1}",  # noqa: UP032
        lambda n, x: len(str(n)) == 3,
        lambda n, x: repr(n)[-1] == "3",
        lambda n, x: hex(n) == hex(t),
        lambda n, x: bin(n).count("1") == 2,
        lambda n, x: str(tuple(x.shape)) == str((1, 4, t, 64)),
        lambda n, x: int(f"{n}") > t,
        lambda n, x: re.search(rf"\b{t}\b", str(x.shape)) is not None,
        lambda n, x: getattr(x, f"missing{n}", None) is None and chr(n) > chr(t),
        lambda n, x: ascii(n) == str(t),
        lambda n, x: "a" * n > "a" * t,
    )


@condition
def iteration_over_size(d: Draw):
    t = d.t
    return d.pick(
        lambda n, x: sum(1 for _ in range(n)) > t,
        lambda n, x: len(range(n)) > t,
        lambda n, x: len([0] * n) > t,
        lambda n, x: len([i for i in range(0, n, t)]) > 1,  # noqa: C416
        lambda n, x: any(size == t for _, size in enumerate(x.shape)),
        lambda n, x: list(itertools.islice(itertools.count(), n))[-1] >= t,
        lambda n, x: next(iter(range(n, t)), None) is None,
        lambda n, x: {n: 1}.get(t, 0),
        lambda n, x: len({n, t}) == 1,
        lambda n, x: [*range(t + 1)][:n][-1] < t - 1,
        lambda n, x: list(map(lambda size: size > t, x.shape))[2],  # noqa: C417
        lambda n, x: len(list(filter(lambda size: size > t, x.shape))) > 0,
        lambda n, x: itertools.accumulate(x.shape).__next__() > t,
        lambda n, x: all(map(t.__gt__, x.shape)),
        lambda n, x: len(bytes(n)) > t,
        lambda n, x: slice(0, n).indices(t)[1] < t,
    )


def _matches(n: int, t: int) -> bool:
    match n:
        case 64 | 96 if n > t:
            return True
        case value if value == t:
            return True
    return False


@condition
def pattern_matching(d: Draw):
    t = d.t
    return lambda n, x: _matches(n, t)


@condition
def length_or_dimensions(d: Draw):
    t, axis = d.t, d.axis
    return d.pick(
        lambda n, x: len(x[0, 0] if axis == 2 else x[0, 0].t()) > t,
        lambda n, x: x[:, :1].squeeze().dim() == 1,
        lambda n, x: x.squeeze().ndim < 3,
        lambda n, x: len(list(x.unbind(axis))) > t,
        lambda n, x: len(x.split(t, axis)) > 1,
        lambda n, x: len(torch.chunk(x, 4, axis)) < 4,
        lambda n, x: sum(1 for _ in x.transpose(0, axis)) > t,
        lambda n, x: x.tensor_split(t, axis)[1].shape[axis] > 0,
        lambda n, x: x.unfold(axis, 1, t).shape[axis] > 1,
    )


@condition
def bytes_and_strides(d: Draw):
    t, axis = d.t, d.axis
    return d.pick(
        lambda n, x: x.nbytes > t * 64 * 16,
        lambda n, x: x.numel() > t * 64 * 4,
        lambda n, x: torch.numel(x) > t * 256,
        lambda n, x: x.nelement() > t * 256,
        lambda n, x: x.stride()[1] > t * 64,
        lambda n, x: x.stride(1) > t * 64,
        lambda n, x: x.contiguous().stride(2) > t,
        lambda n, x: x[:, :, :1].is_contiguous(),
        lambda n, x: x.transpose(2, 3).is_contiguous(),
        lambda n, x: x.untyped_storage().nbytes() > t * 64 * 16,
        lambda n, x: x.untyped_storage().size() > t * 64 * 16,
        lambda n, x: len(x.clone().untyped_storage()) > t * 64 * 16,
        lambda n, x: x.narrow(axis, x.shape[axis] - 1, 1).storage_offset() > t,
        lambda n, x: x.element_size() * n > 4 * t,
        lambda n, x: x.itemsize * x.shape[axis] > 4 * t,
        lambda n, x: x.contiguous(memory_format=torch.channels_last).stride()[2] > 4 * t,
        lambda n, x: x.select(axis, 0).numel() > t * 4,
        lambda n, x: x.__sizeof__() > 0 and x.nbytes >= t * 64 * 16,
    )


@condition
def hidden_constant_shape(d: Draw):
    t, axis = d.t, d.axis
    return d.pick(
        lambda n, x: torch.broadcast_shapes(x.shape, (1,))[axis] > t,
        lambda n, x: torch.zeros(x.shape).shape[axis] > t,
        lambda n, x: torch.Size((n,)).numel() > t,
        lambda n, x: torch.empty_like(x).size(axis) == t,
        lambda n, x: torch.arange(n)[-1].item() >= t,
        lambda n, x: int(torch.ones(n).sum()) > t,
        lambda n, x: torch.zeros(n, 1).tolist().__len__() > t,
        lambda n, x: torch.linspace(0, 1, n).numpy().shape[0] > t,
        lambda n, x: torch.tensor(x.shape).tolist()[axis] > t,
        lambda n, x: torch.tensor(x.shape).prod() > t * 256,
        lambda n, x: torch.ones(1, device="cpu").expand(n).shape[0] > t,
    )
