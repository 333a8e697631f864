"""A study that goes on until it is decided: where seeds are added, when it ends, and that a kill changes nothing."""

import copy
import json

import numpy as np
import pytest
import yaml

from segup.ablation.comparison import compare_study
from segup.ablation.plan import RunSpec, StudySpec, plan_study
from segup.ablation.report.content import read_report
from segup.ablation.report.forest import path_figure
from segup.ablation.report.gallery import draw
from segup.ablation.rounds import ending, looks_asked, next_round, rounds
from segup.ablation.study import read_study
from segup.errors import ConfigError
from segup.statistics import looks_at

SHIFT = {"deconv": 0.0, "bilinear": -0.06, "carafe": 0.004, "nearest": 0.012}
THREE = ["deconv", "bilinear", "carafe"]
CONFIG = {
    "encoder": {"name": "segnet"}, "decoder": {"topology": "unet", "upsampler": "deconv"}, "data": {"name": "cells"},
}  # fmt: skip


class KilledError(Exception):
    """In place of a signal that ends the process."""


def asked(label, seed, **changes):
    return RunSpec(label, seed, {**copy.deepcopy(CONFIG), **changes, "seed": seed})


def score(label, seed):
    rng = np.random.default_rng([sum(map(ord, label)), seed])
    block = np.random.default_rng(seed).normal(0, 0.02)
    return 0.7 + block + SHIFT[label] + rng.normal(0, 0.005)


@pytest.fixture
def go(make_study, tmp_path):
    """A function that begins or continues a study whose runs take no time, and is killed after so many of them."""
    template = make_study(tmp_path / "template", {("deconv", 0): 0.7}) / "deconv" / "0"
    result, status = (json.loads((template / f"{name}.json").read_text()) for name in ("result", "status"))

    def begin(study, labels, most, *, seeds=3, killed_after=None, fails=(), max_hours=None):
        ended = [0]
        runs = [asked(label, seed) for label in labels for seed in range(seeds)]
        terms = StudySpec("command", labels[0], "none", None, {}, {}, looks=looks_asked(runs, labels[0], most))

        def train(specs):
            for spec, folder in zip(specs, plan_study(study, specs, terms), strict=True):
                if (folder / "result.json").exists():
                    continue
                if ended[0] == killed_after:
                    raise KilledError
                ended[0] += 1
                failed = (spec.label, spec.seed) in fails
                (folder / "status.json").write_text(json.dumps({**status, "state": "failed" if failed else "finished"}))
                if not failed:
                    made = copy.deepcopy(result)
                    made["seed"], made["config"]["decoder"]["upsampler"] = spec.seed, spec.label
                    made["last"]["miou"] = made["best"]["miou"] = score(spec.label, spec.seed)
                    (folder / "result.json").write_text(json.dumps(made))

        train(runs)
        for specs in rounds(study, runs, max_hours):
            train(specs)

    return begin


def seeds_of(study):
    found = {}
    for member in read_study(study).members:
        found.setdefault(member.label, []).append(member.seed)
    return found


def test_seeds_go_where_nothing_is_decided(go, tmp_path):
    go(tmp_path / "study", list(SHIFT), 20)
    seeds, decision = seeds_of(tmp_path / "study"), compare_study(read_study(tmp_path / "study")).decision
    assert decision.of("bilinear", "deconv").verdict == "worse"
    assert len(seeds["bilinear"]) < len(seeds["carafe"]) == len(seeds["deconv"])
    assert {len(of) for of in seeds.values()} <= set(looks_at(3, 20))
    assert all(of == list(range(len(of))) for of in seeds.values())
    undecided = [one for one in decision.differences if one.verdict == "undecided"]
    assert not undecided or decision.looks[-1].blocks == 20


@pytest.mark.parametrize("killed_after", [1, 8, 9, 10, 12])
def test_killed_at_any_moment_it_comes_to_the_same_decision(go, tmp_path, killed_after):
    go(tmp_path / "whole", THREE, 7)
    with pytest.raises(KilledError):
        go(tmp_path / "killed", THREE, 7, killed_after=killed_after)
    with pytest.raises(KilledError):
        go(tmp_path / "killed", THREE, 7, killed_after=1)
    go(tmp_path / "killed", THREE, 7)
    whole, killed = (read_study(tmp_path / name) for name in ("whole", "killed"))
    assert compare_study(killed).decision == compare_study(whole).decision
    assert [(m.label, m.seed) for m in killed.members] == [(m.label, m.seed) for m in whole.members]
    go(tmp_path / "killed", THREE, 7)  # the same command once more adds nothing
    assert seeds_of(tmp_path / "killed") == seeds_of(tmp_path / "whole")


def test_a_report_of_part_of_a_round_says_what_whole_looks_decided(go, tmp_path):
    with pytest.raises(KilledError):
        go(tmp_path / "study", list(SHIFT), 10, killed_after=13)
    decision = compare_study(read_study(tmp_path / "study")).decision
    assert [look.blocks for look in decision.looks] == [3]
    assert ending(read_study(tmp_path / "study")) == "It has not come to its last look."


def test_all_pairs_and_other_criteria_are_decided_in_the_same_looks(go, tmp_path):
    go(tmp_path / "study", list(SHIFT), 10)
    study = read_study(tmp_path / "study")
    every = compare_study(study, "all").decision
    assert len(every.differences) == 6
    assert every.looks
    assert all(look.level > 0.95 for look in every.looks)
    assert compare_study(study, margin=0.05).decision.looks[0].blocks == 3


