"""Fixtures of all tests: a clean environment, the real CIFAR-10 where there is one, and a few digits."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from normbench import data
from normbench.config import DataConfig, MachineConfig

FOLDER = "cifar-10-batches-py"
GIVEN = os.environ.get("NORMBENCH_DATA_DIR")
CIFAR10_DIR = Path(GIVEN).expanduser().absolute() if GIVEN else None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden from the screens as they are now")


def why_no_cifar10() -> str | None:
    if CIFAR10_DIR is None:
        return "NORMBENCH_DATA_DIR is not set, and names no folder with the real CIFAR-10"
    return None if (CIFAR10_DIR / FOLDER).is_dir() else f"NORMBENCH_DATA_DIR holds no {FOLDER}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = why_no_cifar10()
    for item in items:
        if reason and item.get_closest_marker("cifar10"):
            item.add_marker(pytest.mark.skip(reason=reason))
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="torch sees no CUDA device"))


@pytest.fixture(autouse=True)
def clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's shell reaches a test; the data folder reaches those marked `cifar10`."""
    kept = {"NORMBENCH_DATA_DIR"} if request.node.get_closest_marker("cifar10") else set()
    for name in [name for name in os.environ if name.startswith("NORMBENCH_") and name not in kept]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """No test leaves torch with another number of threads: the last digits of the tests after it depend on that."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def cifar10_dir() -> Path:
    """The folder that holds `cifar-10-batches-py`, for tests marked `cifar10`."""
    if reason := why_no_cifar10():
        pytest.skip(reason)
    assert CIFAR10_DIR is not None
    return CIFAR10_DIR


@pytest.fixture(scope="session")
def digits() -> data.DataSet:
    """96 training, 72 validation and 360 test images of the handwritten digits."""
    return data.load(DataConfig(name="digits", subset=96, val_split=0.05), MachineConfig(), torch.device("cpu"))
