"""The crops, the responses and the curves: what they are made of, against the definition."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segup import create_model
from segup.ablation.comparison import compare_groups
from segup.ablation.report import style, write_report
from segup.ablation.report.crops import CROP, choose_crops, disagreement, looked_at
from segup.ablation.report.curves import Curve, mean_curve, read_curves
from segup.ablation.report.figures import accuracy_against_cost, directions, periods
from segup.ablation.report.pictures import Response, crop_figure, look, trained_response
from segup.ablation.study import read_study
from segup.checkpoints import save_model
from segup.data import Labels, create_data

LABELS = Labels(("a", "b", "c"))
few = settings(max_examples=25, deadline=None)


def sample(truth, name="image"):
    return {"image": torch.rand(3, *truth.shape), "mask": torch.from_numpy(truth), "name": name}


@few
@given(st.integers(0, 2**31), st.integers(2, 6))
def test_disagreement_is_the_share_of_pairs_that_differ(seed, count):
    rng = np.random.default_rng(seed)
    maps = [rng.integers(0, 3, (5, 7)) for _ in range(count)]
    truth = np.where(rng.random((5, 7)) < 0.3, 255, 0)
    pairs = [one != other for one, other in itertools.combinations(maps, 2)]
    assert disagreement(maps, truth, LABELS) == pytest.approx(np.mean(pairs, axis=0) * (truth != 255))


def test_of_one_alone_the_errors_count():
    truth = np.array([[0, 1, 255]])
    assert disagreement([np.array([[0, 0, 0]])], truth, LABELS).tolist() == [[0, 1, 0]]


@few
@given(st.integers(0, 2**31))
def test_the_crop_is_the_window_with_most_disagreement(seed):
    rng = np.random.default_rng(seed)
    height, width = CROP[0] + int(rng.integers(0, 9)), CROP[1] + int(rng.integers(0, 9))
    truth = np.zeros((height, width), np.int64)
    one, two = truth.copy(), (rng.random((height, width)) < 0.02).astype(np.int64)
    (crop, *_) = choose_crops([sample(truth)], {"one": [one], "two": [two]}, LABELS)
    windows = np.lib.stride_tricks.sliding_window_view(two, CROP).sum(axis=(2, 3))
    assert windows[crop.top, crop.left] == windows.max()
    assert crop.truth.shape == crop.predictions["two"].shape == crop.image.shape[1:] == CROP
    assert np.array_equal(crop.predictions["two"], two[crop.top :, crop.left :][: CROP[0], : CROP[1]])


def test_crops_come_from_different_images_first_and_never_overlap():
    rng = np.random.default_rng(0)
    truth = np.zeros((3 * CROP[0], 2 * CROP[1]), np.int64)
    noise = [(rng.random(truth.shape) < share).astype(np.int64) for share in (0.5, 0.01)]
    samples, found = [sample(truth, "busy"), sample(truth, "calm")], {"one": [truth, truth], "two": noise}
    crops = choose_crops(samples, found, LABELS, count=4)
    assert [crop.name for crop in crops[:2]] == ["busy", "calm"]
    for one, other in itertools.combinations(crops, 2):
        apart = abs(one.top - other.top) >= CROP[0] or abs(one.left - other.left) >= CROP[1]
        assert one.name != other.name or apart


def test_images_smaller_than_a_crop_are_shown_whole_and_agreement_is_shown_once():
    truth = np.zeros((9, 11), np.int64)
    crops = choose_crops([sample(truth), sample(truth)], {"one": [truth, truth], "two": [truth, truth]}, LABELS)
    assert [(crop.top, crop.left, crop.truth.shape) for crop in crops] == [(0, 0, (9, 11))]
    with style.styled():
        assert style.png(crop_figure(crops, LABELS)).startswith(b"\x89PNG")


def test_costs_that_are_almost_equal_look_so_and_their_ticks_are_read(tmp_path, make_study):
    def matched(label, seed, result):
        result["macs"]["total"] = 18_910_000 + (label == "deconv") * 138_000

    study = read_study(make_study(tmp_path, {("deconv", 0): 0.7, ("bilinear", 0): 0.6}, change=matched))
    rows = compare_groups(study.finished(), "deconv").rows
    with style.styled():
        figure = accuracy_against_cost(rows, style.looks([row.name for row in rows]))
        figure.draw_without_rendering()
        for axes in figure.axes:
            left, right = axes.get_xlim()
            boxes = [tick.label1.get_window_extent() for tick in axes.xaxis.get_major_ticks()]
            seen = [box for box in boxes if axes.bbox.x0 <= (box.x0 + box.x1) / 2 <= axes.bbox.x1]
            assert all(one.x1 < other.x0 for one, other in itertools.pairwise(seen))
            assert not axes.axison or right - left > 0.09 * left


def test_images_are_spread_over_the_set_as_far_as_the_pixels_allow():
    data = create_data({"name": "cells", "classes": ["background", "cytoplasm", "nucleus"]})
    names = [data.sample("val", place)["name"] for place in range(3)]
    assert [one["name"] for one in looked_at(data)] == names
    assert [one["name"] for one in looked_at(data, pixels=2 * 210 * 576)] == [names[0], names[2]]
    assert [one["name"] for one in looked_at(data, pixels=1)] == names[:1]


@pytest.mark.parametrize("upsampler", ["nearest", "deconv", "carafe"])
def test_an_even_operator_has_an_even_constant_response(upsampler):
    torch.manual_seed(0)
    options = {"init": "he"} if upsampler == "deconv" else {}
    words = {"upsampler": upsampler, "upsampler_options": options, "widths": [8, 8, 8, 8, 8]}
    found = trained_response(create_model("resnet18", num_classes=2, pretrained=False, **words))
    assert isinstance(found, Response)
    assert found.operator.startswith("decoder.blocks.3.up, ")
    assert found.impulse.max() == pytest.approx(1)
    assert np.sqrt(np.square(found.constant).mean()) == pytest.approx(1)
    assert found.constant.mean() > 0
    inside = found.constant[6:-6, 6:-6]
    assert (np.ptp(inside) > 1e-3) == (upsampler == "deconv")
    shown = inside.var() / np.square(inside).mean()  # the picture shows what the spectrum says of the step
    assert shown == pytest.approx(found.pattern, abs=0.15)
    assert (found.pattern > 0.01) == (upsampler == "deconv")


def test_the_last_own_step_answers_not_the_step_to_the_image():
    model = create_model("resnet18", upsampler="bilinear", num_classes=2, pretrained=False, widths=[8, 8, 8, 8, 8])
    assert trained_response(model).operator.startswith("decoder.blocks.3.up, ")


@pytest.fixture
def pictured(tmp_path, make_study):
    """A study of two operators whose runs have a checkpoint of seed 1."""
    data = {"name": "cells", "classes": ["background", "cytoplasm", "nucleus"], "crop_size": [161, 193]}

    def on_cells(label, seed, result):
        result["config"]["data"] = data

    path = make_study(tmp_path, {(op, seed): 0.7 + seed / 10 for op in ("deconv", "nearest") for seed in (0, 1)},
                      change=on_cells)  # fmt: skip
    for upsampler in ("deconv", "nearest"):
        torch.manual_seed(0)
        model = create_model("resnet18", upsampler=upsampler, num_classes=3, pretrained=False, widths=[8, 8, 8, 8, 8])
        labels = {"names": tuple(data["classes"]), "colors": (), "ignore_index": 255}
        save_model(model, path / upsampler / "1" / "last.ckpt", {"labels": labels, "config": {"data": data}})
    return path


def test_pictures_are_of_the_seed_that_has_checkpoints(pictured):
    write_report(pictured)
    text = (pictured / "report.md").read_text()
    assert "seed 1), named by image" in text
    assert "## Not shown" not in text
    for name in ("crops.png", "responses.png"):
        assert (pictured / "figures" / name).is_file()


def test_what_cannot_be_opened_is_named_and_the_rest_is_shown(pictured):
    (pictured / "nearest" / "1" / "last.ckpt").write_bytes(b"half of a")
    runs = {member.label: member.run for member in read_study(pictured).members if member.seed == 1}
    shown = look(runs)
    assert {tuple(crop.predictions) for crop in shown.crops} == {("deconv",)}
    assert list(shown.responses) == ["deconv"]
    (message,) = shown.missing
    assert message.startswith("nearest is missing from the pictures: ")
    assert "last.ckpt is not a segup checkpoint" in message


def test_images_that_are_gone_leave_the_responses(pictured):
    runs = {member.label: member.run for member in read_study(pictured).members if member.seed == 1}
    for run in runs.values():
        run.result["config"]["data"] = {"name": "camvid", "classes": ["a", "b", "c"], "root": "/nowhere"}
    shown = look(runs)
    assert shown.crops == []
    assert set(shown.responses) == {"deconv", "nearest"}
    assert shown.missing[0].startswith("no crops are shown, since the images cannot be read: ")


def test_a_part_from_outside_is_not_imported_without_a_word(pictured):
    path = pictured / "nearest" / "1" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    content["segup"]["model"]["upsampler"] = "somewhere.blocks:Up"
    torch.save(content, path)
    runs = {member.label: member.run for member in read_study(pictured).members if member.seed == 1}
    assert "--trust somewhere.blocks" in look(runs).missing[0]


# Curves


def test_curves_are_what_was_logged_and_gaps_are_left_out(tmp_path):
    rows = ["step,lr,train/loss,val/miou", "1,0.1,2.0,", "2,0.1,1.0,0.5", "3,0.1,nan,", "2,0.1,1.5,0.6"]
    (tmp_path / "metrics.csv").write_text("\n".join(rows) + "\n")
    curves = read_curves(tmp_path)
    assert curves["train/loss"].steps.tolist() == [1, 2]
    assert curves["train/loss"].values.tolist() == [2.0, 1.5]
    assert curves["val/miou"].values.tolist() == [0.6]


@pytest.mark.parametrize("text", [None, "", "step,epoch\n", "step,train/loss\n1,half\n", "a,b\n1,2\n"])
def test_a_file_that_is_being_written_has_no_curves(tmp_path, text):
    if text is not None:
        (tmp_path / "metrics.csv").write_text(text)
    assert read_curves(tmp_path) == {}


def test_means_are_over_the_steps_that_all_seeds_have():
    steps = np.arange(1.0, 6)
    at, mean, deviation = mean_curve([Curve(steps, steps), Curve(steps[1:], 3 * steps[1:])])
    assert (at.tolist(), mean.tolist()) == ([2, 3, 4, 5], [4, 6, 8, 10])
    assert deviation == pytest.approx(np.std([[2, 3, 4, 5], [6, 9, 12, 15]], axis=0, ddof=1))
    assert np.isnan(mean_curve([Curve(steps, steps)])[2]).all()


# Spectrum


def test_the_period_is_the_steps_reach_in_the_image(tmp_path, make_study):
    study = read_study(make_study(tmp_path, {("deconv", 0): 0.7, ("deconv", 1): 0.7}))
    comparison = compare_groups({"deconv": [member.run for member in study.members]})
    (row,) = comparison.rows
    assert {period: value.mean for period, value in periods(row).items()} == pytest.approx({2: 0.3, 4: 0.3, 8: 0.3})
    assert directions(row) == pytest.approx([0.1, 0.1, 0.1])


# Style


def test_looks_differ_in_colour_and_dashes_and_neighbours_in_every_way():
    names = [f"row {place}" for place in range(36)]
    looks = list(style.looks(names).values())
    assert len({(one.color, str(one.dashes)) for one in looks}) == 36
    for one, other in itertools.pairwise(looks):
        assert one.color != other.color
        assert one.marker != other.marker
        assert one.dashes != other.dashes
        assert one.hatch != other.hatch


def test_colours_are_told_apart_by_the_colour_blind():
    from segup.data.labels import appearance

    colors = [tuple(int(look.color[i : i + 2], 16) for i in (1, 3, 5)) for look in style.looks("abcdefg").values()]
    seen = appearance(np.array(colors))
    for vision in seen:
        for one, other in itertools.combinations(vision, 2):
            assert np.linalg.norm(one - other) > 0.05


def test_a_persons_matplotlib_settings_neither_change_a_report_nor_are_changed():
    from matplotlib import rcParams

    before = dict(rcParams)
    rcParams["font.size"] = 31
    try:
        with style.styled():
            assert rcParams["font.size"] == 9
        assert rcParams["font.size"] == 31
    finally:
        rcParams["font.size"] = before["font.size"]
    assert dict(rcParams) == before
