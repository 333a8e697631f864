"""Image by image: what runs counted, what is decided of other images, and what damaged counts are answered with."""

import csv
import json

import numpy as np
import pytest

from segup.ablation import read_run
from segup.ablation.comparison import compare_groups
from segup.ablation.report.content import read_report
from segup.ablation.report.texts import as_image_csv, as_markdown
from segup.errors import DataError
from segup.training.rows import read_image_counts, write_image_counts

UNION = 1000


@pytest.fixture
def write_counted(write_run):
    """A function that writes a run with an IoU for each image, the same in both classes."""

    def write(name, seed, shares, groups=None, **settings):
        folder = write_run(name, seed, float(np.mean(shares)), **settings)
        result = json.loads((folder / "result.json").read_text())
        result["last"]["images"] = len(shares)
        (folder / "result.json").write_text(json.dumps(result))
        counts = [
            (f"image {n:03}", [[c, int(share * UNION), int(share * UNION), UNION] for c in (0, 1)])
            for n, share in enumerate(shares)
        ]
        named = {} if groups is None else dict(zip((name for name, _ in counts), groups, strict=True))
        write_image_counts(folder / "images.csv", counts, named)
        return read_run(folder)

    return write


def study(write, images, gain, spread, groups=None, seeds=5):
    numbers = np.random.default_rng(0)
    hard, apart = numbers.uniform(0.5, 0.7, images), numbers.normal(gain, spread, images)
    noise = numbers.normal(0, 0.004, (2, seeds, 1))
    return {
        name: [write(name, seed, of + noise[place, seed], groups) for seed in range(seeds)]
        for place, (name, of) in enumerate((("deconv", hard), ("bilinear", hard + apart)))
    }


def test_two_statements_where_images_differ_more_than_seeds(write_counted):
    found = compare_groups(study(write_counted, 30, 0.02, 0.08))
    (these,), (others,) = found.decision.differences, found.on_others.decision.differences
    assert (these.verdict, others.verdict) == ("better", "undecided")
    assert others.half_width > these.half_width
    assert found.on_others.shares["bilinear", "deconv"] > 0.5
    assert found.conclusion.startswith("bilinear (")
    said = "For other images of their kind, judged by these 30 images: nothing is decided: bilinear is undecided"
    assert said in found.conclusion


def test_alike_images_say_the_same_of_others(write_counted):
    found = compare_groups(study(write_counted, 30, 0.05, 0.001))
    assert [one.decision.differences[0].verdict for one in (found, found.on_others)] == ["better", "better"]


@pytest.mark.parametrize(("images", "groups"), [(19, None), (40, 19)])
def test_nothing_is_said_of_others_with_fewer_than_20_images_or_groups(write_counted, images, groups):
    named = None if groups is None else [f"sequence {place % groups}" for place in range(images)]
    found = compare_groups(study(write_counted, images, 0.05, 0.001, named, seeds=2))
    assert found.on_others is None
    assert "other images" not in found.conclusion
    named = [f"sequence {place % 20}" for place in range(40)]
    again = compare_groups(study(write_counted, 40, 0.05, 0.001, named, seeds=2))
    assert again.on_others.rests_on == "40 images in 20 groups"


def test_other_images_in_one_arm_or_runs_without_counts_say_nothing_of_others(write_counted, write_run):
    groups = study(write_counted, 25, 0.05, 0.001, seeds=2)
    (groups["bilinear"][1].path / "images.csv").unlink()
    assert compare_groups(groups).on_others is None
    groups = study(write_counted, 25, 0.05, 0.001, seeds=2)
    file = groups["bilinear"][1].path / "images.csv"
    file.write_text(file.read_text().replace("image 003", "image x"))
    assert compare_groups(groups).on_others is None


@pytest.mark.parametrize(("seeds", "pairs", "verdict"), [((0, 1, 2, 3), 4, "better"), ((0, 0, 0, 0), 1, "undecided")])
def test_folds_are_pairs_and_their_images_are_counted_together(write_counted, seeds, pairs, verdict):
    numbers = np.random.default_rng(1)
    groups = {"deconv": [], "bilinear": []}
    for fold in range(4):
        hard = numbers.uniform(0.5, 0.7, 6) + fold / 50
        for name, gain in (("deconv", 0), ("bilinear", 0.03)):
            run = write_counted(name, seeds[fold], hard + gain, data__folds=4, data__fold=fold)
            file = run.path / "images.csv"
            file.write_text(file.read_text().replace("image ", f"fold {fold} image "))
            groups[name].append(run)
    found = compare_groups(groups)
    (one,) = found.decision.differences
    assert (one.pairs, one.verdict) == (pairs, verdict)  # the folds differ by 0.06, and that cancels
    assert one.mean == pytest.approx(0.03, abs=0.001)
    assert ("One seed gives no interval" in found.conclusion) == (pairs == 1)
    assert found.on_others.images == 24
    assert not [warning for warning in found.warnings if "data.fold" in warning]


