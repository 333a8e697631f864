"""Command lines that nobody should type: mutations of valid ones over all commands."""

import random
import shlex
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from fuzz_process import Outcome, forked
from PIL import Image

from segup.cli import main

_SMALL = "encoder=segnet decoder=bilinear data.crop_size=[32,32] data.batch_size=2 data.num_workers=0 trainer.threads=1"
_ONE_STEP = "trainer.max_steps=1"
VALID = (
    'shapes "conv k3 s2 p1" 417',
    'shapes "conv k7 s2 p3, pool k3 s2 p1, deconv k2 s2, deconv k2 s2" 417 --matched',
    'shapes "conv k3 s2 p1, deconv k4 s2 p1" 360x480 --output-size 360x480',
    'shapes "pool k3 s2 p1 ceil" --json',
    'explain "deconv k4 s2 p1" --input 4x4 --at 0,1 --no-picture',
    'explain "conv k3 s2" --input 8x8 --values arange --unread --no-picture',
    'explain "deconv k2 s2 p1" --values "[[2,4],[0,1]]" --weights "[[3,1],[1,5]]" --out deconv.svg',
    'explain "conv k3" --input 3x6x6 --out-channels 2 --values random --seed 3 --bias ones --out a.html',
    'explain "resize x2" --input 4x4 --view all --out b.png',
    "check efficientnet_lite0 --decoder deconv --sizes 32,64 --other 64 --json",
    "check timm/resnet18 --topology fpn --sizes 1-8 --channels 4",
    "check torchvision.models.segmentation:fcn_resnet50 --kwargs num_classes=21 --sizes 32",
    "evaluate run --split val --device cpu --out scores.json",
    "evaluate run data.root=pictures --window 64 --overlap 0.5 --batch-size 2",
    "predict run a.png --out predicted --device cpu",
    "predict run pictures a.png --out predicted --window 32,48 --tta --overwrite",
    "predict run/last.ckpt a.png --out predicted --max-pixels 100000",
    "compare run run2 --baseline bilinear --format markdown --columns miou,parameters",
    "compare run --format csv",
    "report study --baseline bilinear",
    f"train {_SMALL} {_ONE_STEP} run_dir=new",
    f"train {_SMALL} {_ONE_STEP} seed=1 name=mine optimizer=sgd scheduler=poly loss=focal --cfg job",
    f"train {_SMALL} {_ONE_STEP} data=folder data.root=pictures data.classes=[soil,leaf] loss.class_weights=[1,2]",
    f"train {_SMALL} {_ONE_STEP} ckpt_path=run/last.ckpt",
    f"train {_SMALL} {_ONE_STEP} -m seed=0,1 decoder=deconv,bilinear --cfg job",
    f"train decoder=deconv_matched decoder.topology=fpn decoder.fit=strict {_ONE_STEP} --cfg job",
)
JUNK = (
    *(
        "",
        " ",
        "-",
        "--",
        "=",
        "=a",
        "a=",
        ",",
        ":",
        "'",
        '"',
        "\\",
        "[]",
        "{}",
        "[1,2",
        "{a:1}",
        "[[[[",
        "null",
        "true",
    ),
    *(
        "-1",
        "0",
        "1.5",
        "1e400",
        "nan",
        "-inf",
        "99999999999999999999",
        "1_000",
        "0x10",
        "１２",
        "²",
        "1-",
        "5-1",
        "1e3",
    ),
    *(
        "é",
        "日本",
        "\n",
        "a\nb",
        "\t",
        "\x1b[31m",
        "\udcff",
        "🙂",
        "<script>",
        "$\\foo$",
        "`x`",
        "%s",
        "{0}",
        "*",
        "zzq",
    ),
    *("a" * 5000, "9" * 5000, "pictures", "empty.png", "notes.txt", "a.png", "nowhere", "../nowhere/x", "run", "study"),
    *(
        "1x1",
        "0x0",
        "-1x4",
        "99999999999x1",
        "4x4x4x4",
        "k3",
        "conv k0",
        "conv k3 s0",
        "deconv k99999999999 s3",
        "pool",
    ),
    *(
        "os:system",
        "a:b",
        ":",
        "a.b:",
        "timm/",
        "./a",
        "~",
        "${seed}",
        "${oc.env:HOME}",
        "???",
        "seed=1,2",
        "~seed",
        "++x=1",
    ),
)
NONSENSE = ("--zzq", "--zzq=1")
_TRAIN_NONSENSE = (
    "zzq=1",
    "trainer.zzq=1",
    "decoder=zzq",
    "trainer.max_epochs=zzq",
    "seed=zzq",
    "loss.zzq=2",
    "seed=-1",
)


