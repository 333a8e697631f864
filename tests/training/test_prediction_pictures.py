import numpy as np
import pytest

from segup.data import Labels
from segup.training.pictures import draw_predictions


def test_each_row_is_as_tall_as_its_own_image():
    shapes = [(130, 65), (65, 130)]
    rows = [("a", np.zeros((3, *shape)), np.zeros(shape, int), np.zeros(shape, int)) for shape in shapes]
    figure = draw_predictions(rows, Labels(("background", "leaf")))
    figure.draw_without_rendering()
    tall, wide = (figure.axes[place].get_window_extent() for place in (0, 4))
    assert tall.height / tall.width == pytest.approx(2, rel=0.02)
    assert wide.height / wide.width == pytest.approx(0.5, rel=0.02)
    assert tall.width > 0.9 * wide.width > 250
