"""The studies of the noise floor as one command that goes on, and the page that is made of their rows."""

import csv
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segup.ablation.comparison import Comparison
from segup.ablation.report.forest import drawn_differences, forest
from segup.cli.composed import configs_folder
from segup.cli.sweep import read_sweep

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "noise_floor.py"
MODULES = [file.stem for file in (ROOT / "scripts").glob("noise_floor*.py")] + ["scored", "reproduce_segnet_table"]
PARTS = (
    "probe_cells",
    "probe_camvid",
    "probe_context",
    "decoders_cells",
    "decoders_cells_params",
    "segnet",
    "anchor",
    "anchor_plain",
)
OPTIONS = Namespace(words=[], threads=1, at_once=1, hours=None)


@pytest.fixture(autouse=True)
def _scripts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.chdir(tmp_path)
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


def sweep_of(key, operators=None, seeds=(0,), **options):
    """The runs that a part asks segup's sweep for."""
    import noise_floor
    from noise_floor_parts import PARTS

    part = PARTS[key]
    folders = {"camvid": Path("data/camvid"), "half": Path("camvid_180x240")}
    chosen = Namespace(**{**vars(OPTIONS), **options})
    command = noise_floor._command(part, operators or part.operators, seeds, folders, chosen)
    return part, read_sweep("segup train", command[4:], configs_folder())


@pytest.mark.parametrize(
    ("key", "operators"),
    [
        ("probe_cells", ["bilinear_alone", "conv_nearest", "uplift"]),
        ("probe_camvid", ["bilinear_alone"]),
        ("decoders_cells", ["bilinear", "fade"]),
        ("decoders_cells_params", ["bilinear"]),
        ("anchor", ["deconv", "naf"]),
    ],
)
def test_a_part_is_one_sweep_of_segup_whose_rows_one_command_repeats(key, operators):
    from noise_floor_page import command
    from noise_floor_parts import words_of

    part, sweep = sweep_of(key, operators)
    assert set(operators) <= set(part.operators)
    assert len({run.label for run in sweep.asked}) == len(sweep.asked) == len(operators) * (2 if key == "anchor" else 1)
    assert sweep.ablation["baseline"] == part.baseline == sweep.asked[0].label
    assert (sweep.ablation["until"] == "decided") == (part.most is not None)
    assert sweep.ablation["match"] == ("params" if key == "decoders_cells_params" else "none")
    for run in (sweep.asked[0], sweep.asked[-1]):
        operator, *axes = run.label.split(",")
        again = command(part, run.label, " ".join([*words_of(operator), *axes]), ["0"])
        assert again.startswith("python train.py -m ")
        (repeated,) = read_sweep("train.py", shlex.split(again)[2:], configs_folder()).asked
        assert decided(repeated.config) == decided(run.config)


def decided(config):
    """A run's settings without those of its operator that it has by itself: its preset says them again."""
    decoder = {**config["decoder"]}
    options = decoder.pop("upsampler_options")
    own = {key: value for key, value in options.items() if key != "init" and value is not False}
    return {**config, "decoder": decoder}, own


def test_probes_have_sixteen_operators_or_more():
    from noise_floor_parts import PROBED, VARIANTS

    own = {file.stem for file in (ROOT / "configs" / "decoder").glob("*.yaml")}
    need_more = {"fade", "sapa", "freqfusion", "max_unpool", "published"}
    assert set(PROBED) == (own - need_more) | set(VARIANTS)
    assert len(PROBED) >= 16


def test_seeds_come_one_after_another_with_all_operators():
    _, sweep = sweep_of("probe_cells", ["bilinear_alone", "deconv"], (0, 1))
    assert [(run.label, run.seed) for run in sweep.asked] == [
        ("bilinear_alone", 0), ("deconv", 0), ("bilinear_alone", 1), ("deconv", 1),
    ]  # fmt: skip