def prepare(work: Path) -> None:
    """Make what the commands are given: a run, a study, pictures with masks, an empty and a wrong file."""
    given = work / "given"
    given.mkdir()
    noise = np.random.default_rng(0)
    Image.fromarray(noise.integers(0, 255, (40, 52, 3), dtype=np.uint8)).save(given / "a.png")
    for kind, high in (("images", 255), ("masks", 2)):
        (given / "pictures" / kind).mkdir(parents=True)
        for name in "abcd":
            pixels = noise.integers(0, high, (40, 52), dtype=np.uint8)
            Image.fromarray(pixels).save(given / "pictures" / kind / f"{name}.png")
    (given / "empty.png").touch()
    (given / "notes.txt").write_text("no picture\n")
    for command in (
        f"train {_SMALL} {_ONE_STEP} run_dir=run",
        f"train {_SMALL} {_ONE_STEP} run_dir=run2 seed=1",
        f"train {_SMALL} {_ONE_STEP} -m seed=0 ablation.name=study",
    ):
        end, said, _ = forked(partial(_command, shlex.split(command)), given, work / "said", 600)
        if end != "0":
            raise RuntimeError(f"segup {command}: {end}\n{said}")
    shutil.move(given / "ablations" / "study", given / "study")


def command_case(work: Path, seed: str, limit: float) -> Outcome:
    """Type one command line and judge what comes of it."""
    rng = random.Random(f"commands/{seed}")
    words, nonsense = _mutated(rng)
    case = work / "case"
    shutil.copytree(work / "given", case)
    try:
        end, said, _ = forked(partial(_command, words), case, work / "said", limit)
    finally:
        shutil.rmtree(case)
    return Outcome(f"segup {shlex.join(words)!r}", end, said, _fault(end, said, nonsense))


def _command(words: list[str]) -> int:
    sys.argv = ["segup", *words]
    main(words)
    return 70  # main exits


def _fault(end: str, said: str, nonsense: bool) -> str:
    if "WROTE " in said:
        return "writes elsewhere"
    if "Traceback (most recent call last)" in said:
        return "traceback"
    if end not in ("0", "1", "2"):
        return end if end in ("hang", "killed") else f"exit code {end}"
    if end == "0" and nonsense:
        return "exit code 0 on nonsense"
    return "" if said.strip() else "says nothing"


def _mutated(rng: random.Random) -> tuple[list[str], bool]:
    """Return a command line, and whether it certainly cannot be meant."""
    command, *words = shlex.split(rng.choice(VALID))
    nonsense = False
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        change = rng.choice(_CHANGES)
        words = change(words, rng)
    if rng.random() < 0.15 and not {"-h", "--help", "--"} & set(words):
        wrong = rng.choice(NONSENSE + (_TRAIN_NONSENSE if command == "train" else ()))
        words, nonsense = [*words, wrong], True
    if rng.random() < 0.02:
        command = rng.choice([command[:-1], command.upper(), "", "zzq", f"{command} "])
        nonsense = True
    if command == "train" and not any(word in ("--cfg", "job") for word in words):
        words = [*words, _ONE_STEP] if rng.random() < 0.3 else [*words, "--cfg", "job"]
    return [command, *words], nonsense and not any(word.startswith(("-h", "--h", "--v")) for word in words)


def _drop(words: list[str], rng: random.Random) -> list[str]:
    place = rng.randrange(len(words)) if words else 0
    return words[:place] + words[place + 1 :]


def _double(words: list[str], rng: random.Random) -> list[str]:
    return [*words, rng.choice(words)] if words else words


def _swap(words: list[str], rng: random.Random) -> list[str]:
    return rng.sample(words, len(words))


def _insert(words: list[str], rng: random.Random) -> list[str]:
    place = rng.randrange(len(words) + 1)
    return [*words[:place], rng.choice(JUNK), *words[place:]]


def _replace(words: list[str], rng: random.Random) -> list[str]:
    if not words:
        return words
    place = rng.randrange(len(words))
    return [*words[:place], rng.choice(JUNK), *words[place + 1 :]]


def _value(words: list[str], rng: random.Random) -> list[str]:
    """Put something odd behind a key or an option."""
    places = [place for place, word in enumerate(words) if "=" in word or word.startswith("--")]
    if not places:
        return _replace(words, rng)
    place = rng.choice(places)
    if "=" in words[place]:
        return [*words[:place], f"{words[place].partition('=')[0]}={rng.choice(JUNK)}", *words[place + 1 :]]
    return [*words[: place + 1], rng.choice(JUNK), *words[place + 2 :]]


def _letters(words: list[str], rng: random.Random) -> list[str]:
    """Drop, double or change a letter of a word."""
    if not words:
        return words
    place = rng.randrange(len(words))
    word = words[place]
    cut = rng.randrange(len(word) + 1)
    changed = rng.choice([word[:cut] + word[cut + 1 :], word[:cut], word[:cut] + rng.choice("=,x0-. '[") + word[cut:]])
    return [*words[:place], changed, *words[place + 1 :]]


_CHANGES: tuple[Callable[[list[str], random.Random], list[str]], ...] = (
    *(_drop, _double, _swap, _insert, _replace, _replace, _value, _value, _value, _letters, _letters),
)
