"""``experiment=probe``: every operator that can stand alone between a deep map and the image."""

import pytest
import torch
import yaml
from groups import CONFIGS, group
from own_parts import OWN_OPERATORS

from segup.cli.train import run
from segup.decoders import create_decoder
from segup.upsamplers.contract import operator_class

PROBE = yaml.safe_load((CONFIGS / "experiment" / "probe.yaml").read_text())
ASKED = PROBE["hydra"]["sweeper"]["params"]["decoder"].split(",")


def operator_of(word):
    decoder = group("decoder", word)
    return decoder["upsampler"], dict(decoder["upsampler_options"])


def test_the_probe_asks_for_every_operator_that_needs_no_skip_and_no_indices():
    words = [file.stem for file in (CONFIGS / "decoder").glob("*.yaml")]
    words = [word for word in words if operator_of(word)[0] in OWN_OPERATORS]
    needed = {word: operator_class(operator_of(word)[0]).required(**operator_of(word)[1]) for word in words}
    assert set(ASKED) == {word for word, guides in needed.items() if not guides & {"skip", "indices"}}
    assert PROBE["decoder"]["topology"] == "duc"


@pytest.mark.parametrize("word", ASKED)
def test_an_operator_brings_the_map_to_scores_of_the_image(word):
    name, options = operator_of(word)
    decoder = create_decoder("duc", [40], [8], upsampler=name, upsampler_options=options, num_classes=3).eval()
    image = torch.rand(1, 3, 33, 47)
    beside = {"image": image} if "image" in decoder.requires else {}
    with torch.no_grad():
        assert decoder([torch.rand(1, 40, 5, 6)], (33, 47), **beside).shape == (1, 3, 33, 47)


@pytest.mark.slow
def test_a_probe_runs_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    brief = ["trainer.max_steps=2", "trainer.max_epochs=1", "trainer.accelerator=cpu", "data.crop_size=[33,47]"]
    words = ["-m", "experiment=probe", "decoder=bilinear,naf", "seed=0", "data.samples_per_epoch=16", *brief]
    assert run(words) == 0
    assert len(list((tmp_path / "caches" / "segup" / "features").glob("*.features"))) == 2
    assert (tmp_path / "ablations" / "probe" / "report.md").is_file()
    assert run([*words, "data.views=2"]) == 2  # another study, which is not begun in this one's folder
