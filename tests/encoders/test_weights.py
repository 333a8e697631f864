"""Weights of files that timm and torchvision save: prefixes, heads, position embeddings, first layers, refusals."""

import argparse
import hashlib
import os

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from segup import create_model
from segup.checkpoints import save_model
from segup.encoders import Encoder, create_encoder, load_weights
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
    return encoder, load_weights(encoder, path)


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
    assert "adapted (2): model.pos_embed (from (1, 37, 64) to (1, 101, 64))" in str(report)


@pytest.mark.parametrize(
    ("there", "here"), [(6, 3), (9, 4), (12, 4), (48, 3), (48, 5), (3, 6), (6, 12), (4, 3), (2, 1)]
)
def test_first_layers_are_adapted_from_any_number_of_channels(there, here, tmp_path):
    path, weights = file_of(tmp_path, "test_resnet", in_chans=there)
    encoder, report = read(path, "test_resnet", in_channels=here)
    assert [name.partition(" ")[0] for name in report.adapted] == ["conv1.0.weight"]
    grey, own = torch.rand(1, 1, 16, 16), encoder.body.conv1[0].weight
    found, expected = (
        nn.functional.conv2d(grey.expand(-1, kernel.shape[1], -1, -1), kernel)
        for kernel in (own, weights["conv1.0.weight"])
    )
    assert torch.allclose(found, expected, atol=1e-5)


class BlocksOfPixels(nn.Module):
    """A first layer as TResNet's."""

    def __init__(self, channels):
        super().__init__()
        self.blocks, self.conv = nn.PixelUnshuffle(4), nn.Conv2d(16 * channels, 4, 3, padding=1)
        self.next = nn.Conv2d(4, 4, 3, stride=2, padding=1)

    def forward(self, image):
        high = self.conv(self.blocks(image))
        return [high, self.next(high)]


def test_a_first_layer_that_takes_blocks_of_pixels_for_channels_stays_as_it_was_built(tmp_path):
    torch.save(BlocksOfPixels(3).state_dict(), tmp_path / "w.pth")
    report = load_weights(Encoder("own", BlocksOfPixels(4), in_channels=4), tmp_path / "w.pth")
    assert report.adapted == ()
    assert report.other_shape == ("conv.weight (4, 48, 3, 3) for (4, 64, 3, 3)",)
    assert len(report.loaded) == 3


@pytest.mark.parametrize(
    ("model", "built", "options", "adapted"),
    [
        ("resnet18", {}, {}, []),
        ("vit_b_32", {"image_size": 96}, {"img_size": 64}, ["body.encoder.pos_embedding"]),
    ],
)
def test_torchvisions_own_file(model, built, options, adapted, tmp_path):
    network = torchvision.models.get_model(model, **built)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    encoder, report = read(tmp_path / "w.pth", f"torchvision/{model}", **options)
    assert len(report.loaded) == len(encoder.body.state_dict())
    assert [name.partition(" ")[0] for name in report.adapted] == adapted
    assert all(name.startswith(("fc.", "heads.", "encoder.ln.")) for name in report.unexpected)


def test_tables_of_distances_are_resampled_as_timm_does_when_it_runs(tmp_path):
    few = {"depth": 4, "embed_dim": 48, "num_heads": 2, "global_attn_indexes": (1, 3)}
    path, weights = file_of(tmp_path, "samvit_base_patch16_224", img_size=64, **few)
    encoder, report = read(path, "samvit_base_patch16_224", img_size=96, options=few)
    name, own = "blocks.3.attn.rel_pos_h", encoder.body.state_dict()
    assert (report.other_shape, report.missing, weights[name].shape) == ((), (), (7, 24))
    assert f"model.{name} (from (7, 24) to (11, 24))" in report.adapted
    given = torch.arange(7.0)[:, None].expand(7, 24)
    torch.save({**weights, name: given}, path)
    load_weights(encoder, path)
    expected = timm.models.vision_transformer_sam.get_rel_pos(6, 6, given)  # [query, key], 0 apart on the diagonal
    assert torch.allclose(own[f"model.{name}"][5], expected[0, 0])
    assert torch.allclose(own[f"model.{name}"][:6].flip(0), expected[0])


def test_shapes_that_differ_throughout_are_told(tmp_path):
    path, _ = file_of(tmp_path, "vit_tiny_patch16_224", depth=1)
    with pytest.raises(DataError, match=r"fits.*: shapes differ at model.cls_token \(1, 1, 192\) for \(1, 1, 384\)"):
        read(path, "vit_small_patch16_224")


def test_what_does_not_fit_is_listed_or_refused(tmp_path):
    path, weights = file_of(tmp_path, "test_resnet")
    some = dict(list(weights.items())[:20])
    some["layer1.0.conv1.weight"] = torch.zeros(1, 2, 3, 3)
    torch.save(some, tmp_path / "some.pth")
    report = read(tmp_path / "some.pth", "test_resnet")[1]
    assert len(report.missing) > 10
    assert [name.partition(" ")[0] for name in report.other_shape] == ["layer1.0.conv1.weight"]
    assert "of another shape (1): layer1.0.conv1.weight (1, 2, 3, 3) for " in str(report)
    with pytest.raises(
        DataError, match=r"nothing in it fits encoder 'timm/test_vit': it holds .*\n  try: encoder.name= of the model"
    ):
        read(path, "test_vit")
    with pytest.raises(DataError, match=r"no file of weights at .*\n  try: encoder.weights="):
        read(tmp_path / "absent.pth", "test_resnet")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="holds no weights that can be read without running what is in it"):
        read(tmp_path / "broken.safetensors", "test_resnet")