def test_both_statements_are_of_the_same_look(write_counted):
    """An arm that is decided on these images gets no further seeds; of the others there are ten."""
    numbers = np.random.default_rng(2)
    hard, groups = numbers.uniform(0.5, 0.7, 25), {}
    for name, gain, seeds in (("deconv", 0, 10), ("bilinear", -0.03, 3), ("carafe", 0.004, 10)):
        apart = numbers.normal(gain, 0.05, 25)
        apart += gain - apart.mean()
        blocks = [hard + apart + numbers.normal(0, 0.003) for _ in range(seeds)]
        groups[name] = [write_counted(name, seed, shares) for seed, shares in enumerate(blocks)]
    order = [run.block for run in groups["deconv"]]
    for baseline in ("deconv", "all"):
        found = compare_groups(groups, baseline, looks=[3, 5, 7, 10], order=order)
        assert [look.blocks for look in found.on_others.decision.looks] == [3, 5, 7, 10][: len(found.decision.looks)]
        assert all(0 <= share <= 1 for share in found.on_others.shares.values())
    found = compare_groups(groups, "deconv", looks=[3, 5, 7, 10], order=order)
    these, others = (one.of("carafe", "deconv") for one in (found.decision, found.on_others.decision))
    assert (these.verdict, these.pairs, others.pairs) == ("undecided", 10, 10)
    assert these.mean == others.mean
    assert found.decision.of("bilinear", "deconv").verdict == "worse"


def test_the_report_has_a_line_for_each_run_and_image(write_counted, make_study, tmp_path):
    path = make_study(tmp_path / "studies", {("deconv", 0): 0.7, ("bilinear", 0): 0.72})
    assert as_image_csv(read_report(path)) == ""
    rows = [("b", [[0, 5, 10, 10], [1, 1, 2, 2]]), ("a,\n", [[1, 2, 2, 4]])]
    write_image_counts(path / "deconv" / "0" / "images.csv", rows, {"b": "patient 1"})
    report = read_report(path)
    found = list(csv.DictReader(as_image_csv(report).splitlines()))
    assert [(row["decoder"], row["seed"], row["image"], row["group"]) for row in found] == [
        ("deconv", "0", "a,\\n", "a,\\n"), ("deconv", "0", "b", "patient 1"),
    ]  # fmt: skip
    assert float(found[1]["miou"]) == pytest.approx((1 / 3 + 1 / 3) / 2)
    assert (found[0]["both/cell"], found[0]["true/cell"], found[0]["both/background"]) == ("2", "4", "0")
    assert "other images of their kind" not in as_markdown(report, [], [])


def test_counts_are_read_as_they_were_written_and_one_name_twice_is_two_images(tmp_path):
    file = tmp_path / "images.csv"
    rows = [("a", [[0, 1, 2, 3]]), ("b", [[1, 4, 4, 4]]), ("a", [[0, 2, 2, 2]])]
    write_image_counts(file, rows, {"a": "left"})
    found = read_image_counts(file, 2)
    assert [(one.image, one.group, one.classes) for one in found] == [
        ("a", "left", ((0, 1, 2, 3),)), ("a#2", "left", ((0, 2, 2, 2),)), ("b", "b", ((1, 4, 4, 4),)),
    ]  # fmt: skip
    assert read_image_counts(tmp_path / "none.csv", 2) == []


HEAD = "image,group,class,both,predicted,true\n"


@pytest.mark.parametrize(
    "text",
    [
        "", "a,b\n", f"{HEAD}a,,0,1,2\n", f"{HEAD}a\n", f"{HEAD}a,,0,3,2,2\n", f"{HEAD}a,,2,1,1,1\n",
        f"{HEAD}a,,0,-1,2,2\n", f"{HEAD}a,,x,1,2,2\n", f"{HEAD}a,,0,1,2,99999999999999999999\n", f'{HEAD}"a',
    ],
)  # fmt: skip
def test_what_is_no_such_file_is_refused(tmp_path, text):
    file = tmp_path / "images.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=r"images.csv is not what segup writes: "):
        read_image_counts(file, 2)
