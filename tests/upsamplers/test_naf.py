"""NAF against its equations, written out pixel by pixel."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from segup.errors import ConfigError, ShapeError
from segup.upsamplers import Naf, create_upsampler
from segup.upsamplers.naf import rotary


def encoded(image, branches):
    """Both branches with torch's own reflecting convolutions."""
    results = []
    for branch in branches:
        y = image
        for layer in branch:
            if isinstance(layer, torch.nn.Conv2d):
                edge = layer.kernel_size[0] // 2
                y = F.conv2d(F.pad(y, [edge] * 4, mode="reflect"), layer.weight, layer.bias)
            elif isinstance(layer, torch.nn.GroupNorm):
                y = F.group_norm(y, 8, layer.weight, layer.bias, eps=1e-5)
            else:
                y = y * torch.sigmoid(y)
        results.append(y)
    return torch.cat(results, 1)


def rotated(x, heads):
    """Pairs (c, c + d/2) of each head turned by 2π·place/τ, down for the first half of the pairs, then across."""
    y, d = torch.empty_like(x), x.shape[1] // heads
    (height, width), periods = x.shape[-2:], d // 4
    for head in range(heads):
        for pair in range(d // 2):
            tau = 100 ** ((pair % periods) / periods)
            for i in range(height):
                for j in range(width):
                    place = 2 * (i + 0.5) / height - 1 if pair < periods else 2 * (j + 0.5) / width - 1
                    angle = 2 * math.pi * place / tau
                    first, second = head * d + pair, head * d + pair + d // 2
                    u, v = x[:, first, i, j], x[:, second, i, j]
                    y[:, first, i, j] = u * math.cos(angle) - v * math.sin(angle)
                    y[:, second, i, j] = v * math.cos(angle) + u * math.sin(angle)
    return y


def textbook(up, x, image, size):
    """For a size that no correction of the grid gives."""
    query = rotated(F.adaptive_avg_pool2d(encoded(image, up.encoder.branches), size), up.heads)
    key, value = F.adaptive_avg_pool2d(query, x.shape[-2:]), up.project(x)
    (h, w), (height, width) = x.shape[-2:], size
    k_rows, k_columns = min(up.kernel_size, h), min(up.kernel_size, w)
    y = value.new_zeros(*value.shape[:2], height, width)
    d, channels = query.shape[1] // up.heads, value.shape[1] // up.heads
    for i in range(height):
        top = min(max((2 * i + 1) * h // (2 * height) - k_rows // 2, 0), h - k_rows)
        for j in range(width):
            left = min(max((2 * j + 1) * w // (2 * width) - k_columns // 2, 0), w - k_columns)
            near = (..., slice(top, top + k_rows), slice(left, left + k_columns))
            for head in range(up.heads):
                of_query, of_value = slice(head * d, (head + 1) * d), slice(head * channels, (head + 1) * channels)
                q, keys, values = query[:, of_query, i, j], key[:, of_query][near], value[:, of_value][near]
                weights = ((q[..., None, None] * keys).sum(1) / math.sqrt(d)).flatten(1).softmax(-1)
                y[:, of_value, i, j] = (values.flatten(2) * weights[:, None]).sum(-1)
    return y


@pytest.mark.parametrize(("low", "size"), [((3, 4), (6, 8)), ((3, 3), (10, 7)), ((6, 5), (20, 13)), ((1, 2), (5, 9))])
@pytest.mark.parametrize("channels", [(4, 4), (6, 8), (3, 3)])
def test_it_is_what_the_paper_says_at_integer_and_other_ratios(low, size, channels):
    torch.manual_seed(0)
    up = Naf(*channels, kernel_size=3, fit="strict").double()
    for p in up.encoder.parameters():
        torch.nn.init.normal_(p, std=0.3)
    x = torch.randn(2, channels[0], *low, dtype=torch.float64)
    image = torch.randn(2, 3, size[0] + 3, 2 * size[1], dtype=torch.float64)
    assert (up(x, size, image=image) - textbook(up, x, image, size)).abs().max() <= 1e-12


@pytest.mark.parametrize("scale", [2, 3])
def test_a_correction_cuts_or_repeats_what_is_made_on_the_grid(scale):
    """The skip is cut or repeated onto the grid, and the result is cut or repeated from it."""
    torch.manual_seed(0)
    up = Naf(4, 4, scale, guide="skip", skip_channels=3).double()
    x, skip = torch.randn(1, 4, 6, 7).double(), torch.randn(1, 3, 6 * scale, 7 * scale).double()
    whole = up(x, skip=skip)
    cut = up(x, (6 * scale - 1, 7 * scale), skip=skip[..., :-1, :])
    assert up.correction == (-1, 0)
    assert cut.shape == whole[..., :-1, :].shape
    longer = up(x, (6 * scale + 1, 7 * scale), skip=torch.cat((skip, skip[..., -1:, :]), -2))
    assert torch.equal(longer[..., -1, :], longer[..., -2, :])


def test_parameters_and_multiply_accumulates_are_those_of_the_formulas():
    counts = {variant: sum(p.numel() for p in Naf(8, 8, variant=variant).parameters()) for variant in ("tiny", "paper")}
    assert counts == {"tiny": 5824, "paper": 662_528}
    assert Naf(8, 8, variant="paper").kernel_size == 9
    up = Naf(8, 4, 2, kernel_size=3)
    with FlopCounterMode(display=False) as counter:
        up(torch.zeros(1, 8, 5, 4), image=torch.zeros(1, 3, 20, 16))
    assert counter.get_total_flops() == 2 * (320 * 5600 + 80 * 9 * (2 * 16 + 4) + 20 * 8 * 4)


@settings(max_examples=20, deadline=None)
@given(*[st.integers(1, 7)] * 2, *[st.integers(0, 20)] * 2, st.integers(1, 5))
def test_any_size_from_the_inputs_on_is_reached(h, w, more_rows, more_columns, channels):
    up = create_upsampler("naf", 4, 4, image_channels=channels)
    size = (h + more_rows, w + more_columns)
    assert up(torch.randn(1, 4, h, w), size, image=torch.randn(1, channels, 9, 11)).shape == (1, 4, *size)
    assert up.reaches_any
    assert (up.span(h)[0], up.span(h)[1] > 10**6) == (h, True)


def test_an_image_far_larger_than_the_result_is_made_smaller_as_in_the_paper():
    torch.manual_seed(0)
    up, x, image = Naf(4, 4).double(), torch.randn(1, 4, 3, 3).double(), torch.randn(1, 3, 90, 31).double()
    smaller = F.interpolate(image, (24, 24), mode="bilinear", align_corners=False)
    assert torch.equal(up(x, (6, 8), image=image), up(x, (6, 8), image=smaller))


def test_coordinates_are_rescaled_in_training_and_in_the_papers_variant_alone():
    torch.manual_seed(0)
    x, image = torch.randn(1, 4, 5, 5), torch.randn(1, 3, 10, 10)
    for variant, changes in (("tiny", False), ("paper", True)):
        up = Naf(4, 4, variant=variant)
        factors = [float(up.drawn_factor(x)) for _ in range(200)]
        assert (len(set(factors)) > 1) == changes
        assert 0.5 <= min(factors) <= max(factors) <= 2
        assert torch.equal(up(x, image=image), up(x, image=image)) != changes
        up.eval()
        assert torch.equal(up(x, image=image), up(x, image=image))


def test_attention_depends_on_how_far_apart_pixels_are_and_not_on_where():
    """⟨R(p)q, R(p')k⟩ is the same wherever the two pixels stand."""
    q, k = (v[:, :, None, None].expand(-1, -1, 8, 8) for v in torch.randn(2, 1, 16).double())
    q, k = rotary(q, 2), rotary(k, 2)
    products = (q[..., :-1, :-2] * k[..., 1:, 2:]).sum(1)
    torch.testing.assert_close(products, products[..., :1, :1].expand_as(products))


def test_wrong_uses_are_refused_with_a_way_out():
    with pytest.raises(ConfigError, match="'naf': heads=4 must divide out_channels=6: 6 mod 4 = 2\n  try: heads=3"):
        Naf(6, 6, heads=4)
    with pytest.raises(ConfigError, match="'naf' is guided by the skip: it needs skip_channels"):
        Naf(4, 4, guide="skip")
    with pytest.raises(ConfigError, match="guide='mask' is unknown"):
        Naf(4, 4, guide="mask")
    message = (
        r"'naf' \(scale 2\) takes an image \(N, 3, H, W\), not \(1, 5, 8, 8\)\.\n  try: image_channels=5 at constr"
    )
    with pytest.raises(ShapeError, match=message):
        Naf(4, 4)(torch.zeros(1, 4, 4, 4), image=torch.zeros(1, 5, 8, 8))
    message = r"brings height 4 to 4 and every larger size, not to 3\.\n  .*\n  try: a size of 4 or more\."
    with pytest.raises(ShapeError, match=message):
        Naf(4, 4)(torch.zeros(1, 4, 4, 4), (3, 8), image=torch.zeros(1, 3, 8, 8))
