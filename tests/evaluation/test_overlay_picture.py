import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segup.data.labels import Labels
from segup.evaluation import predict as module
from segup.evaluation.predict import overlay

LABELS = Labels(("background", "a", "b"), ((0, 0, 0), (0, 100, 200), (250, 50, 0)))


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 5))
def test_lines_lie_where_classes_meet_and_colours_elsewhere_but_black(height, width, channels):
    random = np.random.default_rng([height, width])
    ids = random.integers(0, 3, (height // 4 + 1, width // 4 + 1), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    ids = ids[:height, :width]
    image = random.random((channels, height, width), dtype=np.float32) * 0.9
    picture = overlay(image, ids, LABELS, opacity=0.5)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8
    for row in range(height):
        for column in range(width):
            here = ids[row, column]
            meets = any(
                ids[r, c] != here for r, c in ((row + 1, column), (row, column + 1)) if r < height and c < width
            )
            shown = image[:3, row, column] if channels >= 3 else image[0, row, column]
            shown = np.rint(255 * shown)
            mixed = shown if here == 0 else 0.5 * shown + 0.5 * np.array(LABELS.colors[here])
            expected = np.full(3, 255) if meets else mixed
            assert np.abs(picture[row, column] - expected).max() <= 0.51


def test_parts_of_a_tall_image_join_without_a_seam(monkeypatch):
    random = np.random.default_rng(0)
    image, ids = random.random((3, 23, 9)), random.integers(0, 3, (23, 9))
    whole = overlay(image, ids, LABELS)
    monkeypatch.setattr(module, "_ROWS", 5)
    assert np.array_equal(overlay(image, ids, LABELS), whole)
