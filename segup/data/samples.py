"""Image files become samples, and samples become batches; what decides the samples of a split is a sum."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, NotRequired, Protocol, TypedDict

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from segup.data.images import decode_image, to_tensor, turned
from segup.data.labels import Labels
from segup.data.mask_codes import MaskCode
from segup.data.mask_files import mask_pixels
from segup.data.masks import decode_mask
from segup.data.pairs import Checked, Pair
from segup.data.ranges import Range
from segup.data.sampling import Draw
from segup.errors import DataError

Transform = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


class Sample(TypedDict):
    """An image (C, H, W), float32 in 0…1, its mask (H, W), int64, its name, and what an encoder made of it, if kept."""

    image: torch.Tensor
    mask: torch.Tensor
    name: str
    features: NotRequired[list[torch.Tensor]]


class SampleSource(Protocol):
    """Samples by their number, and views of them by a draw."""

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, key: int | Draw) -> Sample:
        """Return a sample."""


@dataclass(frozen=True)
class Current(Dataset[Sample]):
    """The samples of a split as they are when one is read: what was kept of them, or they themselves.

    Lightning makes the training loader when it counts steps, before any hook: features are kept afterwards.
    """

    split: str
    own: SampleSource
    kept: Mapping[str, SampleSource]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.own)

    def __getitem__(self, key: int | Draw) -> Sample:
        """Return a sample."""
        return self.kept.get(self.split, self.own)[key]


@dataclass(frozen=True)
class ReadFailure:
    """What a worker process hands over in place of a sample that it could not read."""

    message: str


@dataclass
class Samples(Dataset[Sample]):
    """The samples of one split.

    A number gives the image as it is; a :class:`Draw` gives the random view of it that the draw's seed chooses.

    Args:
        pairs: Images and masks; every mask is there.
        labels: The classes.
        in_channels: Channels of every image.
        code: What the values in the masks mean; None where they are class ids and the ignore_index.
        headers: What the files' headers say, see :func:`segup.data.pairs.check_pairs`; None where nothing is turned.
        image_range: What becomes 0 … 1 in an image.
        transform: Makes a view of (image, mask, seed).
        views: Of each image, among which draws choose; None: every draw is a view of its own.
        cache: Whether decoded files stay in memory.
        decoded: Those that do, by number.
    """

    pairs: Sequence[Pair]
    labels: Labels
    in_channels: int
    code: MaskCode | None = None
    headers: Sequence[Checked] | None = None
    image_range: Range = "dtype"
    transform: Transform | None = None
    views: int | None = None
    cache: bool = False
    decoded: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: int | Draw) -> Sample:
        number = key.image if isinstance(key, Draw) else key
        image, mask = self._decode(number)
        if isinstance(key, Draw) and self.transform is not None:
            image, mask = self.transform(image, mask, key.of(self.views).seed)
        return Sample(
            image=to_tensor(image), mask=torch.from_numpy(mask.astype(np.int64)), name=self.pairs[number].name
        )

    def check_image(self, number: int) -> None:
        """Raise a DataError for an image whose values do not fit the range; one of 8 bits is not read for that."""
        if not self.has_bytes(number):
            decode_image(self.pairs[number].image, self.in_channels, self.image_range)

    def size(self, number: int) -> tuple[int, int]:
        """Return (height, width) of an image, as its header says."""
        assert self.headers is not None
        return self.headers[number].image.size

    def has_bytes(self, number: int) -> bool:
        """Return whether an image has 8 bits, of which 0…255 is the range."""
        plain = self.headers is not None and self.headers[number].image.dtype == np.uint8
        return plain and self.image_range in ("dtype", (0, 255))

    def _decode(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        if number in self.decoded:
            return self.decoded[number]
        pair = self.pairs[number]
        if pair.mask is None:
            raise DataError(f"{pair.image}: there is no mask to train or evaluate with")
        image = decode_image(pair.image, self.in_channels, self.image_range)
        mask = decode_mask(pair.mask, self.code or MaskCode(self.labels))
        if self.headers is not None:
            mask = np.ascontiguousarray(turned(mask, self.headers[number].turn))
        if image.shape[:2] != mask.shape:
            raise DataError(
                f"{pair.mask}: the mask is {mask.shape}, its image is {image.shape[:2]}; they must be equal"
            )
        if self.cache:
            self.decoded[number] = image, mask
        return image, mask


@dataclass(frozen=True)
class _InWorker(Dataset[Sample | ReadFailure]):
    """Samples whose errors survive the way out of a worker process as the one message that they are."""

    samples: SampleSource

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: int | Draw) -> Sample | ReadFailure:
        if get_worker_info() is None:
            return self.samples[key]
        try:
            return self.samples[key]
        except DataError as error:
            return ReadFailure(str(error))


class Loader(DataLoader[Any]):
    """A DataLoader that asks its sampler for the order when the first batch is wanted.

    Lightning makes a resumed run's iterator before it tells the sampler the epoch; worker processes would then
    already be reading the wrong images.
    """

    def __init__(self, samples: SampleSource, **options: Any) -> None:
        super().__init__(_InWorker(samples), worker_init_fn=_one_thread, **options)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield batches; a DataError in a worker is raised here with its own message."""
        iterator = super().__iter__()
        for batch in iterator:
            if isinstance(batch, ReadFailure):
                # The error's traceback would keep the workers until the garbage collector finds them, seconds later.
                del iterator
                self._iterator = None
                raise DataError(batch.message)
            yield batch