def test_an_operator_from_outside_is_one_word_of_the_sweep():
    _, sweep = sweep_of("decoders_cells", ["bilinear", "mine.blocks:Mine"], hours=2.0)
    assert [run.label for run in sweep.asked] == ["bilinear", "Mine"]
    assert sweep.asked[1].config["decoder"]["upsampler"] == "mine.blocks:Mine"
    assert sweep.ablation["max_hours"] == 2


def row(decoder, seed, miou, **further):
    state = "failed" if miou is None else "finished"
    return {"decoder": decoder, "seed": str(seed), "state": state, "miou": "" if miou is None else str(miou),
            "parameters": "1000", "wall_seconds": "20.0", "cause": "", "looks": "", "words": f"decoder={decoder}",
            **further}  # fmt: skip


def written(key, rows):
    """Write a part's file, make the page, and return it."""
    from noise_floor_page import write_page
    from noise_floor_rows import write_rows

    write_rows(Path("docs/noise-floor") / f"{key}.csv", rows)
    return write_page(Path("docs")).read_text()


def test_the_page_says_what_is_decided_equal_and_undecided_from_the_rows_alone():
    noise = [0.001, -0.001, 0.0005, -0.0005, 0.0]
    rows = []
    for seed, apart in enumerate(noise):
        rows += [row("bilinear_alone", seed, 0.5 + apart), row("deconv", seed, 0.6 - apart)]
        rows += [row("naf", seed, 0.5 + 1.1 * apart), row("carafe", seed, 0.505 + 6 * apart)]
        rows += [row("broken", seed, None, cause="out of memory")]
    text = written("probe_cells", rows)
    section = text[text.index("trained for 60 steps") :]
    assert "Here are 25 runs, of which 5 failed, each a line of a file in `docs/noise-floor`" in text
    assert "**, mIoU: against `bilinear_alone` 1 better, 1 equal within 0.005, 2 undecided, highest" in text
    assert "Not run yet: Probe of a frozen encoder with crops of each seed's own, cells; Probe of a frozen enc" in text
    assert "is better than bilinear\\_alone in mIoU" in section or "is better than bilinear_alone in mIoU" in section
    assert "equal to bilinear_alone within 0.005" in section.replace("\\", "")
    table = section[: section.index("### Costs ")].splitlines()
    verdicts = {line.split("`")[1]: line for line in table if line.startswith("| `")}
    assert "| 0.600 ± 0.001 | 5 | +0.100 [" in verdicts["deconv"]
    assert "| better | 5 of 5 |" in verdicts["deconv"]
    assert "| equal | 2 of 4 |" in verdicts["naf"]
    assert "| undecided | " in verdicts["carafe"]
    assert "Failed: broken seed 0 (out of memory); " in section
    assert "broken failed in 5 of 5 seeds" in section
    assert "![Differences in mIoU to bilinear_alone, with their intervals](noise-floor/probe_cells-miou.png)" in section
    with Image.open("docs/noise-floor/probe_cells-miou.png") as figure:
        assert figure.width > 400
    assert "`python train.py -m experiment=probe data=cells data.folds=5 decoder=deconv seed=0,1,2,3,4 " in section


def test_before_the_first_look_a_figure_names_no_number_that_is_not_known():
    from noise_floor_measured import measured
    from noise_floor_parts import PARTS

    rows = [row(name, seed, 0.5, looks="5 10") for name in ("bilinear", "deconv") for seed in range(2)]
    one = measured(PARTS["decoders_cells"], rows, "miou")
    comparison = Comparison((), one.part.baseline, one.score, one.decision, (), (), ())
    texts = [text.get_text() for axes in forest(comparison, drawn_differences(comparison)).axes for text in axes.texts]
    assert "undecided" in "".join(texts)
    assert "nan" not in "".join(texts)


