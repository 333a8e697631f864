"""Sizes that code learns in ways that the trace does not follow: never proved, and not said to fail where they hold."""

import gc
import os
import random
import threading
import time
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segup.errors import ConfigError
from segup.inspection import check_sizes


class Model(nn.Module):
    """A convolution, and then a function as the forward."""

    def __init__(self, function):
        super().__init__()
        self.function, self.conv, self.scripted = function, nn.Conv2d(3, 4, 3, padding=1), torch.jit.script(CutsLarge())
        self.seven_hundred, self.calls, self.sizes = 700, 0, []

    def forward(self, x):
        return self.function(self, self.conv(x))


class CutsLarge(nn.Module):
    def forward(self, x):
        if x.shape[2] > 700:
            return x[:, :, 1:]
        return x


@torch.jit.script
def is_700(x: torch.Tensor) -> bool:
    return x.shape[2] == 700


def cut_if(condition):
    return lambda m, x: x[:, :, 1:] if condition(x) else x


def read_in_a_thread(x):
    found = []
    thread = threading.Thread(target=lambda: found.append(x.shape[2]))
    thread.start()
    thread.join()
    return found[0] == 700


def read_without_torch_functions(x):
    with torch._C.DisableTorchFunction():
        return x.shape[2] == 700


def data_replaced(m, x):
    y = x.clone()
    y.data = x * 2
    return y


def drawn(x):
    return x[:, :, random.randint(0, 1) :]


