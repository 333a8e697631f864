import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segup.data.labels import Labels, appearance, palette
from segup.errors import ConfigError


def test_labels_from_lists_become_tuples_and_count():
    labels = Labels(["sky", "road"], [[0, 0, 0], [1, 2, 3]], ignore_index=-1)
    assert labels == Labels(("sky", "road"), ((0, 0, 0), (1, 2, 3)), -1)
    assert labels.num_classes == 2
    assert hash(labels) == hash(Labels(("sky", "road"), ((0, 0, 0), (1, 2, 3)), -1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ("a",)}, "1 class names: at least two are needed"),
        ({"names": "ab"}, "classes must be a list of names, not the word 'ab'"),
        ({"names": 3}, "classes must be a list of names, not 3"),
        ({"names": ("a", "b"), "colors": 7}, "colors must be a list with one colour per class, not 7"),
        ({"names": ("a", "b"), "colors": ((1, 2, 3), 2.5)}, "three integers in 0…255, not 2.5"),
        ({"names": ("a", "b", "a")}, "class names must differ: 'a' occurs 2 times"),
        ({"names": ("a", "")}, "class 1 has an empty name: every class needs one"),
        ({"names": ("a", False)}, "class 1 is False, and a name is text: it may need quotes"),
        ({"names": ("a", "b"), "colors": ((1, 2, 3),)}, "1 colours for 2 classes"),
        ({"names": ("a", "b"), "colors": ((1, 2, 3), (1, 2, 3))}, r"colours must differ: \[1, 2, 3\] is given to 2"),
        ({"names": ("a", "b"), "colors": ((1, 2, 3), (1, 2, 256))}, r"three integers in 0…255, not \(1, 2, 256\)"),
        ({"names": ("a", "b"), "colors": ((1, 2, 3), 7)}, "three integers in 0…255, not 7"),
        ({"names": ("a", "b"), "ignore_index": 1}, r"ignore_index 1 is class 'b': it must lie outside 0…1"),
        ({"names": ("a", "b"), "ignore_index": 2.0}, "ignore_index must be an integer, not 2.0"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Labels(**arguments)


@given(st.integers(1, 64))
def test_palette_has_as_many_different_colours_as_asked_and_grows_at_its_end(count):
    colors = palette(count)
    assert len(set(colors)) == len(colors) == count
    assert palette(count - 1) == colors[:-1]
    assert all(0 <= value <= 255 for color in colors for value in color)


def test_a_palette_of_twenty_stays_apart_for_every_vision():
    # 0.02 in OKLab is a just noticeable difference; red as against dark green is 0.03 to the green-blind.
    seen = appearance(np.array(palette(20)))
    for vision in seen:
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(vision, 2)) > 0.07


def test_grey_looks_the_same_to_every_vision():
    seen = appearance(np.array([[0, 0, 0], [90, 90, 90], [255, 255, 255]]))
    np.testing.assert_allclose(seen[1:], np.broadcast_to(seen[:1], seen[1:].shape), atol=1e-3)
    np.testing.assert_allclose(seen[0, :, 0], [0, 0.4671, 1], atol=1e-3)


@pytest.mark.parametrize("count", [2, 255, 256, 300])
def test_the_ignore_index_that_is_proposed_is_no_class(count):
    names = tuple(f"class {index}" for index in range(count))
    with pytest.raises(ConfigError, match=f"it must lie outside 0…{count - 1}") as caught:
        Labels(names, ignore_index=1)
    proposed = int(str(caught.value).rpartition("data.ignore_index=")[2])
    assert Labels(names, ignore_index=proposed).ignore_index == proposed


@pytest.mark.parametrize("index", [2**16 + 1, -(2**31), 10**30, -(10**30)])
def test_an_ignore_index_that_no_mask_can_hold_is_refused(index):
    with pytest.raises(ConfigError, match=r"must be from -65536 to 65536.\n  try: data.ignore_index=255"):
        Labels(["sky", "road"], (), index)
