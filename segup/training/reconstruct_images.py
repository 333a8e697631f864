"""The images that an operator is trained on without labels: which they are, how large, and how they are cut."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segup.data import create_data, read_image
from segup.data.headers import MAX_PIXELS
from segup.data.images import read_pixels
from segup.data.index import read_headers
from segup.data.layout.patterns import is_wanted, walk
from segup.data.ranges import check_range, find_range
from segup.encoders.contract import Encoder
from segup.errors import ConfigError, DataError

HELD_OUT = 5
"""Every fifth image of a folder is held out."""
LARGEST = 2**11
"""Up to which the least side of images is looked for."""


@dataclass(frozen=True)
class WholeCells:
    """The sizes at which a map of an image, and that of the image made smaller, have whole cells.

    Args:
        encoder: Which extends an image of a size that it does not accept; then the two maps would not fit.
        stride: Of the map.
        scale: By how much the image is made smaller.

    >>> from segup.encoders import create_encoder
    >>> cells = WholeCells(create_encoder("efficientnet_lite0", pretrained=False), stride=8, scale=2)
    >>> cells.least, cells.whole(100)
    (32, 96)
    """

    encoder: Encoder
    stride: int | Fraction
    scale: int

    @property
    def side(self) -> int:
        """Pixels of the whole image in a cell of the smaller one's map."""
        return int(self.stride * self.scale)

    def whole(self, size: int) -> int:
        """Return the largest side up to ``size`` at which both maps have whole cells, or 0."""
        most = self.encoder.pyramid.accepted.most
        for side in range(min(size, most or size) // self.side * self.side, 0, -self.side):
            if all(self.encoder.accepted_size((one, one)) == (one, one) for one in (side, side // self.scale)):
                return side
        return 0

    @cached_property
    def least(self) -> int:
        """The smallest side, of two cells or more.

        Raises:
            ConfigError: The encoder takes no image both whole and made smaller.
        """
        for side in range(2 * self.side, LARGEST, self.side):
            if self.whole(side) == side:
                return side
        raise ConfigError(
            f"encoder '{self.encoder.name}' takes {self.encoder.pyramid.accepted}: no image both whole and "
            f"{self.scale} times smaller, as reconstruction compares them.\n  try: encoder=efficientnet_lite0"
        )

    def check(self, height: int, width: int, what: str, way_out: str) -> None:
        """Raise a DataError for what is too small."""
        if min(height, width) < self.least:
            smaller = [stride for stride in self.encoder.strides if stride < self.stride]
            other = f"a map of stride {smaller[-1]} (reconstruct.stride), or " if smaller else ""
            raise DataError(
                f"{what}: {height}×{width} is too small: the map of stride {self.stride} needs {self.least}×"
                f"{self.least} at least, where the image is made {self.scale} times smaller\n  try: {other}{way_out}"
            )


def images(options: Mapping[str, Any], seed: int, cells: WholeCells) -> tuple[list[Tensor], list[Tensor]]:
    """Return the images that train, and those that are held out: the validation images, or every fifth of a folder.

    ``data=folder`` without folds takes all images below its root, or below the folder ``images`` there.

    Args:
        options: The data configuration.
        seed: Of the run.
        cells: To which the images are cut.

    Raises:
        DataError: There are fewer than two, one cannot be read, or one is too small.
    """
    channels, most = int(options.get("in_channels") or 3), int(options.get("max_pixels") or MAX_PIXELS)
    if options.get("name") == "folder" and options.get("folds") is None:
        train, held = below(Path(str(options.get("root"))))
        headers = dict(zip([*train, *held], read_headers([*train, *held], most), strict=True))
        image_range = check_range(options.get("image_range"))
        if image_range is None:
            read = partial(read_pixels, in_channels=channels)
            image_range, _ = find_range([(file, headers[file]) for file in train], read)
    else:
        data = create_data(options, seed)
        data.prepare_data()
        train, held = ([pair.image for pair in data.pairs(split)] for split in ("train", "val"))
        image_range = data.image_range
    tensors = {file: read_image(file, channels, image_range, most) for file in [*train, *held]}
    for file, image in tensors.items():
        cells.check(image.shape[-2], image.shape[-1], str(file), "leave this image out")
    return [tensors[file] for file in train], [tensors[file] for file in held]


def below(root: Path) -> tuple[list[Path], list[Path]]:
    """Return the files of a folder's images that train, and those that are held out."""
    root = root / "images" if (root / "images").is_dir() else root
    files = sorted(folder / name for folder, names in walk(root) for name in names if is_wanted(folder / name))
    if len(files) < 2:
        raise DataError(
            f"{root}: images below it: {len(files)}, and reconstruction needs two at least\n"
            f"  try: data.root=FOLDER, with images in it or in folders of its own"
        )
    held = files[HELD_OUT - 1 :: HELD_OUT] or files[-1:]
    return [file for file in files if file not in set(held)], held


def crop_size(train: Sequence[Tensor], wanted: Sequence[int] | None, cells: WholeCells) -> tuple[int, int]:
    """Return the size of crops: as ``wanted``, rounded down to whole cells and to the smallest image.

    Raises:
        DataError: That is too small.
    """
    height, width = (min(image.shape[axis] for image in train) for axis in (-2, -1))
    if wanted is not None:
        height, width = min(height, wanted[0]), min(width, wanted[1])
    cells.check(height, width, "data.crop_size", "data.crop_size=null for whole images")
    return cells.whole(height), cells.whole(width)


def crops(train: Sequence[Tensor], size: tuple[int, int], batch: int, steps: int, seed: int) -> Iterator[Tensor]:
    """Yield batches of random crops."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda end: int(torch.randint(end, (), generator=generator))  # noqa: E731
    height, width = size
    for _ in range(steps):
        views = []
        for _ in range(batch):
            image = train[draw(len(train))]
            top, left = draw(image.shape[-2] - height + 1), draw(image.shape[-1] - width + 1)
            views.append(image[:, top : top + height, left : left + width])
        yield torch.stack(views)