@pytest.mark.parametrize("uneven", [False, True])
def test_the_range_of_the_noise_holds_the_true_one(uneven):
    """A bootstrap of the seeds, which draws some twice, held it in 66 to 76 of 100."""
    from noise_floor_measured import measured
    from noise_floor_parts import PARTS

    names, rng = ("bilinear_alone", "deconv", "naf", "carafe", "jbu"), np.random.default_rng(3)
    sizes = np.linspace(0.4, 1.6, 5) if uneven else np.ones(5)
    first, second = np.triu_indices(5, 1)
    true = np.quantile(
        np.abs(np.diff(rng.normal(size=(2, 10, 20000)) * [sizes[first, None], sizes[second, None]], axis=0)), 0.95
    )
    held = 0
    for _ in range(150):
        scores = rng.normal(size=(5, 10)) * sizes[:, None]
        rows = [row(name, seed, scores[place, seed]) for place, name in enumerate(names) for seed in range(10)]
        low, high = measured(PARTS["probe_camvid"], rows, "miou").noise_range()
        held += low <= true <= high
    assert 0.9 < held / 150 < 0.995


def test_published_differences_are_held_against_the_noise_of_the_nearest_part():
    rows = [row(name, seed, 0.5 + place / 100 + (-1) ** seed * place * 0.001)
            for place, name in enumerate(("bilinear_alone", "deconv", "naf"))
            for seed in range(16)]  # fmt: skip
    from noise_floor_measured import measured
    from noise_floor_parts import PARTS

    rows = [{**values, "test_miou": values["miou"]} for values in rows]
    one = measured(PARTS["probe_camvid"], rows, "test_miou")
    signs = np.array([(-1) ** seed * 0.001 for seed in range(16)])
    apart = [signs, 2 * signs, signs]  # of each two of the three
    assert one.paired == pytest.approx(np.median([np.std(pair, ddof=1) for pair in apart]))
    assert one.noise() == pytest.approx(np.quantile(np.abs(np.concatenate(apart)) * np.sqrt(16 / 15), 0.95))
    assert one.noise(guided=True) == pytest.approx(np.quantile(np.abs(apart[1:]) * np.sqrt(16 / 15), 0.95))
    around = [place * signs * np.sqrt(16 / 15) for place in range(3)]  # each row about its mean
    unpaired = [abs(around[a][i] - around[b][j]) for a, b in ((0, 1), (0, 2), (1, 2))
                for i in range(16) for j in range(16) if i != j]  # fmt: skip
    assert one.unpaired_noise() == pytest.approx(np.quantile(unpaired, 0.95))
    text = written("probe_camvid", rows)
    noise, unpaired = 100 * one.noise(guided=True), 100 * one.unpaired_noise(guided=True)
    shown = next(line for line in text.splitlines() if "linear head on frozen DINOv2-S/14" in line and "UPLiFT" in line)
    published = {"COCO-Stuff": (59.41, 61.77, 62.19, 61.71, 62.08, 62.55),
                 "VOC": (81.62, 83.52, 84.63, 84.38, 84.33, 85.21),
                 "ADE20K": (40.43, 42.07, 42.16, 41.96, 42.25, 42.97),
                 "Cityscapes": (59.71, 60.50, 62.09, 61.89, 61.33, 65.38)}  # fmt: skip
    pairs = [abs(a - b) for column in published.values() for a, b in itertools.combinations(column, 2)]
    larger = [int(count) for count in re.search(r"\*\*Published\*\*: (\d+) of 75 .*, (\d+) of 75\.", text).groups()]
    counts = re.findall(r"\| [^|]+ \| (\d+) of \d+[^|]* \| [\d.]+ \| (\d+) of \d+ \|", text)
    assert larger == [sum(int(pair[which]) for pair in counts) for which in (0, 1)]
    low, high = (100 * end for end in one.noise_range(guided=True))
    assert low <= noise <= high
    larger = [sum(pair > size for pair in pairs) for size in (noise, high, low, unpaired)]
    held = f"{noise:.2f} ({low:.2f} to {high:.2f}) | {larger[0]} of 60" + (
        f" ({larger[1]} to {larger[2]})" if low < high else ""
    )
    assert f"test mIoU | {held} | {unpaired:.2f} | {larger[3]} of 60 |" in shown
    assert next(line for line in text.splitlines() if "Table 1" in line).endswith("| not run |  |  |  |")
    row_by_row = next(line for line in text.splitlines() if "feature-agnostic − global" in line)
    assert row_by_row.endswith(f"| +0.13 | {'yes' if noise < 0.13 else 'no'} | {'yes' if unpaired < 0.13 else 'no'} |")


