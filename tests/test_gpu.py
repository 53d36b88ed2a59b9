"""What only a CUDA device can show: a captured step is the eager one, and company changes no number."""

import pytest
import torch
from small import run_config, timeless, weights
from test_engine import SIX, Quiet, folders_of, left_behind

from normbench import engine
from normbench.config import DataConfig, MachineConfig
from normbench.data import load
from normbench.engine.fleets import fitting
from normbench.networks import build
from normbench.norms import NORMS, resolve_norm
from normbench.randomness import deterministic
from normbench.runs import Conditions, execute
from normbench.training import Fleet, Training, graphs_of

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")
LONGEST_CAPTURE = 1.0
"""Seconds: a capture is to cost well under one."""


@pytest.fixture(scope="module")
def digits():
    with deterministic(True):
        yield load(DataConfig(name="digits", subset=96, val_split=0.05), MachineConfig(), CUDA)


def training(config, data, batches=None):
    return Training(config, build(config.network, resolve_norm(config.norm), 10, config.seed), data, batches)


def rows_and_weights(trainings, graphs, epochs=2):
    fleet = Fleet(trainings, graphs)
    rows = [[timeless(row) for row in fleet.epoch(epoch)] for epoch in range(1, epochs + 1)]
    return rows, [weights(one) for one in trainings], fleet


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("norm", [*NORMS, "gn+ws"])
def test_a_captured_step_gives_the_numbers_of_the_eager_one(norm, precision, digits):
    config = run_config(norm, batch_size=8, precision=precision, step_size=1, gamma=0.5)
    rows, (captured,), fleet = rows_and_weights([training(config, digits)], graphs_of(CUDA))
    expected, (eager,), _ = rows_and_weights([training(config, digits)], None)
    assert 0 < fleet.capture_seconds < LONGEST_CAPTURE
    assert rows == expected
    assert [name for name, tensor in captured.items() if not torch.equal(tensor, eager[name])] == []


def test_a_run_in_a_fleet_leaves_the_folder_of_a_run_alone(tmp_path):
    configs = [config.model_copy(update={"deterministic": True}) for config in SIX]
    data = load(configs[0].data, MachineConfig(), CUDA)
    together, alone = folders_of(tmp_path / "together", configs), folders_of(tmp_path / "alone", configs)
    with deterministic(True):
        execute(together, data, Quiet(), Conditions(graphs=graphs_of(CUDA), side_by_side=6))
        for folder in alone:
            execute([folder], data, Quiet(), Conditions(graphs=graphs_of(CUDA)))
    for mine, yours in zip(together, alone, strict=True):
        assert left_behind(mine.path) == left_behind(yours.path)


def test_no_capture_gives_the_same_numbers(tmp_path):
    configs = [config.model_copy(update={"deterministic": True}) for config in SIX]
    plans = [
        engine.plan(configs, MachineConfig(out=tmp_path / str(capture), device="cuda", capture=capture), "one")
        for capture in (True, False)
    ]
    for plan in plans:
        engine.run_all(plan, Quiet())
    for mine, yours in zip(plans[0].folders, plans[1].folders, strict=True):
        assert left_behind(mine.path) == left_behind(yours.path)


def test_the_fleet_that_fits_is_found_from_free_memory(digits):
    free, _ = torch.cuda.mem_get_info()
    config = run_config(batch_size=32)
    assert fitting(config, digits, CUDA) >= 1
    held = torch.empty(int(0.9 * free), dtype=torch.uint8, device=CUDA)
    fewer = fitting(config, digits, CUDA)
    del held
    torch.cuda.empty_cache()
    assert 1 <= fewer < fitting(config, digits, CUDA)


def test_dropout_masks_differ_between_replays_and_follow_the_seed(digits):
    config = run_config("gn", batch_size=8, dropout=0.3)
    first = rows_and_weights([training(config, digits)], graphs_of(CUDA))
    again = rows_and_weights([training(config, digits)], graphs_of(CUDA))
    assert first[0] == again[0]
