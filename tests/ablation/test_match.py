"""Budgets are found before anything is built, and the built model has them."""

import re

import pytest
from groups import group

from segup.ablation.match import match_decoders, matched_widths
from segup.ablation.plan import RunSpec, StudySpec, equalized, interpolating
from segup.errors import ConfigError
from segup.training.build import build_model
from segup.training.config import RunConfig
from segup.training.cost import count_macs, count_parameters

CROP = (45, 61)


def config(upsampler, topology="unet", encoder="test_efficientnet", **decoder):
    return {
        "encoder": {"name": encoder, "pretrained": False},
        "decoder": group("decoder", upsampler, topology=topology, **decoder),
        "data": {"name": "cells", "classes": ["a", "b", "c"], "crop_size": list(CROP), "in_channels": 3},
    }


def counted(values, by):
    model = build_model(RunConfig.of(values), 3, 3)
    if by == "macs":
        return count_macs(model, CROP)["decoder_and_head"]
    counts = count_parameters(model)
    return counts["decoder"] + counts["head"]


@pytest.mark.parametrize(
    ("topology", "upsamplers", "encoder", "by"),
    [
        ("unet", ["bilinear", "pixel_shuffle", "carafe", "dysample", "sapa"], "test_efficientnet", "params"),
        ("unet", ["anyup", "freqfusion", "jbu", "naf", "uplift"], "test_efficientnet", "params"),
        ("unet", ["bilinear", "pixel_shuffle"], "efficientnet_lite0", "macs"),
        ("fpn", ["deconv_matched", "fade"], "test_efficientnet", "params"),
        ("plain", ["max_unpool", "nearest"], "segnet", "params"),
        ("plain", ["max_unpool", "nearest"], "segnet", "macs"),
        ("segformer", ["bilinear_additive"], "resnet18", "macs"),
    ],
)
def test_a_matched_decoder_costs_what_the_baseline_does(topology, upsamplers, encoder, by):
    baseline = config("deconv", topology, encoder)
    target = counted(baseline, by)
    found = match_decoders({name: config(name, topology, encoder) for name in upsamplers}, baseline, by)
    for name, match in found.items():
        built = counted(config(name, topology, encoder, widths=list(match.widths)), by)
        assert match.budget == built
        assert match.difference == pytest.approx((built - target) / target, abs=1e-6)
        assert abs(match.difference) < 0.02


def test_the_maps_are_those_that_are_taken():
    def taken(values):
        return {**values, "encoder": {**values["encoder"], "library": "timm", "out_indices": [1, 3]}}

    baseline, other = taken(config("deconv", encoder="resnet18")), taken(config("bilinear", encoder="resnet18"))
    found = match_decoders({"bilinear": other}, baseline, "params")["bilinear"]
    other["decoder"]["widths"] = list(found.widths)
    assert counted(other, "params") == found.budget


def test_the_baseline_stays_as_it_is():
    baseline = config("deconv", widths=[24, 20, 16, 12, 8])
    found = match_decoders({"deconv": baseline}, baseline, "params")
    assert (found["deconv"].widths, found["deconv"].difference) == ((24, 20, 16, 12, 8), 0)


@pytest.mark.parametrize("topology", ["duc", "fcn"])
def test_what_leaves_no_choice_of_widths_is_refused(topology):
    said = f"ablation.match=params: 'a' cannot be matched: topology '{topology}' leaves no choice of widths.\n  try: "
    with pytest.raises(ConfigError, match=re.escape(said)):
        match_decoders({"a": config("bilinear", topology)}, config("deconv"), "params")


def test_a_decoder_keeps_its_proportions_and_what_its_operator_needs_of_them():
    usual = [128, 64, 48, 32, 16]
    found = match_decoders({"dysample": config("dysample")}, config("deconv"), "params")["dysample"].widths
    assert all(width % 4 == 0 for width in found)
    assert all(abs(width / found[0] * 128 / share - 1) < 0.15 for width, share in zip(found, usual, strict=True))


def test_an_operator_that_refuses_some_widths_gets_others():
    def cost(widths):
        if any(width % 8 for width in widths):
            raise ConfigError("multiples of 8 alone")
        return sum(widths)

    assert matched_widths([16, 8], 100, cost).widths == (64, 32)
    with pytest.raises(ConfigError, match="none at all"):
        matched_widths([16], 100, lambda widths: (_ for _ in ()).throw(ConfigError("none at all")))


@pytest.mark.parametrize("name", ["deconv", "bilinear", "nearest", "pixel_shuffle", "dysample"])
def test_operators_that_can_start_as_the_interpolation(name):
    decoder, how = interpolating(config(name))
    assert how == "interpolate"
    assert decoder["upsampler_options"]["init"] == "interpolate"
    build_model(RunConfig.of({**config(name), "decoder": decoder}), 3, 3)


def test_the_others_say_why_they_cannot():
    assert interpolating(config("carafe")) == (config("carafe")["decoder"], "'carafe' has no choice of how it starts")
    assert interpolating(config("bicubic"))[1].startswith("'bicubic' cannot start with init='interpolate': no convol")
    assert "its outputs lie 1/2 pixels off the grid" in interpolating(config("deconv_matched"))[1]  # it rounds up
    down = {**config("deconv_matched", encoder="segnet")}
    assert interpolating(down)[1] == "interpolate"  # it rounds down


def test_a_study_gets_the_widths_and_starts_that_it_asks_for(tmp_path):
    asked = [RunSpec(name, 0, {**config(name), "seed": 0}) for name in ("deconv", "bilinear", "carafe")]
    terms = StudySpec("train.py", "deconv", "params", "interpolate", {}, {})
    runs, equal_terms = equalized(tmp_path, None, asked, terms)
    assert [run.config["decoder"]["widths"] is None for run in runs] == [True, False, False]
    assert equal_terms.decoders["bilinear"]["widths"] == runs[1].config["decoder"]["widths"]
    assert equal_terms.decoders["bilinear"]["start"] == "interpolate"
    assert equal_terms.decoders["carafe"]["start"] == "'carafe' has no choice of how it starts"
    assert asked[1].config["decoder"]["widths"] is None
    plain, unchanged = equalized(tmp_path, None, asked, StudySpec("train.py", "deconv", "none", None, {}, {}))
    assert (plain, dict(unchanged.decoders)) == (tuple(asked), {})
