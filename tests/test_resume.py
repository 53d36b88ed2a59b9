"""A training that is broken off and goes on from its state ends as one that never stopped, bit for bit."""

import io

import pytest
import torch
from small import run_config, start, timeless, weights

from normbench.norms import NORMS


def through_a_file(state):
    """As a run folder keeps it: written and read without unpickling anything but tensors and numbers."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def assert_resumes_bit_for_bit(config, digits):
    whole = start(config, digits)
    rows = [timeless(whole.epoch(epoch)) for epoch in (1, 2, 3)]

    broken_off = start(config, digits)
    broken_off.epoch(1)
    state = through_a_file(broken_off.state())

    torch.manual_seed(99)
    resumed = start(config, digits)
    resumed.load_state(state)
    assert [timeless(resumed.epoch(epoch)) for epoch in (2, 3)] == rows[1:]
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(resumed).items())


@pytest.mark.parametrize("schedule", ["step", "cosine", "constant", "onecycle", "linear"])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_resuming_equals_never_stopping_under_every_schedule(schedule, dropout, digits):
    assert_resumes_bit_for_bit(run_config(dropout=dropout, epochs=3, schedule=schedule, step_size=1), digits)


@pytest.mark.parametrize("norm", NORMS)
def test_resuming_equals_never_stopping_with_every_norm(norm, digits):
    assert_resumes_bit_for_bit(run_config(norm, epochs=3), digits)


@pytest.mark.parametrize("missing", ["network", "optimizer", "schedule"])
def test_every_part_of_the_state_is_needed(missing, digits):
    config = run_config(epochs=3, schedule="cosine")
    training = start(config, digits)
    training.epoch(1)
    state = through_a_file(training.state())
    expected = [timeless(training.epoch(epoch)) for epoch in (2, 3)]

    resumed = start(config, digits)
    resumed.load_state(state | {missing: start(config, digits).state()[missing]})
    assert [timeless(resumed.epoch(epoch)) for epoch in (2, 3)] != expected