def test_memory_and_times_of_a_gpu_are_not_mixed_with_a_processs():
    cost = {"test_miou": "0.5", "test_bf_score": "0.5"}
    rows = [
        row("bilinear", seed, 0.5, **cost, device=device, peak_memory_bytes=str(memory * 2**30), wall_seconds=took)
        for seed, (device, memory, took) in enumerate([("GPU NVIDIA X", 1, "150.0"), ("Y Processor", 3, "1000.0")])
    ] + [row("fcn_basic", 0, 0.5, **cost, device="Y Processor", peak_memory_bytes=str(2**31), wall_seconds="2000.0")]
    text = written("segnet", rows)
    assert "3 of 15 runs, 1 on NVIDIA X, 2 on a CPU, `docs/noise-floor/segnet.csv`; a run took 150 s on NVIDIA X and " \
        "1500 s on a CPU (median)" in text  # fmt: skip
    assert "and the run's peak memory, of runs on a GPU alone." in text
    ends = {line.split("|")[1].strip(): line.split("|")[-2].strip() for line in text.splitlines() if "GiB |" in line}
    assert ends == {"`bilinear`": "1.00 GiB"}


def test_the_anchors_differences_are_told_apart_by_what_differs():
    losses = {"ce_dice": 0.1, "cross_entropy": 0.0}
    gains = {"deconv": 0.0, "naf": -0.03}
    runs = [(name, loss, seed) for name in gains for loss in losses for seed in range(2)]
    thin = {f"test_iou/{name}": "0.25" for name in ("pole", "bicyclist", "pedestrian")}
    thin["test_pixel_accuracy"] = "0.9"
    rows = [row(f"{name},loss={loss}", seed, 0.5, test_miou=str(0.5 + gains[name] + losses[loss] + seed / 100), **thin,
                device="GPU NVIDIA X")
            for name, loss, seed in runs]  # fmt: skip
    text = written("anchor", rows)
    assert "8 of 30 runs, on NVIDIA X, `docs/noise-floor/anchor.csv`" in text
    assert "| loss: ce_dice − cross_entropy | 4 | +0.100 | +0.100 |" in text
    assert "not tested: +0.100 by the loss (ce_dice for cross_entropy), −0.030 by the operator (for deconv)." in text
    assert "| operator: naf − deconv | 4 | −0.030 | −0.030 |" in text
    assert "| augmentation: with − without, cross_entropy | 0 | not run yet |  |" in text
    assert "| segmentation_models_pytorch | 1 | 0.534 | 0.890 | 0.031 | 0.000 | 0.321 |" in text
    assert "| cross_entropy, with augmentation | 4 | 0.490 | 0.900 | 0.250 | 0.250 | 0.250 |" in text
    assert "| ce_dice, with augmentation | 4 | 0.590 | 0.900 | 0.250 | 0.250 | 0.250 |" in text
    assert "without augmentation |" not in text
    assert "| `naf,loss=ce_dice` | 0.250 | 0.250 | 0.250 |" in text
    assert "on NVIDIA X, with other runs on it: multiply-accumulates of one training crop and the run" in text
    plain = [
        row(name, seed, 0.5, test_miou=str(0.52 + gains[name] + seed / 100), **thin)
        for name in gains
        for seed in range(2)
    ]
    text = written("anchor_plain", plain)
    assert "| augmentation: with − without, cross_entropy | 4 | −0.020 | −0.020 |" in text
    assert "| cross_entropy, without augmentation | 4 | 0.510 | 0.900 | 0.250 | 0.250 | 0.250 |" in text


