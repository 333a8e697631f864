import numpy as np
import pytest
from PIL import Image

from segup.data import create_dataset
from segup.data.labels import Labels
from segup.data.sets import published
from segup.errors import ConfigError

LABELS = Labels(tuple(f"class {number}" for number in range(150)))


@pytest.mark.parametrize("inner", ["", "ADEChallengeData2016"])
def test_the_challenges_folders_are_pairs_whose_zero_is_ignored(tmp_path, inner):
    for split, name in (("training", "ADE_train_1"), ("validation", "ADE_val_1")):
        for kind in ("images", "annotations"):
            (tmp_path / inner / kind / split).mkdir(parents=True)
        Image.new("RGB", (5, 4)).save(tmp_path / inner / "images" / split / f"{name}.jpg")
        Image.fromarray(np.full((4, 5), 150, np.uint8)).save(tmp_path / inner / "annotations" / split / f"{name}.png")
    data = create_dataset("ade20k", labels=LABELS, root=str(tmp_path))
    assert [pair.name for split in ("train", "val") for pair in data.pairs(split)] == ["ADE_train_1", "ADE_val_1"]
    assert (data.mask_values[0], data.mask_values[1], data.mask_values[150]) == (LABELS.ignore_index, 0, 149)
    assert published(tmp_path / inner) == ["ade20k"]


def test_other_numbers_of_classes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="ADE20K has 150 classes, not 2"):
        create_dataset("ade20k", labels=Labels(("a", "b")), root=str(tmp_path))
