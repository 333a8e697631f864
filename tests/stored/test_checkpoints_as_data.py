"""A checkpoint is read as data: sound or refused in a line, with no more memory than its file, and nothing run."""

import copy
import inspect
import io
import pickle
import random
import re
import resource
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from rich.console import Console

from segup.checkpoints import load_checkpoint, read_checkpoint, save_model
from segup.decoders.contract import topologies
from segup.encoders import encoders
from segup.errors import ConfigError, DataError
from segup.evaluation.runs import open_run
from segup.models import create_model
from segup.training.config import RunConfig
from segup.training.resume import read_position, resumed_config
from segup.training.run import train
from segup.upsamplers.contract import upsamplers

WRITTEN_BEFORE = Path(__file__).with_name("version_0_1.ckpt")
"""By segup 0.1.0, after one epoch of two, with its training state."""
SPARE = 300 * 2**20


@pytest.fixture
def content():
    return copy.deepcopy(read_checkpoint(WRITTEN_BEFORE))


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def check_refused(file, message=None, opening=load_checkpoint):
    before = memory()
    with pytest.raises((DataError, ConfigError), match=message) as refused:
        opening(file)
    said = str(refused.value)
    assert str(file) in said
    assert len(said) < 700
    assert len(said.splitlines()) <= 2
    assert memory() - before < SPARE


def test_what_an_earlier_version_wrote_opens_and_goes_on(tmp_path):
    opened = open_run(WRITTEN_BEFORE, device="cpu")
    assert opened.labels.names == ("background", "cytoplasm", "nucleus")
    assert opened.model(torch.zeros(1, 3, 9, 7)).shape == (1, 3, 9, 7)
    checkpoint = shutil.copy(WRITTEN_BEFORE, tmp_path / "last.ckpt")
    config = resumed_config(checkpoint, {})
    result = train(RunConfig.of({**config, "ckpt_path": str(checkpoint)}), tmp_path, Console(quiet=True))
    assert result["last"]["epoch"] == 2


