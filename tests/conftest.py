import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Another test may have changed the number; results and times of parallel tests would suffer."""
    torch.set_num_threads(1)
