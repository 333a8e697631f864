"""An exported file: what it says, that it computes what torch does at every size, and what is refused."""

import copy
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import segup
from segup.checkpoints import load_model, save_model
from segup.cli.evaluate import run as evaluate
from segup.cli.export import run as export
from segup.cli.predict import run as predict
from segup.errors import ConfigError, DataError, SegupError, ShapeError
from segup.export import Exported, export_model, open_exported
from segup.export.program import any_size, divide_whole_numbers
from segup.models import create_model, predicted_labels
from segup.upsamplers import fit_to

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra export)")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra export)")
NAMES = ["soil", "leaf", "ear"]


def tiny_model(num_classes=3, **names):
    torch.manual_seed(0)
    parts = {"encoder": "segnet", "encoder_options": {"widths": [2, 4], "convs": 1}, "upsampler": "deconv", **names}
    model = create_model(num_classes=num_classes, pretrained=False, **parts).eval()
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1), norm.running_var.uniform_(0.5, 1.5)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint, and the file that the command makes of it."""
    folder = tmp_path_factory.mktemp("exported")
    data = {"name": "folder", "root": str(folder / "data"), "classes": NAMES}
    info = {"labels": {"names": NAMES, "ignore_index": 255}, "image_range": [0, 255], "config": {"data": data}}
    save_model(tiny_model(), folder / "last.ckpt", info)
    assert export([str(folder), "--out", str(folder / "model.onnx")]) == 0
    return folder


def images(root: Path, sizes=((33, 47), (1, 1), (20, 3))):
    for kind in ("images", "masks"):
        (root / kind / "val").mkdir(parents=True, exist_ok=True)
    for number, size in enumerate(sizes):
        random = np.random.default_rng(number)
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(root / "images/val" / f"{number}.png")
        Image.fromarray(random.integers(0, 3, size, dtype=np.uint8)).save(root / "masks/val" / f"{number}.png")
    return root


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (33, 47), (50, 21)])
@pytest.mark.parametrize("batch", [1, 3])
def test_logits_are_those_of_torch_at_every_size_and_batch(folder, size, batch):
    exported, model = open_exported(folder / "model.onnx"), load_model(folder / "last.ckpt")
    image = torch.rand(batch, 3, *size)
    with torch.no_grad():
        assert torch.allclose(exported(image), model(image), atol=1e-4)


def test_it_says_what_it_is_and_nothing_of_the_machine_that_made_it(folder):
    content = (folder / "model.onnx").read_bytes()
    said = json.loads(onnxruntime.InferenceSession(content).get_modelmeta().custom_metadata_map["segup"])
    assert said["labels"]["names"] == NAMES
    assert said["image_range"] == [0, 255]
    assert (said["accepted"], said["most"], said["output"]) == ("every size from 2 on", None, "logits")
    own = os.path.dirname(create_model.__code__.co_filename).encode()
    assert own not in content.replace(str(folder).encode(), b"")
    assert not {"BatchNormalization"} & {node.op_type for node in onnx.load_from_string(content).graph.node}


def test_predict_and_evaluate_take_it_as_they_take_the_run(folder, tmp_path, capsys):
    root = images(folder / "data")
    for model, out in (("last.ckpt", "run"), ("model.onnx", "file")):
        given = [str(folder / model), str(root / "images"), "--out", str(tmp_path / out), "--window", "16"]
        assert predict(given) == 0
        assert evaluate([str(folder / model), "--out", str(tmp_path / f"{out}.json"), "data.crop_size=[8,8]"]) == 0
    for picture in (tmp_path / "run").rglob("*.png"):
        assert picture.read_bytes() == (tmp_path / "file" / picture.relative_to(tmp_path / "run")).read_bytes()
    run, file = (json.loads((tmp_path / f"{out}.json").read_text()) for out in ("run", "file"))
    assert file["scores"] == run["scores"]
    assert file["images"] == 3
    picture = np.asarray(Image.open(root / "images/val/0.png"))
    run, file = (segup.load(folder / model).predict(picture) for model in ("last.ckpt", "model.onnx"))
    assert np.array_equal(run, file)


def test_what_is_there_is_not_overwritten_and_nothing_is_begun(folder, tmp_path, capsys):
    before = (folder / "model.onnx").read_bytes()
    assert export([str(folder), "--out", str(folder / "model.onnx")]) == 1
    assert "exists already; nothing was written.\n  try: another name, or --overwrite." in capsys.readouterr().err
    assert (folder / "model.onnx").read_bytes() == before
    assert export([str(folder), "--out", str(tmp_path / "model.tflite")]) == 1
    assert "must end in .onnx or .pt2" in capsys.readouterr().err
    assert export([str(folder), "--out", "."]) == 1
    assert ". must end in .onnx or .pt2\n  try: model.onnx" in capsys.readouterr().err
    assert export([str(folder / "model.onnx"), "--out", str(tmp_path / "again.onnx")]) == 1
    assert "is an exported file already" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_half_precision_is_refused_with_the_way_out(tmp_path):
    model = tiny_model().half()
    with pytest.raises(
        ConfigError, match=r"weights of torch.float16; an exported file takes float32.\n  try: copy.deep"
    ):
        export_model(model, tmp_path / "a.onnx")
    assert export_model(copy.deepcopy(model).float(), tmp_path / "a.onnx").difference is not None


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_gpu_that_onnxruntime_cannot_load_is_not_exchanged_for_the_cpu(folder, monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    for device in ("cuda", "cuda:1"):
        with pytest.raises(ConfigError, match=f"device={device}: onnxruntime .* could not load its CUDAExec"):
            open_exported(folder / "model.onnx", device=device)


def test_a_file_that_does_not_compute_the_same_is_refused_and_not_left(tmp_path, monkeypatch):
    model = tiny_model()
    fast = model.optimize()
    fast.model.head.bias.data += 0.01
    monkeypatch.setattr(type(model), "optimize", lambda _: fast)
    with pytest.raises(DataError, match=r"at 1×1 the file's logits differ from the model's by 1.0e-02, and .* allowed"):
        export_model(model, tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []


class FromCells(torch.nn.Module):
    """What a transformer does: the image goes to whole cells, they go back to its size, and quotients count them."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Conv2d(2, 2, 16, 16)

    def forward(self, image):
        height, width = image.shape[-2:]
        whole = torch.nn.functional.pad(image, (0, (16 - width % 16) % 16, 0, (16 - height % 16) % 16))
        cells = self.embed(whole)
        size = (16 * cells.shape[-2], 16 * cells.shape[-1])
        raised = torch.nn.functional.interpolate(cells, size=size, mode="bilinear")
        return fit_to(raised, (height, width), most=15), image.new_zeros(math.ceil(height / 16), math.floor(width / 7))


