from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from segup.data.sampling import DrawSampler, dealt_batches, epoch_draws

small = st.integers(1, 12)
seeds = st.integers(0, 2**40)
epochs = st.integers(0, 500)


@given(small, st.integers(1, 60), st.integers(0, 60), seeds, epochs)
def test_a_draw_depends_on_its_position_not_on_the_count(images, count, more, seed, epoch):
    assert epoch_draws(images, count, seed, epoch) == epoch_draws(images, count + more, seed, epoch)[:count]


@given(small, st.integers(1, 5), seeds, epochs)
def test_each_round_of_an_epoch_draws_every_image_once(images, rounds, seed, epoch):
    draws = epoch_draws(images, rounds * images, seed, epoch)
    for first in range(0, len(draws), images):
        assert sorted(draw.image for draw in draws[first : first + images]) == list(range(images))


def test_epochs_seeds_and_positions_get_their_own_transform_seeds():
    drawn = [draw.seed for seed in range(5) for epoch in range(5) for draw in epoch_draws(10, 40, seed, epoch)]
    assert len(set(drawn)) == len(drawn)


@given(small, small, st.one_of(st.none(), st.integers(1, 90)), st.integers(1, 4), seeds, epochs)
def test_batches_of_all_processes_are_those_of_one_with_larger_batches(images, batch, samples, world, seed, epoch):
    one = DrawSampler(images, batch * world, seed, samples)
    many = [DrawSampler(images, batch, seed, samples, rank, world) for rank in range(world)]
    for sampler in (one, *many):
        sampler.set_epoch(epoch)
    dealt = [list(sampler) for sampler in many]
    assert all(len(own) == len(many[0]) == one.batches * batch for own in dealt)
    whole = list(one)
    for number in range(one.batches):
        together = [draw for own in dealt for draw in own[number * batch : (number + 1) * batch]]
        assert Counter(together) == Counter(whole[number * batch * world : (number + 1) * batch * world])


def test_a_set_smaller_than_a_batch_gives_one_full_batch():
    sampler = DrawSampler(images=3, batch_size=8, seed=0)
    drawn = Counter(draw.image for draw in sampler)
    assert sampler.batches == 1
    assert sum(drawn.values()) == 8
    assert set(drawn) == {0, 1, 2}


@given(small, st.integers(1, 5), st.integers(0, 10), seeds)
def test_skip_leaves_out_the_first_batches_once(images, batch, skipped, seed):
    sampler = DrawSampler(images, batch, seed, samples=4 * batch)
    whole = list(sampler)
    sampler.skip(skipped)
    assert list(sampler) == whole[skipped * batch :]
    assert list(sampler) == whole


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 6))
def test_every_validation_image_is_dealt_once_and_all_processes_take_as_many_steps(images, batch, world):
    dealt = [dealt_batches(images, batch, rank, world) for rank in range(world)]
    assert sorted(image for own in dealt for some in own for image in some) == list(range(images))
    assert len({len(own) for own in dealt}) == 1
    assert all(len(some) <= batch for own in dealt for some in own)
