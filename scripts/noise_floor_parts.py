"""What ``scripts/noise_floor.py`` trains: a study for each part, its operators, and CamVid at half its size."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from pathlib import Path

import cv2
import numpy as np

from segup.atomic import atomic_write
from segup.data.pairs import image_files
from segup.errors import ConfigError, DataError, unknown

VARIANTS: Mapping[str, tuple[str, Mapping[str, bool | None]]] = {
    **{f"{name}_alone": (name, {"kernel_size": None}) for name in ("nearest", "bilinear", "bicubic")},
    **{f"conv_{name}": (name, {"conv_first": True}) for name in ("nearest", "bilinear")},
    "bilinear_alone_corners": ("bilinear", {"kernel_size": None, "align_corners": True}),
    "conv_bilinear_corners": ("bilinear", {"conv_first": True, "align_corners": True}),
}
"""Resizes without their 3×3 convolution (where channels change, a 1×1 one), with it before the resize, and both on the
encoder's grid."""
PROBED = (
    "bilinear_alone", "nearest_alone", "bicubic_alone", "bilinear", "nearest", "bicubic", "bilinear_additive", "deconv",
    "deconv_matched", "pixel_shuffle", "carafe", "dysample", "naf", "jbu", "anyup", "uplift", "conv_nearest",
    "conv_bilinear", "bilinear_alone_corners", "conv_bilinear_corners",
)  # fmt: skip
"""All of segup's that can stand alone, the resizes without parameters, those with a convolution before them, and two of
these on the encoder's grid."""
IN_A_UNET = (
    "bilinear", *(name for name in PROBED if name != "bilinear" and not name.startswith("conv_") and
    not name.endswith("_corners")), "fade", "sapa", "freqfusion",
)  # fmt: skip
"""In a U-Net every operator has convolutions before it."""
_OUTSIDE = re.compile(r"[\w.]+:\w+", re.ASCII)
_SPLITS = ("train", "trainannot", "val", "valannot", "test", "testannot")


@dataclass(frozen=True)
class Part:
    """One study.

    Args:
        key: Its word, and the name of its CSV file.
        title: A heading.
        about: What is trained and scored, in a sentence or two.
        words: Of ``segup train -m``, without operators and seeds; ``{camvid}`` and ``{half}`` stand for folders.
        operators: Words of ``decoder=``, those of :data:`VARIANTS`, or rows of the script.
        baseline: The label that the others are held against.
        second: Another that they are held against by itself.
        seeds: With which it begins.
        most: Seeds at the last look, where seeds come in rounds until all is decided; None: they are trained at once.
        looks: After how many seeds it was looked at, where they were trained at once and it was looked at before.
        metrics: The columns that are decided, each by itself, the first first.
        tested: Whether runs are scored on the test images, too.
        script: The script that trains it in place of ``segup train -m``.
    """

    key: str
    title: str
    about: str
    words: tuple[str, ...]
    operators: tuple[str, ...]
    baseline: str
    seeds: tuple[int, ...]
    most: int | None = None
    looks: tuple[int, ...] = ()
    second: str | None = None
    metrics: tuple[str, ...] = ("miou",)
    tested: bool = False
    script: str | None = None

    @property
    def study(self) -> str:
        """The name of its study."""
        return f"noise_floor_{self.key}"

    @property
    def probe(self) -> bool:
        """Whether one operator stands alone between a frozen encoder's map and the scores."""
        return "experiment=probe" in self.words

    @property
    def neck_kernel(self) -> int:
        """The size of the convolution before every operator; 1 where there is none."""
        sizes = [word.partition("=")[2] for word in self.words if word.startswith("neck.kernel_size=")]
        return int(sizes[0]) if sizes else 1

    @property
    def planned(self) -> int:
        """How many runs it has, or begins with where seeds come in rounds."""
        axes = (word.partition("=")[2].split(",") for word in self.words if "[" not in word)
        return prod([len(self.operators), len(self.seeds), *map(len, axes)])

    @property
    def needs(self) -> str | None:
        """The folder that its words name: ``"camvid"``, ``"half"`` or none."""
        return next((name for name in ("camvid", "half") if any(f"{{{name}}}" in word for word in self.words)), None)


