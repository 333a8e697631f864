"""Weights of files that timm and torchvision save: prefixes, heads, position embeddings, first layers, refusals."""

import hashlib

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from segup.encoders import create_encoder
from segup.encoders.weights import load_weights
from segup.errors import DataError


def file_of(folder, model, *, prefix="", under=None, name="w.pth", **options):
    torch.manual_seed(1)
    weights = timm.create_model(model, pretrained=False, **options).state_dict()
    named = {f"{prefix}{key}": tensor for key, tensor in weights.items()}
    path = folder / name
    if name.endswith(".safetensors"):
        save_file(named, path)
    else:
        torch.save({under: named, "epoch": 3} if under else named, path)
    return path, weights


def read(path, model, in_channels=3, **options):
    encoder = create_encoder(model, in_channels, pretrained=False, **options).eval()
    return encoder, load_weights(encoder.body, path)


@pytest.mark.parametrize("model", ["test_resnet", "test_vit", "test_convnext"])
@pytest.mark.parametrize(
    "saved", [{"name": "w.safetensors"}, {"prefix": "module.backbone.", "under": "state_dict"}], ids=["safe", "nested"]
)
def test_a_classifiers_file_gives_the_maps_of_the_classifier(model, saved, tmp_path):
    path, weights = file_of(tmp_path, model, **saved)
    encoder, report = read(path, model)
    assert (report.missing, report.other_shape, report.adapted) == ((), (), ())
    assert len(report.loaded) == len(encoder.body.state_dict())
    assert all(any(word in name for word in ("head", "fc", "norm")) for name in report.unexpected)
    assert report.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    theirs = timm.create_model(model, pretrained=False, features_only=True, out_indices=[-1])
    inner = getattr(theirs, "model", theirs)
    own = {key.replace(".", "_"): value for key, value in weights.items()}
    inner.load_state_dict({key: own[key.replace(".", "_")] for key in inner.state_dict()})
    image = torch.rand(1, 3, 160, 160)
    with torch.no_grad():
        assert torch.allclose(theirs.eval()(image)[-1], encoder.body(image)[-1], atol=1e-5)


def test_positions_are_resampled_and_first_layers_adapted(tmp_path):
    path, weights = file_of(tmp_path, "test_vit", img_size=96)
    encoder, report = read(path, "test_vit", in_channels=5)
    assert [name.partition(" ")[0] for name in report.adapted] == ["model.pos_embed", "model.patch_embed.proj.weight"]
    expected = timm.layers.resample_abs_pos_embed(weights["pos_embed"], [10, 10], num_prefix_tokens=1)
    assert torch.allclose(encoder.body.state_dict()["model.pos_embed"], expected)
    kernel = timm.models.adapt_input_conv(5, weights["patch_embed.proj.weight"])
    assert torch.allclose(encoder.body.state_dict()["model.patch_embed.proj.weight"], kernel)
    assert "adapted (2): model.pos_embed (resampled from (1, 37, 64) to (1, 101, 64))" in str(report)


def test_torchvisions_own_file(tmp_path):
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "r.pth")
    encoder, report = read(tmp_path / "r.pth", "torchvision/resnet18")
    assert (len(report.loaded), report.unexpected) == (len(encoder.body.state_dict()), ("fc.weight", "fc.bias"))


def test_what_does_not_fit_is_listed_or_refused(tmp_path):
    path, weights = file_of(tmp_path, "test_resnet")
    some = dict(list(weights.items())[:20])
    some["layer1.0.conv1.weight"] = torch.zeros(1, 2, 3, 3)
    torch.save(some, tmp_path / "some.pth")
    report = read(tmp_path / "some.pth", "test_resnet")[1]
    assert len(report.missing) > 10
    assert [name.partition(" ")[0] for name in report.other_shape] == ["layer1.0.conv1.weight"]
    assert "of another shape (1): layer1.0.conv1.weight (1, 2, 3, 3) for " in str(report)
    with pytest.raises(DataError, match="nothing in it fits this encoder"):
        read(path, "test_vit")
    with pytest.raises(DataError, match=r"no file of weights at .*\n  try: encoder.weights="):
        read(tmp_path / "absent.pth", "test_resnet")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="holds no weights that can be read without running it"):
        read(tmp_path / "broken.safetensors", "test_resnet")
