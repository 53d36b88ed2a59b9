"""Cost of a plan before it runs: measured where nothing is known, from earlier runs where they cover it."""

from pathlib import Path

import pytest
from helpers.callbacks import Recorder
from helpers.small import run_config

from normbench import engine
from normbench.config import DataConfig, MachineConfig, RunConfig
from normbench.engine import Estimate, Plan
from normbench.engine.cost import EARLIER, MEASURED, train_images
from normbench.training import EpochRow


def plan_of(out: Path, *configs: RunConfig) -> Plan:
    return engine.plan(configs, MachineConfig(out=out, device="cpu"), "x")


def few(norm: str = "bn", seed: int = 0) -> RunConfig:
    """One epoch on 64 digits."""
    config = run_config(norm, seed, epochs=1)
    return config.model_copy(update={"data": DataConfig(name="digits", subset=64)})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    engine.run_all(plan_of(out, few()))
    return out


def test_a_few_steps_are_timed_and_nothing_is_written(tmp_path: Path) -> None:
    cost = engine.estimate(plan_of(tmp_path / "runs", few("bn"), few("gn")))
    assert (cost.runs, cost.source, cost.at_most) == (2, MEASURED, False)
    assert cost.seconds is not None
    assert cost.seconds > 0
    assert cost.disk > 2 * 4 * 1000
    assert list(tmp_path.iterdir()) == []


def test_twice_the_epochs_of_the_same_steps_take_about_twice_as_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normbench.engine.cost._step_seconds", lambda _config, _device: 0.5)
    monkeypatch.setattr("normbench.engine.cost.FORWARD", 0.0)
    times = [engine.estimate(plan_of(tmp_path, run_config(epochs=epochs))).seconds for epochs in (1, 2)]
    assert times == [0.5 * (1437 // 32), 0.5 * 2 * (1437 // 32)]


def test_a_run_that_is_resumed_costs_its_epochs_that_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normbench.engine.cost._step_seconds", lambda _config, _device: 0.5)
    monkeypatch.setattr("normbench.engine.cost.FORWARD", 0.0)

    class Stop(Recorder):
        def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
            raise KeyboardInterrupt

    plan = plan_of(tmp_path, few().model_copy(update={"training": run_config(epochs=3).training}))
    whole = engine.estimate(plan).seconds
    with pytest.raises(KeyboardInterrupt):
        engine.run_all(plan, Stop())
    assert (whole, engine.estimate(plan).seconds) == (0.5 * 3 * 2, 0.5 * 2 * 2)


def test_earlier_runs_tell_the_time_of_further_seeds(trained: Path) -> None:
    cost = engine.estimate(plan_of(trained, few(seed=1)))
    assert (cost.runs, cost.source) == (1, EARLIER)


def test_what_is_done_costs_nothing(trained: Path) -> None:
    cost = engine.estimate(plan_of(trained, few()))
    assert (cost.runs, cost.seconds, cost.memory, cost.disk) == (0, None, 0, 0)


def test_custom_code_is_not_run_for_an_estimate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("from torch import nn\n\n\nclass Mine(nn.Identity):\n    pass\n")
    plan = plan_of(tmp_path, few(f"{tmp_path}/mine.py:Mine"))

    def fail(*_: object) -> None:
        raise AssertionError("a step was taken")

    monkeypatch.setattr("normbench.engine.cost._step_seconds", fail)
    cost: Estimate = engine.estimate(plan)
    assert (cost.runs, cost.seconds, cost.source) == (1, None, None)


@pytest.mark.parametrize(
    ("data", "images"),
    [({"name": "digits"}, 1437), ({"name": "digits", "val_split": 0.2}, 1150), ({"subset": 100}, 100)],
)
def test_the_images_of_an_epoch_are_counted(data: dict[str, object], images: int) -> None:
    config = RunConfig(norm="bn", data=DataConfig.model_validate(data))
    assert train_images(config) == images
