"""Progress of runs: the time left follows the work that is done, and no line of it is cut."""

import re
from pathlib import Path

import pytest
from helpers.callbacks import Recorder
from helpers.cli import TINY, normbench
from helpers.small import run_config
from rich.cells import cell_len

from normbench import engine
from normbench.config import MachineConfig, RunConfig
from normbench.console.progress import Clock

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the clock reads; a test moves it."""
    times = [100.0]
    monkeypatch.setattr("normbench.console.progress.time.monotonic", lambda: times[0])
    return times


def test_the_time_left_follows_the_speed_of_this_command(now: list[float]) -> None:
    clock = Clock({"a": 10.0, "b": 10.0}, None)
    assert clock.left is None
    clock.begin("a", 4.0)  # it was resumed: its first epochs took no time here
    now[0] += 10.0
    clock.done["a"] = 6.0
    assert clock.left == pytest.approx(14 * 10 / 2)
    assert clock.share == pytest.approx(6 / 20)


def test_an_estimate_counts_until_the_steps_themselves_tell_more(now: list[float]) -> None:
    clock = Clock({"a": 10.0}, 60.0)
    assert clock.left == 60.0
    clock.begin("a", 0.0)
    now[0] += 1.0
    clock.done["a"] = 5.0
    assert clock.left == 59.0
    now[0] += 4.0
    assert clock.left == pytest.approx(5.0)


def test_runs_that_were_done_before_are_no_work_of_this_command(now: list[float]) -> None:
    clock = Clock({"a": 10.0, "b": 10.0}, None)
    clock.end("a", already_done=True)
    clock.begin("b", 0.0)
    now[0] += 10.0
    clock.done["b"] = 5.0
    assert clock.left == pytest.approx(10.0)


def test_the_steps_of_an_epoch_are_told_a_few_times_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Steps(Recorder):
        def step_done(self, config: RunConfig, epoch: int, step: int, steps: int) -> None:
            self.events.append(("step", config.norm, epoch, step, steps))

    def told(interval: float) -> list[tuple[object, ...]]:
        monkeypatch.setattr("normbench.engine.execute.STEP_INTERVAL", interval)
        callback = Steps()
        plan = engine.plan([run_config(epochs=1)], MachineConfig(out=tmp_path / str(interval), device="cpu"), "x")
        engine.run_all(plan, callback)
        return [event for event in callback.events if event[0] == "step"]

    steps = 1437 // 32
    assert told(0.0) == [("step", "bn", 1, step, steps) for step in range(1, steps + 1)]
    assert told(1e9) == [("step", "bn", 1, 1, steps)]


def test_bars_of_the_whole_and_of_each_run_are_whole_at_80_columns(tmp_path: Path) -> None:
    command = ("compare", *TINY, "--norms", "bn,gn", "--seeds", 2, "--epochs", 2, "--out", tmp_path)
    answer = normbench(*command, COLUMNS="80", FORCE_COLOR="1")
    lines = [line.rstrip() for line in CODES.sub("", answer.stderr).replace("\r", "\n").splitlines()]
    assert [line for line in lines if "━" in line and (cell_len(line) > 80 or "…" in line)] == []
    assert any(re.match(r"4 runs +[━╺╸]+ \d/4 \d+%", line) for line in lines)
    assert any(re.match(r"bn seed 1 [━╺╸]+ \d/2 ", line) for line in lines)


def test_a_dry_run_states_its_cost_and_sums_up_many_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("compare", *TINY, "--norms", "bn,gn", "--seeds", 3, "--dry-run", "--out", tmp_path)
    cost = normbench(*command, "--json").document["estimate"]
    assert (cost["runs"], cost["source"]) == (6, "a few steps")
    assert cost["seconds"] > 0
    assert min(cost["memory_bytes"], cost["disk_bytes"], cost["free_disk_bytes"]) > 0
    monkeypatch.setattr("normbench.console.plan.MOST_LISTED", 5)
    summary = normbench(*command, COLUMNS="80")
    assert [line.split()[:2] for line in summary.stdout.splitlines() if line[:2] in ("bn", "gn")] == [
        ["bn", "3"],
        ["gn", "3"],
    ]
    assert "about" in summary.words
    assert "estimated from a few steps" in summary.words
    assert list(tmp_path.iterdir()) == []