def test_segnets_rows_stand_beside_the_published_ones():
    rows = [row(name, seed, 0.5, test_miou="0.41", test_bf_score="0.3")
            for name in ("bilinear", "segnet_basic") for seed in range(2)]  # fmt: skip
    text = written("segnet", rows)
    assert "| SegNet-Basic (unpool), `segnet_basic` | 47.7 | 41.0 | 35.8 | 30.0 | ReLU in the decoder |" in text
    assert "| FCN-Basic (deconv), `fcn_basic` | 47.3 | – | 38.1 | – | " in text
    assert "| schedule | fixed rate, until the training loss has converged | constant, 40 epochs |" in text


def test_seeds_in_rounds_are_decided_as_the_study_decides_them():
    from noise_floor_measured import measured
    from noise_floor_parts import PARTS

    from segup.ablation.block import Block
    from segup.statistics import decide_in_looks

    rows = [row("bilinear", seed, 0.5 + seed % 3 / 1000, looks="3 5") for seed in range(5)]
    rows += [row("deconv", seed, 0.6, looks="3 5") for seed in range(3)]
    rows += [row("naf", seed, 0.502 + seed % 2 / 100, looks="3 5") for seed in range(5)]
    one = measured(PARTS["decoders_cells"], rows, "miou")
    scores = {name: {Block(int(r["seed"])): float(r["miou"]) for r in rows if r["decoder"] == name}
              for name in ("bilinear", "deconv", "naf")}  # fmt: skip
    assert one.decision == decide_in_looks(scores, "bilinear", looks=(3, 5), blocks=[Block(n) for n in range(5)])
    assert [look.blocks for look in one.decision.looks] == [3, 5]


def test_rows_of_a_newcomer_join_those_that_are_there():
    from noise_floor_measured import read_rows
    from noise_floor_rows import write_rows

    file = Path("docs/noise-floor/probe_cells.csv")
    write_rows(file, [row("bilinear_alone", 0, 0.5), row("deconv", 0, 0.6)])
    write_rows(file, [row("bilinear_alone", 0, 0.4), row("Mine", 0, 0.7, test_miou="0.8")], only={"Mine"})
    assert [(r["decoder"], r["miou"], r["test_miou"]) for r in read_rows(file)] == [
        ("bilinear_alone", "0.5", ""), ("deconv", "0.6", ""), ("Mine", "0.7", "0.8"),
    ]  # fmt: skip
    write_rows(file, [row("deconv", 0, 0.65)])
    assert [r["miou"] for r in read_rows(file)] == ["0.5", "0.65", "0.7"]
    write_rows(file, [row("bilinear_alone", seed, 0.4) for seed in (0, 1)], only={"Mine"})
    assert [(r["decoder"], r["seed"], r["miou"]) for r in read_rows(file)][3:] == [("bilinear_alone", "1", "0.4")]
    assert read_rows(file)[0]["miou"] == "0.5"


def test_seeds_that_another_study_adds_do_not_change_when_a_part_is_looked_at():
    from noise_floor_measured import read_rows
    from noise_floor_rows import write_rows

    file = Path("docs/noise-floor/decoders_cells.csv")
    write_rows(file, [row("bilinear", seed, 0.5, looks="5 7 10") for seed in range(4)])
    write_rows(file, [row("bilinear", 4, 0.5, looks="3 5 10")])  # of one seed by itself
    assert [r["looks"] for r in read_rows(file)] == ["5 7 10"] * 5
    write_rows(file, [row("bilinear", 5, 0.5, looks="5 7 10 15")])  # the same plan, with one look more
    assert [r["looks"] for r in read_rows(file)] == ["5 7 10 15"] * 6


