"""On a GPU, nothing in a step is made on the CPU and no value is read: shown on a device that is not there."""

import pytest
import torch

from segup import create_model
from segup.decoders import list_decoders
from segup.losses import create_loss, list_losses
from segup.upsamplers import create_upsampler, list_upsamplers
from segup.upsamplers.contract import operator_class
from segup.upsamplers.probe import constant_guides

OPTIONS = {
    "bilinear": {"init": "interpolate"},
    "carafe": {"groups": 2},
    "deconv": {"kernel_size": 5},
    "dysample": {"style": "pl", "dynamic": True},
    "pixel_shuffle": {"kernel_size": 1},
}
"""Options that take another way through the operator."""
OPERATORS = [(name, {}) for name in list_upsamplers()] + list(OPTIONS.items())


@pytest.mark.parametrize(("name", "options"), OPERATORS, ids=str)
def test_every_operator(name, options, forward_faults, backward_faults):
    guide = {"skip_channels": 3} if operator_class(name).requires else {}
    up = create_upsampler(name, 8, 4, **guide, **options)

    def call(device, dtype, size=None):
        x = device.empty(1, 8, 5, 6, dtype=dtype, memory_format=torch.channels_last, requires_grad=True)
        return device.take(up, dtype)(x, size, **constant_guides(up, x[0]))

    assert forward_faults(call) == []
    assert backward_faults(call) == []
    if "skip" not in up.requires:
        assert backward_faults(lambda device, dtype: call(device, dtype, size=(9, 11)), [torch.bfloat16]) == []
    assert all(p.grad is not None and p.grad.device.type == "lazy" for p in up.parameters())


LACKS = {"duc": {"skip", "indices"}, "plain": {"skip"}}
PAIRS = [
    (topology, name)
    for topology in list_decoders()
    for name in list_upsamplers()
    if not operator_class(name).requires & LACKS.get(topology, set())
]
"""Every topology with every operator that it has a place for."""
KINDS = ("deconv_matched", "max_unpool", "naf", "pixel_shuffle", "sapa")
"""Operators that ask a topology for different things: the rule of a stage, indices, the image, nothing, the skip."""


def small_model(topology, upsampler):
    return create_model(
        "segnet", topology, upsampler, num_classes=3, pretrained=False, convs=1,
        encoder_options={"widths": [4, 4, 4], "convs": 1},
    )  # fmt: skip


def whole(model):
    return lambda device, dtype: device.take(model, dtype)(device.empty(2, 3, 17, 19, dtype=dtype))


@pytest.mark.parametrize(("topology", "upsampler"), [pair for pair in PAIRS if pair[1] in KINDS])
def test_every_topology_and_every_kind_of_operator(topology, upsampler, backward_faults):
    assert backward_faults(whole(small_model(topology, upsampler)), [torch.bfloat16]) == []


@pytest.mark.slow
@pytest.mark.parametrize(("topology", "upsampler"), PAIRS)
def test_every_topology_with_every_operator_in_every_precision(topology, upsampler, forward_faults, backward_faults):
    model = small_model(topology, upsampler)
    assert forward_faults(whole(model)) == []
    assert backward_faults(whole(model)) == []


LOSSES = [(name, {}) for name in list_losses()] + [
    ("ce_dice", {"label_smoothing": 0.1}),
    ("cross_entropy", {"label_smoothing": 0.1}),
    ("cross_entropy", {"balance": 0.5}),
    ("focal", {"gamma": 0.5}),
    ("lovasz", {"per_image": True}),
]
WEIGHTED_BINARY = ("ce_dice", "cross_entropy", "focal")


@pytest.mark.parametrize(("name", "options"), LOSSES, ids=str)
@pytest.mark.parametrize("num_classes", [1, 3])
def test_every_loss(name, options, num_classes, forward_faults, backward_faults):
    takes_weights = num_classes > 1 or name in WEIGHTED_BINARY
    for weights in [None, [1.0] * max(num_classes, 2)][: 1 + takes_weights]:
        loss = create_loss(name, num_classes=num_classes, class_weights=weights, **options)

        def call(device, dtype, loss=loss):
            logits = device.empty(2, num_classes, 7, 9, dtype=dtype, requires_grad=True)
            return device.take(loss)(logits, device.empty(2, 7, 9, dtype=torch.int64))

        assert forward_faults(call) == []
        assert backward_faults(call) == []