def test_it_ends_when_all_is_decided_and_the_path_is_drawn(go, tmp_path):
    go(tmp_path / "study", ["deconv", "bilinear", "nearest"], 40)
    report = read_report(tmp_path / "study")
    assert ending(report.study) == "It ended when all was decided."
    assert len(report.comparison.decision.looks) >= 2
    titles = [axes.get_title() for axes in path_figure(report.comparison).axes]
    assert titles[0].startswith("bilinear\n−0.0")
    assert titles[0].endswith(" worse")


def test_the_path_shows_every_marker_and_the_last_intervals_at_whole_numbers_of_seeds(make_study, tmp_path):
    scores = {("deconv", n): 0.70 + n % 3 / 1000 for n in range(10)}
    scores |= {("bilinear", n): 0.66 + n % 2 / 500 for n in range(3)}
    scores |= {("carafe", n): 0.73 - n / 400 + n % 4 / 200 for n in range(10)}
    study = make_study(tmp_path, scores, until="decided", looks=[3, 5, 7, 10])
    comparison = compare_study(read_study(study))
    figure = path_figure(comparison)
    for axes in figure.axes:
        low, high = axes.get_ylim()
        (name,) = (one for one in ("bilinear", "carafe") if axes.get_title().startswith(one))
        last = comparison.decision.of(name, "deconv")
        assert low <= last.mean - last.half_width < last.mean + last.half_width <= high
        seen = [one for look in comparison.decision.looks for one in look.differences if one.arm == name]
        assert all(low <= one.mean <= high for one in seen)
        assert all(tick == int(tick) for tick in axes.get_xticks())


def test_how_it_ended_is_told_of_the_study_whatever_else_is_asked_of_it(go, tmp_path):
    go(tmp_path / "study", ["deconv", "bilinear", "carafe"], 5)
    for asked_for in ({}, {"margin": 0.5}, {"baseline": "all", "margin": 0.0}):
        report = read_report(tmp_path / "study", **asked_for)
        assert ending(report.study) == "It ended at the most seeds (5)."
        (path,) = (one for one in draw(report) if one.name == "path")
        assert path.caption.endswith("It ended at the most seeds (5).")


def test_hours_of_training_end_it_before_a_round(go, tmp_path):
    go(tmp_path / "study", list(SHIFT), 20, max_hours=0.1)  # each run takes a minute, and the first round 12
    assert {len(of) for of in seeds_of(tmp_path / "study").values()} == {3}
    go(tmp_path / "study", list(SHIFT), 20, max_hours=0.25)
    assert max(len(of) for of in seeds_of(tmp_path / "study").values()) == 5


def test_a_decoder_that_failed_gets_no_further_seeds_and_its_run_is_tried_again_by_the_command(go, tmp_path):
    go(tmp_path / "study", list(SHIFT), 7, fails=[("carafe", 4)])
    assert seeds_of(tmp_path / "study")["carafe"] == [0, 1, 2, 3, 4]
    assert compare_study(read_study(tmp_path / "study")).decision.of("carafe", "deconv").failures == 1
    go(tmp_path / "study", list(SHIFT), 7)
    assert len(seeds_of(tmp_path / "study")["carafe"]) >= 5
    assert not read_study(tmp_path / "study").failed()
    go(tmp_path / "other", list(SHIFT), 7, fails=[("deconv", 1)])
    assert {len(of) for of in seeds_of(tmp_path / "other").values()} == {3}


@pytest.mark.parametrize(
    ("runs", "most", "said"),
    [
        ([asked("deconv", seed) for seed in range(5)], 3, "ablation.max_seeds=3, but the sweep asks for 5 seeds."),
        ([asked("bilinear", 0), asked("carafe", 0)], 9, "'deconv' is not among the decoders.\n  try: name it, too"),
        ([asked("deconv", 0)], 9, "has one decoder, and nothing to decide.\n  try: decoder=deconv,bilinear"),
        (
            [asked("deconv", 0, name="0"), asked("deconv", 1, name="1"), asked("carafe", 0)],
            9,
            "of 'deconv' follows the",
        ),
        ([asked("deconv", 0, data={"folds": 5, "fold": 1}), asked("carafe", 0)], 9, "data.fold is given"),
    ],
)
def test_what_cannot_go_on_with_further_seeds_is_refused(runs, most, said):
    with pytest.raises(ConfigError) as caught:
        looks_asked(runs, "deconv", most)
    assert said in str(caught.value)


def test_a_study_goes_on_with_all_its_decoders():
    runs = [asked(label, 0) for label in ("deconv", "bilinear")]
    with pytest.raises(ConfigError, match=r"and 'carafe' is not among those named.\n  try: name it, too"):
        looks_asked(runs, "deconv", 9, ["deconv", "carafe", "bilinear", "carafe"])
    assert looks_asked(runs, "deconv", 9, ["deconv"]) == looks_at(1, 9)


def test_the_rule_of_a_study_does_not_change(go, tmp_path):
    go(tmp_path / "study", ["deconv", "bilinear"], 10)
    with pytest.raises(ConfigError, match=r"ablation.max_seeds was 10 and is now 12"):
        go(tmp_path / "study", ["deconv", "bilinear"], 12)
    stored = yaml.safe_load((tmp_path / "study" / "study.yaml").read_text())
    assert (stored["until"], stored["looks"]) == ("decided", list(looks_at(3, 10)))
    runs = [asked(label, seed) for label in ("deconv", "bilinear") for seed in range(3)]
    with pytest.raises(ConfigError, match=r"ablation.until was decided and is now null"):
        plan_study(tmp_path / "study", runs, StudySpec("command", "deconv", "none", None, {}, {}))
    assert next_round(tmp_path / "study", runs, None) == []
