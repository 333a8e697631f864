"""Sizes that are given to torch where its parser takes plain numbers alone."""

import threading

import pytest
import torch
from torch import arange, nn

from segup.inspection import check_sizes
from segup.inspection.copies import meta_copy
from segup.inspection.handed import handed
from segup.inspection.trace import Tracer

NAMES = ("arange", "linspace", "full", "clamp", "mul", "fill_")


class Coordinates(nn.Module):
    """CoordConv: the places of pixels beside their values."""

    def __init__(self, places):
        super().__init__()
        self.places, self.conv = places, nn.Conv2d(5, 2, 3, padding=1)

    def forward(self, x):
        n, _, h, w = x.shape
        both = torch.stack(torch.meshgrid(self.places(h), self.places(w), indexing="ij"))
        return self.conv(torch.cat([x, both.expand(n, -1, -1, -1)], 1))


PLACES = {
    "arange": lambda n: torch.arange(n) / n,
    "linspace": lambda n: torch.linspace(-1, 1, n),
    "clamped": lambda n: torch.arange(2 * n)[:n].clamp(max=n - 1).mul(1.0),
    "filled": lambda n: torch.zeros(n).fill_(n) * torch.full((1,), n),
}


def attributes():
    return [(owner, name, vars(owner).get(name)) for owner in (torch, torch.Tensor) for name in NAMES]


@pytest.mark.parametrize("name", PLACES)
def test_coordinates_are_followed_and_torch_is_as_it_was(name):
    before = attributes()
    model = Coordinates(PLACES[name])
    report = check_sizes(model, in_channels=3)
    assert (report.verdict, report.always) == ("proved", True), str(report)
    assert all(one[2] is two[2] for one, two in zip(before, attributes(), strict=True))
    for size in ((1, 1), (1, 7), (40, 3)):
        assert model(torch.rand(1, 3, *size)).shape[2:] == size


def test_what_was_imported_by_name_is_named_in_the_reason_at_every_run():
    model = Coordinates(lambda n: arange(n) / n)
    words = (
        "its code was run on plain sizes: on sizes that are followed the model's own forward fails (TypeError: "
        "arange(): argument 'end' (position 1) must be Number, not TracedSize)"
    )
    assert check_sizes(model, in_channels=3).reasons == (words,)
    tracer = Tracer(meta_copy(model), 3)
    assert [list(tracer.run((n, 8)).record.unfollowed) for n in (8, 9)] == [[words]] * 2


def test_torch_is_put_back_after_an_error_and_by_the_last_of_several():
    before = attributes()
    with pytest.raises(RuntimeError, match="replaced: True"), handed(NAMES):
        raise RuntimeError(f"replaced: {torch.arange is not before[0][2]}")
    assert all(one[2] is two[2] for one, two in zip(before, attributes(), strict=True))
    with handed(["arange"]):
        with handed(NAMES):
            assert torch.full is not before[2][2]
        assert torch.full is before[2][2]
        assert torch.arange is not before[0][2]
    assert all(one[2] is two[2] for one, two in zip(before, attributes(), strict=True))


def test_other_threads_notice_nothing_and_traces_at_once_leave_nothing():
    before, found, stop = attributes(), [], threading.Event()

    def compute():
        while not stop.is_set():
            found.append((torch.arange(5).tolist(), torch.linspace(0, 1, 3).mul(2).clamp(0, 1).tolist()))

    def trace():
        tracer = Tracer(meta_copy(Coordinates(PLACES["clamped"])), 3)
        runs.append([tracer.run((n, 8)).record.unfollowed == {} for n in range(2, 30)])

    runs: list = []
    others = [threading.Thread(target=compute), *(threading.Thread(target=trace) for _ in range(2))]
    for thread in others:
        thread.start()
    for thread in others[1:]:
        thread.join()
    stop.set()
    others[0].join()
    assert all(one == ([0, 1, 2, 3, 4], [0.0, 1.0, 1.0]) for one in found)
    assert runs == [[True] * 28] * 2
    assert all(one[2] is two[2] for one, two in zip(before, attributes(), strict=True))


SMALL = {
    "bytes": lambda x, n: x.byte().new_full((1, 1, 1, 1), n) + x,
    "halves": lambda x, n: x + torch.full((1,), n // 4, dtype=torch.int8),
    "chosen": lambda x, n: x + torch.where(x > 0, x.byte(), n // 2),
    "spread": lambda x, n: x + torch.linspace(0, n, 4, dtype=torch.uint8).mean(dtype=torch.float),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_number_that_does_not_fit_into_its_type_is_not_proved(name):
    class Numbers(nn.Module):
        def forward(self, x):
            return SMALL[name](x, x.shape[2])

    report = check_sizes(Numbers(), in_channels=3, sizes=(1, 2, 63), other=64)
    with pytest.raises(RuntimeError, match="without overflow"):
        Numbers()(torch.rand(1, 3, 1200, 1))
    assert report.holds((1200, 64)) is None
