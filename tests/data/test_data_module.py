import contextlib
import inspect
import itertools
import logging
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from segup.data import Labels, SegmentationData, create_data, create_dataset
from segup.data.pairs import Pair
from segup.data.sets import datasets
from segup.data.transforms import Augment
from segup.errors import ConfigError, DataError, SegupError

CELLS = ("background", "cytoplasm", "nucleus")
SIZES = [(5, 7), (9, 4), (6, 6), (11, 13), (1, 1)]


@pytest.fixture
def mixed(tmp_path, write_pairs):
    """A folder of five training and three validation pairs of mixed odd sizes."""
    write_pairs(tmp_path / "images/train", tmp_path / "masks/train", SIZES)
    write_pairs(tmp_path / "images/val", tmp_path / "masks/val", SIZES[:3])
    return tmp_path


def folder_data(root, **options):
    return create_data({"name": "folder", "root": str(root), "classes": list("abc"), **options}, seed=4)


def same(first, second):
    return (
        first["name"] == second["name"]
        and torch.equal(first["image"], second["image"])
        and torch.equal(first["mask"], second["mask"])
    )


def epochs(data, count=2):
    loader = data.train_dataloader()
    for epoch in range(count):
        loader.batch_sampler.sampler.set_epoch(epoch)
        yield from loader


ALL = {"scale": [0.5, 2], "horizontal_flip": 0.5, "vertical_flip": 0.5, "rotate_90": 0.5, "brightness": 0.2}


def test_training_batches_are_full_and_have_the_contracts_types(mixed):
    data = folder_data(mixed, crop_size=[7, 5], batch_size=2, augment=ALL, samples_per_epoch=4)
    batches = list(epochs(data))
    assert len(batches) == 4
    for batch in batches:
        assert (tuple(batch["image"].shape), batch["image"].dtype) == ((2, 3, 7, 5), torch.float32)
        assert (tuple(batch["mask"].shape), batch["mask"].dtype) == ((2, 7, 5), torch.int64)
        assert batch["image"].is_contiguous(memory_format=torch.channels_last)
        assert 0 <= batch["image"].min() <= batch["image"].max() <= 1
        assert set(batch["mask"].unique().tolist()) <= {0, 1, 2, 255}
        assert len(batch["name"]) == 2


def test_batches_depend_on_seed_and_epoch_alone(mixed):
    options = {"crop_size": [7, 5], "batch_size": 2, "augment": ALL, "samples_per_epoch": 3}
    first = list(epochs(folder_data(mixed, **options)))
    torch.manual_seed(99)
    np.random.seed(99)
    list(folder_data(mixed, **options).val_dataloader())
    again = list(epochs(folder_data(mixed, **options)))
    cached = list(epochs(folder_data(mixed, **options, cache=True)))
    workers = list(epochs(folder_data(mixed, **options, num_workers=2)))
    for others in (again, cached, workers):
        assert all(same(a, b) for a, b in zip(first, others, strict=True))
    other = create_data({"name": "folder", "root": str(mixed), "classes": list("abc"), **options}, seed=5)
    assert not any(same(a, b) for a, b in zip(first, epochs(other), strict=True))
    assert not any(same(a, b) for a, b in itertools.combinations(first, 2))


