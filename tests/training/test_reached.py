"""Weights that no logit follows from do not stop processes that train together."""

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from segup import create_model
from segup.training.reached import freeze_unreached


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
    assert freeze_unreached(model, (32, 32)) == dead
    parallel = DistributedDataParallel(model)
    for _ in range(2):
        parallel(image).sum().backward()
    assert freeze_unreached(model, (32, 32)) == []