def test_steps_from_whole_cells_and_rounded_quotients_are_programs_of_all_sizes_that_can_be_saved(tmp_path):
    dynamic, whole = torch.export.Dim.DYNAMIC, FromCells().eval()
    with any_size(), torch.no_grad():
        program = torch.export.export(whole, (torch.rand(1, 2, 75, 101),), dynamic_shapes=({2: dynamic, 3: dynamic},))
    divide_whole_numbers(program)
    torch.export.save(program, tmp_path / "a.pt2")
    kept = torch.export.load(tmp_path / "a.pt2").module()
    for size in ((1, 1), (16, 7), (15, 8), (33, 50)):
        image = torch.rand(1, 2, *size)
        assert all(torch.equal(one, other) for one, other in zip(kept(image), whole(image), strict=True))


def small_graph(**model):
    sides = ["n", model.pop("channels", 3), "h", "w"]
    image, logits = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sides) for name in "xy")
    node = onnx.helper.make_node("Relu", ["x"], ["y"], domain=model.pop("domain", ""))
    graph = onnx.helper.make_graph([node], "g", [image], [logits], **model)
    domains = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("made.up", 1)]
    return onnx.helper.make_model(graph, opset_imports=domains, ir_version=10)


def with_metadata(model):
    onnx.helper.set_model_props(model, {"segup": "{}"})
    return model


def external():
    tensor = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1], b"\0\0\0\0", raw=True)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    return tensor


def in_a_subgraph(tensor):
    node = onnx.helper.make_node("Constant", [], ["c"], value=tensor)
    branch = onnx.helper.make_graph([node], "b", [], [onnx.helper.make_tensor_value_info("c", 1, [1])])
    model = small_graph()
    model.graph.node.append(onnx.helper.make_node("If", ["t"], ["z"], then_branch=branch, else_branch=branch))
    return model


@pytest.mark.parametrize(
    ("made", "trust", "message"),
    [
        (lambda: small_graph(), False, "was not written by segup"),
        (lambda: with_metadata(small_graph(domain="made.up")), False, r"has operators of 'made.up'"),
        (lambda: small_graph(initializer=[external()]), False, "keeps weights in other files"),
        (lambda: with_metadata(small_graph(initializer=[external()])), True, "keeps weights in other files"),
        (lambda: in_a_subgraph(external()), True, "keeps weights in other files"),
        (lambda: with_metadata(small_graph()), True, "what it says of its model cannot be read"),
        (lambda: small_graph(domain="made.up"), True, "cannot be opened by onnxruntime"),
    ],
)
def test_a_file_of_somebody_else_is_refused(tmp_path, made, trust, message):
    file = tmp_path / "foreign.onnx"
    file.write_bytes(made().SerializeToString())
    with pytest.raises(SegupError, match=message):
        open_exported(file, trust)


def test_a_foreign_file_that_is_trusted_predicts(tmp_path, capsys):
    file, root = tmp_path / "foreign.onnx", images(tmp_path / "data")
    file.write_bytes(small_graph().SerializeToString())
    given = [str(file), str(root / "images"), "--out", str(tmp_path / "out")]
    assert predict(given) == 1
    assert "If you trust it: --trust" in capsys.readouterr().err
    assert predict([*given, "--trust"]) == 0
    assert "0 class 0, 1 class 1, 2 class 2" in capsys.readouterr().out