def test_a_few_images_make_an_epoch_of_25_steps_and_many_one_of_their_number(mixed):
    data = folder_data(mixed, crop_size=[3, 3], batch_size=2)
    assert len(data.train_dataloader()) == 25
    data.accumulate = 3
    assert len(data.train_dataloader()) == 75
    data.keep_least(0, 120)  # of a run of earlier versions
    assert len(data.train_dataloader()) == 60
    data.keep_least(0, 1)
    assert len(data.train_dataloader()) == max(1, len(data.samples("train")) // 2)


def test_start_batch_leaves_out_the_beginning_of_one_epoch(mixed):
    data = folder_data(mixed, crop_size=[3, 3], batch_size=2, samples_per_epoch=8)
    whole = list(epochs(data))
    assert data.start_batch == 0
    for late in (False, True):
        fresh = folder_data(mixed, crop_size=[3, 3], batch_size=2, samples_per_epoch=8)
        if late:
            fresh.train_dataloader()
        fresh.start_batch = 3
        assert fresh.start_batch == 3
        rest = list(epochs(fresh))
        assert len(rest) == 5
        assert all(same(a, b) for a, b in zip(whole[3:], rest, strict=True))
        assert fresh.start_batch == 0
        assert len(fresh.train_dataloader()) == 4


def test_validation_gives_every_image_once_at_its_own_size(mixed):
    data = folder_data(mixed, val_batch_size=2)
    batches = list(data.val_dataloader())
    assert [len(batch) for batch in batches] == [2, 1]
    samples = [sample for batch in batches for sample in batch]
    assert [tuple(sample["image"].shape[1:]) for sample in samples] == SIZES[:3]
    assert [tuple(sample["mask"].shape) for sample in samples] == SIZES[:3]
    assert all(same(sample, data.sample("val", number)) for number, sample in enumerate(samples))


def test_two_processes_share_the_work(mixed, monkeypatch):
    options = {"crop_size": [3, 3], "val_batch_size": 1}
    one = folder_data(mixed, batch_size=2, **options)
    whole = list(epochs(one))
    parts, dealt = [], []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        data = folder_data(mixed, batch_size=1, **options)
        parts.append(list(epochs(data)))
        dealt.append([[sample["name"] for sample in batch] for batch in data.val_dataloader()])
    assert dealt == [[["img_0"], ["img_2"]], [["img_1"], []]]
    for number, batch in enumerate(whole):
        assert batch["name"] == [parts[rank][number]["name"][0] for rank in range(2)]
        assert torch.equal(batch["image"], torch.cat([parts[rank][number]["image"] for rank in range(2)]))


def test_a_missing_test_split_is_the_validation_split_and_is_said_once(mixed, caplog):
    data = folder_data(mixed)
    with caplog.at_level(logging.WARNING, logger="segup"):
        data.setup("test")
        tested = [sample["name"] for batch in data.test_dataloader() for sample in batch]
    assert tested == ["img_0", "img_1", "img_2"]
    assert [record.message for record in caplog.records] == [
        "the data set has no test split: its validation images stand in"
    ]


def test_whole_images_train_when_they_have_one_size(tmp_path, mixed, write_pairs):
    write_pairs(tmp_path / "even/images", tmp_path / "even/masks", [(5, 7)] * 4)
    batch = next(iter(folder_data(tmp_path / "even", crop_size=None, batch_size=2).train_dataloader()))
    assert tuple(batch["image"].shape) == (2, 3, 5, 7)
    with pytest.raises(DataError) as caught:
        folder_data(mixed, crop_size=None).train_dataloader()
    images = mixed / "images" / "train"
    assert str(caught.value) == (
        f"crop_size=null trains on whole images, so all must have one size: {images / 'img_0.png'} is 5×7, "
        f"{images / 'img_1.png'} is 9×4; set data.crop_size=[height,width]"
    )


def test_class_frequencies_follow_their_definition(mixed):
    data = folder_data(mixed)
    counts = data.class_frequencies()
    masks = [data.sample("train", number)["mask"] for number in range(len(SIZES))]
    for index in range(3):
        assert counts.pixels[index] == sum(int((mask == index).sum()) for mask in masks)
        assert counts.image_pixels[index] == sum(mask.numel() for mask in masks if (mask == index).any())
    assert counts.frequencies == tuple(a / b for a, b in zip(counts.pixels, counts.image_pixels, strict=True))
    assert data.class_frequencies() is counts


def test_ignored_pixels_are_in_no_frequency(mixed):
    data = folder_data(mixed, ignore_index=7, mask_values={0: 0, 1: 7, 2: 2})
    counts = data.class_frequencies()
    plain = folder_data(mixed).class_frequencies()
    assert counts.pixels == (plain.pixels[0], 0, plain.pixels[2])
    assert counts.frequencies[1] == 0.0
    assert counts.image_pixels[0] == plain.image_pixels[0] - plain.pixels[1]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("fault", ["damaged", "value"])
def test_a_bad_file_met_while_training_is_one_clean_message(mixed, workers, fault):
    bad = mixed / "masks/train/img_3.png"
    data = folder_data(mixed, crop_size=[3, 3], batch_size=5, num_workers=workers)
    data.setup("fit")
    if fault == "damaged":
        content = bad.read_bytes()
        bad.write_bytes(content[:60] + content[-12:])  # its end is there: only decoding finds it
    else:
        Image.fromarray(np.full((11, 13), 9, dtype=np.uint8)).save(bad)
    with pytest.raises(DataError) as caught:
        list(data.train_dataloader())
    message = str(caught.value)
    assert message.startswith(f"{bad}: ")
    assert "\n" not in message
    assert "orker" not in message


def test_a_bad_file_met_while_validating_is_one_clean_message(mixed):
    bad = mixed / "images/val/img_1.png"
    bad.write_bytes(bad.read_bytes()[:70])
    with pytest.raises(DataError, match=rf"^{bad}: not a readable image, or cut short \(.*\)$"):
        list(folder_data(mixed, num_workers=1).val_dataloader())


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_file_that_was_cut_short_is_found_at_setup(mixed, kind):
    bad = mixed / kind / "train/img_3.png"
    bad.write_bytes(bad.read_bytes()[:-30])
    with pytest.raises(DataError, match=rf"^{bad}: not a readable image, or cut short \(.*\)$"):
        folder_data(mixed).setup("fit")


def test_faults_that_headers_show_are_found_at_setup(mixed):
    Image.new("L", (3, 3)).save(mixed / "masks/val/img_2.png")
    with pytest.raises(DataError, match=r"img_2\.png: the mask is 3×3 \(height × width\), its image .* is 6×6"):
        folder_data(mixed).setup("fit")


def test_black_and_white_masks_are_not_silently_ignored(tmp_path, write_pairs):
    write_pairs(tmp_path / "images", tmp_path / "masks", [(8, 8)] * 4)
    for path in (tmp_path / "masks").iterdir():
        Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(path)
    options = {"name": "folder", "root": str(tmp_path), "classes": ["background", "cell"]}
    with pytest.raises(
        DataError, match=r"no mask holds class 1 \('cell'\), but 255, which is the ignore_index; if 255"
    ):
        create_data(options).setup("fit")
    data = create_data({**options, "ignore_index": -1, "mask_values": {0: 0, 255: 1}})
    assert data.sample("val", 0)["mask"].tolist() == np.eye(8, dtype=int).tolist()


def test_masks_that_hold_nothing_but_the_ignore_index_are_refused(tmp_path, write_pairs):
    write_pairs(tmp_path / "images", tmp_path / "masks", [(8, 8)] * 4)
    for path in (tmp_path / "masks").iterdir():
        Image.new("L", (8, 8), 255).save(path)
    options = {"name": "folder", "root": str(tmp_path), "classes": ["soil", "leaf", "stem"]}
    with pytest.raises(
        DataError, match=r"no mask of \d holds a class: every pixel is 255, the ignore_index\.\n  try: "
    ):
        create_data(options).setup("fit")
    for path in sorted((tmp_path / "masks").iterdir()):
        Image.fromarray(np.eye(8, dtype=np.uint8) * 2).save(path)
    create_data(options).setup("fit")
    with pytest.raises(DataError, match="every pixel is 255, the ignore_index"):
        create_data({**options, "mask_values": {0: 255, 2: 255}}).setup("fit")


class TwoImages:
    """A data set from outside the package."""

    mask_values = None

    def __init__(self, labels, root, empty=False):
        self.labels, self.root, self.empty = labels, root, empty

    def prepare(self):
        pass

    def splits(self):
        return ("train", "val")

    def pairs(self, split):
        return [] if self.empty else [Pair(self.root / f"{split}.png", self.root / f"{split}.png", split)]


def test_a_data_set_of_ones_own(tmp_path):
    for split in ("train", "val"):
        Image.new("L", (4, 4), 1).save(tmp_path / f"{split}.png")
    labels = Labels(("a", "b"))
    data = SegmentationData(TwoImages(labels, tmp_path), crop_size=(2, 2), batch_size=1, in_channels=1)
    assert next(iter(data.train_dataloader()))["mask"].tolist() == [[[1, 1], [1, 1]]]
    with pytest.raises(DataError, match="TwoImages has no images in its split 'train'"):
        SegmentationData(TwoImages(labels, tmp_path, empty=True)).setup("fit")


def test_images_with_other_channels(tmp_path, write_pairs):
    write_pairs(tmp_path / "images", tmp_path / "masks", [(8, 9)] * 4)
    grey = folder_data(tmp_path, in_channels=1, crop_size=[5, 5], batch_size=2, augment=ALL)
    assert tuple(next(iter(grey.train_dataloader()))["image"].shape) == (2, 1, 5, 5)
    for path in (tmp_path / "images").iterdir():
        np.save(path.with_suffix(".npy"), np.random.default_rng(0).random((8, 9, 6), dtype=np.float32))
        path.unlink()
    six = folder_data(tmp_path, in_channels=6, crop_size=[5, 5], batch_size=2, augment=ALL)
    assert tuple(next(iter(six.train_dataloader()))["image"].shape) == (2, 6, 5, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"batchsize": 2},
            "unknown option of data set 'cells' 'batchsize': did you mean 'batch_size'? known: augment, ",
        ),
        ({"augment": {"scal": 1}}, "unknown option of augment 'scal': did you mean 'scale'? known: "),
        ({"name": "cels"}, "unknown data set 'cels': did you mean 'cells'? known: ade20k, camvid, cells"),
        ({"batch_size": 0}, "data.batch_size=0 must be an int of 1 or more"),
        ({"crop_size": [0, 5]}, "data.crop_size=[0, 5] must be 2 values, each an int of 1 or more"),
        ({"crop_size": 64}, "data.crop_size=64 must be 2 values, each an int of 1 or more, or null"),
        ({"num_workers": -1}, "data.num_workers=-1 must be an int of 0 or more"),
        ({"samples_per_epoch": 0}, "data.samples_per_epoch=0 must be an int of 1 or more"),
        ({"mask_values": {0: 9}}, "mask_values: 0 becomes 9, which is neither a class (0…2) nor the ignore_index 255"),
        ({"classes": "???"}, "data.classes is not set: give data.classes=..."),
        ({"root": [1]}, "data.root=[1] must be a path"),
        ({"name": "folder"}, "data.root is not set: give data.root=..."),
        ({"name": "folder", "root": None}, "data.root is not set: give data.root=..."),
        ({"classes": None}, "data.classes is not set: give data.classes=..."),
        ({"name": "folder", "root": ".", "mask_suffix": 1}, "data.mask_suffix=1 must be text or null"),
        ({"name": "folder", "root": ".", "groups": ["a"]}, "data.groups=['a'] must be text or null"),
        (
            {"name": "folder", "root": ".", "images": {}},
            "data.images={} must be a path below data.root, or one for each split.\n"
            "  try: 'data.images={train: images_train, val: images_val}'",
        ),
        (
            {"name": "folder", "root": ".", "masks": {"train": True}},
            "data.masks={'train': True} must be text or an int or",
        ),
        ({"name": "folder", "root": ".", "mask_kind": "foo"}, "data.mask_kind='foo' is unknown; known: files, inst"),
        (
            {"name": "folder", "root": ".", "skip_unmatched": "maybe"},
            "data.skip_unmatched='maybe' must be true or false",
        ),
    ],
)
def test_configurations_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(ConfigError) as caught:
        create_data({"name": "cells", "classes": list(CELLS), **options})
    assert str(caught.value).startswith(message)


