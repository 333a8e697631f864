import pytest
import torch
from hypothesis import settings

settings.register_profile("segup", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("segup")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tests run side by side: one thread each is faster than sharing."""
    torch.set_num_threads(1)