def test_camvid_is_halved_once(tmp_path):
    import noise_floor
    from noise_floor_parts import halve

    from segup.errors import DataError

    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="no folder .*: give --data FOLDER"):
        halve(tmp_path / "camvid", tmp_path / "half")
    for split in ("train", "val", "test"):
        suffix = "png" if split == "val" else "jpg"
        for name, size in ((f"{split}/a.{suffix}", (6, 8, 3)), (f"{split}annot/a.png", (6, 8))):
            file = tmp_path / "camvid" / name
            file.parent.mkdir(parents=True)
            Image.fromarray(rng.integers(0, 12, size, dtype=np.uint8)).save(file)
    assert noise_floor.run(["--data", str(tmp_path), "--half", str(tmp_path / "half")]) == 0
    assert (tmp_path / "half" / "train" / "a.png").is_file()
    whole, small = (np.asarray(Image.open(tmp_path / name / "val" / "a.png")) for name in ("camvid", "half"))
    assert np.abs(small - whole.reshape(3, 2, 4, 2, 3).mean((1, 3))).max() <= 0.5
    whole, small = (np.asarray(Image.open(tmp_path / name / "valannot" / "a.png")) for name in ("camvid", "half"))
    for i, j in np.ndindex(3, 4):
        four = whole[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].ravel().tolist()
        assert four.count(small[i, j]) == max(map(four.count, four))
    (tmp_path / "half" / "val" / "a.png").write_bytes(b"mine")
    halve(tmp_path / "camvid", tmp_path / "half")
    assert (tmp_path / "half" / "val" / "a.png").read_bytes() == b"mine"
    Image.new("L", (8, 6)).save(tmp_path / "camvid" / "valannot" / "b.png")
    with pytest.raises(
        DataError, match="half was made of other images than .*\n  try: python scripts/noise_floor.py --half .*half_2"
    ):
        halve(tmp_path / "camvid", tmp_path / "half")


def test_a_baseline_that_was_trained_elsewhere_is_told_apart():
    from noise_floor_parts import PARTS
    from noise_floor_rows import unlike

    before = [row("bilinear_alone", 0, 0.5), row("bilinear_alone", 1, 0.6), row("deconv", 0, 0.7)]
    now = [row("bilinear_alone", 0, 0.5), row("bilinear_alone", 1, 0.61), row("deconv", 0, 0.1)]
    (line,) = unlike(before, now, PARTS["probe_cells"])
    assert line.startswith("bilinear_alone seed 1: miou is 0.61 here, and 0.6 in the file; ")


def test_a_second_baseline_has_a_decision_of_its_own():
    rows = [row(name, seed, value + (-1) ** seed * 0.001 * place)
            for place, (name, value) in enumerate({"bilinear_alone": 0.4, "conv_bilinear": 0.6, "deconv": 0.7}.items())
            for seed in range(4)]  # fmt: skip
    text = written("probe_cells", rows)
    short = next(line for line in text.splitlines() if line.startswith("- **Probe of a frozen encoder, cells**, mIoU:"))
    assert "against `bilinear_alone` 2 better, highest `deconv` (" in short
    assert "; against `conv_bilinear` 1 better, 1 worse, highest `deconv` (" in short
    assert "### Against `conv_bilinear`: mIoU\n\nIt is a 3×3 convolution at the encoder's stride" in text
    assert "to conv_bilinear, with their intervals](noise-floor/probe_cells-miou-second.png)" in text


