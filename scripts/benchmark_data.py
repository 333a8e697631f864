"""Measure how fast one worker makes training samples: ``python scripts/benchmark_data.py``.

Images are JPEG files of ``--image`` pixels with PNG masks, made of the embedded frames; samples are crops of ``--size``
with zoom, flips, and changes of brightness and contrast. segup's samples take turns with torchvision's v2 transforms of
the same augmentation, from Pillow and from torchvision's own decoder. Times are the process's own on one thread, so
that other work on the machine does not count; they are medians with their quartiles.
"""

import argparse
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from measuring import alternate
from PIL import Image
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

from segup.data import SegmentationData, create_dataset
from segup.data.images import read_pixels, to_tensor
from segup.data.labels import Labels
from segup.data.masks import decode_mask
from segup.data.sampling import Draw
from segup.data.transforms import Augment, TrainingTransform

NAMES = ("background", "cytoplasm", "nucleus")
AUGMENT = Augment(scale=(0.75, 1.5), horizontal_flip=0.5, brightness=0.2, contrast=0.2)
CPU = torch.device("cpu")


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        made = make_files(Path(folder), tuple(arguments.image))
        source = create_dataset("folder", Labels(NAMES), root=folder, val_fraction=0.1)
        data = SegmentationData(source, crop_size=tuple(arguments.size), augment=AUGMENT)
        samples, whole = data.training_samples(), data.samples("train")
        draws = (Draw(number % len(samples), number) for number in itertools.count())
        names = itertools.cycle(made)
        pillow, own = (
            torchvision_sample(tuple(arguments.image), tuple(arguments.size), read)
            for read in (read_by_pillow, read_by_itself)
        )
        ways: dict[str, Callable[[], object]] = {
            "segup": lambda: samples[next(draws)],
            "torchvision, Pillow": lambda: pillow(*next(names)),
            "torchvision, its decoder": lambda: own(*next(names)),
        }
        parts = parts_of(data, itertools.cycle(range(len(whole))))
        calls = [*ways.values(), *parts.values()]
        times = dict(zip([*ways, *parts], alternate(calls, arguments.samples, CPU), strict=True))
    print(f"torch {torch.__version__}, one thread, JPEG of {arguments.image[0]}×{arguments.image[1]}")
    print(f"\ncrops of {arguments.size[0]}×{arguments.size[1]}, images per second; segup's over the others'")
    for name in ways:
        ratio = times[name].median / times["segup"].median
        print(f"{name:>26}  {1 / times[name].median:6.1f}  {times[name]!s:>28}  {ratio:5.2f}")
    print("\nwhere segup's time goes")
    for name in parts:
        print(f"{name:>26}  {times[name]!s:>36}  {times[name].median / times['segup'].median:5.0%}")


def parts_of(data: SegmentationData, numbers: Iterator[int]) -> dict[str, Callable[[], object]]:
    """Return the steps of a sample, each by itself."""
    files = [(pair.image, pair.mask) for pair in data.samples("train").pairs if pair.mask is not None]
    transform = TrainingTransform(data.training_size(), AUGMENT, data.labels.ignore_index)
    image, mask = read_pixels(files[0][0], 3), decode_mask(files[0][1], data.code)
    crop, ids = transform(image, mask, 0)
    seeds = itertools.count()
    return {
        "decode the image": lambda: read_pixels(files[next(numbers)][0], 3),
        "decode the mask": lambda: decode_mask(files[next(numbers)][1], data.code),
        "augment": lambda: transform(image, mask, next(seeds)),
        "to tensors": lambda: (to_tensor(crop), torch.from_numpy(ids.astype(np.int64))),
    }


def torchvision_sample(
    image: tuple[int, int], size: tuple[int, int], read: Callable[[Path, Path], tuple[object, object]]
) -> Callable[[Path, Path], object]:
    """Return what makes a sample as torchvision's users do: the same zoom, crop, flip and changes of colour."""
    change = v2.Compose([
        v2.ScaleJitter(image, AUGMENT.scale),
        v2.RandomCrop(size, pad_if_needed=True, fill={tv_tensors.Image: 0, tv_tensors.Mask: 255}),
        v2.RandomHorizontalFlip(AUGMENT.horizontal_flip),
        v2.ColorJitter(brightness=AUGMENT.brightness, contrast=AUGMENT.contrast),
        v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64}, scale=True),
    ])  # fmt: skip
    return lambda *files: change(*read(*files))


def read_by_pillow(image: Path, mask: Path) -> tuple[object, object]:
    """Return an image and its mask, decoded by Pillow."""
    pixels, ids = (np.array(Image.open(file)) for file in (image, mask))
    return tv_tensors.Image(torch.from_numpy(pixels).permute(2, 0, 1)), tv_tensors.Mask(torch.from_numpy(ids))


def read_by_itself(image: Path, mask: Path) -> tuple[object, object]:
    """Return an image and its mask, decoded by torchvision."""
    pixels = decode_image(str(image), ImageReadMode.RGB)
    return tv_tensors.Image(pixels), tv_tensors.Mask(decode_image(str(mask), ImageReadMode.UNCHANGED)[0])


def make_files(folder: Path, size: tuple[int, int]) -> list[tuple[Path, Path]]:
    """Write images and masks of a size, made of the embedded frames, and return their paths."""
    cells = SegmentationData(create_dataset("cells", Labels(NAMES)))
    made = []
    for number, pair in enumerate(cells.samples("train").pairs):
        assert pair.mask is not None
        pixels, ids = read_pixels(pair.image, 3), decode_mask(pair.mask, cells.code).astype(np.uint8)
        paths = folder / "images" / f"{number}.jpg", folder / "masks" / f"{number}.png"
        for path, array in zip(paths, (pixels, ids), strict=True):
            path.parent.mkdir(exist_ok=True)
            way = Image.Resampling.BICUBIC if path.suffix == ".jpg" else Image.Resampling.NEAREST
            Image.fromarray(array).resize(size[::-1], way).save(path, quality=90)
        made.append(paths)
    return made


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=int, nargs=2, default=[720, 960], metavar=("H", "W"))
    parser.add_argument("--size", type=int, nargs=2, default=[512, 512], metavar=("H", "W"))
    parser.add_argument("--samples", type=int, default=40, help="of each way (default: 40)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
