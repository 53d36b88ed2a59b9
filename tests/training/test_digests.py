"""Same seed, same numbers: short trainings of every norm in every network give the digests that were recorded."""

import json

import pytest
import torch
from helpers.digests import CASES, RECORDED, digest, few_digits, platform

EXPECTED = json.loads(RECORDED.read_text()).get(platform())
pytestmark = pytest.mark.skipif(EXPECTED is None, reason=f"no digests were recorded with {platform()}")


@pytest.fixture(scope="module")
def data():
    return few_digits()


@pytest.mark.parametrize(("network", "norm"), CASES)
def test_a_short_training_gives_the_recorded_numbers(network, norm, data):
    torch.set_num_threads(1)  # the number of threads moves the last digits
    assert digest(network, norm, data) == EXPECTED[f"{network} {norm}"]


def test_another_number_is_another_digest(data, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr("helpers.digests.timeless", lambda row: {"loss": row.train_running_loss + 1e-12})
    assert digest("dwnet", "bn", data) != EXPECTED["dwnet bn"]
