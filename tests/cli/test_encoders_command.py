"""``segup encoders``: a line for each encoder, as text and as JSON."""

import json

import pytest

from segup.cli import main


def test_a_line_for_each_encoder(capsys):
    with pytest.raises(SystemExit) as end:
        main(["encoders", "efficientnet_lite0", "test_vit", "timm/convit_tiny"])
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| family | model | accepted sizes | strides | rounding | known by |"
    assert lines[2] == (
        "| efficientnet_lite0 | `efficientnet_lite0` | every size from 1 on | 2, 4, 8, 16, 32 | up | proof |"
    )
    assert lines[3] == "| vision_transformer | `timm/test_vit` | every size from 1 on | 16, 16, 16, 16 | up | runs |"
    assert lines[4].startswith(
        "| convit | `timm/convit_tiny` | refused: Input height (512) doesn't match model (224); try: encoder.o"
    )


def test_json_and_the_smallest_of_a_family(capsys):
    with pytest.raises(SystemExit) as end:
        main(["encoders", "starnet", "--json"])
    assert end.value.code == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["family"], row["model"], row["accepted"]) == ("starnet", "timm/starnet_s050", "every size from 1 on")
    assert (row["least"], row["most"], row["multiple"], row["proved"]) == (1, None, 1, True)


def test_an_unknown_name_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        main(["encoders", "resnet17"])
    assert end.value.code == 1
    assert "unknown encoder 'resnet17': did you mean 'resnet18'" in capsys.readouterr().err
