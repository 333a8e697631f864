import pytest
import torch

from segup.encoders import create_encoder


@pytest.mark.parametrize("size", [64, 65, 66, 95, 96])
def test_the_grid_of_the_default_encoder_does_not_depend_on_the_size(size):
    """Rows added at the bottom leave the top's maps as they are: no padding that follows the parity of the size."""
    torch.manual_seed(0)
    encoder = create_encoder("efficientnet_lite0", pretrained=False).eval()
    image = torch.rand(1, 3, size + 1, 64)
    with torch.no_grad():
        short, long = encoder(image[..., :size, :]), encoder(image)
    for a, b in zip(short[:2], long[:2], strict=True):
        assert torch.allclose(a[..., :4, :], b[..., :4, :], atol=1e-5)
