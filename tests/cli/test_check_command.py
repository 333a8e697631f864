"""``segup check``: what it prints, its exit codes, and how it refuses."""

import json
import sys

import pytest

from segup.cli import main
from segup.cli.check import run

MODULE = """
import torch
from torch import nn

def halves(channels=3, weights="DEFAULT", **options):
    if weights is not None:
        raise OSError("the network was asked for weights")
    return nn.Sequential(nn.Conv2d(channels, 4, 3, 2, 1), nn.Upsample(scale_factor=2, **options))

def keeps(pretrained=True, **more):
    assert pretrained is False
    return nn.Conv2d(1, 2, 3, padding=1)

built = nn.Conv2d(3, 2, 1)
number = 7

def text():
    return "no model"
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "models_to_check.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("models_to_check", None)


def test_an_encoder_gets_a_decoder_and_is_proved(capsys):
    assert run(["timm/resnet10t", "--decoder", "deconv_matched", "--topology", "fpn"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "timm/resnet10t, fpn, deconv_matched",
        "proved: the output has the input's size for every height and width",
    ]


def test_a_callable_is_built_without_weights_and_some_failing_sizes_are_exit_code_1(capsys):
    assert run(["models_to_check:halves"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "models_to_check:halves",
        "proved: the output has the input's size exactly for height and width mod 2 in {0}, from 1 on",
        "  first failure: height 1: layer '1': the output has 2, the input 1 (16 of the 33 sizes run fail)",
    ]
    assert run(["models_to_check:keeps"]) == 0
    assert run(["models_to_check:built"]) == 0


def test_arguments_are_handed_on_and_sizes_chosen(capsys):
    words = ["models_to_check:halves", "--kwargs", "channels=1", "mode=bilinear", "align_corners=true"]
    assert run([*words, "--sizes", "2-4,100", "--other", "32", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["target"], found["verdict"], found["in_channels"], found["other"]) == (
        "models_to_check:halves",
        "proved",
        1,
        32,
    )
    assert (found["always"], found["period"], found["min_size"]) == (False, 2, 1)
    assert found["first_failure"] == {
        "axis": "height",
        "size": 1,
        "out": 2,
        "layer": "1",
        "message": "the output has 2, the input 1",
    }
    assert found["height"]["proof"] == {"period": 2, "start": 1, "residues": [[0, 0]], "exceptions": []}


def test_weights_are_fetched_when_they_are_asked_for(capsys):
    assert run(["models_to_check:halves", "--kwargs", "weights=DEFAULT"]) == 2
    assert "cannot be built: OSError: the network was asked for weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere:model"], "'nowhere:model' cannot be imported: No module named 'nowhere'"),
        (["models_to_check:halve"], "unknown name in models_to_check 'halve': did you mean 'halves'?"),
        (["models_to_check:number"], "'models_to_check:number' is int, not something that builds a model"),
        (["models_to_check:text"], "'models_to_check:text' builds str, not a torch module"),
        (["models_to_check:keeps", "--decoder", "deconv"], "--decoder is for encoders of segup's"),
        (["models_to_check:keeps", "--kwargs", "21"], "--kwargs takes NAME=VALUE, not '21'"),
        (["models_to_check:keeps", "--channels", "0"], "in_channels must be an int of at least 1, not 0"),
        (["models_to_check:keeps", "--output", "aux"], "unknown output 'aux'"),
        (["timm:resnet18"], "\n  try: segup check timm:create_model --kwargs model_name=resnet18"),
        (["timm/resnet17"], "unknown timm model 'resnet17'"),
        (["timm/resnet10t", "--decoder", "decov"], "unknown upsampler 'decov': did you mean 'deconv'?"),
    ],
)
def test_what_cannot_be_checked_is_exit_code_2_with_the_reason(words, message, capsys):
    assert run(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0-3", "4-2", "a", "1-2-3", ""])
def test_sizes_are_checked(text, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(["models_to_check:keeps", "--sizes", text])
    assert stopped.value.code == 2
    assert "is not sizes of 1 or more such as 32,64,100-120" in capsys.readouterr().err


def test_the_command_is_listed_and_explains_its_exit_codes(capsys):
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "segup check timm/resnet18" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    assert "1 some sizes fail; 2 the command is wrong" in " ".join(capsys.readouterr().out.split())


def test_live_writes_a_page_and_says_the_verdict(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["models_to_check:halves", "--live"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("models_to_check:halves\nproved: the output has the input's size exactly for")
    assert out.endswith("page: models_to_check-halves-live.html\n")
    page = (tmp_path / "models_to_check-halves-live.html").read_text(encoding="utf-8")
    assert "<title>Every size in models_to_check:halves</title>" in page
    assert len(page.encode()) < 300_000
    assert run(["models_to_check:halves", "--live", "--out", "models_to_check-halves-live.html"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(["models_to_check:halves", "--live", "--out", "a.png"]) == 2
    assert "a live page's name ends in .html, not 'a.png'" in capsys.readouterr().err
    assert run(["models_to_check:halves", "--out", "a.html"]) == 2
    assert "try: --live" in capsys.readouterr().err
