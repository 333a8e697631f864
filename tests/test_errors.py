import pytest

from segup.errors import ConfigError, DataError, SegupError, ShapeError, nearest, unknown


@pytest.mark.parametrize("error", [ShapeError, ConfigError, DataError])
def test_every_error_is_a_segup_error_and_a_value_error(error):
    assert issubclass(error, SegupError)
    assert issubclass(error, ValueError)


def test_nearest_finds_a_misspelling_and_nothing_far():
    assert nearest("pixelshuffle", ["bilinear", "pixel_shuffle"]) == "pixel_shuffle"
    assert nearest("carafe", ["bilinear", "deconv"]) is None


def test_nearest_sees_through_capitals():
    assert nearest("CARAFE", ["carafe", "deconv"]) == "carafe"
    assert nearest("crossentropy", ["CrossEntropy", "Dice"]) == "CrossEntropy"


def test_unknown_lists_what_is_known():
    assert unknown("loss", "dise", ["focal", "dice"]) == "unknown loss 'dise': did you mean 'dice'? known: dice, focal"
    assert unknown("loss", "x", []) == "unknown loss 'x': known: none"
