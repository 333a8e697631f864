import copy
import os
import pickle
import re
import sys
from enum import IntEnum
from functools import cache

import numpy as np
import pytest
import torch

from segup import create_model, load_model
from segup.checkpoints import load_checkpoint, save_model
from segup.decoders import list_decoders
from segup.errors import ConfigError, DataError, ShapeError
from segup.models import predicted_labels
from segup.surgery import rewrite
from segup.upsamplers import Nearest


class Misspelt(Nearest):
    """An operator that requires a guide that nothing has."""

    requires = frozenset({"imag"})


TINY = {"encoder": "resnet18", "num_classes": 3, "pretrained": False, "widths": [4, 4, 4, 4, 4]}


@pytest.mark.parametrize("upsampler", ["deconv", "deconv_matched", "bilinear", "pixel_shuffle"])
@pytest.mark.parametrize("encoder", ["resnet18", "timm/vgg11_bn", "convnext_atto"])
def test_the_logits_have_the_image_size(encoder, upsampler):
    model = create_model(encoder, "unet", upsampler, num_classes=2, in_channels=4, pretrained=False).eval()
    for size in ((1, 1), (31, 64), (65, 33)):
        with torch.no_grad():
            assert model(torch.rand(1, 4, *size)).shape == (1, 2, *size)


@pytest.mark.parametrize("upsampler", ["deconv", "deconv_matched", "bilinear", "pixel_shuffle"])
def test_channels_last_changes_no_value(upsampler):
    torch.manual_seed(0)
    model = create_model(**{**TINY, "upsampler": upsampler}).eval()
    image = torch.rand(2, 3, 33, 47)
    with torch.no_grad():
        expected = model(image)
        model.to(memory_format=torch.channels_last)
        got = model(image.to(memory_format=torch.channels_last))
    assert torch.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "num_classes=0 must be an int of 1 or more"),
        ({"in_channels": 1.5}, "in_channels=1.5 must be an int of 1 or more"),
        ({"topology": "unett"}, "unknown topology 'unett'"),
        ({"upsampler": "decov"}, "unknown upsampler 'decov'"),
        ({"width": [4]}, "unknown option of topology 'unet' 'width': did you mean 'widths'"),
        (
            {"fit": "strict"},
            r'fit="strict"(.|\n)*The step to the image has to be exact, too: decoder.final=deconv_matched'
            r"(.|\n)*decoder.upsampler_options.align_corners=true \+decoder.final_options.align_corners=true",
        ),
        ({"upsampler": "max_unpool"}, r"requires the encoder's pooling indices, and encoder 'resnet18' gives none"),
        (
            {"upsampler": f"{__name__}:Misspelt"},
            "unknown guide of a model 'imag': did you mean 'image'. known: image, indices, skip",
        ),
        ({"upsampler": "sapa", "topology": "plain"}, "requires the skip, which topology 'plain' does not have"),
        ({"final": "fade"}, "final='fade' requires the skip, and the step to the image has none"),
    ],
)
def test_what_cannot_be_built_is_refused_at_construction(arguments, message):
    with pytest.raises((ConfigError, ValueError), match=message):
        create_model(**{**TINY, **arguments})


@pytest.mark.parametrize("encoder", ["resnet18", "segnet", "convnext_atto"])
def test_strict_resizes_are_offered_exactly_where_they_reach_every_size(encoder):
    strict = {"encoder": encoder, "upsampler": "bilinear", "num_classes": 2, "pretrained": False, "fit": "strict"}
    own_grid = {"upsampler_options": {"align_corners": True}, "final_options": {"align_corners": True}}
    with pytest.raises(ShapeError) as refused:
        create_model(**strict)
    if "+decoder.final_options.align_corners=true" in str(refused.value):
        create_model(**strict, **own_grid)
    else:
        with pytest.raises(ShapeError, match='fit="strict"'):
            create_model(**strict, **own_grid)


