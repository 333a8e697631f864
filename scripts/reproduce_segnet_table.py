"""Train the SegNet paper's comparison of decoders on CamVid and set what comes out beside the published figures.

    python scripts/reproduce_segnet_table.py data.root=camvid
    python scripts/reproduce_segnet_table.py data.root=camvid --rows segnet_basic,fcn_basic --seeds 0,1,2
    python scripts/reproduce_segnet_table.py data.root=camvid --epochs 10 ablation.name=segnet_short
    python scripts/reproduce_segnet_table.py --show

``data.root`` is CamVid in SegNet's layout. The rows are one study, ``ablations/segnet_camvid/<row>/<seed>``: Ctrl-C (or
``timeout 1h``) saves and stops, the same command goes on, and rows and seeds may be asked for one after another. Words
of the form key=value are those of ``python train.py experiment=segnet_camvid``, for all rows. Each trained row is
scored on the test images; ``--show`` prints the table with what there is. It is written to ``segnet_table.md`` in the
study, in the place of the table before it; a file that is not that table, or was changed since, needs ``--overwrite``.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from scored import TEST, score_runs

from segup.ablation.markup import pipes
from segup.ablation.member import Member
from segup.ablation.plan import RunSpec, StudySpec, baseline_of
from segup.ablation.study import FILE, read_study, stored_settings
from segup.ablation.tables import scaled
from segup.atomic import atomic_write, check_free
from segup.cli.composed import configs_folder
from segup.cli.explained import explained
from segup.cli.report import run_reported
from segup.cli.sweep import check_complete, run_values
from segup.errors import ConfigError, DataError, unknown
from segup.statistics import spread
from segup.stored import as_written, read_json
from segup.training.config import check_name
from segup.training.run_folder import write_json

SOURCE = (
    "Published: Badrinarayanan, Kendall and Cipolla, SegNet (arXiv 1511.00561), Table 1, CamVid test set, "
    "median-frequency balancing. G: pixel accuracy, C: mean class accuracy, BF: boundary F1 at 0.75 % of the diagonal; "
    "all in percent. Measured: the test set, each image whole."
)
SCORES = {"G": "pixel_accuracy", "C": "class_accuracy", "mIoU": "miou", "BF": "bf_score"}
TABLE = "segnet_table.md"
WRITTEN = ".segnet_table.json"
"""The digest of the table as it was written, by which it is known again."""
_BILINEAR_DECONV = (
    "decoder=deconv",
    "decoder.upsampler_options.kernel_size=8",
    "decoder.upsampler_options.init=bilinear",
)


@dataclass(frozen=True)
class Row:
    """One variant of the table.

    Args:
        key: Its word, and its folder in the study.
        variant: Its name in the paper.
        published: Parameters in millions; then G, C, mIoU and BF in percent.
        here: Topology and operator; empty where there is no counterpart.
        overrides: That choose them.
        differs: In what they are not the paper's variant, beyond what all rows have in common.
        widths: Whether the topology takes the channels of its steps, which are then those of the encoder's maps.
    """

    key: str
    variant: str
    published: tuple[float, float, float, float, float]
    here: str
    overrides: tuple[str, ...]
    differs: str
    widths: bool = False


ROWS = (
    Row(
        "bilinear", "bilinear", (0.625, 77.9, 61.1, 43.3, 20.83), "plain × bilinear",
        ("decoder=bilinear", "decoder.topology=plain", "decoder.upsampler_options.kernel_size=1"),
        "a 1×1 convolution, BatchNorm and ReLU at each step", widths=True,
    ),
    Row(
        "segnet_basic", "SegNet-Basic (unpool)", (1.425, 82.7, 62.0, 47.7, 35.78), "plain × max_unpool",
        ("decoder=max_unpool", "decoder.topology=plain"), "ReLU in the decoder", widths=True,
    ),
    Row(
        "segnet_encoder_addition", "SegNet-EncoderAddition", (1.425, 83.4, 63.6, 48.5, 35.92), "linknet × max_unpool",
        ("decoder=max_unpool", "decoder.topology=linknet"),
        "the operator works on a quarter of the channels; the maps that are added are those before the pooling",
    ),
    Row(
        "segnet_single_channel", "SegNet-SingleChannel", (0.625, 81.2, 60.7, 46.1, 31.62), "", (),
        "no counterpart: no operator here unpools and then convolves each channel by itself",
    ),
    Row(
        "fcn_basic", "FCN-Basic (deconv)", (0.65, 81.7, 62.4, 47.3, 38.11), "fcn × deconv",
        (*_BILINEAR_DECONV, "decoder.topology=fcn", "decoder.depths=5"),
        "the maps that are scored and added are those before the pooling",
    ),
    Row(
        "fcn_no_dim_reduction", "FCN-NoDimReduction", (1.625, 84.1, 63.4, 50.1, 37.37), "unet × deconv",
        (*_BILINEAR_DECONV, "decoder.topology=unet", "decoder.convs=1"),
        "each skip is joined by a 3×3 convolution, not added", widths=True,
    ),
)  # fmt: skip


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say and return the exit code."""
    options = _parser().parse_intermixed_args(list(arguments))
    code = 0

    def work() -> None:
        nonlocal code
        given = [*options.overrides, *([f"trainer.max_epochs={options.epochs}"] if options.epochs else [])]
        base = composed(given)
        check_name("ablation.name", base.ablation.name, "ablations/")
        study = Path("ablations") / str(base.ablation.name)
        _check_table(study / TABLE, options.overwrite)
        if not options.show:
            command = shlex.join(["python", "scripts/reproduce_segnet_table.py", *arguments])
            code = _train(study, base, given, _rows(options.rows), _seeds(options.seeds), command)
        text = page(study, OmegaConf.to_container(base, resolve=False))
        if (study / FILE).exists():
            digest = sha256(text.encode()).hexdigest()
            # whichever of the two tables is there if the process dies, it is known again
            write_json(study / WRITTEN, {TABLE: [*_digests(study / TABLE), digest]})
            atomic_write(study / TABLE, text.encode())
            write_json(study / WRITTEN, {TABLE: [digest]})
        print(text, end="")

    return run_reported(work) or code