ODD = (None, True, -1, 0, 1.5, "", "x", "(", "a\0b", [], [None], {}, {"a": 1}, {"train": 1}, {"train": None}, {"": "x"})


@pytest.mark.parametrize("name", datasets.names())
def test_no_value_of_a_data_sets_option_ends_in_a_bare_error(tmp_path, name):
    base = {"name": name, "classes": list(CELLS), "root": str(tmp_path), "num_workers": 0}
    for key, value in itertools.product(inspect.signature(datasets.get(name)).parameters, ODD):
        if key not in ("labels", "download"):
            with contextlib.suppress(SegupError):
                create_data({**base, key: value}).setup("fit")


def test_a_folder_may_be_called_by_a_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="^2024: no such folder$"):
        create_data({"name": "folder", "root": 2024, "classes": list(CELLS)}).setup("fit")


def test_a_negative_seed_is_refused():
    with pytest.raises(ConfigError, match="seed=-1 must be an int of 0 or more"):
        create_data({"name": "cells", "classes": list(CELLS)}, seed=-1)


def test_every_processor_but_one_works_when_asked():
    data = SegmentationData(create_dataset("cells", Labels(CELLS)), num_workers=None, augment=Augment())
    assert 0 <= data.num_workers <= 8


def test_data_sets_are_listed_without_torch_or_albumentations():
    code = (
        "import sys; from segup.data import list_datasets; assert 'cells' in list_datasets();"
        "heavy = {'torch', 'lightning', 'albumentations', 'torchvision', 'cv2'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_augmentation_package_is_not_asked_for_its_version():
    code = (
        "import os, socket; os.environ.pop('NO_ALBUMENTATIONS_UPDATE', None)\n"
        "def refuse(*_): raise AssertionError('network')\n"
        "socket.getaddrinfo = refuse; socket.socket.connect = refuse\n"
        "import warnings; warnings.simplefilter('error', UserWarning)\n"
        "import segup.data.transforms\n"
        "assert os.environ['NO_ALBUMENTATIONS_UPDATE'] == '1'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_folder_of_images_that_is_called_a_number_is_found(tmp_path):
    for folder in ("2023", "m2023"):
        (tmp_path / folder).mkdir()
        for number in range(3):
            Image.fromarray(np.eye(40, dtype=np.uint8)).save(tmp_path / folder / f"{number}.png")
    options = {"name": "folder", "root": str(tmp_path), "classes": ["a", "b"], "in_channels": 1}
    assert len(create_data({**options, "images": 2023, "masks": "m2023"}).pairs("train")) == 2
