"""How much a difference hangs on its images: against the formula, by properties, and whether the intervals hold."""

import numpy as np
import pytest

from segup.errors import ConfigError
from segup.statistics import Counted, decide, image_errors

UNION = 1000


def run(shares, clusters=None, classes=1):
    """What a run counted whose IoU in each image is given: all images have the same union."""
    both = np.repeat(np.asarray(shares)[:, None], classes, axis=1) * UNION
    names = [f"image {place}" for place in range(len(shares))] if clusters is None else clusters
    return Counted(names, np.stack([both, np.full_like(both, UNION)], -1))


def test_it_is_the_standard_error_of_a_mean_where_mean_and_miou_are_one():
    numbers = np.random.default_rng(1)
    one, other = numbers.uniform(0.4, 0.8, (2, 60))
    error = image_errors({"a": {0: run(one)}, "b": {0: run(other)}}, [("b", "a")], draws=4000)["b", "a"]
    assert error == pytest.approx((other - one).std() / 60**0.5, rel=0.05)


def test_what_both_arms_find_hard_cancels_and_seeds_are_averaged():
    numbers = np.random.default_rng(2)
    hard = numbers.uniform(0.2, 0.9, 40)
    counted = {"a": {seed: run(hard) for seed in range(3)}, "b": {seed: run(hard - 0.05) for seed in range(3)}}
    assert image_errors(counted, [("b", "a")])["b", "a"] == pytest.approx(0, abs=1e-12)
    apart = numbers.uniform(-0.1, 0.1, (9, 40))
    one = image_errors({"a": {0: run(hard)}, "b": {0: run(hard + apart[0])}}, [("b", "a")], draws=4000)["b", "a"]
    nine = {"a": {seed: run(hard) for seed in range(9)}, "b": {seed: run(hard + apart[seed]) for seed in range(9)}}
    nine = image_errors(nine, [("b", "a")], draws=4000)["b", "a"]
    assert nine == pytest.approx(one / 3, rel=0.3)


def test_frames_of_one_sequence_are_one_draw():
    numbers = np.random.default_rng(3)
    one, other = numbers.uniform(0.4, 0.8, (2, 25))
    names = [f"sequence {place}" for place in range(25)]
    alone = image_errors({"a": {0: run(one, names)}, "b": {0: run(other, names)}}, [("b", "a")])
    frames = {arm: {0: run(np.repeat(of, 6), list(np.repeat(names, 6)))} for arm, of in (("a", one), ("b", other))}
    assert image_errors(frames, [("b", "a")]) == pytest.approx(alone)
    apart = {arm: {0: run(np.repeat(of, 6))} for arm, of in (("a", one), ("b", other))}
    assert image_errors(apart, [("b", "a")])["b", "a"] < 0.6 * alone["b", "a"]  # six times as many images, it seems


def test_a_class_that_a_draw_lacks_does_not_count_in_it_and_no_draw_is_lost():
    counts = np.zeros((30, 2, 2))
    counts[:, 0] = (60, 100)
    counts[0, 1] = (10, 100)  # the second class is in one image alone
    better = counts.copy()
    better[:, 0, 0] = 70
    names = [str(place) for place in range(30)]
    error = image_errors({"a": {0: Counted(names, counts)}, "b": {0: Counted(names, better)}}, [("b", "a")])["b", "a"]
    assert 0.01 < error < 0.05  # the difference is 0.05 with it and 0.1 without


@pytest.mark.parametrize(("images", "folds"), [(20, 10), (24, 12), (20, 20), (60, 5)])
def test_many_folds_of_few_images_tell_as_much_as_the_images_do(images, folds):
    """A draw may have no image of a fold: the others tell, each by how many of its images were drawn."""
    numbers = np.random.default_rng(4)
    one, other = numbers.uniform(0.4, 0.8, (2, images))
    names = np.array([f"image {place}" for place in range(images)])
    parts = [np.arange(fold, images, folds) for fold in range(folds)]
    counted = {
        arm: {(fold, fold): run(of[part], list(names[part])) for fold, part in enumerate(parts)}
        for arm, of in (("a", one), ("b", other))
    }
    error = image_errors(counted, [("b", "a")], draws=4000)["b", "a"]
    assert error == pytest.approx((other - one).std() / images**0.5, rel=0.06)


def test_a_pair_that_shares_few_images_is_undecided_of_others():
    numbers = np.random.default_rng(5)
    parts = {seed: [f"fold {seed} image {place}" for place in range(6)] for seed in range(5)}
    counted = {
        arm: {seed: run(numbers.uniform(0.4, 0.8, 6), names) for seed, names in parts.items() if seed < most}
        for arm, most in (("a", 5), ("b", 5), ("c", 3))
    }
    errors = image_errors(counted, [("b", "a"), ("c", "a")])
    assert errors["b", "a"] > 0
    assert np.isnan(errors["c", "a"])  # 18 images
    scores = {arm: dict.fromkeys(range(5), start) for arm, start in (("a", 0.5), ("b", 0.9), ("c", 0.9))}
    assert [one.verdict for one in decide(scores, "a", further=errors).differences][1] == "undecided"


def test_other_images_are_no_pair_and_no_common_block_is_left_out():
    hard = np.full(20, 0.5)
    with pytest.raises(ConfigError, match="'b' and 'a' have other images in block 0: they are no pair"):
        image_errors({"a": {0: run(hard)}, "b": {0: run(hard, [f"x{n}" for n in range(20)])}}, [("b", "a")])
    assert image_errors({"a": {0: run(hard)}, "b": {1: run(hard)}}, [("b", "a"), ("c", "a")]) == {}


def test_an_error_of_the_images_widens_intervals_and_no_number_of_seeds_takes_it_away():
    scores = {"a": {0: 0.70, 1: 0.71, 2: 0.72}, "b": {0: 0.731, 1: 0.74, 2: 0.749}}
    (these,) = decide(scores, "a").differences
    (others,) = decide(scores, "a", further={("b", "a"): 0.02}).differences
    assert (these.verdict, others.verdict, others.mean) == ("better", "undecided", these.mean)
    assert others.half_width > these.half_width
    assert these.more is not None
    assert others.more is None
    assert decide(scores, "a", further={("b", "a"): 0.0}) == decide(scores, "a")


@pytest.mark.parametrize(("seeds", "images", "spread"), [(3, 20, 0.01), (3, 60, 0.05), (10, 20, 0.05), (10, 200, 0.02)])
def test_intervals_for_other_images_hold(seeds, images, spread):
    """Images drawn from many, seeds that shift an arm as a whole: the difference over all images lies within."""
    numbers, missed, studies = np.random.default_rng(4), 0, 150
    for _ in range(studies):
        hard, apart = numbers.uniform(0.4, 0.7, images), numbers.normal(0.01, spread, images)
        shift = numbers.normal(0, 0.006, (2, seeds))
        noise = numbers.normal(0, 0.01, (2, seeds, images))
        shares = {"a": hard + shift[0][:, None] + noise[0], "b": hard + apart + shift[1][:, None] + noise[1]}
        counted = {arm: {seed: run(of[seed]) for seed in range(seeds)} for arm, of in shares.items()}
        errors = image_errors(counted, [("b", "a")], draws=200)
        scores = {arm: dict(enumerate(of.mean(1))) for arm, of in shares.items()}
        (found,) = decide(scores, "a", further=errors).differences
        missed += abs(found.mean - 0.01) > found.half_width
    assert missed / studies <= 0.05 + 2 * (0.05 * 0.95 / studies) ** 0.5
