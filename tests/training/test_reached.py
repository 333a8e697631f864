"""Weights that no logit follows from do not stop processes that train together."""

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from segup import create_model
from segup.training.reached import leave_out, unreached


@pytest.fixture
def one_process(tmp_path):
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_processes_train_a_decoder_that_leaves_maps_of_a_neck_unread(one_process):
    model = create_model(
        "timm/vit_tiny_patch16_224",
        "fcn",
        num_classes=2,
        pretrained=False,
        encoder_options={"img_size": 32},
        neck_options={"width": 8},
    )
    image = torch.rand(2, 3, 32, 32)
    model.train()(image).sum().backward()
    dead = [name for name, weight in model.named_parameters() if weight.grad is None]
    model.zero_grad()
    assert dead
    assert unreached(model, (32, 32)) == dead
    trained = [weight.requires_grad for weight in model.parameters()]
    leave_out(model, dead)
    parallel = DistributedDataParallel(model)
    for _ in range(2):
        parallel(image).sum().backward()
    assert [weight.requires_grad for weight in model.parameters()] == trained  # the optimizer has them all


class Looking(torch.nn.Module):
    """Code that looks at values."""

    def forward(self, x):
        return x if float(x.detach().sum()) < 1e9 else x / 2


def test_a_model_that_looks_at_values_trains_as_it_is():
    model = create_model("resnet18", num_classes=2, pretrained=False, widths=[8] * 5)
    model.head = torch.nn.Sequential(Looking(), model.head)
    assert unreached(model, (64, 64)) == []