class Runs:
    """Would be run where a file is opened."""

    def __reduce__(self):
        return os.mkdir, ("run",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "it holds no tensors by name"),
        ([torch.zeros(3)], "it holds no tensors by name"),
        ({"0": torch.zeros(3)}, "nothing in it fits encoder 'timm/test_resnet': it holds 0;"),
        ({"a": Runs()}, "without running what is in it: more than tensors and plain values\n  try: torch.save"),
        ({"layer1.0.conv1.weight": torch.full((24, 32, 1, 1), torch.nan)}, "'layer1.0.conv1.weight' holds NaN or inf"),
    ],
    ids=["empty", "list", "other", "code", "nan"],
)
def test_a_file_without_weights_is_refused(content, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encoder = create_encoder("test_resnet", pretrained=False)
    if "layer1.0.conv1.weight" in content:
        content = {name: torch.full_like(encoder.body.state_dict()[name], torch.nan) for name in content}
    torch.save(content, "w.pth")
    before = {name: tensor.clone() for name, tensor in encoder.body.state_dict().items()}
    with pytest.raises(DataError) as refusal:
        load_weights(encoder, "w.pth")
    assert said in str(refusal.value)
    assert os.listdir() == ["w.pth"]
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.body.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.encoder.", "image_encoder.trunk.", "a.b.c.d."])
def test_any_prefix_and_place_and_averages_first(prefix, tmp_path):
    weights = timm.create_model("test_vit").state_dict()
    last = {f"{prefix}{name}": torch.zeros_like(tensor) for name, tensor in weights.items()}
    averaged = {f"{prefix}{name}": tensor for name, tensor in weights.items()} | {"decoder.0.weight": torch.zeros(3)}
    torch.save({"run": {"net": last, "net_ema": averaged}, "args": argparse.Namespace(lr=1)}, tmp_path / "w.pth")
    encoder, report = read(tmp_path / "w.pth", "test_vit")
    assert (report.missing, report.adapted, report.other_shape) == ((), (), ())
    assert "decoder.0.weight" in report.unexpected
    assert torch.equal(encoder.body.state_dict()["model.blocks.3.mlp.fc1.weight"], weights["blocks.3.mlp.fc1.weight"])


def test_the_authors_own_names_are_those_that_timm_converts(tmp_path):
    weights = timm.create_model("test_convnext").state_dict()
    theirs = {}
    for name, tensor in weights.items():
        name = name.replace("stem", "downsample_layers.0").replace("conv_dw", "dwconv").replace("head.norm", "norm")
        name = name.replace("mlp.fc", "pwconv").replace("blocks.", "")
        if "downsample." in name:
            stage = name.split(".")[1]
            name = name.replace(f"stages.{stage}.downsample", f"downsample_layers.{stage}")
        theirs[name] = tensor
    torch.save({"model": theirs}, tmp_path / "w.pth")
    encoder, report = read(tmp_path / "w.pth", "test_convnext")
    assert (report.missing, report.other_shape) == ((), ())
    assert all(torch.equal(own, weights[n.replace("_", ".", 1)]) for n, own in encoder.body.state_dict().items())


def test_segups_own_checkpoint(tmp_path):
    model = create_model("test_resnet", num_classes=2, pretrained=False)
    save_model(model, tmp_path / "m.pt")
    encoder, report = read(tmp_path / "m.pt", "test_resnet")
    assert report.missing == ()
    own = encoder.state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in model.encoder.state_dict().items())


class TwoBranches(nn.Module):
    """As SAM's a table of positions as a map before its kernels; as CrossViT two kernels that read the image."""

    def __init__(self, channels, side):
        super().__init__()
        self.pos_embed = nn.Parameter(torch.rand(1, side, side, 4))
        self.position_embedding = nn.Parameter(torch.rand(1, 2 + side * side, 4))
        self.fine, self.coarse = nn.Conv2d(channels, 4, 2, 2), nn.Conv2d(channels, 4, 4, 4)
        self.inner = nn.Conv2d(4, 4, 1)

    def forward(self, image):
        return [self.fine(image), self.inner(self.coarse(image))]


def test_all_kernels_that_read_the_image_are_adapted_and_all_tables_of_positions(tmp_path):
    theirs = TwoBranches(3, 4)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    encoder = Encoder("own", TwoBranches(1, 6), in_channels=1)
    report = load_weights(encoder, tmp_path / "w.pth")
    assert [name.partition(" ")[0] for name in report.adapted] == [
        "pos_embed", "position_embedding", "fine.weight", "coarse.weight"
    ]  # fmt: skip
    grey = torch.rand(1, 1, 8, 8)
    for own, other in zip(encoder.body(grey), theirs(grey.expand(-1, 3, -1, -1)), strict=True):
        assert torch.allclose(own, other, atol=1e-6)
    assert torch.equal(encoder.body.position_embedding[:, :2], theirs.position_embedding[:, :2])