@pytest.mark.parametrize("topology", list_decoders())
def test_every_topology_makes_a_model(topology):
    model = create_model(topology=topology, upsampler="deconv", encoder="resnet18", num_classes=19, pretrained=False)
    assert model.eval()(torch.rand(1, 3, 65, 33)).shape == (1, 19, 65, 33)
    scores = topology in ("fcn", "duc", "pspnet")
    assert isinstance(model.head, torch.nn.Identity if scores else torch.nn.Conv2d)
    assert "num_classes" not in model.spec or model.spec["num_classes"] == 19


@pytest.mark.parametrize("topology", [name for name in list_decoders() if name != "duc"])
def test_the_pooling_indices_of_the_encoder_reach_the_operator(topology):
    options = {"encoder_options": {"widths": [4, 6, 8, 10], "convs": 1}, "pretrained": False}
    model = create_model("segnet", topology, "max_unpool", num_classes=3, **options).eval()
    image = torch.rand(2, 3, 45, 33)
    maps, indices = model.encoder.with_indices(image)
    with torch.no_grad():
        assert model(image).shape == (2, 3, 45, 33)
        assert torch.equal(model(image), model.head(model.decoder(maps, (45, 33), indices)))


def test_the_names_of_weights_stay():
    """Checkpoints of earlier versions hold them."""
    names = create_model(**TINY, upsampler="deconv").state_dict().keys()
    assert {
        "decoder.blocks.0.up.conv.weight",
        "decoder.blocks.0.convs.0.0.weight",
        "decoder.blocks.3.convs.1.1.bias",
    } < names
    assert {"decoder.final.conv.weight", "decoder.final_act.0.running_mean", "head.weight"} < names


@pytest.mark.parametrize(
    "parts",
    [
        {"upsampler": "pixel_shuffle", "upsampler_options": {"kernel_size": 1}},
        {"topology": "fcn", "upsampler": "carafe", "widths": None},
        {"topology": "duc", "upsampler": "pixel_shuffle", "widths": None, "encoder_options": {"out_indices": [0, 2]}},
        {"topology": "deeplabv3plus", "upsampler": "dysample", "widths": [8, 4, 8, 4], "rates": [1, 2]},
    ],
    ids=lambda parts: parts.get("topology", "unet"),
)
def test_a_saved_model_opens_as_it_was(tmp_path, parts):
    torch.manual_seed(0)
    model = create_model(**{**TINY, **parts}).eval()
    save_model(model, tmp_path / "m.ckpt", {"labels": {"names": ["a", "b", "c"]}})
    opened = load_checkpoint(tmp_path / "m.ckpt")
    image = torch.rand(1, 3, 33, 31)
    assert torch.equal(opened.model(image), model(image))
    assert not opened.model.training
    assert opened.info == {"labels": {"names": ["a", "b", "c"]}}
    assert opened.model.spec == model.spec