def _check_table(file: Path, overwrite: bool) -> None:
    """Raise a ConfigError where a file that this script did not write, or that was changed since, would be replaced."""
    own = file.is_file() and sha256(file.read_bytes()).hexdigest() in _digests(file)
    if not overwrite and not own:
        check_free([file], "the same with --overwrite; or another place for that file")


def _digests(file: Path) -> list[str]:
    """Return those of the table as this script wrote it; of an earlier version's, which kept none, that of the file."""
    written = file.with_name(WRITTEN)
    if written.is_file():
        known: dict[str, list[str]] = as_written(dict[str, list[str]], read_json(written), written)
        return known.get(file.name, [])
    if file.is_file() and SOURCE.encode() in (content := file.read_bytes()):
        return [sha256(content).hexdigest()]
    return []


def _parser() -> argparse.ArgumentParser:
    first, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for python train.py; data.root=... first")
    trained = ",".join(row.key for row in ROWS if row.overrides)
    parser.add_argument("--rows", default=trained, metavar="ROW,...", help="(default: %(default)s)")
    parser.add_argument("--seeds", default="0", metavar="N,...", help="(default: 0)")
    parser.add_argument("--epochs", type=int, metavar="N", help="trainer.max_epochs=N; a study of its own, so name it")
    parser.add_argument("--show", action="store_true", help="print the table with what is finished; train nothing")
    parser.add_argument("--overwrite", action="store_true", help="replace a segnet_table.md of another origin")
    return parser


def _rows(words: str) -> list[Row]:
    known = {row.key: row for row in ROWS if row.overrides}
    for word in (wanted := list(dict.fromkeys(words.split(",")))):
        if word not in known:
            raise ConfigError(f"--rows {words}: {unknown('row', word, known)}")
    return [known[word] for word in wanted]


def _seeds(words: str) -> list[int]:
    if not all(word.isdecimal() for word in words.split(",")):
        raise ConfigError(f"--seeds {words} must be whole numbers, such as 0,1,2")
    return [int(word) for word in dict.fromkeys(words.split(","))]


def composed(overrides: Sequence[str]) -> DictConfig:
    """Return the configuration of ``experiment=segnet_camvid`` with further words."""
    words = ["experiment=segnet_camvid", *overrides]
    try:
        with initialize_config_dir(str(configs_folder()), version_base="1.3"):
            return compose("train", overrides=words)
    except (HydraException, OmegaConfBaseException) as error:
        raise explained(error, words) from None


def _train(
    study: Path, base: DictConfig, given: Sequence[str], rows: Sequence[Row], seeds: Sequence[int], command: str
) -> int:
    """Train the rows that have not been, score all that have, and return the exit code."""
    from segup.cli.study import run_here
    from segup.cli.study_terms import checked_at_once

    check_complete(base)
    at_once = checked_at_once(base.ablation.at_once) or 1
    config = run_values(base)
    _check_test_images(config["data"])
    widths = [*reversed(config["encoder"]["options"]["widths"][:-1])]
    asked = []
    for row in rows:
        words = [*row.overrides, *([f"decoder.widths={widths}"] if row.widths else ["decoder.widths=null"]), *given]
        asked += [RunSpec(row.key, seed, run_values(composed([*words, f"seed={seed}"]))) for seed in seeds]
    shared = {key: value for key, value in config.items() if key not in ("seed", "run_dir", "ckpt_path", "decoder")}
    baseline = baseline_of(stored_settings(study), [run.label for run in asked], base.ablation.baseline)
    code = run_here(study, asked, StudySpec(command, baseline, "none", None, shared, {}), at_once)
    if code in (0, 1):  # 1: some failed; not after an interruption
        score_runs(read_study(study).members, "best", at_once, config["trainer"]["threads"])
    return code