@pytest.mark.parametrize("last", [[], ["Sigmoid"], ["Softmax"], ["Sigmoid", "Identity"]])
def test_a_foreign_files_probabilities_are_no_logits(tmp_path, last):
    """A sigmoid taken for logits would be class 1 everywhere."""
    model = small_graph(channels=1)
    for number, kind in enumerate(last):
        model.graph.node.append(onnx.helper.make_node(kind, [model.graph.output[0].name], [f"made{number}"]))
        model.graph.output[0].name = f"made{number}"
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    opened = open_exported(tmp_path / "a.onnx", trust=True)
    assert opened.output == ("probabilities" if last else "logits")
    image = torch.linspace(-1, 1, 16).reshape(1, 1, 4, 4)
    if "Softmax" not in last:
        assert torch.equal(predicted_labels(opened(image)), (image[:, 0] > 0).long())


@pytest.mark.parametrize("content", [b"", b"x", b"\x08\x07", bytes(range(256)) * 9])
def test_what_is_no_onnx_file_is_refused(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(DataError, match=r"a.onnx is no .onnx file, or"):
        open_exported(tmp_path / "a.onnx", trust=True)


def test_a_pt2_file_is_not_opened_without_trust(tmp_path):
    (tmp_path / "a.pt2").write_bytes(b"anything")
    with pytest.raises(ConfigError, match=r"a .pt2 file may run code when it is opened.\n  If you trust it: --trust"):
        open_exported(tmp_path / "a.pt2")
    with pytest.raises(DataError, match="cannot be opened by torch"):
        open_exported(tmp_path / "a.pt2", trust=True)


def test_wrong_images_are_refused(folder):
    exported = open_exported(folder / "model.onnx")
    for wrong in (torch.rand(3, 8, 8), torch.rand(1, 4, 8, 8), torch.rand(1, 3, 0, 8)):
        with pytest.raises(ShapeError, match=r"takes \(N, 3, h, w\)"):
            exported(wrong)
    with pytest.raises(ConfigError, match="takes floats in 0 … 1, not torch.uint8"):
        exported(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


class Engine:
    """An engine that gives what its function makes of the images."""

    def __init__(self, give, **about):
        self.give, self.device = give, torch.device("cpu")
        self.about = {"output": "logits", "in_channels": 3, "num_classes": 3, "accepted": "", "version": "", **about}

    def __call__(self, images):
        return self.give(images)


def test_images_above_the_largest_size_go_through_in_windows():
    seen = []

    def give(images):
        seen.append(tuple(images.shape[-2:]))
        return images

    image = torch.rand(1, 3, 20, 9)
    found = Exported("a.onnx", Engine(give, most=8))(image)
    assert set(seen) == {(8, 8)}
    assert torch.allclose(found.softmax(1), image.softmax(1), atol=1e-5)
    with pytest.raises(ShapeError, match="takes images of up to 8×8 and gives class ids"):
        Exported("a.onnx", Engine(give, most=8, output="labels"))(image)


def test_probabilities_and_class_ids_come_back_as_logits():
    logits = torch.randn(2, 3, 5, 4)
    found = Exported("a.onnx", Engine(lambda _: logits.softmax(1), output="probabilities"))(torch.rand(2, 3, 5, 4))
    assert torch.allclose(found.softmax(1), logits.softmax(1), atol=1e-6)
    ids = logits.argmax(1).to(torch.uint8)
    found = Exported("a.onnx", Engine(lambda _: ids, output="labels"))(torch.rand(2, 3, 5, 4))
    assert torch.equal(found.argmax(1), ids.long())
    with pytest.raises(DataError, match="it is damaged"):
        Exported("a.onnx", Engine(lambda _: logits[..., 1:]))(torch.rand(2, 3, 5, 4))


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_a_pt2_file_of_a_deep_encoder_takes_single_images_from_one_pixel_on(tmp_path, name):
    model = create_model(name, num_classes=2, pretrained=False, widths=[8] * 5).eval()
    exported = open_exported(export_model(model, tmp_path / "model.pt2").path, trust=True)
    for size in ((1, 1), (7, 40)):
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            assert torch.allclose(exported(image), model(image), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("output", ["logits", "labels", "probabilities"])
def test_every_output_in_every_form(tmp_path, suffix, classes, output):
    model, file = tiny_model(num_classes=classes), tmp_path / f"model.{suffix}"
    written = export_model(model, file, output)
    assert written.difference.largest <= written.difference.allowed
    exported = open_exported(file, trust=suffix == "pt2")
    for size in ((1, 1), (3, 2), (30, 41)):
        image = torch.rand(2, 3, *size)
        with torch.no_grad():
            logits = model(image)
        found = exported.output_of(image)
        if output == "labels":
            wanted = (logits[:, 0] > 0) if classes == 1 else logits.argmax(1)
            assert found.dtype == torch.uint8
            assert torch.equal(found.long(), wanted.long())
        elif output == "probabilities":
            wanted = logits.sigmoid() if classes == 1 else logits.softmax(1)
            assert torch.allclose(found, wanted, atol=1e-5)
        else:
            assert torch.allclose(found, logits, atol=1e-4)