class Shell:
    """A pickle that would run a command when opened without care."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize(
    "save", [lambda p: p.write_bytes(pickle.dumps(Shell())), lambda p: torch.save({"segup": Shell()}, p)]
)
def test_a_pickle_that_runs_something_is_refused_and_not_run(tmp_path, monkeypatch, save):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "bad.ckpt")
    with pytest.raises(DataError, match="bad.ckpt is not a segup checkpoint: "):
        load_model(tmp_path / "bad.ckpt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {}},
        [1, 2],
        {"segup": 3, "state_dict": {}},
        {"segup": {"model": {}}},
        {"segup": {"model": {}}, "state_dict": 5},
    ],
)
def test_a_file_of_another_kind_gets_one_line(tmp_path, content):
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(DataError, match="^.*other.ckpt is not a segup checkpoint: it has no 'segup' entry.*$"):
        load_model(tmp_path / "other.ckpt")


def test_bytes_that_are_no_checkpoint_and_a_missing_file(tmp_path):
    (tmp_path / "noise.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match="noise.ckpt is not a segup checkpoint"):
        load_model(tmp_path / "noise.ckpt")
    with pytest.raises(DataError, match="no checkpoint at .*nowhere.ckpt"):
        load_model(tmp_path / "nowhere.ckpt")


def test_another_format_is_named(tmp_path):
    torch.save({"segup": {"format": 99, "model": {}}, "state_dict": {}}, tmp_path / "m.ckpt")
    with pytest.raises(DataError, match="has checkpoint format 99; this version of segup reads 1"):
        load_model(tmp_path / "m.ckpt")


def test_weights_that_do_not_fit_are_named(tmp_path):
    model = create_model(**TINY)
    save_model(model, tmp_path / "m.ckpt")
    content = torch.load(tmp_path / "m.ckpt", weights_only=True)
    content["state_dict"].pop("model.head.bias")
    torch.save(content, tmp_path / "m.ckpt")
    with pytest.raises(DataError, match="the weights do not fit the model it names.*head.bias"):
        load_model(tmp_path / "m.ckpt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    model = create_model(**TINY)
    model.head.bias.data[1] = value
    save_model(model, tmp_path / "m.ckpt")
    with pytest.raises(DataError, match=r"m.ckpt: the weights hold NaN or infinite values, head.bias among 1 such"):
        load_model(tmp_path / "m.ckpt")


@pytest.mark.parametrize(
    ("shape", "fix"),
    [
        ((1, 1, 9, 9), "in_channels=1 at construction"),  # one grey channel would pass for three alike
        ((2, 4, 9, 9), "in_channels=4 at construction"),
        ((3, 9, 9), r"x.unsqueeze\(0\), a batch of one"),
        ((1, 3, 0, 9), "a map with one row and one column at least"),
        ((), "a batch of maps, of four dimensions"),
    ],
)
@pytest.mark.parametrize("encoder", ["segnet", "resnet18"])
def test_what_is_no_batch_of_images_is_refused_with_its_shape(encoder, shape, fix, compiled):
    model = models_of(encoder)[compiled]
    message = rf"{encoder}' takes \(N, 3, h, w\) with h, w ≥ 1, not {re.escape(str(shape))}\n  try: {fix}"
    with pytest.raises(ShapeError, match=message):
        model(torch.zeros(shape))


@pytest.fixture(params=[False, True], ids=["eager", "compiled"])
def compiled(request):
    return request.param


@cache
def models_of(encoder):
    """A model and its compiled self; the encoder by itself is asked for its maps in training code of one's own."""
    upsampler, options = ("max_unpool", {"widths": [4, 4]}) if encoder == "segnet" else ("deconv", {})
    model = create_model(encoder, "plain", upsampler, num_classes=2, pretrained=False, encoder_options=options).eval()
    return model, torch.compile(model, backend="eager", dynamic=True)


def test_an_encoder_by_itself_refuses_too():
    model = models_of("segnet")[0]
    for call in (model.encoder, model.encoder.extend, model.encoder.with_indices):
        with pytest.raises(ShapeError, match=r"takes \(N, 3, h, w\) with h, w ≥ 1, not \(3, 8, 8\)"):
            call(torch.zeros(3, 8, 8))


@pytest.mark.parametrize(
    ("change", "weight"),
    [
        (lambda model: rewrite(model).model, "decoder.blocks.0.up.conv.weight"),
        (lambda model: rewrite(model, to="zero_insertion").model, "decoder.blocks.0.up.conv.weight"),
        (lambda model: [setattr(model, "head", torch.nn.Conv2d(4, 5, 1)), model][1], "head.weight"),
        (lambda model: [setattr(model.decoder.blocks[0].convs[0], "2", torch.nn.Tanh()), model][1], "convs.0.2"),
        (lambda model: [setattr(model.head, "dilation", (2, 2)), model][1], "head"),
        (lambda model: [setattr(model.decoder.final, "align_corners", True), model][1], "decoder.final"),
        (lambda model: [setattr(model.decoder, "final", Nearest(4, 4, 2, kernel_size=1)), model][1], "decoder.final"),
        (lambda model: [model.encoder.normalise_by([0.1], [2.0]), model][1], "encoder.mean"),
    ],
)
def test_a_model_that_was_changed_is_not_saved_under_its_old_names(tmp_path, change, weight):
    model = create_model(**TINY)
    changed = change(copy.deepcopy(model))
    with pytest.raises(
        ConfigError, match=f"was changed after it was built .* '.*{weight}' among them.*\n  try: save the"
    ):
        save_model(changed, tmp_path / "m.ckpt")
    assert not (tmp_path / "m.ckpt").exists()
    save_model(model, tmp_path / "m.ckpt")
    twin = rewrite(load_model(tmp_path / "m.ckpt")).model
    image = torch.rand(1, 3, 33, 31)
    with torch.no_grad():
        assert torch.allclose(twin(image), model.eval()(image), atol=1e-5)