_CELLS = ("data=cells", "data.folds=5")
_PROBE = ("experiment=probe", "hydra.sweeper.params=null")
_VARIED = ("data.augment.scale=[0.75,1.5]", "data.augment.brightness=0.2", "data.augment.contrast=0.2")
"""The default augmentation until 2026-11-27, with which the runs on CamVid were begun."""
_UNET = ("trainer.max_epochs=5", "trainer.val_every_n_epochs=5")
_ANCHOR = (
    "data=camvid", "data.root={camvid}", "data.crop_size=[256,320]", "data.samples_per_epoch=1080",
    "trainer.max_epochs=10", "trainer.val_every_n_epochs=10", "trainer.precision=32-true", "optimizer.lr=1e-3",
)  # fmt: skip
PARTS = {
    part.key: part
    for part in (
        Part(
            "probe_cells", "Probe of a frozen encoder, cells",
            "A frozen EfficientNet-Lite0, one operator from its map of stride 8 to the image, and a linear head, "
            "trained for 60 steps of eight 129×129 crops on the embedded frames. Seed i validates on fold i mod 5. "
            "All seeds draw from the same four crops of each image, whose features are computed once.",
            (*_PROBE, *_CELLS), PROBED, "bilinear_alone", tuple(range(10)), second="conv_bilinear",
        ),
        Part(
            "probe_crops", "Probe of a frozen encoder with crops of each seed's own, cells",
            "As the probe above, but every step of every seed has crops of its own, and the encoder computes their "
            "features again. It shows what the shared crops leave out of the noise.",
            (*_PROBE, *_CELLS, "data.cache_features=false"),
            ("bilinear_alone", "conv_bilinear", "bilinear", "nearest", "deconv", "pixel_shuffle", "carafe", "dysample",
             "naf"), "bilinear_alone", tuple(range(10)), second="conv_bilinear",
        ),
        Part(
            "probe_camvid", "Probe of a frozen encoder, CamVid at 180×240",
            "As the first probe, on CamVid at half its size (of frames that were kept as JPEG, quality 88): 60 steps "
            "of eight 129×129 crops, which vary in scale (0.75 to 1.5), brightness and contrast and are mirrored; "
            "scored on the 101 validation images and, by itself, on the 233 test images.",
            (*_PROBE, "data=camvid", "data.root={half}", "data.crop_size=[129,129]", *_VARIED),
            PROBED, "bilinear_alone", tuple(range(10)), second="conv_bilinear", metrics=("miou", "test_miou"),
            tested=True,
        ),
        Part(
            "probe_context", "Probe of a frozen encoder with a convolution first, CamVid at 180×240",
            "As the probe on CamVid above, with a 3×3 convolution of the encoder's map before every operator "
            "(`neck.kernel_size=3`). Trained for 60 steps of eight 129×129 crops, scored on the validation images and, "
            "by itself, on the test images. It was looked at after five seeds and after ten, and the intervals of "
            "both looks hold together. What was decided after five stands with the difference of these five.",
            (*_PROBE, "neck.kernel_size=3", "data=camvid", "data.root={half}", "data.crop_size=[129,129]", *_VARIED),
            PROBED, "bilinear_alone", tuple(range(10)), looks=(5, 10), second="conv_bilinear",
            metrics=("miou", "test_miou"), tested=True,
        ),
        Part(
            "decoders_cells", "Decoders trained end to end, cells, free widths",
            "A U-Net on EfficientNet-Lite0 whose steps are the operator (tiny variants), all of it trained for 125 "
            "steps of eight 161×193 crops on the embedded frames. Seed i validates on fold i mod 5.",
            (*_CELLS, *_UNET), IN_A_UNET, "bilinear", tuple(range(5)), most=10,
        ),
        Part(
            "decoders_cells_params", "Decoders trained end to end, cells, equal parameters",
            "As above, with widths at which every decoder has as many parameters as bilinear's.",
            (*_CELLS, *_UNET, "ablation.match=params"), IN_A_UNET, "bilinear", tuple(range(5)), most=10,
        ),
        Part(
            "segnet", "SegNet's table, CamVid at 180×240",
            "The rows of the SegNet paper's Table 1 that segup has, for 40 epochs of images of half the size; the "
            "checkpoint with the highest validation mIoU, scored on the test images.",
            ("data.root={half}", "data.crop_size=[180,240]", "trainer.max_epochs=40", "trainer.precision=32-true"),
            ("bilinear", "segnet_basic", "segnet_encoder_addition", "fcn_basic", "fcn_no_dim_reduction"), "bilinear",
            (0, 1, 2), metrics=("test_miou", "test_bf_score"), script="reproduce_segnet_table.py",
        ),
        Part(
            "anchor", "The anchor, CamVid",
            "A U-Net on EfficientNet-Lite0, 1350 steps of eight 256×320 crops of CamVid, which vary in scale (0.75 to "
            "1.5), brightness and contrast and are mirrored, a one-cycle rate of 1e-3, with the default loss "
            "(cross-entropy and Dice) and with cross-entropy; the last weights, scored on the test images.",
            (*_ANCHOR, *_VARIED, "loss=ce_dice,cross_entropy"),
            ("deconv", "pixel_shuffle", "dysample", "naf", "nearest"),
            "deconv,loss=ce_dice", (0, 1, 2), metrics=("test_miou",), tested=True,
        ),
        Part(
            "anchor_plain", "The anchor without augmentation, CamVid",
            "As above with cross-entropy, on crops as they are: not scaled, mirrored, or changed in brightness and "
            "contrast.",
            (*_ANCHOR, "loss=cross_entropy", "data.augment=null"),
            ("deconv", "nearest"), "deconv", (0, 1, 2), metrics=("test_miou",), tested=True,
        ),
    )
}  # fmt: skip