def test_every_flipped_bit_of_a_tensor_is_found_and_no_other_changes_anything(tmp_path):
    whole = WRITTEN_BEFORE.read_bytes()
    expected = read_checkpoint(WRITTEN_BEFORE)
    with zipfile.ZipFile(WRITTEN_BEFORE) as archive:
        records = [r for r in archive.infolist() if "/data/" in r.filename and r.file_size > 8]
        places = [whole.index(archive.read(record)) + record.file_size // 2 for record in records]
    draw = random.Random(0)
    file = tmp_path / "flipped.ckpt"
    for place in [*places, *(draw.randrange(len(whole)) for _ in range(60))]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        try:
            found = read_checkpoint(file)
        except DataError:
            continue
        assert place not in places
        assert str(found) == str(expected)


@pytest.mark.parametrize("left", [0, 1, 100, 20_000, 43_000])
def test_a_file_that_was_cut_off_is_refused(tmp_path, left):
    (tmp_path / "cut.ckpt").write_bytes(WRITTEN_BEFORE.read_bytes()[:left])
    check_refused(tmp_path / "cut.ckpt", "is not a segup checkpoint: it cannot be read")


def shared(depth=11, width=10):
    value = [1.0] * width
    for _ in range(depth):
        value = [value] * width
    return value


def endless():
    value = []
    value.append(value)
    return value


def nested(depth=200):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("widths", [10**9, 2], r"widths\[0\]=1000000000 must be an int of 1 or more and at most 65536"),
        ("widths", [60000, 60000], "it takes [0-9]+ bytes or more, of [0-9]+ that its file accounts for"),
        ("convs", 10**6, "convs=1000000 must be an int of 0 or more and at most 64"),
        ("num_classes", 10**9, "num_classes=1000000000 must be"),
        ("in_channels", 60000 * 10**6, "in_channels=60000000000 must be"),
        ("in_channels", 60000, "it takes|do not fit the model"),
        ("encoder_options", {"widths": [50000, 50000]}, "it takes"),
        ("encoder_options", {"convs": 10**6}, "encoder.options.convs=1000000 must be"),
        (
            "encoder_options",
            {"options": {}},
            "unknown option of encoder 'segnet' 'options'",
        ),
        ("encoder_options", [1], r"encoder.options=\[1\] must be a group of keys"),
        ("upsampler_options", {"kernel_size": 50000}, "it takes [0-9]+ bytes or more"),
        ("upsampler_options", {"kernel_size": 50000, "init": "he"}, "it takes [0-9]+ bytes or more"),
        ("upsampler_options", {"kernel_size": 50000, "init": "interpolate"}, "it takes [0-9]+ bytes or more"),
        (
            "upsampler_options",
            {"weights": "a.pth"},
            "unknown option of upsampler 'deconv' 'weights'",
        ),
        ("final_options", {"kernel_size": 10**9 + 1}, "decoder.final_options.kernel_size=1000000001 must be"),
        ("pretrained", True, "unknown option of topology 'unet' 'pretrained'"),
        ("encoder", "segnet" * 10**5, "has 600000 letters"),
        ("topology", 7.5, "topology must be a name"),
        ("widths", shared(), "it unfolds to more than 1000000 values"),
        ("widths", endless(), "it is nested more than 40 deep"),
        ("widths", nested(), "it is nested more than 40 deep"),
        ("convs", 10**400, "it holds a number of 401 digits"),
        ("convs", float("nan"), "it holds nan"),
        ("fit", "a" * 10**7, "is unknown; known: correct, strict"),
        (("a", 1), 2, "unknown option of topology"),
        ("roundings", ["up", "x"], "roundings"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_names_and_numbers_are_checked_before_anything_is_made_of_them(tmp_path, content, key, value, message):
    content["segup"]["model"][key] = value
    torch.save(content, tmp_path / "m.ckpt")
    check_refused(tmp_path / "m.ckpt", message)


@pytest.mark.parametrize(
    ("upsampler", "options"),
    [
        ("bilinear", {"init": "he"}), ("bilinear", {"init": "interpolate"}), ("nearest", {"init": "interpolate"}),
        ("pixel_shuffle", {"init": "interpolate"}), ("carafe", {}), ("jbu", {"fix": True}),
    ],
)  # fmt: skip
def test_no_start_of_an_operator_takes_memory_before_its_kernel_is_accounted_for(tmp_path, content, upsampler, options):
    content["segup"]["model"].update(upsampler=upsampler, upsampler_options={"kernel_size": 50001, **options})
    torch.save(content, tmp_path / "m.ckpt")
    check_refused(tmp_path / "m.ckpt", "it takes [0-9]+ bytes or more|a tensor that cannot be made")


@pytest.mark.parametrize(
    "options",
    [
        {"checkpoint_path": "second.pth"},
        {"pretrained_cfg": {"file": "second.pth"}},
        {"pretrained_cfg_overlay": {"file": "second.pth"}},
        {"cache_dir": "cache"},
        {"pretrained": True},
        {"pretrained_strict": False},
        {"in_chans": 5},
        {"img_size": 10**9},
        {"stem_width": "64"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_no_option_of_a_file_makes_timm_open_another(tmp_path, monkeypatch, options):
    """Nor does segup write a checkpoint that it would not open, or begin a run that would."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "second.pth").write_bytes(pickle.dumps(Spy()))
    spec = {"encoder": "timm/resnet18", "topology": "unet", "upsampler": "deconv", "num_classes": 2, "in_channels": 3}
    entry = {"format": 1, "model": {**spec, "encoder_options": {"options": options}}}
    torch.save({"segup": entry, "state_dict": {}}, "m.ckpt")
    check_refused(Path("m.ckpt"), f"encoder.options.options.{next(iter(options))}")
    assert not (tmp_path / "ran").exists()
    model = create_model(num_classes=2, pretrained=False, encoder="segnet", encoder_options={"widths": [2, 3]})
    model.spec.update(entry["model"])
    with pytest.raises(ConfigError, match=f"encoder.options.options.{next(iter(options))}"):
        save_model(model, "n.ckpt")
    config = {"encoder": {"library": "timm", "name": "resnet18", "pretrained": False, "options": {"options": options}}}
    data = {"name": "cells", "classes": ["a", "b", "c"], "crop_size": [9, 9]}
    decoder = {"topology": "unet", "upsampler": "deconv"}
    with pytest.raises(ConfigError, match=f"encoder.options.options.{next(iter(options))}"):
        train(RunConfig.of({**config, "data": data, "decoder": decoder}), tmp_path, Console(quiet=True))


class Spy:
    def __reduce__(self):
        return open, ("ran", "w")


class Makes:
    """A value whose pickle calls a function that torch's reader allows."""

    def __init__(self, function, *arguments):
        self.made = function, arguments

    def __reduce__(self):
        return self.made


def wrongly_long():
    """A tensor of which the file says that it is a thousand times as long as its record."""
    buffer = io.BytesIO()
    torch.save(torch.zeros(300), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("extra", Makes(bytearray, 10**10)),
        ("extra", Makes(torch.Tensor, 10**5, 10**5)),
        ("extra", {1, 2}),
        ("extra", torch.float32),
        ("extra", torch.zeros(1).expand(10**6)),
        ("extra", torch.zeros(3).to_sparse()),
        ("extra", torch.zeros(3, device="meta")),
        ("extra", endless()),
        ("extra", shared()),
        ("state_dict", {"model.head.weight": [1.0]}),
        ("state_dict", {7: torch.zeros(1)}),
        ("state_dict", {"model.head.weight": torch.zeros(2)}),
        ("segup", {"format": 10**5000, "model": {}}),
        ("segup", {"format": 1, "model": {}}),
    ],
)
def test_what_else_a_file_may_hold_is_refused(tmp_path, content, key, value):
    content[key] = value
    torch.save(content, tmp_path / "m.ckpt")
    check_refused(tmp_path / "m.ckpt")


def rewritten(file, change, compression=zipfile.ZIP_STORED, twice=()):
    """Write the records of the earlier version's checkpoint anew, each by its ``change(name, content)``."""
    with zipfile.ZipFile(WRITTEN_BEFORE) as old, zipfile.ZipFile(file, "w", compression) as new:
        for name in old.namelist():
            for _ in range(1 + (name in twice)):
                new.writestr(name, change(name, old.read(name)))
    return file


def test_an_archive_that_torch_would_not_write_is_refused(tmp_path):
    check_refused(rewritten(tmp_path / "a.ckpt", lambda name, old: old, zipfile.ZIP_DEFLATED), "as torch writes them")
    with pytest.warns(UserWarning, match="Duplicate"):
        rewritten(tmp_path / "b.ckpt", lambda name, old: old, twice=("archive/data.pkl",))
    check_refused(tmp_path / "b.ckpt", "as torch writes them")
    check_refused(rewritten(tmp_path / "c.ckpt", lambda name, old: b"" if "/data/" in name else old))
    check_refused(rewritten(tmp_path / "d.ckpt", lambda name, old: old[:50] if name.endswith(".pkl") else old))
    check_refused(rewritten(tmp_path / "e.ckpt", lambda name, old: pickle.dumps(1) if name.endswith(".pkl") else old))


def test_a_tensor_that_claims_more_than_its_record_lies_inside_the_file_or_is_refused(tmp_path):
    def longer(name, old):
        return re.sub(rb"K.tq", b"J\xff\xff\xff\x7ftq", old, count=1, flags=re.DOTALL) if name.endswith(".pkl") else old

    check_refused(rewritten(tmp_path / "long.ckpt", longer))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["epoch"], "one"), (["epoch"], -1), (["global_step"], 10**18), (["loops"], []),
        (["loops", "fit_loop"], {}), (["loops", "fit_loop", "epoch_loop.batch_progress", "is_last_batch"], None),
        (["callbacks"], {}), (["callbacks", "RunCheckpoints"], 3),
        (["callbacks", "RunCheckpoints", "best_scores"], [1]),
        (["optimizer_states"], {}), (["lr_schedulers"], None),
        (["segup", "config"], 3), (["segup", "config", "encoder"], {"name": 5, "x": 1}),
        (["segup", "config", "data", "num_workers"], 100_000),
        (["segup", "config", "data", "crop_size"], [10**9, 10**9]),
        (["segup", "config", "data", "batch_size"], 10**9), (["segup", "config", "decoder", "widths"], [60000, 60000]),
        (["segup", "config", "encoder", "options"], {"widths": [60000, 60000]}),
        (["segup", "config", "trainer", "threads"], 10**9), (["segup", "config", "trainer", "devices"], 10**6),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, list) and value and isinstance(value[0], str) else "",
)  # fmt: skip
def test_a_run_does_not_go_on_from_a_state_that_is_none(tmp_path, content, place, value):
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    torch.save(content, tmp_path / "last.ckpt")

    def go_on(file):
        read_position(file)
        config = RunConfig.of({**resumed_config(file, {}), "ckpt_path": str(file)})
        train(config, tmp_path, Console(quiet=True))

    before = memory()
    with pytest.raises((DataError, ConfigError)) as refused:
        go_on(tmp_path / "last.ckpt")
    assert len(str(refused.value).splitlines()) <= 2
    assert memory() - before < SPARE


@pytest.mark.parametrize("registry", [encoders, topologies, upsamplers], ids=lambda registry: registry.kind)
def test_each_part_declares_which_of_its_options_may_be_stored(registry):
    for name in registry:
        part, storable = registry.get(name), registry.storable(name)
        if not part.__module__.startswith("segup."):
            continue  # entered by another test
        assert storable is not None, name
        known = inspect.signature(part).parameters
        takes_more = any(p.kind is p.VAR_KEYWORD for p in known.values())
        assert takes_more or storable.keys() <= known.keys(), name
        assert not {"pretrained", "root", "path", "weights", "checkpoint"} & storable.keys()


def test_weights_that_would_lose_a_part_are_refused(content, tmp_path):
    name = next(name for name in content["state_dict"] if name.endswith("weight"))
    content["state_dict"][name] = content["state_dict"][name].to(torch.complex64)
    torch.save(content, tmp_path / "a.ckpt")
    check_refused(tmp_path / "a.ckpt", "the weights do not fit the model it names: .* holds torch.complex64")
