"""In a whole model, each operator's own parameters learn, and the logits depend on what each operator does."""

import pytest
import torch

from segup import create_model
from segup.upsamplers import list_upsamplers

PREDICTED = {"carafe": "weights", "dysample": "offsets", "fade": "kernels", "sapa": "queries", "uplift": "weights"}
"""Operators that predict something from the content, and the method that does."""


def model_with(name):
    """A small model on the encoder that has all that an operator may require; no width divides the one before it."""
    torch.manual_seed(0)
    return create_model(
        "segnet", "unet", name, num_classes=3, pretrained=False, widths=[6, 4], convs=1,
        encoder_options={"widths": [4, 6, 8], "convs": 1},
    )  # fmt: skip


def steps_of(model):
    return [up for _, high, up in model.decoder.steps() if high is not None]


@pytest.mark.parametrize("name", list_upsamplers())
def test_its_own_parameters_move(name):
    model = model_with(name)
    before = [{key: p.detach().clone() for key, p in up.named_parameters()} for up in steps_of(model)]
    assert all(before), "the widths leave no operator without a parameter"
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    labels = torch.randint(3, (2, 17, 19))
    torch.nn.functional.cross_entropy(model(torch.rand(2, 3, 17, 19)), labels).backward()
    optimizer.step()
    for up, start in zip(steps_of(model), before, strict=True):
        assert [key for key, p in up.named_parameters() if torch.equal(p, start[key])] == []


def logits_with(model, image):
    with torch.no_grad():
        return model(image)


def constant(up, args, y):
    """Of a map; and of the skip, where the operator changes it."""
    return tuple(means(part) for part in y) if isinstance(y, tuple) else means(y)


def means(y):
    return y.mean(dim=(-2, -1), keepdim=True).expand_as(y)


@pytest.mark.parametrize("name", list_upsamplers())
def test_a_constant_in_the_place_of_its_result_changes_the_logits(name):
    model, image = model_with(name).eval(), torch.rand(1, 3, 49, 51)  # of maps that are larger than any window
    expected = logits_with(model, image)
    for up in steps_of(model):
        handle = up.register_forward_hook(constant)
        assert (logits_with(model, image) - expected).abs().max() > 0.01 * expected.abs().max()
        handle.remove()
    assert torch.equal(logits_with(model, image), expected)


@pytest.mark.parametrize("name", PREDICTED)
def test_a_constant_in_the_place_of_its_prediction_changes_the_logits(name, monkeypatch):
    """Weights are drawn large: at the start, predictions are near a constant by design."""
    model, image = model_with(name).eval(), torch.rand(1, 3, 17, 19)
    for up in steps_of(model):
        for parameter in up.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    expected = logits_with(model, image)
    for up in steps_of(model):
        predict = getattr(up, PREDICTED[name])

        def predicted(*args, predict=predict):
            return means(predict(*args))

        with monkeypatch.context() as patch:
            patch.setattr(up, PREDICTED[name], predicted)
            assert (logits_with(model, image) - expected).abs().max() > 0.01 * expected.abs().max()