def part_of(word: str) -> Part:
    """Return a part by its word.

    Raises:
        ConfigError: There is none of that name.
    """
    if word not in PARTS:
        raise ConfigError(
            f"--part {word}: {unknown('part', word, PARTS)}\n  try: python scripts/noise_floor.py --part probe_cells"
        )
    return PARTS[word]


def words_of(operator: str) -> tuple[str, ...]:
    """Return the words of ``segup train`` that choose an operator of a part, a word of ``decoder=``, or one outside.

    >>> words_of("bilinear_alone"), words_of("mine.blocks:Mine")
    (('decoder=bilinear', 'decoder.upsampler_options.kernel_size=null'), ('decoder=bilinear_additive', \
'decoder.upsampler=mine.blocks:Mine'))
    """
    if operator in VARIANTS:
        name, options = VARIANTS[operator]
        return f"decoder={name}", *(f"decoder.upsampler_options.{key}={_yaml(is_)}" for key, is_ in options.items())
    if _OUTSIDE.fullmatch(operator):  # the preset that has no options of its own
        return "decoder=bilinear_additive", f"decoder.upsampler={operator}"
    return (f"decoder={operator}",)


def label_of(operator: str) -> str:
    """Return the name of an operator's row: for one outside segup, that of its class."""
    return operator.partition(":")[2] or operator


def write_presets(folder: Path, operators: Sequence[str]) -> None:
    """Write a YAML for each operator that ``configs/decoder`` has none for, so that one sweep holds them all."""
    (folder / "decoder").mkdir(parents=True, exist_ok=True)
    for operator in operators:
        if operator in VARIANTS:
            name, options = VARIANTS[operator]
            listed = "".join(f"  {key}: {_yaml(value)}\n" for key, value in options.items())
            text = f"upsampler: {name}\nupsampler_options:\n{listed}"
        elif _OUTSIDE.fullmatch(operator):
            text = f"upsampler: {operator}\n"
        else:
            continue
        atomic_write(folder / "decoder" / f"{label_of(operator)}.yaml", text.encode())


def _yaml(value: bool | None) -> str:
    return "null" if value is None else str(value).lower()


def filled(words: Sequence[str], folders: Mapping[str, Path]) -> list[str]:
    """Return the words with the folders in."""
    return [word.format(**folders) if "{" in word else word for word in words]


def halve(camvid: Path, half: Path) -> None:
    """Write CamVid at half its height and width, once: images are averaged 2×2, masks take the class of most pixels.

    Where two classes have as many of the four pixels, the one that comes first from the top left stands.

    Args:
        camvid: Holds train, trainannot, val, valannot, test and testannot.
        half: The same, made here.

    Raises:
        DataError: A folder or a file is not there or cannot be read, or ``half`` was made of other images.
    """
    check_camvid(camvid)
    files = {split: image_files(camvid / split) for split in _SPLITS}
    sizes = [(split, file.name, file.stat().st_size) for split in _SPLITS for file in files[split]]
    source, done = sha256(repr(sizes).encode()).hexdigest(), half / "halved.txt"
    if done.exists():
        if done.read_text().split()[-1] != source:
            raise DataError(
                f"{half} was made of other images than {camvid} has.\n"
                f"  try: python scripts/noise_floor.py --half {half}_2, with the same words"
            )
        return
    for split in _SPLITS:
        (half / split).mkdir(parents=True, exist_ok=True)
        for file in files[split]:
            pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            if pixels is None:
                raise DataError(f"{file} cannot be read as an image")
            small = halved_mask(pixels) if split.endswith("annot") else halved_image(pixels)
            atomic_write(half / split / f"{file.stem}.png", cv2.imencode(".png", small)[1].tobytes())
    atomic_write(done, f"CamVid at half its height and width, by scripts/noise_floor.py, of {source}\n".encode())


def check_camvid(folder: Path) -> None:
    """Raise a DataError unless a folder has all splits of CamVid, in SegNet's layout."""
    for needed in (folder, *(folder / split for split in _SPLITS)):
        if not needed.is_dir():
            raise DataError(f"no folder {needed}: give --data FOLDER, the folder that has camvid/")


def halved_image(pixels: np.ndarray) -> np.ndarray:
    """Return the means of 2×2 pixels; an odd last row or column is left out.

    >>> halved_image(np.array([[0, 2], [4, 6]], np.uint8))
    array([[3]], dtype=uint8)
    """
    height, width = (side // 2 * 2 for side in pixels.shape[:2])
    return cv2.resize(pixels[:height, :width], (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def halved_mask(ids: np.ndarray) -> np.ndarray:
    """Return the class that most of 2×2 pixels have.

    >>> halved_mask(np.array([[1, 2, 5, 6], [2, 3, 7, 8]], np.uint8))
    array([[2, 5]], dtype=uint8)
    """
    height, width = (side // 2 * 2 for side in ids.shape)
    four = np.stack([ids[row:height:2, column:width:2] for row in (0, 1) for column in (0, 1)])
    votes = (four[:, None] == four[None]).sum(1)
    return np.take_along_axis(four, votes.argmax(0)[None], 0)[0]