def test_a_part_from_outside_opens_only_when_its_module_is_trusted(tmp_path, monkeypatch):
    (tmp_path / "outside_up.py").write_text(
        "from pathlib import Path\n"
        "from segup.upsamplers import Bilinear\n"
        f"Path({str(tmp_path / 'imported')!r}).touch()\n"
        "class Mine(Bilinear):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    model = create_model(**{**TINY, "upsampler": "outside_up:Mine"})
    save_model(model, tmp_path / "m.ckpt")
    sys.modules.pop("outside_up")
    (tmp_path / "imported").unlink()
    with pytest.raises(ConfigError, match="'outside_up:Mine'. Importing it runs.*\n.*--trust outside_up"):
        load_model(tmp_path / "m.ckpt")
    with pytest.raises(ConfigError, match="--trust outside_up"):
        load_model(tmp_path / "m.ckpt", trust=["outside", "torch"])
    assert not (tmp_path / "imported").exists()
    load_model(tmp_path / "m.ckpt", trust=["outside_up"])
    assert (tmp_path / "imported").exists()
    sys.modules.pop("outside_up", None)


def test_labels_are_the_largest_logit_or_the_sigmoid_above_a_half():
    logits = torch.randn(2, 3, 4, 5)
    assert torch.equal(predicted_labels(logits), logits.softmax(1).argmax(1))
    assert torch.equal(predicted_labels(logits[:, :1]), (logits[:, 0].sigmoid() > 0.5).long())


def test_what_is_saved_beside_a_model_is_read_again_or_refused(tmp_path):
    """A number of NumPy is pickled as a call, which no reader of data makes."""
    model, file = create_model(**TINY), tmp_path / "m.ckpt"
    info = {
        "miou": np.float64(0.5),
        "of": [np.int64(3), (np.float32(2), True)],
        "level": IntEnum("Level", "A").A,
        "n": None,
    }
    save_model(model, file, info)
    assert load_checkpoint(file).info == {"miou": 0.5, "of": [3, (2.0, True)], "level": 1, "n": None}
    before = file.read_bytes()
    endless: list[object] = []
    endless.append(endless)
    for value in (np.zeros(3), torch.zeros(3), float("nan"), np.float32("inf"), {1}, tmp_path, endless):
        with pytest.raises(ConfigError, match=r"info\['a'\] cannot be stored: it .*\n  try: plain values"):
            save_model(model, file, {"a": value})
    for key in ("format", "model"):
        with pytest.raises(ConfigError, match=f"info.'{key}'. cannot be stored: a checkpoint's own '{key}' has this"):
            save_model(model, file, {key: {}})
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"neck": "simple_fpn", "neck_options": {"image_channels": 5}}, "neck.image_channels=5"),
        ({"encoder_options": {"in_channels": 5}}, "encoder.options.in_channels=5"),
    ],
)
def test_what_follows_from_other_parts_is_not_given(options, said):
    with pytest.raises(ConfigError) as raised:
        create_model(**{**TINY, **options})
    assert str(raised.value) == f"{said} cannot be given: it follows from the rest of the run.\n  try: leave it out"
