"""Real data, where it is there."""

from __future__ import annotations

import pytest
from data_builders import SHARED

from vsmooth.data import Dataset, load_dataset


@pytest.fixture(scope="session")
def shared_cifar10() -> Dataset:
    """CIFAR-10, read once."""
    if not (SHARED / "cifar10").is_dir():
        pytest.skip("no shared CIFAR-10 parquet files")
    return load_dataset(str(SHARED / "cifar10"))
