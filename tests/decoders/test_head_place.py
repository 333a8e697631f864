"""Where the head stands: after the step to the image, outside the decoder, or before it, on the smaller map."""

import pytest
import torch
from torch import nn

from segup import create_model
from segup.decoders import create_decoder, list_decoders
from segup.decoders.contract import topology_class
from segup.errors import ConfigError
from segup.training.cost import count_macs
from segup.training.optimizers import create_optimizer
from segup.training.progress import as_text
from segup.training.run import sizes_shown

CHANNELS, STRIDES, SIZE = (4, 6, 8, 12), (2, 4, 8, 16), (67, 45)
BRINGS_SCORES = [t for t in list_decoders() if topology_class(t).gives_scores]
OTHERS = [t for t in list_decoders() if t not in BRINGS_SCORES]


@pytest.mark.parametrize("topology", OTHERS)
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_before_a_resize_alone_a_1x1_head_is_the_same_function(topology, mode, pyramid, small_widths):
    """Exactly so in real numbers: the weights of a resize sum to one, and the head mixes channels alone."""
    decoder = create_decoder(topology, CHANNELS, STRIDES, head="before", num_classes=5, final=mode).eval()
    maps = pyramid(SIZE, STRIDES, CHANNELS)
    seen = []
    decoder.head.register_forward_pre_hook(lambda head, args: seen.append(args[0]))
    with torch.no_grad():
        scores = decoder(maps, SIZE)
        high = nn.functional.interpolate(
            seen[0], scale_factor=decoder.final.scale, mode=mode, align_corners=None if mode == "nearest" else False
        )
        after = decoder.head(high)[..., : SIZE[0], : SIZE[1]]
    assert scores.shape == (1, 5, *SIZE)
    assert torch.allclose(scores, after, atol=1e-5 * float(after.abs().max()))


@pytest.mark.parametrize("topology", OTHERS)
@pytest.mark.parametrize("strides", [STRIDES, (1, 2, 4, 8)])
def test_every_size_of_scores_comes_out(topology, strides, pyramid):
    decoder = create_decoder(
        topology, CHANNELS, strides, head="before", num_classes=5, upsampler="pixel_shuffle"
    ).eval()
    assert decoder.out_channels == 5
    assert decoder.gives_scores
    assert decoder.head.out_channels == 5
    for size in (SIZE, (33, 64)):
        with torch.no_grad():
            assert decoder(pyramid(size, strides, CHANNELS), size).shape == (1, 5, *size)


@pytest.mark.parametrize("topology", list_decoders())
def test_a_model_gives_scores_wherever_its_head_stands(topology):
    def build(**options):
        return create_model(
            "segnet", topology, num_classes=3, pretrained=False, encoder_options={"widths": [4, 6, 8, 8]}, **options
        )

    if topology in BRINGS_SCORES:
        assert count_macs(build(), (32, 32)) == count_macs(build(head="before"), (32, 32))
        with pytest.raises(ConfigError, match=f"topology '{topology}' brings scores up: its head stands before"):
            build(head="after")
        return
    before, after = build(head="before"), build(head="after")
    assert after.spec == {**build().spec, "head": "after"}
    assert isinstance(before.head, nn.Identity)
    assert before.eval()(torch.rand(1, 3, 37, 29)).shape == (1, 3, 37, 29)


def test_the_head_learns_at_its_own_rate_wherever_it_stands():
    for options in ({}, {"head": "before"}, {"topology": "pspnet"}):
        model = create_model("segnet", num_classes=3, pretrained=False, encoder_options={"widths": [4, 6]}, **options)
        head = model.decoder.head or model.head
        groups = create_optimizer({"name": "sgd", "lr": 1.0, "head_lr_factor": 5.0}, model).param_groups
        rates = {id(p): group["lr"] for group in groups for p in group["params"]}
        assert len(rates) == sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
        assert {rates[id(p)] for p in head.parameters()} == {5.0}
        assert sum(rate == 5.0 for rate in rates.values()) == 2


def test_the_ladder_shows_where_it_stands_and_what_it_costs():
    def shown(topology, **options):
        model = create_model(
            "segnet", topology, num_classes=3, pretrained=False, encoder_options={"widths": [4, 6, 8]}, **options
        )
        return [line.split("│")[1:4] for line in as_text(*sizes_shown(model, (37, 29))).splitlines() if "│" in line]

    rows = [[cell.strip() for cell in row] for row in shown("fpn", head="before", depths=2)]
    place = next(i for i, row in enumerate(rows) if row[0].startswith("head"))
    assert rows[place] == ["head 1×1, 0.0968 M MACs", "18×14", "18×14"]  # 18·14·128·3
    assert rows[place + 1][:2] == ["bilinear ×2 alone", "18×14"]
    pooled = [row[0].strip() for row in shown("pspnet")]
    assert [text.split(",")[0] for text in pooled[-3:]] == ["head 1×1", "deconv k4 s2 p1", "deconv k4 s2 p1"]
    assert not any("head" in row[0] for row in shown("fpn"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "befor"}, "decoder.head='befor' is unknown: did you mean 'before'"),
        (
            {"head": "before", "final_convs": 2},
            "decoder.final_convs=2 would convolve scores: with head=before, nothing fol",
        ),
        ({"num_classes": 5}, "decoder.num_classes=5 is for a head before the step .*\n  try: decoder.head=before"),
        ({"head_kernel_size": 2}, "decoder.head_kernel_size=2 must be an odd int"),
        ({"head": "before", "widths": [8] * 4}, r"decoder.widths=\[8, 8, 8, 8\] must have one width for each step: 3"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        create_decoder("unet", CHANNELS, STRIDES, **options)
