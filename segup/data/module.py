"""The DataModule: the splits of a data set as loaders. The model does not influence their order."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from lightning import LightningDataModule
from torch.utils.data import BatchSampler

from segup.calls import annotated, check
from segup.conform import Count, Within
from segup.data.folds import fold_of, split_by_fold
from segup.data.headers import MAX_PIXELS
from segup.data.images import check_channels, read_pixels
from segup.data.index import uncollected
from segup.data.labels import Labels
from segup.data.mask_checks import MaskCheck, check_foreground, check_labelled
from segup.data.mask_codes import MaskCode
from segup.data.masks import ClassFrequencies, count_classes
from segup.data.pairs import Checked, Pair, check_pairs
from segup.data.ranges import Range, check_range, find_range
from segup.data.samples import Current, Loader, Sample, Samples, SampleSource, as_list, stack
from segup.data.sampling import Draw, DrawSampler, dealt_batches
from segup.data.sets import SPLITS
from segup.data.transforms import Augment, TrainingTransform
from segup.errors import ConfigError, DataError
from segup.host import usable_processors

_log = logging.getLogger(__name__)

LEAST_STEPS = 25
"""Of an epoch, unless a number is given: a few images make few steps, and a schedule over them would end too soon."""
VIEWS = 4
"""Of each training image, whose features are kept, unless a number is given."""
MAX_CACHE_GB = 20.0
"""The most that the folder of features holds, unless a number is given."""


class SegmentationData(LightningDataModule):
    """Training, validation and test loaders over a data set.

    Training batches are ``{"image": (N, C, H, W) float32 in 0…1, "mask": (N, H, W) int64, "name": list of str}``. All
    are full. They depend only on (seed, epoch, position). Validation and test batches are lists of samples, each at the
    size of its image. With several processes, every image is in exactly one batch, and a process with fewer images gets
    empty lists at the end.

    Args:
        source: The data set: it lists images and masks, and its labels give the classes.
        crop_size: (height, width) of training crops, any integers ≥ 1. None trains on whole images of one size.
        batch_size: Training samples per batch and process.
        val_batch_size: Validation samples per batch and process.
        samples_per_epoch: Training samples per epoch over all processes. None: one for each training image, at least
            as many as :data:`LEAST_STEPS` steps of the optimizer take.
        num_workers: Processes that read and augment. None: the number of processors minus one, at most 8.
        augment: The augmentation of training samples. None changes nothing.
        in_channels: Channels of every image.
        mask_values: The meaning of values in the masks. It replaces the data set's own.
        mask_tolerance: How far a value in a mask may be from the nearest known value. It gets the class of that value.
            Use it for JPEG masks. None is 0.
        mask_orientation: Which EXIF note turns a mask: its "own", or that of its "image". None: the sizes decide, and
            if they cannot, the pair is refused.
        image_range: The values [low, high] that become 0 and 1 in images. "dtype" uses the type of each file. None
            finds the range, see :func:`segup.data.ranges.find_range`.
        max_pixels: Pictures of more pixels are refused; their headers are enough for that. None is 100 million.
        cache: Keep decoded images in memory.
        views: Augmented views of each training image, among which every epoch chooses. None: every view is a new one,
            or, with ``cache_features``, one of :data:`VIEWS`.
        cache_features: Training keeps what a frozen encoder makes of every sample, see
            :func:`segup.training.features.keep_features`.
        cache_dir: Where. None is ``segup/features`` in the person's folder of caches.
        max_cache_gb: The most that this folder may hold, in GB. None is :data:`MAX_CACHE_GB`.
        seed: Seed of the order and of the augmentation.
        folds: Divides the images to train and to validate anew, in this many parts of about one size that keep groups
            together; None keeps the data set's own splits. Test images stay out.
        fold: The part that validates; all others train. None: ``seed`` mod ``folds``.

    Attributes:
        start_epoch: The first epoch of a resumed run. Set it before you use the loader.
        accumulate: Batches of each step of the optimizer.
        start_batch: The first batch of the next training epoch, for a run that is resumed in the middle of an epoch.
            Set it before you take that epoch's first batch. Later epochs begin at 0.

    Raises:
        ConfigError: A number is out of its range.
        DataError: From ``setup`` and the loaders: files are missing, unreadable or do not match.

    Example:
        >>> from segup.data import create_dataset
        >>> cells = create_dataset("cells", Labels(("background", "cytoplasm", "nucleus")))
        >>> data = SegmentationData(cells, crop_size=(33, 47), batch_size=2)
        >>> batch = next(iter(data.train_dataloader()))
        >>> tuple(batch["image"].shape), tuple(batch["mask"].shape)
        ((2, 3, 33, 47), (2, 33, 47))
        >>> [tuple(sample["image"].shape) for sample in next(iter(data.val_dataloader()))]
        [(3, 210, 576)]
    """

    group: ClassVar[str] = "data"

    @annotated
    def __init__(
        self,
        source: Any,
        *,
        crop_size: tuple[Count, Count] | None = None,
        batch_size: Count = 8,
        val_batch_size: Count = 1,
        samples_per_epoch: Annotated[int, Within(1)] | None = None,
        num_workers: Annotated[int, Within(0, 512)] | None = 0,
        augment: Augment | None = None,
        in_channels: Count = 3,
        mask_values: Any = None,
        mask_tolerance: Annotated[int, Within(0)] | None = None,
        mask_orientation: Literal["own", "image"] | None = None,
        image_range: Any = None,
        max_pixels: Annotated[int, Within(1)] | None = None,
        cache: bool = False,
        views: Annotated[int, Within(1, 2**16)] | None = None,
        cache_features: bool = False,
        cache_dir: str | Path | None = None,
        max_cache_gb: Annotated[float, Within(above=0)] | None = None,
        seed: int = 0,
        folds: Annotated[int, Within(2)] | None = None,
        fold: Annotated[int, Within(0)] | None = None,
    ) -> None:
        super().__init__()
        if not hasattr(source, "labels") or not hasattr(source, "splits"):
            raise ConfigError(f"SegmentationData takes a data source, not {source!r}.\n  try: segup.data.create_data")
        check("seed", Annotated[int, Within(0)], seed)
        self.source = source
        self.crop_size: tuple[int, int] | None = None if crop_size is None else (crop_size[0], crop_size[1])
        self.batch_size, self.val_batch_size = batch_size, val_batch_size
        self.samples_per_epoch = samples_per_epoch
        self.num_workers = min(8, usable_processors() - 1) if num_workers is None else num_workers
        self.augment = augment or Augment()
        self.augment.check_channels(in_channels)
        self.in_channels = in_channels
        self.mask_values = source.mask_values if mask_values is None else mask_values
        self.code = MaskCode(
            source.labels,
            self.mask_values,
            mask_tolerance,
            official=mask_values is None and source.mask_values is not None,
        )
        self.mask_orientation = mask_orientation
        self.max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
        self._given_range = check_range(image_range)
        self.cache = cache
        self.views = VIEWS if views is None and cache_features else views
        self.cache_features = cache_features
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self.max_cache_gb: float = MAX_CACHE_GB if max_cache_gb is None else max_cache_gb
        self.seed, self.folds, self.fold = seed, folds, fold_of(seed, folds, fold)
        self.start_epoch = 0
        self.accumulate = 1
        self._start_batch = 0
        self._sampler: DrawSampler | None = None
        self._splits: dict[str, Samples] = {}
        self._kept: dict[str, SampleSource] = {}
        self._found_pairs: dict[str, list[Pair]] = {}
        self._headers: dict[str, list[Checked]] = {}
        self.least_steps, self.least_samples = LEAST_STEPS, 1

    @property
    def labels(self) -> Labels:
        """Class names, colours and ignore_index."""
        return self.source.labels

    @property
    def image_range(self) -> Range:
        """The values that become 0 and 1 in images: given, or found in the training images."""
        return self._found_range[0]

    def keep_range(self, image_range: Range | None) -> None:
        """Take over the range of a run that is resumed, before ``setup``; None is no run."""
        self._given_range = check_range(image_range) if self._given_range is None else self._given_range

    def keep_least(self, steps: int, samples: int) -> None:
        """Take over the least steps and samples of an epoch from a run that is resumed."""
        self.least_steps, self.least_samples = steps, samples

    @property
    def epoch_samples(self) -> int:
        """Training samples per epoch over all processes."""
        least = self.least_steps * self.accumulate * self.batch_size * _process()[1]
        return self.samples_per_epoch or max(len(self.samples("train")), least, self.least_samples)

    @property
    def image_range_text(self) -> str:
        """The range, and from what it is known, in a line."""
        image_range, source = self._found_range
        if image_range == "dtype":
            return "image values: 8 bits 0…255, 16 bits 0…65535, floats 0…1, as each file's type (data.image_range)"
        return f"image values: {image_range[0]:.10g}…{image_range[1]:.10g} ({source}; data.image_range)"

    @cached_property
    def _found_range(self) -> tuple[Range, str]:
        if self._given_range is not None:
            return self._given_range, "given"
        there = self.source.splits()
        split = next((name for name in SPLITS if name in there), "train")
        pairs = self.pairs(split)
        images = [(pair.image, checked.image) for pair, checked in zip(pairs, self._checked(split), strict=True)]
        return find_range(images, partial(read_pixels, in_channels=self.in_channels))

    def mask_check(self) -> MaskCheck:
        """Return a check of all masks of the training and validation splits."""
        return MaskCheck({split: self.samples(split) for split in ("train", "val")}, self.code)

    @property
    def start_batch(self) -> int:
        """Batches that the next training epoch leaves out at its beginning."""
        return self._start_batch if self._sampler is None else self._sampler.skipped

    @start_batch.setter
    def start_batch(self, batches: int) -> None:
        self._start_batch = batches
        if self._sampler is not None:
            self._sampler.skip(batches)

    def prepare_data(self) -> None:
        """Download what is missing, if the data set was asked to."""
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Find and check the files of the splits that ``stage`` needs: "fit", "validate", "test", or None for all."""
        stages = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}
        needed = stages.get(stage or "", ("train", "val", "test"))
        with uncollected():  # together: all bad files are named, and what is kept of earlier starts is opened once
            self._check([split for split in needed if split != "test" or "test" in self.source.splits()])
        for split in needed:
            self.samples(split)

    def pairs(self, split: str) -> list[Pair]:
        """Return the images and masks of a split, as the folds divide them; no file is read for that."""
        if split not in self._found_pairs:
            if self.folds is not None and split != "test":
                train, val = split_by_fold(self._divided(), self.folds, self.fold or 0)
                self._found_pairs |= {"train": train, "val": val}
            else:
                self._found_pairs[split] = self.source.pairs(split)
            if not self._found_pairs[split]:
                raise DataError(f"{type(self.source).__name__} has no images in its split '{split}'")
        return self._found_pairs[split]

    def samples(self, split: str) -> Samples:
        """Return the samples of "train", "val" or "test", as they are on disk; a missing test split is "val"."""
        if split not in self._splits:
            with uncollected():
                self._splits[split] = self._find(split)
        return self._splits[split]

    def sample(self, split: str, index: int) -> Sample:
        """Return one sample at its own size, without augmentation."""
        return self.samples(split)[index]

    def groups(self, split: str) -> dict[str, str]:
        """Return the sequence, patient or field of each image of a split that has one, by the image's name."""
        return {pair.name: pair.group for pair in self.samples(split).pairs if pair.group is not None}

    def class_frequencies(self) -> ClassFrequencies:
        """Count the pixels of each class over the training masks; reads every mask once."""
        return self._class_frequencies

    @cached_property
    def _class_frequencies(self) -> ClassFrequencies:
        return count_classes(self.samples("train").pairs, self.code)

    def train_dataloader(self) -> Loader:
        """Return the loader of training crops for this process."""
        samples = Current("train", self.training_samples(), self._kept)
        sampler: Any = DrawSampler(
            len(self.samples("train")), self.batch_size, self.seed, self.epoch_samples, *_process()
        )
        # Lightning makes the first iterator before it tells the epoch, and workers read ahead.
        sampler.set_epoch(self.start_epoch)
        sampler.skip(self.start_batch)
        self._sampler = sampler
        batches = BatchSampler(sampler, self.batch_size, drop_last=True)
        return Loader(samples, batch_sampler=batches, collate_fn=stack, **self._options())

    def training_samples(self) -> Samples:
        """Return the samples of the training split, of which a draw is a random view."""
        transform = TrainingTransform(self.training_size(), self.augment, self.labels.ignore_index)
        return replace(self.samples("train"), transform=transform, views=self.views)

    def every_view(self, split: str) -> Loader:
        """Return a loader of all that :meth:`keep` takes for a split, in order: of "train" the views of each image."""
        samples = self.samples(split)
        if split != "train":
            return Loader(samples, batch_sampler=[[number] for number in range(len(samples))], **self._once(as_list))
        assert self.views is not None
        draws: list[Any] = [Draw(number, view) for number in range(len(samples)) for view in range(self.views)]
        batches = [draws[start : start + self.batch_size] for start in range(0, len(draws), self.batch_size)]
        return Loader(self.training_samples(), batch_sampler=batches, **self._once(stack))

    def keep(self, split: str, samples: SampleSource) -> None:
        """From now on, load the samples of a split from ``samples``, which were made of them."""
        self._kept[split] = samples

    def val_dataloader(self) -> Loader:
        """Return the loader of validation images for this process."""
        return self._whole_images("val")

    def test_dataloader(self) -> Loader:
        """Return the loader of test images for this process."""
        return self._whole_images("test")

    def _whole_images(self, split: str) -> Loader:
        batches: Any = dealt_batches(len(self.samples(split)), self.val_batch_size, *_process())
        samples = Current(split, self.samples(split), self._kept)
        return Loader(samples, batch_sampler=batches, collate_fn=as_list, **self._options())

    def _options(self) -> dict[str, Any]:
        return {
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "pin_memory": torch.cuda.is_available(),
        }

    def _once(self, collate: Any) -> dict[str, Any]:
        return {"num_workers": self.num_workers, "collate_fn": collate}

    def _find(self, split: str) -> Samples:
        if split == "test" and "test" not in self.source.splits():
            _log.warning("the data set has no test split: its validation images stand in")
            return self.samples("val")
        pairs, headers = self.pairs(split), self._checked(split)
        check_channels([pair.image for pair in pairs], [checked.image for checked in headers], self.in_channels)
        masks = [pair.mask for pair in pairs if pair.mask is not None]
        samples = Samples(pairs, self.labels, self.in_channels, self.code, headers, self.image_range, cache=self.cache)
        MaskCheck({split: samples}, self.code).check_sample()
        check_foreground(masks, self.code)
        check_labelled(masks, self.code)
        return samples

    def _checked(self, split: str) -> list[Checked]:
        self._check([split])
        return self._headers[split]

    def _check(self, splits: Sequence[str]) -> None:
        found = {split: self.pairs(split) for split in splits if split not in self._headers}
        pairs = [pair for own in found.values() for pair in own]
        checked = iter(check_pairs(pairs, self.max_pixels, self.mask_orientation))
        self._headers |= {split: list(islice(checked, len(own))) for split, own in found.items()}

    def _divided(self) -> list[Pair]:
        """Return all that folds divide."""
        there = [name for name in ("train", "val") if name in self.source.splits()]
        return [pair for name in there for pair in self.source.pairs(name)]

    def check_folds(self) -> None:
        """Raise a DataError for more folds than there are images or groups; no image is read.

        Data that is not here says so when it is set up, or is downloaded before.
        """
        if self.folds is None:
            return
        try:
            every = self._divided()
        except DataError:
            return
        split_by_fold(every, self.folds, self.fold or 0)

    def training_size(self) -> tuple[int, int]:
        """Return (height, width) of a training sample."""
        if self.crop_size is not None:
            return self.crop_size
        pairs, sizes = self.samples("train").pairs, [checked.image.size for checked in self._checked("train")]
        for pair, size in zip(pairs, sizes, strict=True):
            if size != sizes[0]:
                raise DataError(
                    f"crop_size=null trains on whole images, so all must have one size: {pairs[0].image} is "
                    f"{sizes[0][0]}×{sizes[0][1]}, {pair.image} is {size[0]}×{size[1]}; "
                    f"set data.crop_size=[height,width]"
                )
        return sizes[0]


def _process() -> tuple[int, int]:
    """Return this process's rank and the number of processes."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
