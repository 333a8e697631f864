"""``model.optimize()``: the same logits from a copy without norms, which refuses to be trained."""

import pytest
import torch
from torch import nn

from segup import create_model
from segup.errors import ConfigError


@pytest.fixture(scope="module")
def pair():
    torch.manual_seed(0)
    small = {"encoder": "segnet", "encoder_options": {"widths": [4, 6], "convs": 2}}
    model = create_model(**small, upsampler="deconv", num_classes=3, pretrained=False)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.5), norm.running_var.uniform_(0.3, 3)
    return model.eval(), model.optimize()


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (64, 20)])
def test_the_logits_are_the_same_to_1e_5(pair, size):
    model, fast = pair
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        expected = model(image)
        assert (fast(image) - expected).abs().max() <= 1e-5 * max(1, expected.abs().max())


def test_all_norms_are_folded_and_the_model_is_as_it_was(pair):
    model, fast = pair
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert fast.folded == len(norms) > 3
    assert not [module for module in fast.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(parameter.requires_grad for parameter in fast.parameters())


@pytest.mark.parametrize("compiled", [False, True])
def test_every_weight_is_stored_once_under_the_model_s_name(pair, compiled):
    model, fast = pair
    state = model.optimize(compile=compiled).state_dict()
    assert list(state) == [f"model.{name}" for name in fast.model.state_dict()]
    fast.load_state_dict(state)


def test_it_refuses_training(pair):
    _, fast = pair
    reason = r"optimised for inference: .* it cannot be trained.\n  try: train the model that it was made of"
    with pytest.raises(ConfigError, match=reason):
        fast.train()
    with pytest.raises(ConfigError, match=reason):
        fast(torch.rand(1, 3, 8, 8)).sum().backward()
    with pytest.raises(ConfigError, match=reason):
        fast(torch.rand(1, 3, 8, 8, requires_grad=True)).sum().backward()
    assert not fast.eval().training
    with torch.no_grad():
        assert not fast(torch.rand(1, 3, 8, 8)).requires_grad
    with torch.inference_mode():
        fast(torch.rand(1, 3, 8, 8))


def test_a_model_in_training_mode_gives_one_that_evaluates(pair):
    model, fast = pair
    image = torch.rand(1, 3, 9, 12)
    model.train()
    again = model.optimize()
    assert model.training
    model.eval()
    assert torch.equal(again(image), fast(image))


@pytest.mark.slow
def test_it_compiles_for_images_of_any_size(pair):
    model, _ = pair
    fast = model.optimize(compile=True)
    for size in ((33, 47), (64, 20), (40, 41)):
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            assert torch.allclose(fast(image), model(image), atol=1e-5)
