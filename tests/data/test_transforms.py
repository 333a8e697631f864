import pickle
import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segup.data import Labels, SegmentationData, create_dataset
from segup.data.transforms import Augment, TrainingTransform
from segup.errors import ConfigError

IGNORE = 250
sides = st.integers(1, 40)
probabilities = st.sampled_from([0.0, 0.5, 1.0])


def coordinates(height, width):
    """Return an image whose values name their place, and a mask that says the same."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows + 1, columns + 1, np.full_like(rows, 200)], axis=-1).astype(np.uint8)
    return image, (rows * width + columns).astype(np.int32)


@given(
    sides,
    sides,
    sides,
    sides,
    st.sampled_from([None, (0.5, 2.0), (0.9, 0.9)]),
    probabilities,
    probabilities,
    probabilities,
    st.integers(0, 2**32 - 1),
)
def test_any_crop_of_any_image(height, width, crop_h, crop_w, scale, flip, turn, light, seed):
    augment = Augment(scale, flip, flip, turn, light * 0.2, light * 0.2, channel_gain=light, noise=light)
    transform = TrainingTransform((crop_h, crop_w), augment, IGNORE)
    image = np.random.default_rng(seed).integers(1, 256, (height, width, 3), dtype=np.uint8)
    mask = np.random.default_rng(seed).integers(0, 3, (height, width), dtype=np.int32)
    kept = image.copy(), mask.copy()
    view, ids = transform(image, mask, seed)
    assert view.shape == (crop_h, crop_w, 3)
    assert ids.shape == (crop_h, crop_w)
    assert view.dtype == np.uint8
    assert ids.dtype == np.int32
    assert set(np.unique(ids)) <= {0, 1, 2, IGNORE}
    again, ids_again = transform(image, mask, seed)
    np.testing.assert_array_equal(view, again)
    np.testing.assert_array_equal(ids, ids_again)
    np.testing.assert_array_equal(image, kept[0])
    np.testing.assert_array_equal(mask, kept[1])


@given(sides, sides, sides, sides, probabilities, probabilities, st.integers(0, 2**32 - 1))
def test_without_zoom_every_pixel_is_one_of_the_image_or_padding(height, width, crop_h, crop_w, flip, turn, seed):
    image, mask = coordinates(height, width)
    transform = TrainingTransform((crop_h, crop_w), Augment(None, flip, flip, turn), IGNORE * 100)
    view, ids = transform(image, mask, seed)
    inside = ids != IGNORE * 100
    np.testing.assert_array_equal(view[~inside], 0)
    np.testing.assert_array_equal(view[inside][:, 0], ids[inside] // width + 1)
    np.testing.assert_array_equal(view[inside][:, 1], ids[inside] % width + 1)
    fits = {(min(height, h), min(width, w)) for h, w in ((crop_h, crop_w), (crop_w, crop_h))[: 2 if turn else 1]}
    assert inside.sum() in {h * w for h, w in fits}
    assert len(np.unique(ids[inside])) == inside.sum()


@given(st.integers(30, 60), st.integers(30, 60), st.floats(0.5, 2.0), st.integers(0, 2**32 - 1))
def test_image_and_mask_stay_together_under_zoom(height, width, zoom, seed):
    mask = np.zeros((height, width), dtype=np.int32)
    mask[:, width // 2 :] = 1
    image = np.repeat(mask[..., None] * 200, 3, axis=2).astype(np.uint8)
    view, ids = TrainingTransform((24, 24), Augment((zoom, zoom)), IGNORE)(image, mask, seed)
    levels = ids.astype(np.uint8)
    square = np.ones((5, 5), dtype=np.uint8)
    # Away from edges, where the image is blended and the mask is not, both tell the same.
    flat = (cv2.dilate(levels, square) == cv2.erode(levels, square)) & (ids != IGNORE)
    assert flat.any()
    np.testing.assert_array_equal(view[..., 0][flat], ids[flat] * 200)


def test_a_zoom_of_two_shows_things_twice_as_large():
    mask = np.zeros((40, 40), dtype=np.int32)
    mask[10:30, 10:30] = 1
    image = np.zeros((40, 40, 1), dtype=np.uint8)
    whole = [TrainingTransform((80, 80), Augment((2, 2)), IGNORE)(image, mask, seed)[1] for seed in range(3)]
    assert all((ids == 1).sum() == 40 * 40 for ids in whole)
    small = [TrainingTransform((20, 20), Augment((0.5, 0.5)), IGNORE)(image, mask, seed)[1] for seed in range(3)]
    assert all((ids == 1).sum() == 10 * 10 for ids in small)


def test_every_place_of_a_crop_is_reached_and_flips_are_independent():
    image, mask = coordinates(4, 5)
    transform = TrainingTransform((2, 3), Augment(), IGNORE)
    assert {int(transform(image, mask, seed)[1][0, 0]) for seed in range(200)} == {0, 1, 2, 5, 6, 7, 10, 11, 12}
    small, ids = coordinates(2, 2)
    flips = TrainingTransform((2, 2), Augment(horizontal_flip=0.5, vertical_flip=0.5), IGNORE)
    first = [int(flips(small, ids, seed)[1][0, 0]) for seed in range(400)]
    assert all(60 < first.count(corner) < 140 for corner in range(4))


def test_rotations_are_by_all_three_angles():
    image, mask = coordinates(2, 2)
    transform = TrainingTransform((2, 2), Augment(rotate_90=1.0), IGNORE)
    turned = {tuple(transform(image, mask, seed)[1].ravel().tolist()) for seed in range(50)}
    assert turned == {tuple(np.rot90(mask, turns).ravel().tolist()) for turns in (1, 2, 3)}


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7, 13, 300])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_any_number_of_channels_is_treated_alike(channels, dtype):
    one = np.random.default_rng(0).random((17, 23))
    one = (one * 255).astype(np.uint8) if dtype == np.uint8 else one.astype(np.float32)
    mask = np.zeros((17, 23), dtype=np.int32)
    augment = Augment((0.5, 2), 0.5, 0.5, 1.0, 0.2, 0.2)
    transform = TrainingTransform((11, 9), augment, IGNORE)
    for seed in range(6):
        alone, _ = transform(one[..., None], mask, seed)
        many, _ = transform(np.repeat(one[..., None], channels, axis=2), mask, seed)
        assert many.shape == (11, 9, channels)
        assert many.dtype == dtype
        for channel in range(channels):
            np.testing.assert_allclose(many[..., channel], alone[..., 0], atol=0 if dtype == np.uint8 else 1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_each_channel_has_a_gain_of_its_own_within_the_range(dtype):
    full = 255 if dtype == np.uint8 else 1
    image = np.full((6, 7, 3), full // 2 if dtype == np.uint8 else 0.5, dtype=dtype)
    mask = np.zeros((6, 7), dtype=np.int32)
    transform = TrainingTransform((6, 7), Augment(channel_gain=0.2), IGNORE)
    gains = np.array([(transform(image, mask, seed)[0] / image).mean(axis=(0, 1)) for seed in range(60)])
    assert gains.min() >= 0.79
    assert gains.max() <= 1.21
    assert np.ptp(gains, axis=0).min() > 0.3
    assert abs(np.corrcoef(gains, rowvar=False)[np.triu_indices(3, 1)]).max() < 0.4


def test_noise_has_a_spread_up_to_the_largest_and_no_mean():
    image, mask = np.full((80, 90, 3), 0.5, dtype=np.float32), np.zeros((80, 90), dtype=np.int32)
    transform = TrainingTransform((80, 90), Augment(noise=0.1), IGNORE)
    views = [transform(image, mask, seed)[0] for seed in range(40)]
    spreads = np.array([view.std() for view in views])
    assert 0.08 < spreads.max() < 0.105
    assert spreads.min() < 0.02
    assert max(abs(view.mean() - 0.5) for view in views) < 0.003


def test_a_transform_that_went_to_another_process_does_the_same():
    image, mask = coordinates(9, 9)
    transform = TrainingTransform((5, 6), Augment((0.5, 2), 0.5, 0.5, 0.5, 0.2, 0.2), IGNORE)
    sent = pickle.loads(pickle.dumps(transform))
    for seed in range(5):
        for here, there in zip(transform(image, mask, seed), sent(image, mask, seed), strict=True):
            np.testing.assert_array_equal(here, there)


def test_building_and_using_the_steps_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transform = TrainingTransform((5, 5), Augment((0.5, 2), 0.5, 0.5, 0.5, 0.2, 0.2), IGNORE)
        transform(*coordinates(9, 9), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (5, "^augment must be a group of keys or null, not 5"),
        ({"scale": [2, 1]}, r"augment.scale=\[2, 1\] must be \[smallest, largest\]"),
        ({"scale": 0.5}, r"augment.scale=0.5 must be 2 values, each a number above 0"),
        ({"scale": [0, 1]}, r"augment.scale=\[0, 1\] must be 2 values, each a number above 0"),
        ({"vertical_flip": 1.5}, "augment.vertical_flip=1.5 must be a number of 0 or more and at most 1"),
        ({"rotate_90": True}, "augment.rotate_90=True must be a number of 0 or more and at most 1"),
        ({"rotate90": 0.5}, r"unknown option of augment 'rotate90': did you mean 'rotate_90'\? known: brightness, "),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Augment.from_config(options)


@pytest.mark.parametrize("name", ["noise", "channel_gain"])
def test_what_cannot_be_done_to_many_channels_is_refused_before_a_batch(name):
    cells = create_dataset("cells", Labels(["background", "cytoplasm", "nucleus"]))
    SegmentationData(cells, in_channels=128, augment=Augment(**{name: 0.1}))
    with pytest.raises(ConfigError) as caught:
        SegmentationData(cells, in_channels=129, augment=Augment(**{name: 0.1}))
    assert str(caught.value) == (
        f"data.augment.{name}=0.1 takes images of 128 channels at most, and data.in_channels=129.\n"
        f"  try: data.augment.{name}=0"
    )
    SegmentationData(cells, in_channels=129, augment=Augment(brightness=0.1))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_many_channels_are_augmented_by_all_else(dtype):
    image, mask = np.ones((6, 7, 128), dtype=dtype), np.zeros((6, 7), dtype=np.int32)
    most = Augment((0.5, 2), 0.5, 0.5, 0.5, 0.2, 0.2, channel_gain=0.1, noise=0.1)
    assert TrainingTransform((5, 5), most, IGNORE)(image, mask, 0)[0].shape == (5, 5, 128)
    more = np.ones((6, 7, 129), dtype=dtype)
    others = Augment((0.5, 2), 0.5, 0.5, 0.5, 0.2, 0.2)
    assert TrainingTransform((5, 5), others, IGNORE)(more, mask, 0)[0].shape == (5, 5, 129)


def test_no_options_change_nothing():
    assert Augment.from_config(None) == Augment.from_config({}) == Augment()
    image, mask = coordinates(6, 8)
    view, ids = TrainingTransform((6, 8), Augment(), IGNORE)(image, mask, 0)
    np.testing.assert_array_equal(view, image)
    np.testing.assert_array_equal(ids, mask)
