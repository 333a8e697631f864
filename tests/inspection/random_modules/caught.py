"""Refusals that are caught, and exceptions as control flow."""

import contextlib

import torch
import torch.nn.functional as F

from .form import Draw, changing, form, growing


@form
def tried_and_caught(d: Draw):
    row, change = growing(d), d.change()
    t, axis = d.t, d.axis
    errors = d.pick(RuntimeError, Exception, BaseException, (RuntimeError, IndexError), IndexError)
    other = d.pick(change, lambda x: x, lambda x: x * 2)
    refused = d.pick(
        lambda m, x: x.narrow(axis, 0, t),
        lambda m, x: x.clone().add_(row(x)),
        lambda m, x: x + torch.zeros(d.row(t)),
        lambda m, x: x.view(1, 4, -1, t).view(x.shape),
        lambda m, x: torch.cat([x, torch.zeros(1, 1, t, t)], 1)[:, :4],
        lambda m, x: F.pad(x, (0, 0, t, 0), mode="reflect")[:, :, t:],
        lambda m, x: F.max_pool2d(x, (t, 1), 1),
        lambda m, x: F.conv2d(x, torch.zeros(4, 4, t, 1)),
        lambda m, x: x.select(axis, t).unsqueeze(axis) + x,
        lambda m, x: x.unfold(axis, t, 1).mean(-1),
        lambda m, x: x.expand(-1, -1, t, -1),
        lambda m, x: F.layer_norm(x, (t,)),
    )

    def forward(m, x):
        try:
            return refused(m, x)
        except errors:
            return other(x)

    def bare(m, x):
        try:
            y = refused(m, x)
        except:  # noqa: E722
            y = other(x)
        return y

    def suppressed(m, x):
        y = other(x)
        with contextlib.suppress(RuntimeError, IndexError, ValueError):
            y = refused(m, x)
        return y

    def at_last(m, x):
        y = x
        try:
            y = refused(m, x)
        finally:
            return other(y)  # noqa: B012

    return changing(d, d.pick(forward, forward, bare, suppressed, at_last))


class TooLargeError(Exception):
    """Raised by the forms below themselves."""


@form
def exceptions_as_control_flow(d: Draw):
    t, change, read = d.t, d.change(), d.reading()
    places = list(range(t))

    def raised(m, x):
        try:
            if read(x) > t:
                raise TooLargeError
        except TooLargeError:
            return change(x)
        return x

    def asserted(m, x):
        try:
            assert read(x) <= t, f"{read(x)} is too large"
        except AssertionError:
            x = change(x)
        return x

    def indexed(m, x):
        try:
            places[read(x)]
        except IndexError:
            return change(x)
        return x

    def keyed(m, x):
        try:
            return x * {t: 1}[read(x)]
        except (KeyError, TypeError):
            return change(x)

    def divided(m, x):
        try:
            return x * (1 / (read(x) - t)) * 0 + x
        except ZeroDivisionError:
            return change(x)

    def parsed(m, x):
        try:
            return x * int("1" * min(read(x) - t, 3), 2)
        except ValueError:
            return change(x)

    def refused(m, x):
        assert read(x) <= t
        return x

    def refused_with_reason(m, x):
        if read(x) % 2:
            raise ValueError(f"odd size {read(x)}")
        return x

    def stopped(m, x):
        steps = iter(range(t))
        try:
            for _ in range(read(x)):
                next(steps)
        except StopIteration:
            return change(x)
        return x

    def checked(m, x):
        torch._check(read(x) <= t, lambda: "too large")
        return x

    return changing(
        d, d.pick(raised, asserted, indexed, keyed, divided, parsed, refused, refused_with_reason, stopped, checked)
    )
