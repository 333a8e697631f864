import pytest
import torch
from groups import group
from torch.utils.flop_counter import FlopCounterMode

from segup import create_model
from segup.training.config import RunConfig
from segup.training.cost import count_macs, count_parameters, inference_seconds, measured_in_turns
from segup.upsamplers import list_upsamplers


def model_with(upsampler):
    """An encoder that provides what any operator requires."""
    return create_model(
        "segnet", "unet", upsampler, num_classes=3, pretrained=False, encoder_options={"widths": (4, 6, 8)},
        widths=[8, 4], upsampler_options={"groups": 2} if upsampler == "dysample" else {},
    )  # fmt: skip


@pytest.mark.parametrize("upsampler", list_upsamplers())
def test_macs_of_the_parts_are_those_of_the_whole(upsampler):
    model = model_with(upsampler).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as whole:
        model(torch.zeros(1, 3, 17, 21))
    counts = count_macs(model, (17, 21))
    assert counts["total"] == whole.get_total_flops() // 2 > 0
    assert counts["encoder"] + counts["decoder_and_head"] == counts["total"]


def test_counting_leaves_the_training_flag():
    model = model_with("deconv").train()
    count_macs(model, (16, 16))
    assert model.training


def test_parameters_are_counted_by_part():
    model = model_with("deconv")
    counts = count_parameters(model)
    assert counts["total"] == counts["encoder"] + counts["decoder"] + counts["head"]
    assert counts["head"] == 3 * 4 + 3


def test_the_latency_is_of_one_image_in_evaluation_mode_after_the_warm_up(monkeypatch):
    model, seen = model_with("deconv").train(), []
    clock = iter([0.0, 9.0, 10.0, 10.3, 20.0, 20.1, 30.0, 30.2])
    monkeypatch.setattr("segup.training.cost.time.perf_counter", lambda: next(clock))
    model.register_forward_pre_hook(lambda module, args: seen.append((tuple(args[0].shape), module.training)))
    assert inference_seconds(model, (17, 21), repeats=3, warm_up=1) == pytest.approx(0.2)
    assert seen == [((1, 3, 17, 21), False)] * 4
    assert model.training


def test_models_that_take_turns_have_a_step_and_an_image_in_each():
    values = {
        "encoder": {"name": "segnet", "pretrained": False, "options": {"widths": [4, 6, 8], "convs": 1}},
        "data": {**group("data", "cells"), "crop_size": [17, 21], "batch_size": 2},
        "loss": group("loss", "ce_dice"),
        "optimizer": group("optimizer", "adamw"),
        "trainer": {"accelerator": "cpu"},
    }
    configs = {
        name: RunConfig.of({**values, "decoder": {**group("decoder", name), "widths": [8, 4]}})
        for name in ("deconv", "bilinear")
    }
    found = measured_in_turns(configs, turns=2)
    assert list(found) == ["deconv", "bilinear"]
    for times in found.values():
        assert list(times) == ["step_seconds", "inference_seconds"]
        assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in times.values())
