import copy
import json

import pytest

from segup.ablation import Criterion, compare, read_run
from segup.ablation.block import Block
from segup.ablation.comparison import compare_groups
from segup.cli.study import _with_cores
from segup.errors import ConfigError, DataError
from segup.training.config import PLACE


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
        ({"step": 375}, "not comparable: steps differs: 225 | 375"),
        ({"environment": {"threads": 8}}, "times and memory are not comparable: threads differs: 2 | 8"),
        ({"name": "other", "run_dir": "somewhere"}, None),
    ],
)
def test_what_forbids_a_comparison_is_said(write_run, settings, warning):
    found = compared(write_run("deconv"), write_run("bilinear", **settings))
    rest = ("one seed alone, so no spread is known: deconv, bilinear",)
    assert found.warnings == ((warning, *rest) if warning else rest)


ONE_SEED = ("one seed alone, so no spread is known: deconv, bilinear",)
FILES = [{"file": "a.pth", "sha256": "12ab"}, {"file": "b.pth", "sha256": "34cd"}, {"file": "c.pth", "sha256": "12ab"}]


@pytest.mark.parametrize(
    ("one", "other", "key", "values"),
    [
        ({"precision": "bf16-mixed"}, {"precision": "32-true"}, "trainer.precision", ('"bf16-mixed"', '"32-true"')),
        ({"image_range": [0, 1]}, {"image_range": [0, 4095]}, "data.image_range", ("[0.0, 1.0]", "[0.0, 4095.0]")),
        ({"image_range": "dtype"}, {"image_range": [0, 1]}, "data.image_range", ('"dtype"', "[0.0, 1.0]")),
        ({"weights": FILES[0]}, {"weights": FILES[1]}, "encoder.weights", ('"sha256 12ab"', '"sha256 34cd"')),
        ({"weights": FILES[0]}, {}, "encoder.weights", ('"sha256 12ab"', "null")),
        ({"weights": FILES[0]}, {"weights": FILES[2]}, None, ()),
        ({"image_range": [0, 1]}, {"image_range": [0.0, 1.0]}, None, ()),
        ({"precision": "32-true"}, {"precision": "32-true"}, None, ()),
        ({"precision": "32-true"}, {}, None, ()),  # an earlier version did not say
        ({"image_range": [0, 255]}, {}, None, ()),
        ({}, {}, None, ()),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_what_a_run_found_is_compared_where_both_know_it(write_run, one, other, key, values, turned):
    order = -1 if turned else 1
    first, second = (one, other)[::order]
    said = () if key is None else (f"not comparable: {key} differs: {' | '.join(values[::order])}",)
    assert compared(write_run("deconv", found=first), write_run("bilinear", found=second)).warnings == (
        *said, *ONE_SEED
    )  # fmt: skip


def test_a_range_that_is_found_may_be_another_on_each_fold(write_run):
    def runs(*ranges):
        blocks = [(name, seed) for name in ("deconv", "bilinear") for seed in (0, 1)]
        return [
            write_run(name, seed, found={"image_range": [0, top]}, data__folds=2, data__fold=seed)
            for (name, seed), top in zip(blocks, ranges, strict=True)
        ]

    assert compared(*runs(1023, 4095, 1023, 4095)).warnings == ()
    assert compared(*runs(1023, 4095, 1023, 2047)).warnings == (
        "not comparable: data.image_range on fold 1 differs: [0.0, 4095.0] | [0.0, 2047.0]",
    )


@pytest.mark.parametrize(
    ("words", "precisions", "differ"),
    [
        (("auto", "auto"), ("bf16-mixed", "32-true"), True),
        (("auto", "bf16"), ("bf16-mixed", "bf16-mixed"), False),
        (("auto", "32-true"), (None, "32-true"), False),
        (("32", "auto"), (None, "32-true"), False),
        (("32", "auto"), (None, "bf16-mixed"), True),
        (("16-mixed", "32-true"), (None, None), True),
    ],
)
def test_precision_is_what_was_used_and_not_the_word_for_it(write_run, words, precisions, differ):
    runs = [
        write_run(name, trainer__precision=word, found={} if used is None else {"precision": used})
        for name, word, used in zip(("deconv", "bilinear"), words, precisions, strict=True)
    ]
    assert any("trainer.precision" in one for one in compared(*runs).warnings) == differ


CHANGED = {
    "run_dir": "x", "ckpt_path": "x/last.ckpt", "trust": ["mine"], "compile": True, "logger": ["csv"],
    "data.root": "elsewhere", "data.download": True, "data.num_workers": 3, "data.cache": False,
    "data.cache_dir": "c", "data.max_cache_gb": 1.5, "data.max_pixels": 7, "trainer.accelerator": "cpu",
    "trainer.threads": 1,
}  # fmt: skip


@pytest.mark.parametrize("key", sorted(PLACE | CHANGED.keys()))
def test_where_and_how_fast_a_run_is_trained_is_compared_only_where_other_data_may_lie(write_run, key):
    runs = write_run("deconv"), write_run("bilinear", **{key.replace(".", "__"): CHANGED[key]})
    other_data = ('not comparable: data.root differs: null | "elsewhere"',) if key == "data.root" else ()
    assert compared(*runs).warnings == (*other_data, *ONE_SEED)


def test_what_runs_at_once_are_given_is_no_other_setting(write_run):
    own = read_run(write_run("deconv", data__num_workers=None, trainer__threads=None)).result["config"]
    given = _with_cores(copy.deepcopy(own), 2)
    assert given != own
    changed = {f"{group}__{key}": given[group][key] for group, key in (("data", "num_workers"), ("trainer", "threads"))}
    assert compared(write_run("deconv", data__num_workers=None), write_run("bilinear", **changed)).warnings == ONE_SEED


def test_only_memory_is_that_of_each_run_where_times_were_measured_in_turns(write_run):
    runs = {"deconv": [read_run(write_run("deconv"))]}
    runs["bilinear"] = [read_run(write_run("bilinear", environment={"threads": 1}))]
    for times, own in ((None, "times and memory are"), ({}, "memory is")):
        assert compare_groups(runs, times=times).warnings == (
            f"{own} not comparable: threads differs: 2 | 1", *ONE_SEED
        )  # fmt: skip


def test_pairs_are_the_seeds_that_both_have(write_run):
    found = compared(
        *(write_run("deconv", seed, 0.7 + seed / 100) for seed in (0, 1, 2)), write_run("nearest", 2, 0.70),
        write_run("sapa", 7, 0.9), baseline="deconv",
    )  # fmt: skip
    assert found.rows[1].versus.pairs == 1
    assert found.rows[1].versus.mean == pytest.approx(-0.02)
    assert found.rows[2].versus is None
    assert found.warnings[0].startswith("seeds differ (deconv: 0, 1, 2; nearest: 2; sapa: 7)")
    assert found.warnings[-1] == "no seed in common with deconv: sapa"


def test_a_score_that_is_no_number_and_a_run_that_failed_count_as_failures(write_run):
    seeds = range(6)
    runs = [*(write_run("deconv", seed, 0.7 + seed / 1000) for seed in seeds),
            *(write_run("carafe", seed, None if seed == 3 else 0.8 + seed / 900) for seed in seeds)]  # fmt: skip
    (found,) = compared(*runs).decision.differences
    assert (found.verdict, found.pairs, found.failures) == ("undecided", 5, 1)
    whole = {run.seed: run for run in map(read_run, runs[6:]) if run.seed != 3}
    groups = {"deconv": [read_run(run) for run in runs[:6]], "carafe": list(whole.values())}
    again = compare_groups(groups, failed={"carafe": [Block(3)], "nearest": [Block(0), Block(1)]})
    one, other = again.decision.differences
    assert (one.mean, one.verdict, one.failures) == (found.mean, "undecided", 1)
    assert (other.arm, other.verdict, other.failures, other.pairs) == ("nearest", "undecided", 2, 0)
    assert "carafe failed in 1 of 6 seeds and nearest failed in 2 of 6 seeds." in again.conclusion
    assert compare_groups(groups).decision.differences[0].verdict == "better"


@pytest.mark.parametrize("factor", [1, -1])
def test_the_metric_decides_in_the_direction_that_it_declares(write_run, factor):
    def write(name, seed, value):
        folder = write_run(name, seed)
        result = json.loads((folder / "result.json").read_text())
        better = "higher" if factor > 0 else "lower"
        declared = {"name": "error", "label": "error", "about": "", "per_class": False, "better": better}
        result["metrics"] = [
            {"name": "miou", "label": "mIoU", "about": "", "per_class": False, "better": "higher", "share": True,
             "shown": ["study"]}, {**declared, "share": False, "shown": ["study"]},
        ]  # fmt: skip
        result["last"]["error"] = value
        (folder / "result.json").write_text(json.dumps(result))
        return read_run(folder)

    noise = (0.1, -0.2, 0.05, 0.1)
    runs = [write("deconv", seed, 5 + noise[seed]) for seed in range(4)]
    runs += [write("carafe", seed, 9 + noise[-seed]) for seed in range(4)]
    found = compare(runs, criterion=Criterion("error", margin=0.5))
    assert found.metric.name == "error"
    assert found.rows[1].versus.verdict == ("better" if factor > 0 else "worse")
    assert compare(runs).rows[1].versus.verdict == "equal"  # in mIoU, which they share to the last digit
    for metric, said in (("mious", "unknown metric 'mious': did you mean 'miou'"), ("iou", "unknown metric 'iou'")):
        with pytest.raises(ConfigError, match=said):
            compare(runs, criterion=Criterion(metric))


def test_all_pairs_have_no_baseline(write_run):
    runs = [write_run(name, seed, start + seed / 100 + (seed % 2) / 1000)
            for name, start in (("deconv", 0.7), ("carafe", 0.8), ("nearest", 0.5)) for seed in range(3)]  # fmt: skip
    found = compared(*runs, baseline="all")
    assert found.baseline is None
    assert [row.versus for row in found.rows] == [None] * 3
    assert [(one.arm, one.other, one.verdict) for one in found.decision.differences] == [
        ("carafe", "deconv", "better"),
        ("nearest", "deconv", "worse"),
        ("nearest", "carafe", "worse"),
    ]


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


def test_names_of_before_are_answered():
    import segup.ablation
    import segup.statistics

    for name in ("Difference", "Spread", "spread"):
        assert getattr(segup.ablation, name) is getattr(segup.statistics, name)
    with pytest.raises(ImportError, match=r"(?s)differences is gone.*try: segup.statistics.decide\(") as caught:
        from segup.ablation import differences  # noqa: F401
    typed = str(caught.value).partition("try: ")[2]
    (found,) = eval(typed, {"segup": segup}).differences  # the way out works as it is typed
    assert (found.arm, found.verdict) == ("bilinear", "worse")
    with pytest.raises(AttributeError, match="no attribute 'decnov'"):
        _ = segup.ablation.decnov


def test_the_front_is_what_no_row_beats(write_run):
    from segup.ablation.report.figures import pareto_front

    prices = {"deconv": (0.7, 4), "bilinear": (0.6, 3), "carafe": (0.65, 5), "nearest": (0.7, 4.5), "sapa": (0.8, 9)}
    runs = []
    for name, (score, price) in prices.items():
        runs.append(read_run(write_run(name, 0, score)))
        runs[-1].result["parameters"]["total"] = price * 1e6
    rows = compare(runs).rows
    front = [row.name for row in pareto_front(rows, "parameters")]
    assert front == ["bilinear", "deconv", "sapa"]
    beaten = [
        one
        for one, (score, price) in prices.items()
        if any(s >= score and p <= price and (s, p) != (score, price) for s, p in prices.values())
    ]
    assert set(front) == set(prices) - set(beaten)
    assert pareto_front(rows, "inference_seconds") == []
