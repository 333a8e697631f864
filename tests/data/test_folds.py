"""Folds: every image validates once, groups stay together, parts are of about one size, and names alone decide."""

import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from segup.data import Pair, create_data
from segup.data.folds import split_by_fold
from segup.errors import ConfigError, DataError
from segup.training.config import RunConfig

CELLS = {"name": "cells", "classes": ["background", "cytoplasm", "nucleus"], "crop_size": [33, 35]}


def pairs_of(groups):
    """Pairs whose groups have the sizes given; a group of one is none."""
    found = []
    for place, size in enumerate(groups):
        name = None if size == 1 else f"patient {place}"
        found += [Pair(Path(f"{place}_{n}.png"), None, f"{place}_{n}", name) for n in range(size)]
    return found


@pytest.mark.parametrize("seed", range(40))
def test_every_image_validates_once_and_groups_are_whole(seed):
    numbers = random.Random(seed)
    folds = numbers.randint(2, 8)
    sizes = [numbers.randint(1, 9) for _ in range(numbers.randint(folds, 40))]
    pairs = pairs_of(sizes)
    numbers.shuffle(pairs)
    divided = [split_by_fold(pairs, folds, fold) for fold in range(folds)]
    validating = [pair.name for _, val in divided for pair in val]
    assert sorted(validating) == sorted(pair.name for pair in pairs)
    for train, val in divided:
        assert not {pair.group for pair in train if pair.group} & {pair.group for pair in val if pair.group}
        assert {pair.name for pair in train} == {pair.name for pair in pairs} - {pair.name for pair in val}
        assert train
    found = [len(val) for _, val in divided]
    assert max(found) - min(found) <= max(sizes)
    numbers.shuffle(pairs)
    assert [split_by_fold(pairs, folds, fold) for fold in range(folds)] == divided


def test_the_embedded_frames_are_five_pairs_in_a_row():
    for seed in range(7):
        data = create_data({**CELLS, "folds": 5}, seed)
        first = 2 * (seed % 5)
        assert [pair.name for pair in data.samples("val").pairs] == [f"frame_{first}", f"frame_{first + 1}"]
        assert len(data.samples("train")) == 8
        assert set(data.groups("val").values()) == {f"frames {first} and {first + 1}"}
    assert create_data({**CELLS, "folds": 5, "fold": 4}, 0).samples("val").pairs[0].name == "frame_8"
    assert len(create_data({**CELLS, "folds": 2}).samples("val")) in (4, 6)


def test_a_folder_with_splits_of_its_own_is_divided_anew_and_its_test_images_stay_out(tmp_path):
    for split, names in (("train", "abcd"), ("val", "ef"), ("test", "gh")):
        for kind in ("images", "masks"):
            (tmp_path / kind / split).mkdir(parents=True)
            for name in names:
                for part in (1, 2):
                    file = tmp_path / kind / split / f"{name}_{part}.png"
                    cv2.imwrite(str(file), np.eye(8, dtype=np.uint8) * (200 if kind == "images" else 1))
    options = {
        "name": "folder",
        "root": str(tmp_path),
        "classes": ["a", "b"],
        "groups": "([a-h])_",
        "crop_size": [8, 8],
    }
    parts = [create_data({**options, "folds": 3}, seed) for seed in range(3)]
    names = [[pair.name for pair in data.samples("val").pairs] for data in parts]
    assert sorted(name for part in names for name in part) == sorted(
        f"{name}_{part}" for name in "abcdef" for part in (1, 2)
    )
    assert all(len(part) == 4 and part[0][0] == part[1][0] for part in names)
    assert [pair.name for pair in parts[0].samples("test").pairs] == ["g_1", "g_2", "h_1", "h_2"]
    assert [pair.name for pair in create_data(options).samples("val").pairs] == ["e_1", "e_2", "f_1", "f_2"]


@pytest.mark.parametrize(
    ("asked", "kind", "said"),
    [
        ({"folds": 6}, DataError, "data.folds=6: there are 5 groups of 10 images to divide.\n  try: data.folds=5"),
        ({"fold": 1}, ConfigError, "data.fold=1, but the data is in no folds.\n  try: data.folds=5 data.fold=1"),
        ({"folds": 5, "fold": 5}, ConfigError, "data.fold=5: data.folds=5 are numbered from 0.\n  try: data.fold=4"),
        ({"folds": 1}, ConfigError, "data.folds=1 must be an int of 2 or more"),
        ({"folds": 2.5}, ConfigError, "data.folds=2.5 must be an int"),
    ],
)
def test_what_cannot_be_divided_is_refused(asked, kind, said):
    with pytest.raises(kind) as caught:
        create_data({**CELLS, **asked}).samples("val")
    assert said in str(caught.value)


def test_a_configuration_says_its_fold():
    values = {"encoder": {"name": "resnet18"}, "data": {"name": "cells", "folds": 5, "fold": None}, "seed": 8}
    assert RunConfig.of(values).data["fold"] == 3
    assert RunConfig.of({**values, "data": {"name": "cells", "folds": 5, "fold": 1}}).data["fold"] == 1
    assert "fold" not in RunConfig.of({**values, "data": {"name": "cells"}}).data
    with pytest.raises(ConfigError, match="numbered from 0"):
        RunConfig.of({**values, "data": {"name": "cells", "folds": 5, "fold": 7}})
