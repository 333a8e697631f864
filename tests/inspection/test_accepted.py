"""The sizes that a module accepts, as a value, and how they are found, against modules whose sizes are known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segup.errors import ShapeError
from segup.inspection import AcceptedSizes
from segup.inspection.stages import map_sizes
from segup.inspection.traced import as_ints
from segup.inspection.tried import try_sizes


@given(st.integers(1, 64), st.integers(1, 8), st.integers(1, 2000))
def test_the_next_multiple_is_less_than_one_multiple_away(step, first, size):
    accepted = AcceptedSizes.multiples(step, first * step)
    found = accepted.next(size)
    assert found == max(first * step, -(-size // step) * step)
    assert found in accepted
    assert accepted.extension == step - 1
    assert list(accepted.up_to(size)) == list(range(first * step, size + 1, step))


@pytest.mark.parametrize(
    ("accepted", "words"),
    [
        (AcceptedSizes.all_from(1), "every size from 1 on"),
        (AcceptedSizes.multiples(32, 32), "the multiples of 32"),
        (AcceptedSizes.multiples(8, 64), "the multiples of 8 from 64 on"),
        (AcceptedSizes.multiples(1, 9, [1, 2, 5]), "every size from 1 on but 3 … 4, 6 … 8"),
        (AcceptedSizes.only(224), "224 alone"),
        (AcceptedSizes.only(*range(1, 225)), "every size from 1 to 224"),
    ],
)
def test_every_kind_is_said_in_words(accepted, words):
    assert str(accepted) == words


def test_beyond_the_largest_there_is_none():
    with pytest.raises(ShapeError, match="size 225 is above 224, the largest that is accepted"):
        AcceptedSizes.only(224).next(225)


class Particular(nn.Module):
    """One map of a stride, of the sizes that a rule allows alone."""

    def __init__(self, stride, allows, followed):
        super().__init__()
        self.stride, self.allows, self.followed = stride, allows, followed
        self.conv = nn.Conv2d(3, 4, stride, stride)

    def forward(self, image):
        for side in image.shape[-2:]:
            if not self.allows(side if self.followed else int(side)):
                raise ValueError(f"no {side}")
        return [self.conv(image)]


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([2, 3, 4, 5, 6, 7, 8, 12, 14, 16, 20, 28, 32, 64]), st.integers(1, 3))
def test_multiples_are_found(step, first):
    tried = try_sizes(Particular(step, lambda n: n % step == 0 and n >= first * step, followed=False), 3)
    assert tried.accepted == AcceptedSizes.multiples(step, first * step)
    assert map_sizes(tried).strides == (step,)


@pytest.mark.parametrize(
    ("allows", "words"),
    [
        (lambda n: n < 3 or n > 11, "every size from 1 on but 3 … 11"),
        (lambda n: n not in (3, 66), "every size from 1 on but 3, 66"),
        (lambda n: n >= 71, "every size from 71 on"),
    ],
)
def test_bands_are_left_out(allows, words):
    assert str(try_sizes(Particular(1, allows, followed=False), 3).accepted) == words


def test_sizes_of_one_residue_are_followed_exactly():
    class Joined(nn.Module):
        """A map and its half, brought back to it: they fit where the half is whole."""

        def __init__(self):
            super().__init__()
            self.down = nn.Conv2d(3, 3, 3, 2, 1)
            self.again = nn.Conv2d(3, 3, 3, 2, 1)
            self.up = nn.Upsample(scale_factor=2)

        def forward(self, image):
            half = self.down(image)
            return [half + self.up(self.again(half))]

    accepted = try_sizes(Joined(), 3).accepted
    assert [n for n in range(3, 40) if n in accepted] == [n for n in range(3, 40) if n % 4 in (0, 3)]


def test_a_module_of_one_size_has_no_others_unless_it_is_named():
    tied = Particular(16, lambda n: n == 208, followed=False)
    assert try_sizes(tied, 3).accepted is None
    assert try_sizes(tied, 3, img_size=208).accepted == AcceptedSizes.only(208)


@pytest.mark.parametrize("stride", [15, 16, 27, 33, 64])
def test_the_stride_is_measured_far_apart(stride):
    """A module that pads to whole cells gives 88 pixels more cells than 88 / stride."""

    class Padding(nn.Module):
        def forward(self, image):
            height, width = (-(-int(side) // stride) + 2 for side in image.shape[-2:])
            return [image.new_zeros(1, 4, height, width)]

    assert map_sizes(try_sizes(Padding(), 3)).strides == (stride,)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (lambda h, _: (1, 4, h // 8, h // 8), "which follows no stride"),
        (lambda h, w: (1, 4, int(h**0.5), int(w**0.5)), "which follows no stride"),
        (lambda *_: (1, 4, 9, 9), "a map stays 4×9×9"),
        (lambda h, w: (1, h * w, 4), "which are no maps"),
    ],
)
def test_maps_that_do_not_grow_with_the_image_are_refused(shape, reason):
    class Odd(nn.Module):
        def forward(self, image):
            return [image.new_zeros(shape(*map(int, image.shape[-2:])))]

    tried = try_sizes(Odd(), 3)
    assert tried.accepted is None
    assert reason in tried.refused[max(tried.refused)]


def test_sizes_at_which_tokens_become_channels_are_refused():
    """As timm's hybrid transformers put them into maps of whole patches alone."""

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 6, 4, 4, padding=2)

        def forward(self, image):
            height, width = (int(side) // 4 for side in image.shape[-2:])
            return [self.conv(image)[..., 1:, 1:].reshape(1, -1, height // 2, width // 2)]

    tried = try_sizes(Tokens(), 3)
    assert str(tried.accepted) == "the multiples of 8"
    assert all(as_ints(run.outputs["0"])[1] == 24 for run in tried.runs.values())


def test_channels_last_is_seen_from_the_growth():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 5, 4, 4)

        def forward(self, image):
            return [self.conv(image).permute(0, 2, 3, 1)]

    tried = try_sizes(Last(), 3)
    assert tried.channels_last
    assert map_sizes(tried).strides == (4,)
    assert map_sizes(tried).sizes[67] == (16,)


def test_a_table_that_is_too_short_is_met_by_a_real_run():
    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 4, 4)
            self.register_buffer("table", torch.zeros(40, 4))

        def forward(self, image):
            x = self.conv(image)
            return [x + self.table[torch.arange(int(x.shape[-2]))].T[None, :, :, None]]

    body = Table().train()
    tried = try_sizes(body, 3)
    assert (str(tried.accepted), map_sizes(tried).strides) == ("every size from 4 to 163", (4,))
    assert body.training
