"""A transformer with each neck as one program of dynamic height and width: torch.export, ONNX, torch.compile."""

import pytest
import torch
import torch.nn.functional as F
from old_torch import OLD
from torch import nn
from torch.export import Dim

from segup import create_model
from segup.necks.simple_fpn import halved
from segup.upsamplers import fit_to

NECKS = ["simple_fpn", "dpt", "linear"]
UNSEEN = ((64, 64), (97, 130), (161, 75))


@pytest.fixture(scope="module", params=NECKS)
def model(request):
    torch.manual_seed(0)
    return create_model("test_vit", "fpn", neck=request.param, num_classes=3, pretrained=False).eval()


def dynamic():
    return {2: Dim("height", min=64, max=512), 3: Dim("width", min=64, max=512)}


@pytest.mark.slow
def test_torch_export(model):
    program = torch.export.export(model, (torch.rand(1, 3, 75, 101),), dynamic_shapes=(dynamic(),)).module()
    for size in UNSEEN:
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            assert torch.allclose(program(image), model(image), atol=1e-4)


@pytest.mark.slow
def test_onnx(model, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = tmp_path / "model.onnx"
    torch.onnx.export(model, (torch.rand(1, 3, 75, 101),), path, dynamo=True, dynamic_shapes=(dynamic(),))
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for size in UNSEEN:
        image = torch.rand(1, 3, *size)
        (found,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
        with torch.no_grad():
            assert torch.allclose(torch.from_numpy(found), model(image), atol=1e-3)


@pytest.mark.slow
def test_torch_compile(model):
    program = torch.compile(model, dynamic=True)
    for size in UNSEEN:
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            assert torch.allclose(program(image), model(image), atol=1e-4)


class HalvedAndCut(nn.Module):
    """What follows a transformer's cells: the half of an odd map, and the cut from whole cells to the image's size."""

    def forward(self, image):
        height, width = image.shape[-2:]
        cells = F.pad(image, (0, -width % 16, 0, -height % 16))
        return halved(image), fit_to(cells, (height, width), most=0)


@OLD
def test_the_half_map_and_the_cut_follow_sizes_without_a_branch():
    for height in range(1, 12):
        for width in range(1, 12):
            image = torch.randn(2, 3, height, width)
            half, cut = HalvedAndCut()(image)
            assert torch.equal(half, F.max_pool2d(image, 2, ceil_mode=True))
            assert torch.equal(cut, image)
    sides = {2: Dim("height", min=4, max=64), 3: Dim("width", min=4, max=64)}
    program = torch.export.export(HalvedAndCut(), (torch.randn(1, 2, 9, 14),), dynamic_shapes=(sides,)).module()
    for size in ((4, 4), (13, 16), (33, 64)):
        image = torch.randn(1, 2, *size)
        assert all(torch.equal(one, other) for one, other in zip(program(image), HalvedAndCut()(image), strict=True))