def script(place, *words):
    env = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{place}",
        "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(place / "cache"),
    }
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words], env=env, cwd=place, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--part", "probe"], "--part probe: unknown part 'probe'"),
        (["--part", "probe_cells", "--operators", "max_unpool"], "unknown operator 'max_unpool': known: anyup, "),
        (["--part", "probe_cells", "--operators", "decov"], "unknown operator 'decov': did you mean 'deconv'? known: "),
        (["--part", "anchor"], "--part anchor needs CamVid: give --data FOLDER"),
        (["--part", "probe_camvid", "--data", "nowhere"], "no folder nowhere/camvid: give --data FOLDER"),
        (["--part", "probe_cells", "--operators", "fade"], "upsampler 'fade' requires the skip, which topology 'duc'"),
        (
            ["--part", "probe_cells", "--operators", "deconv", "data.flods=3"],
            "unknown key 'data.flods': did you mean 'fold",
        ),
        (
            ["--part", "probe_cells", "--operators", "clash:deconv"],
            "clash:deconv: deconv is a row of segup's own, and a",
        ),
        (["--part", "probe_cells", "--operators", "nosuch.module:Thing"], "'nosuch.module:Thing' cannot be imported: "),
        ([], "there is nothing to do.\n  try: python scripts/noise_floor.py --part probe_cells"),
    ],
)
def test_a_wrong_word_ends_in_a_sentence(words, said, capsys):
    import noise_floor

    assert noise_floor.run(words) == 1
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_part_goes_on_and_is_written(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from segup.upsamplers.nearest import Nearest\n\n\nclass Mine(Nearest):\n    pass\n"
    )
    small = [
        "data.samples_per_epoch=8",
        "trainer.max_epochs=1",
        "trainer.val_every_n_epochs=1",
        "data.crop_size=[33,33]",
    ]
    first = script(tmp_path, "--part", "probe_cells", "--operators", "deconv", "--seeds", "0", *small)
    assert first.returncode == 0, first.stderr
    file = tmp_path / "docs" / "noise-floor" / "probe_cells.csv"
    before = list(csv.DictReader(file.open(newline="")))
    assert [(r["decoder"], r["seed"], r["fold"], r["state"]) for r in before] == [
        ("bilinear_alone", "0", "0", "finished"), ("deconv", "0", "0", "finished"),
    ]  # fmt: skip
    shutil.rmtree(tmp_path / "ablations" / "noise_floor_probe_cells" / "deconv")  # is made again
    second = script(tmp_path, "--part", "probe_cells", "--operators", "mine:Mine", "--seeds", "0-1", *small, "--write")
    assert second.returncode == 0, second.stderr
    after = list(csv.DictReader(file.open(newline="")))
    assert [r["miou"] for r in after[:2]] == [r["miou"] for r in before]
    assert [(r["decoder"], r["seed"]) for r in after[2:]] == [("Mine", "0"), ("Mine", "1")]
    assert after[2]["words"].startswith("decoder=bilinear_additive decoder.upsampler=mine:Mine")
    assert "decoder.upsampler=mine:Mine" in (tmp_path / "docs" / "noise-floor.md").read_text()
    written = file.read_bytes()
    refused = script(tmp_path, "--part", "probe_cells", "--seeds", "0", *small, "foo=1")
    assert refused.returncode != 0
    assert "unknown key 'foo'" in refused.stderr
    assert file.read_bytes() == written


def test_the_page_says_how_many_cells_a_score_reads():
    from noise_floor_parts import PARTS, PROBED
    from noise_floor_reads import cells_read

    by_hand = {"nearest_alone": 1, "bilinear_alone": 2, "bicubic_alone": 4, "nearest": 2, "bilinear": 3, "bicubic": 5,
               "bilinear_additive": 2, "deconv": 2, "deconv_matched": 2, "pixel_shuffle": 3, "carafe": 5, "dysample": 2,
               "naf": 5, "conv_nearest": 3, "conv_bilinear": 4, "bilinear_alone_corners": 2,
               "conv_bilinear_corners": 4}  # fmt: skip
    for key, further in (("probe_cells", 0), ("probe_context", 2)):
        for name, cells in by_hand.items():
            assert cells_read(PARTS[key], name) == f"{cells + further}×{cells + further}", name
        assert cells_read(PARTS[key], "anyup") == "all"
    assert set(PROBED) - set(by_hand) == {"anyup", "jbu", "uplift"}
    assert cells_read(PARTS["probe_cells"], "Mine") == "–"
    text = written("probe_cells", [row(name, seed, 0.5) for name in ("bilinear_alone", "carafe") for seed in range(3)])
    assert next(line for line in text.splitlines() if "| `carafe` |" in line).endswith("| 5×5 |")