UNSEEN = {
    "numpy's int": (cut_if(lambda x: x.shape[2] == np.int64(700)), "something else than an int"),
    "numpy's int on the left": (cut_if(lambda x: np.int32(700) == x.shape[2]), "computes with a size"),
    "fraction": (cut_if(lambda x: x.shape[2] == Fraction(700)), "something else than an int"),
    "complex": (cut_if(lambda x: x.shape[2] == 700 + 0j), "something else than an int"),
    "tensor": (cut_if(lambda x: x.shape[2] == torch.tensor(700)), "reads the values of a tensor"),
    "bytes": (cut_if(lambda x: x.nbytes == 700 * 64 * 16), "'nbytes' of a map"),
    "storage": (cut_if(lambda x: x.untyped_storage().nbytes() > 10**6), "'untyped_storage' is no function"),
    "same size": (cut_if(lambda x: x.is_same_size(torch.zeros(1, 4, 700, 64))), "'is_same_size' is no function"),
    "scripted function": (cut_if(is_700), "sizes are read unseen"),
    "scripted part": (lambda m, x: m.scripted(x), "sizes are read unseen"),
    "thread": (cut_if(read_in_a_thread), "sizes are read unseen"),
    "no torch functions": (cut_if(read_without_torch_functions), "sizes are read unseen"),
    "type": (cut_if(lambda x: type(x.shape[2]) is int and x.shape[2] == 700), "asks for types"),
    "attribute of int": (cut_if(lambda x: x.shape[2].bit_length() > 9), "computes with a size"),
    "bits": (cut_if(lambda x: x.shape[2] | 1 == 701), "computes with a size"),
    "random": (lambda m, x: drawn(x), "random numbers"),
    "torch's random": (lambda m, x: x[:, :, int(torch.randint(0, 2, ())) :], "random numbers are read"),
    "data": (data_replaced, "'data' of a map is read or replaced"),
    "cond": (lambda m, x: torch.cond(x.shape[2] > 700, torch.neg, torch.abs, (x,)), "branches on a size"),
    "kernel": (lambda m, x: F.conv2d(x, x.new_ones(4, 4, 1 + x.shape[2] // 700, 1)), "'conv2d' is called in a way"),
    "out": (lambda m, x: torch.mul(x, 2, out=torch.empty(0)), "called in a way that the calculus does not follow"),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_a_size_that_is_learnt_unseen_is_never_proved(name):
    function, words = UNSEEN[name]
    model = Model(function)
    report = check_sizes(model, sizes=(1, 7, 60), other=64)
    assert report.verdict == "checked"
    assert any(words in reason for reason in report.reasons), report.reasons
    assert report.other == 64
    if "random" not in name:  # those cut in some runs alone
        assert report.always


def narrowed_or_kept(m, x):
    try:
        return F.pad(x.narrow(2, 0, 70), (0, 0, 0, x.shape[2] - 70))
    except RuntimeError:
        return x


FOLLOWED = {
    "added in place": (lambda m, x: x.clone().add_(torch.zeros(1, 1, 1 + x.shape[2] // 100, 1)), 99),
    "added by +=": (lambda m, x: x.clone().__iadd__(torch.zeros(1, 1, 1 + x.shape[2] // 100, 1)), 99),
    "copied in place": (lambda m, x: x.clone().copy_(torch.zeros(1, 1, 1 + x.shape[2] // 100, 1)), 99),
    "masked": (lambda m, x: x.masked_fill(torch.zeros(1, 1, 1 + x.shape[2] // 100, 1).bool(), 0.0), 99),
    "einsum": (lambda m, x: torch.einsum("nchw,nchw->nchw", x, x.mean((2, 3), keepdim=True)), None),
    "narrow in try": (narrowed_or_kept, None),
    "nothing resized": (lambda m, x: F.interpolate(x[:, :, 5:], size=x.shape[-2:]), -5),
    "a row expanded": (lambda m, x: x.mean(2, keepdim=True).expand(-1, -1, x.shape[2], -1), None),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_torch_refuses_by_size_is_followed_to_where_it_does(name):
    function, last = FOLLOWED[name]
    report = check_sizes(Model(function))
    assert report.verdict == "proved", str(report)
    for size in (1, 5, 6, 69, 70, 71, 99, 100, 101, 205, 777):
        expected = last is None or (size <= last if last > 0 else size > -last)
        assert report.axes[0].holds(size) == expected, size
        assert report.axes[1].holds(size), size


def test_what_depends_on_both_axes_at_once_is_not_proved_from_each():
    report = check_sizes(Model(cut_if(lambda x: x[:, :1].squeeze().dim() == 0)))
    assert report.verdict == "checked"
    assert "the model itself differs from its trace: at 1×1" in report.reasons[0]
    assert report.holds((1, 1)) is None


def test_the_trace_says_that_tensors_are_where_the_model_is():
    report = check_sizes(Model(cut_if(lambda x: x.device.type == "cpu" and not x.is_meta)))
    assert report.holds((64, 33)) is report.holds((700, 33)) is False
    report = check_sizes(Model(cut_if(lambda x: x.device.type == "cpu" and x.shape[2] == 700)))
    assert report.verdict == "checked"


class Elsewhere:
    """Has torch's functions for itself."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return args[0][:, :, 1:] if args[0].shape[2] == 700 else args[0] * 2


def written_beside(m, x):
    size = torch.zeros(1)
    size[0] = x.shape[2]
    return x[:, :, 1:] if size[0] == 700 else x


def looked_up(m, x):
    try:
        return x[:, :, {700: 1}[x.shape[2]] :]
    except (KeyError, TypeError):
        return x


def squeezed_then_cut(m, x):
    y = x[:, :, 6:].squeeze(2)
    return x[..., :100] if y.dim() == 3 else x


def caught_then_read(m, x):
    try:
        x.narrow(2, 99, 1)
    except (RuntimeError, IndexError):
        return x
    return x[:, :, 1:] if is_700(x) else x


def divided(m, x):
    rest = x.shape[2] % 150
    return x * ((4 * rest) // rest)


def drawn_by_an_own_generator(m, x):
    return x[:, :, 1:] if random.Random(0).randrange(200) == 17 else x


def drawn_by_a_part(m, x):
    generator = m.conv.__dict__.setdefault("generator", np.random.default_rng(0))
    return x[:, :, 1:] if generator.integers(1000) == 17 else x


def read_in_turn(m, x):
    first, _ = [numbers[x.shape[2] - 1] for numbers in (NUMBERS, torch.arange(2048))]
    return x[:, :, 1:] if first == 700 else x


def counted(m, x):
    m.calls += 1
    return x[:, :, 1:] if m.calls == 1000 else x


def listed(m, x):
    m.sizes.append(tuple(x.shape))
    return x[:, :, 1:] if len(m.sizes) == 1000 else x


NUMBERS = list(range(1, 2049))
PYTHONS, NUMPYS = random.Random(0), np.random.default_rng(0)
FOUND_BY_A_TESTER = {
    "written beside": (written_beside, "writes to a tensor with values"),
    "looked up": (looked_up, "uses a size as a key"),
    "squeezed": (squeezed_then_cut, "depends on the other"),
    "caught, then read": (caught_then_read, "sizes are read unseen"),
    "own generator": (drawn_by_an_own_generator, "draws random numbers"),
    "torch's own generator": (
        lambda m, x: x[:, :, int(torch.randint(0, 200, (), generator=torch.Generator()) == 17) :],
        "random numbers are read",
    ),
    "torch functions of its own": (lambda m, x: torch.mul(x, Elsewhere()), "a class or mode of its own"),
    "a clock": (cut_if(lambda x: time.time_ns() % 1000 == 17), "draws random numbers outside torch ('time_ns')"),
    "noise of the system": (cut_if(lambda x: os.urandom(2) == b"ab"), "draws random numbers outside torch ('urandom')"),
    "a generator that is kept": (cut_if(lambda x: PYTHONS.random() < 0.001), "draws random numbers"),
    "numpy's generator": (
        cut_if(lambda x: NUMPYS.integers(1000) == 17),
        "draws random numbers outside torch ('NUMPYS')",
    ),
    "numpy's new generator": (cut_if(lambda x: np.random.default_rng().integers(1000) == 17), "draws random numbers"),
    "a part's generator": (drawn_by_a_part, "draws random numbers outside torch ('conv.generator')"),
    "who it is": (lambda m, x: x[:, :, 1:] if x.shape[2] is m.seven_hundred else x, "asks for types or identities"),
    "where it is": (cut_if(lambda x: id(x.shape[2]) == id(5)), "asks for types or identities"),
    "read in turn": (read_in_turn, "reads a size as a plain number"),
    "counted calls": (counted, "keeps numbers from call to call ('calls')"),
    "listed calls": (listed, "keeps numbers from call to call ('len(sizes)')"),
    "numpy's array": (cut_if(lambda x: np.array(x.shape[2:]).dtype.kind == "i" and x.shape[2] == 700), "computes with"),
    "filled by index": (
        lambda m, x: x + x.new_zeros((x.shape[2] + 14) % 64 + 1, 1).index_fill(0, torch.tensor([1]), 0.0).sum(),
        "'index_fill' is no function",
    ),
}


@pytest.mark.parametrize("name", FOUND_BY_A_TESTER)
def test_what_a_tester_found_is_not_proved(name):
    function, words = FOUND_BY_A_TESTER[name]
    report = check_sizes(Model(function))
    assert report.verdict == "checked"
    assert any(words in reason for reason in report.reasons), report.reasons


def test_what_others_do_in_between_is_not_the_models():
    class Holds(random.Random):
        width = 1

    held = Holds(0)

    def timed(phase, info):
        time.perf_counter()
        type(info)

    def collecting(m, x):
        gc.collect(0)
        return x[:, :, held.width - 1 :]

    gc.callbacks.append(timed)
    try:
        assert check_sizes(Model(collecting)).verdict == "proved"
    finally:
        gc.callbacks.remove(timed)


def parts_in_memory(m, x):
    y = F.pad(x, (0, 0, 0, 200))[:, :, : x.shape[2] + 200 - (x.shape[2] + 1) % 150]
    return x[:, :, 1:] if y.is_contiguous() else x


@pytest.mark.parametrize(
    ("function", "wrong"),
    [
        (divided, {150, 300}),
        (parts_in_memory, {149, 299}),
        (lambda m, x: x + x.new_zeros(1).repeat(x.shape[2] % 150 - 1).sum(), {150, 300}),
    ],
    ids=["divided by 0", "in one piece", "repeated less than never"],
)
def test_what_fails_at_single_sizes_is_never_said_to_hold(function, wrong):
    report = check_sizes(Model(function))
    for size in (149, 150, 151, 299, 300, 301):
        assert report.axes[0].holds(size) in (None, size not in wrong), size


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (
            nn.Conv3d(1, 4, 3, padding=1),
            r"Conv3d is a model of volumes \(N, C, D, H, W\), not of images .*: its layers are",
        ),
        (
            nn.Sequential(nn.Conv1d(3, 4, 3), nn.MaxPool1d(2)),
            r"of sequences \(N, C, L\).*Conv1d, MaxPool1d.\n  try: the same",
        ),
    ],
)
def test_models_of_volumes_and_sequences_are_told_so(layer, words):
    with pytest.raises(ConfigError, match=words):
        check_sizes(layer)


def test_a_mistake_in_the_code_is_reported_after_a_few_sizes():
    sizes = []

    def mistaken(m, x):
        sizes.append(x.shape[-1])
        return x + "1"

    report = check_sizes(Model(mistaken))
    assert report.first_failure.message.startswith("TypeError: ")
    assert len(report.sizes) == 3
    assert len(sizes) < 20
    assert str(report).startswith("checked: the output has the input's size for 0 of the 3 sizes of height and width")


def test_the_sizes_that_hold_are_counted_and_named():
    report = check_sizes(Model(cut_if(lambda x: x.shape[2] != 32)), sizes=range(1, 41))
    assert str(report).splitlines()[0] == (
        "checked: the output has the input's size for 1 of the 40 sizes of height that were run: 32"
    )
