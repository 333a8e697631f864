"""A transformer with each neck as one program of dynamic height and width: torch.export, ONNX, torch.compile."""

import pytest
import torch
from torch.export import Dim

from segup import create_model

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