def _one_thread(worker: int) -> None:
    """Keep OpenCV from starting threads in each worker process."""
    del worker
    cv2.setNumThreads(0)


def stack(samples: Sequence[Sample | ReadFailure]) -> dict[str, Any] | ReadFailure:
    """Collate samples of one size, see :func:`stacked`; a failure takes the batch's place."""
    read = as_list(samples)
    return read if isinstance(read, ReadFailure) else stacked(read)


def stacked(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return samples of one size as image (N, C, H, W) in channels-last memory, mask (N, H, W), name a list.

    Where features are kept, they are a list of (N, windows, C, h, w), in channels-last memory too.
    """
    batch = {
        "image": _stacked([sample["image"] for sample in samples]),
        "mask": torch.stack([sample["mask"] for sample in samples]),
        "name": [sample["name"] for sample in samples],
    }
    kept = [sample["features"] for sample in samples if "features" in sample]
    if kept:
        batch["features"] = [_stacked(list(of_one)) for of_one in zip(*kept, strict=True)]
    return batch


def _stacked(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """Stack maps (..., C, h, w) in channels-last memory; half precision, in which they are kept, becomes float32."""
    last = [one.movedim(-3, -1) for one in maps]
    kind = torch.float32 if maps[0].dtype == torch.float16 else maps[0].dtype
    made = torch.empty(len(last), *last[0].shape, dtype=kind, device=maps[0].device)
    for place, one in zip(made, last, strict=True):
        place.copy_(one)
    return made.movedim(-1, -3)


def as_list(samples: Sequence[Sample | ReadFailure]) -> list[Sample] | ReadFailure:
    """Collate samples of different sizes: as they are, one after the other; a failure takes the batch's place."""
    read: list[Sample] = []
    for sample in samples:
        if isinstance(sample, ReadFailure):
            return sample
        read.append(sample)
    return read


def identity_of(samples: Samples) -> str:
    """Return a sum of the files' contents, and of how they are read; the transform is not in it.

    >>> from segup.data import Labels, create_dataset
    >>> labels = Labels(("background", "cytoplasm", "nucleus"))
    >>> pairs = create_dataset("cells", labels).pairs("val")
    >>> one, other = Samples(pairs, labels, in_channels=3), Samples(pairs, labels, in_channels=1)
    >>> identity_of(one) == identity_of(Samples(pairs, labels, 3)), identity_of(one) == identity_of(other)
    (True, False)
    """
    total = blake2b(repr((samples.in_channels, samples.image_range, samples.code, samples.labels)).encode())
    for number, pair in enumerate(samples.pairs):
        turn = None if samples.headers is None else samples.headers[number].turn
        total.update(repr((pair.name, pair.image.suffix, turn)).encode())
        total.update(_of_file(pair.image))
        if isinstance(pair.mask, Path):
            total.update(repr(pair.mask.suffix).encode() + _of_file(pair.mask))
        elif pair.mask is not None:
            drawn = mask_pixels(pair.mask).values
            total.update(repr((drawn.shape, drawn.dtype)).encode() + drawn.tobytes())
    return total.hexdigest()


def _of_file(path: Path) -> bytes:
    return blake2b(path.read_bytes()).digest()