def _check_test_images(data: Mapping[str, Any]) -> None:
    from segup.data.config import create_data

    if "test" not in create_data(data).source.splits():
        raise DataError(f"{data['root']} has no test images, and the published figures are of those: test, testannot")


def page(study: Path, config: Any) -> str:
    """Return the table with what is finished, where it comes from, and what differs, as Markdown.

    Args:
        study: Its folder, which need not be there.
        config: What its runs share, where it is not there.
    """
    stored = stored_settings(study)
    members = () if stored is None else read_study(study).members
    table = [["variant", "", "params M", *SCORES], ["---", "---", *["---:"] * 5]]
    for row in ROWS:
        figures = [f"{figure:.{digits}f}" for figure, digits in zip(row.published, (3, 1, 1, 1, 2), strict=True)]
        table.append([row.variant, "published", *figures])
        table.append(["", *_measured(row, [member for member in members if member.label == row.key])])
    lines = [*_aligned(table), "", SOURCE, "", "What differs from the paper in a row:", ""]
    lines += [f"- {row.variant}{f', here {row.here}' if row.here else ''}: {row.differs}." for row in ROWS]
    lines += ["", "What all rows have in common:", "", pipes(["", "paper", "here"]), "|---|---|---|"]
    lines += [pipes(list(line)) for line in set_up(config if stored is None else stored["config"])]
    return "\n".join(lines) + "\n"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table whose columns stand below one another in a terminal too."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [pipes([text.ljust(width) for text, width in zip(line, widths, strict=True)]) for line in table]


def _measured(row: Row, members: Sequence[Member]) -> list[str]:
    scored = [(m.run, json.loads((m.path / TEST).read_text())["scores"]) for m in members if (m.path / TEST).exists()]
    open_ones = [f"seed {m.seed} {_state(m)}" for m in members if not (m.path / TEST).exists()]
    if not scored:
        state = "; ".join(open_ones) or ("not trained yet" if row.here else "")
        return [": ".join(filter(None, [row.here, state])) or "–", *["–"] * 5]
    percent = scaled(0.01, "", 1)
    values = [percent(spread([scores[name] for _, scores in scored])) for name in SCORES.values()]
    seeds = "1 seed" if len(scored) == 1 else f"{len(scored)} seeds"
    parameters = next(run.result["parameters"]["total"] for run, _ in scored if run is not None)
    return ["; ".join([f"{row.here}, {seeds}", *open_ones]), f"{parameters / 1e6:.3f}", *values]


def _state(member: Member) -> str:
    if member.state == "failed":
        return f"failed: {' '.join(str(member.cause).split())}"
    return "trained, not scored yet" if member.state == "finished" else member.state


def set_up(config: Any) -> list[tuple[str, str, str]]:
    """Return what all rows have in common: a word for it, the paper's, and that of a configuration."""
    encoder, data, trainer = config["encoder"]["options"], config["data"], config["trainer"]
    optimizer, crop = config["optimizer"], data["crop_size"]
    augmented = [name for name, value in data["augment"].items() if value]
    length = _epochs(trainer["max_epochs"])
    length += f", {trainer['max_steps']} steps at most" if trainer.get("max_steps") else ""
    clip = trainer.get("gradient_clip_val")
    clipped = "free" if clip is None else f"at most {clip}"
    widths = encoder["widths"]
    return [
        (
            "encoder", "4 stages of one 7×7 convolution to 64 channels, each followed by 2×2 max pooling",
            f"{len(widths)} stages of {encoder['convs']} 3×3 convolutions to {', '.join(map(str, widths))} channels, "
            f"{len(widths) - 1} poolings between them",
        ),
        ("decoder filters", "7×7 after unpooling, no ReLU; deconvolutions 8×8", "3×3 with ReLU; deconvolutions 8×8"),
        ("initial weights", "He; deconvolutions bilinear", "He; deconvolutions bilinear; seed by seed"),
        ("input", "local contrast normalisation", "mean and deviation of each colour"),
        ("images", "360×480, whole", "whole" if crop is None else f"crops of {crop[0]}×{crop[1]}"),
        ("augmentation", "none is named", ", ".join(augmented) or "none"),
        ("batch", "12", str(data["batch_size"])),
        ("loss", "cross-entropy, median-frequency weights, summed over pixels",
         f"{config['loss']['name']}, class weights {config['loss'].get('class_weights')}, weighted mean over pixels"),
        ("optimizer", "SGD, rate 0.1, momentum 0.9",
         f"{optimizer['name']}, rate {optimizer['lr']}, momentum {optimizer.get('momentum')}, "
         f"weight decay {optimizer.get('weight_decay')}, gradient norm {clipped}"),
        ("schedule", "fixed rate, until the training loss has converged", f"{config['scheduler']['name']}, {length}"),
        ("checkpoint", "highest G on the validation images, looked at every 1000 steps",
         f"highest mIoU on the validation images, looked at after every {_epochs(trainer['val_every_n_epochs'])}"),
    ]  # fmt: skip


def _epochs(count: int) -> str:
    return f"{count} epoch{'' if count == 1 else 's'}"


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
