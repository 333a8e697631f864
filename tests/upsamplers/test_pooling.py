import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.export import Dim

from segup.upsamplers.pooling import ReflectConv, pool_to, pooling_matrix, reflect


@given(*[st.integers(1, 40)] * 4)
def test_the_matrices_are_adaptive_pooling_at_any_two_sizes(height, width, h, w):
    x = torch.randn(1, 2, height, width, dtype=torch.float64)
    y = pooling_matrix(height, h, x) @ x @ pooling_matrix(width, w, x).mT
    expected = F.adaptive_avg_pool2d(x, (h, w))
    assert torch.allclose(y, expected, atol=1e-13)
    assert torch.allclose(pool_to(x, (h, w)), expected, atol=1e-13)


class Pool(nn.Module):
    def forward(self, x, like):
        return pool_to(x, (like.shape[-2], like.shape[-1]))


def test_an_exported_program_pools_to_sizes_that_it_has_not_seen():
    high, low = ({2: Dim(f"{n}h", min=2, max=99), 3: Dim(f"{n}w", min=2, max=99)} for n in ("high", "low"))
    example = (torch.randn(1, 3, 30, 41), torch.randn(1, 1, 9, 13))
    program = torch.export.export(Pool(), example, dynamic_shapes=(high, low)).module()
    for sizes in ((31, 40, 8, 17), (12, 12, 12, 12), (5, 9, 20, 20), (64, 48, 16, 16)):
        x, like = torch.randn(1, 3, *sizes[:2]), torch.empty(1, 1, *sizes[2:])
        assert torch.allclose(program(x, like), F.adaptive_avg_pool2d(x, sizes[2:]), atol=1e-6)


@pytest.mark.parametrize("edge", [1, 3])
@pytest.mark.parametrize("size", [(4, 5), (9, 4)])
def test_reflection_is_torchs_where_torch_has_one(edge, size):
    x = torch.randn(2, 3, *size)
    assert torch.equal(reflect(x, edge), F.pad(x, [edge] * 4, mode="reflect"))


def test_a_small_map_is_reflected_back_and_forth():
    x = torch.tensor([[[[0.0, 1.0]]]])
    assert reflect(x, 3)[0, 0, 0].tolist() == [1, 0, 1, 0, 1, 0, 1, 0]
    assert reflect(x, 3).shape == (1, 1, 7, 8)


def test_a_reflecting_convolution_is_torchs():
    torch.manual_seed(0)
    ours, theirs = ReflectConv(2, 3, 3), nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect")
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, 2, 5, 6)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_one_program_reflects_maps_of_any_size_and_one_of_a_single_row():
    compiled = torch.compile(reflect, backend="eager", dynamic=True)
    for shape in ((1, 2, 1, 4), (1, 2, 5, 6), (1, 2, 3, 1), (1, 2, 2, 2), (1, 2, 1, 1)):
        x = torch.randn(shape)
        assert torch.equal(compiled(x, 1), reflect(x, 1))
