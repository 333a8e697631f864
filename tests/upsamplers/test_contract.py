import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segup.errors import ConfigError, ShapeError
from segup.upsamplers import create_upsampler, fit_to, list_upsamplers

SCALES = (2, 3, 4, 8)


@pytest.mark.parametrize("name", list_upsamplers())
@pytest.mark.parametrize("scale", SCALES)
def test_without_a_size_the_result_is_exactly_the_scale_times_the_input(name, scale):
    up = create_upsampler(name, 3, 2, scale)
    for h, w in ((1, 1), (2, 5), (7, 4)):
        assert up(torch.randn(2, 3, h, w)).shape == (2, 2, scale * h, scale * w)


@pytest.mark.parametrize("name", list_upsamplers())
@pytest.mark.parametrize("scale", SCALES)
def test_every_size_is_reached_exactly_or_refused(name, scale):
    """Up to scale − 1 rows either way are corrected, or what an operator reaches by itself; all else is refused."""
    up = create_upsampler(name, 2, 2, scale)
    low = 3
    for wanted in range(1, scale * low + scale + 2):
        x = torch.randn(1, 2, low, low)
        grid = scale * low
        reaches = up.arithmetic.reachable(low) if name == "deconv_matched" else range(grid - scale + 1, grid + scale)
        if wanted in reaches:
            assert up(x, (wanted, grid)).shape[-2:] == (wanted, grid)
            assert abs(up.correction[0]) <= scale - 1
        else:
            with pytest.raises(ShapeError, match=f"height {low} to .* not to {wanted}|height {low} .*not {wanted}"):
                up(x, (wanted, grid))


@pytest.mark.parametrize("name", list_upsamplers())
def test_the_result_at_a_corrected_size_is_the_result_cut_or_repeated(name):
    """All operators stay on one grid: a size never changes the pixels that stay."""
    torch.manual_seed(0)
    up = create_upsampler(name, 3, 2, 2).double()
    x = torch.randn(1, 3, 5, 6, dtype=torch.float64)
    whole = up(x)
    cut = up(x, (9, 12))
    assert torch.equal(cut, whole[..., :9, :])
    if name != "deconv_matched":
        longer = up(x, (11, 13))
        reached = up.arithmetic.out(5), up.arithmetic.out(6)
        assert torch.equal(longer[..., : reached[0], : reached[1]], up.upsample(x)[..., :11, :13])
        if reached[0] == 10:
            assert torch.equal(longer[..., 10, :], longer[..., 9, :])


@pytest.mark.parametrize("name", list_upsamplers())
def test_corrections_are_counted(name):
    up = create_upsampler(name, 2, 2, 2)
    up(torch.randn(1, 2, 4, 4), (7, 8))
    assert up.correction == ((0, 0) if name == "deconv_matched" else (-1, 0))


@pytest.mark.parametrize("name", list_upsamplers())
def test_strict_refuses_what_the_operator_does_not_reach_itself(name):
    up = create_upsampler(name, 2, 2, 2, fit="strict")
    assert up(torch.randn(1, 2, 4, 4), (8, 8)).shape[-2:] == (8, 8)
    if name != "deconv_matched":
        with pytest.raises(ShapeError, match=r'brings height 4 to 8, not to 7 \(fit="strict"\)'):
            up(torch.randn(1, 2, 4, 4), (7, 8))


@pytest.mark.parametrize("name", list_upsamplers())
def test_wrong_inputs_are_refused_with_their_shape(name):
    up = create_upsampler(name, 3, 2)
    for shape in ((1, 4, 5, 5), (3, 5, 5), (1, 3, 0, 5)):
        with pytest.raises(
            ShapeError, match=r"takes \(N, 3, h, w\) with h, w ≥ 1, not \(" + ", ".join(map(str, shape))
        ):
            up(torch.zeros(shape))


@pytest.mark.parametrize("name", list_upsamplers())
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 0}, "in_channels=0 must be an int of 1 or more"),
        ({"out_channels": True}, "out_channels=True must be an int of 1 or more"),
        ({"scale": 1}, "scale=1 must be an int of 2 or more"),
        ({"scale": 2.0}, "scale=2.0 must be an int of 2 or more"),
        ({"fit": "resize"}, "fit='resize' is unknown; known: correct, strict"),
        ({"no_such": 1}, "unknown option of upsampler .* 'no_such'"),
    ],
)
def test_wrong_arguments_are_refused_by_name(name, options, message):
    with pytest.raises(ConfigError, match=message):
        create_upsampler(name, **{"in_channels": 2, "out_channels": 2, **options})


@pytest.mark.parametrize("name", list_upsamplers())
def test_every_parameter_learns(name):
    torch.manual_seed(0)
    up = create_upsampler(name, 3, 2)
    up(torch.randn(2, 3, 5, 5), (9, 10)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in up.parameters())


@pytest.mark.parametrize("name", list_upsamplers())
def test_gradcheck(name):
    torch.manual_seed(0)
    up = create_upsampler(name, 2, 2).double()
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: up(x, (5, 8)), (x,))


def test_an_unknown_operator_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="unknown upsampler 'decov': did you mean 'deconv'"):
        create_upsampler("decov", 2, 2)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.integers(1, 12))
def test_fit_to_keeps_what_is_there_and_repeats_the_edge(h, w, height, width):
    y = torch.arange(h * w, dtype=torch.float32).reshape(1, 1, h, w)
    fitted = fit_to(y, (height, width))
    rows = torch.arange(height).clamp(max=h - 1)
    columns = torch.arange(width).clamp(max=w - 1)
    assert torch.equal(fitted, y[..., rows, :][..., columns])
