import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from segup.errors import ConfigError, ShapeError
from segup.windows import predict_windows, probability_bands, window_starts, window_weights

sizes = st.integers(1, 90)
overlaps = st.floats(0, 0.9)


def pointwise(classes: int = 4):
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(3, classes, 1)
    return lambda images: conv(images).softmax(1).detach()


def placed(images: Tensor) -> Tensor:
    """A result that depends on where in the window a pixel lies, and on what lies beside it."""
    rows = torch.linspace(-1, 1, images.shape[-2])[:, None]
    columns = torch.linspace(0, 2, images.shape[-1]) ** 2
    return torch.nn.functional.avg_pool2d(images, 3, 1, 1)[:, :2] + rows * columns


def averaged_in_full(predict, image: Tensor, window: tuple[int, int], overlap: float) -> Tensor:
    """The textbook way: sums of values and of Gaussian weights over the whole image, divided at the end."""
    height, width = image.shape[1:]
    sides = min(window[0], height), min(window[1], width)

    def gaussian(count: int) -> Tensor:
        centre = torch.tensor((count - 1) / 2, dtype=torch.float64)
        density = torch.distributions.Normal(centre, torch.tensor(count / 8, dtype=torch.float64))
        return density.log_prob(torch.arange(count, dtype=torch.float64)).exp()

    weight = gaussian(sides[0])[:, None] * gaussian(sides[1])
    values, weights = 0, torch.zeros(height, width, dtype=torch.float64)
    for top in window_starts(height, window[0], overlap):
        for left in window_starts(width, window[1], overlap):
            rows, columns = slice(top, top + sides[0]), slice(left, left + sides[1])
            found = predict(image[None, :, rows, columns])[0].double()
            values = torch.zeros(len(found), height, width, dtype=torch.float64) if isinstance(values, int) else values
            values[:, rows, columns] += found * weight
            weights[rows, columns] += weight
    return (values / weights).float()


@given(sizes, sizes, overlaps)
def test_windows_cover_the_axis_with_the_overlap_asked_for(size, window, overlap):
    starts = window_starts(size, window, overlap)
    assert starts[0] == 0
    if window >= size:
        assert len(starts) == 1
        return
    assert starts[-1] + window == size
    steps = [after - before for before, after in itertools.pairwise(starts)]
    assert all(1 <= step <= max(1, window * (1 - overlap) + 1e-9) for step in steps)
    assert max(steps) - min(steps) <= 1


@given(sizes, sizes, overlaps)
def test_the_weights_are_positive_and_sum_to_one_at_every_pixel(size, window, overlap):
    window = min(window, size)
    starts = window_starts(size, window, overlap)
    weights = window_weights(size, window, starts)
    assert (weights > 0).all()
    total = torch.zeros(size)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + window] += weight
    torch.testing.assert_close(total, torch.ones(size))


def test_a_window_that_is_alone_has_the_weight_one_exactly():
    assert torch.equal(window_weights(37, 37, [0]), torch.ones(1, 37))


def test_the_weights_of_two_windows_are_in_the_ratio_of_their_gaussians():
    first, second = window_weights(12, 8, [0, 4])
    # Pixel 5 is 1.5 right of the first window's centre (3.5) and 2.5 left of the second's (7.5); sigma is 1.
    assert first[5] / second[1] == pytest.approx(torch.tensor(-(1.5**2) / 2 + 2.5**2 / 2).exp().item(), rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.tuples(sizes, sizes), st.tuples(sizes, sizes), overlaps, st.integers(1, 5))
def test_a_pointwise_model_gives_in_windows_what_it_gives_whole(size, window, overlap, batch_size):
    predict, image = pointwise(), torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    found = predict_windows(predict, image, window, overlap, batch_size)
    torch.testing.assert_close(found, predict(image[None])[0], rtol=0, atol=2e-6)


@settings(max_examples=40, deadline=None)
@given(st.tuples(sizes, sizes), st.tuples(st.integers(8, 90), st.integers(8, 90)), overlaps)
def test_any_model_gives_what_sums_over_the_whole_image_give(size, window, overlap):
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    expected = averaged_in_full(placed, image, window, overlap)
    torch.testing.assert_close(predict_windows(placed, image, window, overlap), expected, rtol=1e-5, atol=1e-5)


@given(st.tuples(sizes, sizes))
def test_a_window_larger_than_the_image_is_the_whole_image(size):
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    assert torch.equal(predict_windows(placed, image, (90, 99)), placed(image[None])[0])


def test_a_band_comes_before_the_next_row_of_windows_runs():
    tops = []

    def predict(crops: Tensor) -> Tensor:
        tops.append(int(crops[0, 0, 0, 0]))
        return crops

    image = torch.arange(40.0).reshape(1, 40, 1).expand(1, 40, 30)
    heights = []
    for band in probability_bands(predict, image, (16, 16), batch_size=2):
        heights.append((band.shape[1], max(tops)))
    assert heights == [(8, 0), (8, 8), (8, 16), (16, 24)]


def test_half_precision_is_summed_in_float32():
    image = torch.rand(3, 40, 40)
    found = predict_windows(lambda crops: crops.bfloat16(), image, (16, 16))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, image.bfloat16().float())


def test_what_cannot_be_a_window_is_refused():
    image = torch.rand(3, 8, 8)
    with pytest.raises(ConfigError, match="window=0 must be an int of 1 or more"):
        predict_windows(placed, image, (0, 4))
    with pytest.raises(ConfigError, match=r"overlap=1\.0 must be a number of 0 or more and below 1"):
        predict_windows(placed, image, (4, 4), overlap=1.0)
    with pytest.raises(ConfigError, match="batch_size=0 must be an int of 1 or more"):
        predict_windows(placed, image, (4, 4), batch_size=0)
    with pytest.raises(ShapeError, match="a window of 4×4 gave a map of 2×2: windows are put together"):
        predict_windows(lambda crops: crops[..., ::2, ::2], image, (4, 4))
