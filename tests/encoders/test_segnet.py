import pytest
import torch
import torch.nn.functional as F

from segup.encoders import create_encoder, list_encoders
from segup.errors import ConfigError


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return create_encoder("segnet", in_channels=2, pretrained=False, widths=(4, 6, 8, 10)).eval()


def test_it_is_listed_and_declares_what_it_does(encoder):
    assert "segnet" in list_encoders()
    assert (encoder.channels, encoder.strides) == ((4, 6, 8, 10), (1, 2, 4, 8))
    assert encoder.pyramid.min_size == 8
    assert encoder.pyramid.roundings[1:] == ("down",) * 3
    assert encoder.provides == {"image", "indices"}


def test_every_size_halves_rounded_down(encoder):
    for size in range(8, 75):
        with torch.no_grad():
            maps = encoder(torch.rand(1, 2, size, 83 - size))
        assert [m.shape[-2] for m in maps] == [size // 2**level for level in range(4)]
        assert [m.shape[-1] for m in maps] == [(83 - size) // 2**level for level in range(4)]


def test_its_indices_are_those_of_its_own_pooling(encoder):
    """Each picks, from the map above, the very values that entered the stage below."""
    image = torch.rand(2, 2, 37, 50)
    with torch.no_grad():
        maps, indices = encoder.with_indices(image)
        assert len(indices) == len(maps) - 1
        for level, index in enumerate(indices):
            assert index.shape == (2, encoder.channels[level], *maps[level + 1].shape[-2:])
            picked = maps[level].flatten(2).gather(2, index.flatten(2)).view(index.shape)
            assert torch.equal(picked, F.max_pool2d(maps[level], 2))
            assert torch.equal(encoder.body.stages[level + 1](picked), maps[level + 1])
        assert all(torch.equal(a, b) for a, b in zip(encoder(image), maps, strict=True))


def test_indices_come_in_any_memory_format(encoder):
    image = torch.rand(2, 2, 37, 50)
    for ours, theirs in zip(
        encoder.with_indices(image)[1],
        encoder.with_indices(image.to(memory_format=torch.channels_last))[1],
        strict=True,
    ):
        assert (ours == theirs).float().mean() > 0.99  # rounding may turn a tie


def test_it_is_a_few_convolutions():
    encoder = create_encoder("segnet", pretrained=False, widths=(4, 6), convs=3)
    sizes = [3 * 4, 4 * 4, 4 * 4, 4 * 6, 6 * 6, 6 * 6]
    assert sum(p.numel() for p in encoder.parameters()) == 9 * sum(sizes) + 2 * 3 * (4 + 6)


def test_the_variance_of_its_maps_is_kept_at_the_start():
    torch.manual_seed(0)
    encoder = create_encoder("segnet", pretrained=False).train()
    for m in encoder(torch.rand(4, 3, 64, 64)):
        assert 0.2 < m.square().mean() < 2.5


def test_a_frozen_one_stays_as_it_is():
    encoder = create_encoder("segnet", pretrained=False, freeze=True, widths=(4, 6)).train()
    assert not any(m.training for m in encoder.modules())
    assert not any(p.requires_grad for p in encoder.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pretrained": True}, "encoder 'segnet' has no pretrained weights; try: pretrained=False"),
        ({"widths": ()}, r"widths=\(\) must be a list.*; it has 0 values, which must be of 1 or more"),
        ({"widths": 8}, "widths=8 must be a list, each an int of 1 or more"),
        ({"widths": (8, 0)}, r"widths=\(8, 0\) must be .*; 0 is not"),
        ({"widths": (8, 2.5)}, r"widths=\(8, 2.5\) must be .*; 2.5 is not"),
        ({"convs": 0}, "convs=0 must be an int of 1 or more"),
        ({"convs": True}, "convs=True must be an int of 1 or more"),
        ({"width": (8, 8)}, "unknown option of encoder 'segnet' 'width': did you mean 'widths'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        create_encoder("segnet", **{"pretrained": False, **options})


def test_an_encoder_without_indices_says_so():
    encoder = create_encoder("resnet18", pretrained=False)
    assert encoder.provides == {"image"}
    with pytest.raises(ConfigError, match="'timm/resnet18' gives no pooling indices; try: encoder=segnet"):
        encoder.with_indices(torch.rand(1, 3, 64, 64))
