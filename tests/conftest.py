import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tests run side by side: one thread each is faster than sharing."""
    torch.set_num_threads(1)
