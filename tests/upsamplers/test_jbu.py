"""JBU against its equations, written out pixel by pixel."""

import pytest
import torch
import torch.nn.functional as F

from segup.upsamplers import Jbu
from segup.upsamplers.jbu import ROWS
from segup.upsamplers.windows import extended


def stage_by_loops(stage, x, guide):
    """One stage on a map that is resized already; its projection and fix are layers of torch."""
    k = stage.kernel_size
    z = stage.range(guide)
    near_z, near_x = (F.pad(m, [k // 2] * 4, mode="reflect") for m in (z, x))
    place = torch.linspace(-1, 1, k, dtype=x.dtype)
    spatial = torch.exp(-(place[:, None] ** 2 + place**2) / (2 * stage.sigma**2)).flatten()
    y, kernels = torch.empty_like(x), x.new_empty(x.shape[0], k * k, *x.shape[-2:])
    for i in range(x.shape[-2]):
        for j in range(x.shape[-1]):
            near = near_z[..., i : i + k, j : j + k].flatten(2)
            alike = (stage.temperature.exp() * (z[..., i, j, None] * near).sum(1)).softmax(-1)
            kernels[..., i, j] = alike * spatial / (alike * spatial).sum(-1, keepdim=True)
    if stage.fix is not None:
        kernels = kernels + 0.1 * stage.fix(torch.cat((kernels, guide), 1))
    for i in range(x.shape[-2]):
        for j in range(x.shape[-1]):
            y[..., i, j] = (near_x[..., i : i + k, j : j + k].flatten(2) * kernels[:, None, :, i, j]).sum(-1)
    return y


@pytest.mark.parametrize("options", [{}, {"source": "bicubic", "fix": True}, {"kernel_size": 3}])
def test_two_stages_are_what_the_paper_says(options):
    torch.manual_seed(0)
    up = Jbu(5, 5, 4, **options).double().eval()
    for p in up.parameters():
        torch.nn.init.normal_(p, std=0.5)
    x, image = torch.randn(1, 5, 3, 4).double(), torch.randn(1, 3, 30, 35).double()
    y, whole = x, F.adaptive_avg_pool2d(image, (12, 16))
    for stage, size in zip(up.stages, ((6, 8), (12, 16)), strict=True):
        y = F.interpolate(y, size, mode=up.source, align_corners=False)
        y = stage_by_loops(stage, y, F.adaptive_avg_pool2d(whole, size))
    assert (up(x, image=image) - y).abs().max() <= 1e-12


def test_parameters_are_those_of_the_formula():
    count = lambda up: sum(p.numel() for p in up.parameters())  # noqa: E731
    assert count(Jbu(8, 8, source="bicubic", fix=True)) == 6233
    assert count(Jbu(8, 8, 16, source="bicubic", fix=True)) == 4 * 6233
    assert count(Jbu(8, 8)) == 32 * 3 + 1090
    assert count(Jbu(8, 4, guide="skip", skip_channels=7, kernel_size=3, fix=True)) == 32 * 7 + 1090 + 9 * 27 + 36


def test_source_fix_and_channels_decide_what_is_convex():
    assert Jbu(4, 4).convex
    assert not any(Jbu(4, *o, **k).convex for o, k in (([4], {"source": "bicubic"}), ([4], {"fix": True}), ([3], {})))


@pytest.mark.parametrize(("low", "size"), [((1, 1), (1, 2)), ((2, 1), (5, 9)), ((3, 3), (4, 3))])
def test_sides_shorter_than_the_window_are_reflected_back_and_forth(low, size):
    y = Jbu(4, 4)(torch.full((1, 4, *low), 2.0), size, image=torch.randn(1, 3, 7, 7))
    torch.testing.assert_close(y, torch.full((1, 4, *size), 2.0))


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    x, image = torch.randn(1, 4, 5, 5), torch.randn(1, 3, 10, 10)
    up = Jbu(4, 4, dropout=0.1)
    assert not torch.equal(up(x, image=image), up(x, image=image))
    up.eval()
    assert torch.equal(up(x, image=image), up(x, image=image))


def test_rows_are_made_in_turn_where_no_gradient_is_wanted_and_so_are_the_maps_that_they_read(monkeypatch):
    torch.manual_seed(0)
    rows_made = []

    def watched(*given):
        rows_made.append(extended(*given).shape[1])
        return extended(*given)

    monkeypatch.setattr("segup.upsamplers.window_sums.extended", watched)
    up, x, image = Jbu(4, 4).double(), torch.randn(1, 4, 50, 9).double(), torch.randn(1, 3, 100, 18).double()
    whole = up(x, image=image)
    assert whole.shape[-2] > 2 * ROWS
    assert max(rows_made) > 100
    rows_made.clear()
    with torch.no_grad():
        torch.testing.assert_close(up(x, image=image), whole, atol=1e-12, rtol=0)
    assert max(rows_made) == ROWS + up.kernel_size - 1
