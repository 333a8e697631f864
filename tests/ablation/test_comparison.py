import pytest

from segup.ablation import compare, read_run
from segup.errors import ConfigError, DataError


def compared(*folders, baseline=None):
    return compare([read_run(folder) for folder in folders], baseline)


def test_seeds_of_one_decoder_are_one_row_in_the_order_given(write_run):
    found = compared(
        write_run("bilinear", 1, 0.72), write_run("deconv", 0, 0.75), write_run("bilinear", 0, 0.70),
        write_run("deconv", 1, 0.76),
    )  # fmt: skip
    assert [(row.name, row.seeds) for row in found.rows] == [("bilinear", (0, 1)), ("deconv", (0, 1))]
    assert found.baseline == "bilinear"
    assert found.rows[0].versus is None
    assert found.rows[1].versus.mean == pytest.approx(0.045)
    assert found.rows[1].score("miou").mean == pytest.approx(0.755)
    assert found.rows[1].score("iou/cell").count == 2
    assert found.warnings == ()


def test_settings_of_the_operator_are_rows_of_their_own(write_run):
    found = compared(
        write_run("deconv"), write_run("deconv", decoder__upsampler_options={"kernel_size": 2}), write_run("carafe")
    )
    assert [row.name for row in found.rows] == [
        "deconv (upsampler_options.kernel_size=None)",
        "deconv (upsampler_options.kernel_size=2)",
        "carafe",
    ]


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ({"data__crop_size": [97, 97]}, "not comparable: data.crop_size differs: [161, 193] | [97, 97]"),
        ({"trainer__max_epochs": 3}, "not comparable: trainer.max_epochs differs: 15 | 3"),
        ({"loss__dice_weight": 2.0}, "not comparable: loss.dice_weight differs: null | 2.0"),
        ({"environment": {"threads": 8}}, "times and memory are not comparable: threads differs: 2 | 8"),
        ({"name": "other", "run_dir": "somewhere"}, None),
    ],
)
def test_what_forbids_a_comparison_is_said(write_run, settings, warning):
    found = compared(write_run("deconv"), write_run("bilinear", **settings))
    rest = ("one seed alone, so no spread is known: deconv, bilinear",)
    assert found.warnings == ((warning, *rest) if warning else rest)


def test_pairs_are_the_seeds_that_both_have(write_run):
    found = compared(
        *(write_run("deconv", seed, 0.7 + seed / 100) for seed in (0, 1, 2)), write_run("nearest", 2, 0.70),
        write_run("sapa", 7, 0.9), baseline="deconv",
    )  # fmt: skip
    assert found.rows[1].versus.count == 1
    assert found.rows[1].versus.mean == pytest.approx(-0.02)
    assert found.rows[2].versus is None
    assert found.warnings[0].startswith("seeds differ (deconv: 0, 1, 2; nearest: 2; sapa: 7)")
    assert found.warnings[-1] == "no seed in common with deconv: sapa"


def test_a_run_twice_an_unknown_baseline_and_nothing(write_run):
    one, two = write_run("deconv"), write_run("deconv")
    with pytest.raises(ConfigError, match=f"{one} and {two} are one decoder with one seed, 0: name one of them"):
        compared(one, two)
    with pytest.raises(ConfigError, match="unknown baseline 'decnov': did you mean 'deconv'"):
        compared(one, baseline="decnov")
    with pytest.raises(ConfigError, match="there are no runs to compare"):
        compare([])


def test_what_is_no_finished_run(write_run, tmp_path):
    with pytest.raises(DataError, match="no run folder at .*nowhere"):
        read_run(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="empty has no result.json: it is no run folder"):
        read_run(empty)
    (empty / "config.yaml").touch()
    with pytest.raises(DataError, match="its run has not finished.\n  try: ckpt_path=.*empty/last.ckpt"):
        read_run(empty)
    for text, cause in (
        ("{", "Expecting property"),
        ('{"seed": 1}', "classes is not set"),
        ("[]", "what it holds must be a group"),
    ):
        (empty / "result.json").write_text(text)
        with pytest.raises(DataError, match=f"result.json is not what segup writes: {cause}"):
            read_run(empty)
