"""Plans of runs: checked, concurrent where they can be, one that fails on its own; a killed run ends the same."""

import json
import threading

import pytest
import torch
from helpers.callbacks import Recorder
from helpers.recorded_graph import RecordedGraphs
from helpers.small import WIDTHS

from normbench import engine
from normbench.config import DataConfig, MachineConfig, NetworkConfig, RunConfig, TrainingConfig
from normbench.data import load
from normbench.engine import concurrency, run, threads
from normbench.engine.concurrency import Concurrency, evenly, plan_concurrency
from normbench.engine.execute import ExecutionOptions, execute
from normbench.errors import OverBudgetError, UnfitNormError, UsageError
from normbench.networks import build_for, count_parameters
from normbench.runs import RunFolder

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
FLEETING = {"seconds", "images_per_second", "evaluation_seconds", "capture_seconds", "folder", "side_by_side", "device"}


def settings(norm="gn", seed=0, dropout=0.0, **training):
    return RunConfig(
        norm=norm,
        seed=seed,
        network=NetworkConfig(widths=WIDTHS, dropout=dropout, activation="silu"),
        data=DataConfig(name="digits", subset=96),
        training=TrainingConfig(**{"epochs": 2, "batch_size": 32, "step_size": 1, "lr": 0.05} | training),
    )


ONE_EPOCH = TrainingConfig(epochs=1, batch_size=32)
SIX = [settings(norm, seed) for norm in ("bn", "gn", "ln") for seed in (0, 1)]


def left_behind(folder):
    """Content of a run's folder, without times."""
    result = json.loads((folder / "result.json").read_text())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    documents = [{key: value for key, value in one.items() if key not in FLEETING} for one in (result, *rows)]
    return documents, (folder / "model.safetensors").read_bytes(), sorted(path.name for path in folder.iterdir())


def folders_of(out, configs):
    return [RunFolder(out, "one", config) for config in configs]


def planned(out, configs, **machine):
    return engine.plan(configs, MachineConfig(out=out, device="cpu", **machine), "one")


@pytest.mark.parametrize(
    ("runs", "cores", "at_once"),
    [(1, 2, 1), (2, 2, 2), (3, 2, 3), (4, 2, 2), (5, 2, 3), (9, 2, 3), (15, 2, 3), (3, 16, 3), (20, 16, 20), (4, 1, 1)],
)
def test_no_core_idles_at_the_end(runs, cores, at_once):
    assert evenly(runs, cores) == at_once
    assert at_once < 2 * cores or runs <= cores


def test_the_share_of_a_run_is_a_matter_of_plan_and_machine(monkeypatch):
    monkeypatch.setattr(concurrency, "cores", lambda: 8)
    default = MachineConfig()
    assert plan_concurrency(CPU, default, 3, random=False) == Concurrency(3, 2)
    assert plan_concurrency(CPU, default, 3, random=True) == Concurrency(1)
    assert plan_concurrency(CPU, default, 1, random=False) == Concurrency(1)
    assert plan_concurrency(CPU, MachineConfig(jobs=2), 5, random=False) == Concurrency(2, 4)
    assert plan_concurrency(CPU, MachineConfig(jobs=1), 5, random=False) == Concurrency(1)
    assert plan_concurrency(CUDA, default, 15, random=False) == Concurrency(15)
    assert plan_concurrency(CUDA, default, 100, random=False) == Concurrency(concurrency.LARGEST_GROUP)
    assert plan_concurrency(CUDA, MachineConfig(jobs=4), 15, random=False) == Concurrency(4)
    assert plan_concurrency(torch.device("mps"), default, 15, random=False) == Concurrency(1)


def test_only_runs_with_equal_steps_and_images_make_a_run_group(tmp_path):
    configs = [*SIX, settings("bn", batch_size=16), settings("gn", batch_size=16, epochs=5)]
    groups = concurrency.run_groups(folders_of(tmp_path, configs), 4)
    assert [len(group) for group in groups] == [4, 2, 1, 1]
    assert [folder.config for group in groups for folder in group] == configs


def test_runs_of_a_captured_group_leave_the_folders_of_runs_alone(tmp_path):
    data = load(SIX[0].data, MachineConfig(), CPU)
    graphs = RecordedGraphs()
    together, alone = folders_of(tmp_path / "together", SIX), folders_of(tmp_path / "alone", SIX)
    results = execute(together, data, Recorder(), ExecutionOptions(graphs=graphs, concurrent_runs=6))
    for folder in alone:
        execute([folder], data, Recorder(), ExecutionOptions(graphs=RecordedGraphs()))
    assert [(result.norm, result.seed) for result in results] == [(config.norm, config.seed) for config in SIX]
    assert graphs.captured == 1
    for mine, yours in zip(together, alone, strict=True):
        assert left_behind(mine.path) == left_behind(yours.path)
    assert {result.side_by_side for result in results} == {6}
    assert all(0 < result.capture_seconds < result.seconds for result in results)


def test_members_of_a_group_that_were_interrupted_at_different_epochs_catch_up(tmp_path):
    data = load(SIX[0].data, MachineConfig(), CPU)
    whole, broken = (
        folders_of(tmp_path / name, [settings(norm, epochs=3) for norm in ("bn", "gn", "ln")])
        for name in ("whole", "broken")
    )
    execute(whole, data, Recorder(), ExecutionOptions(graphs=RecordedGraphs()))

    def breaking_off(folder, after):
        class Interrupting(Recorder):
            def epoch_done(self, config, row):
                if row.epoch == after:
                    raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            execute([folder], data, Interrupting(), ExecutionOptions(graphs=RecordedGraphs()))

    breaking_off(broken[0], 2)
    breaking_off(broken[1], 1)
    callback = Recorder()
    execute(broken, data, callback, ExecutionOptions(graphs=RecordedGraphs()))
    assert [event[3] for event in callback.events if event[0] == "started"] == [3, 2, 1]
    for mine, yours in zip(broken, whole, strict=True):
        assert left_behind(mine.path) == left_behind(yours.path)


def test_concurrent_runs_on_a_cpu_leave_the_folders_of_runs_one_after_another(tmp_path, monkeypatch):
    monkeypatch.setattr(concurrency, "cores", lambda: 2)
    beside, after = planned(tmp_path / "beside", SIX), planned(tmp_path / "after", SIX, jobs=1)
    assert (beside.concurrency, after.concurrency) == (Concurrency(2, 1), Concurrency(1))
    monkeypatch.undo()
    before = torch.get_num_threads()
    with threads.threads_each(1):
        results = engine.run_all(after, Recorder())
    assert [result.seed for result in engine.run_all(beside, Recorder())] == [result.seed for result in results]
    assert torch.get_num_threads() == before
    for mine, yours in zip(beside.folders, after.folders, strict=True):
        assert left_behind(mine.path) == left_behind(yours.path)


def test_a_plan_checks_every_network_of_a_norm(tmp_path):
    small, large = settings("bn"), settings("bn").model_copy(update={"network": NetworkConfig(name="lnet")})
    with pytest.raises(OverBudgetError, match="lnet"):
        planned(tmp_path, [large, small])
    plan = engine.plan([large, small], MachineConfig(out=tmp_path, device="cpu"), "one", leave_out_oversized=True)
    assert [config.network.name for config in plan.configs] == ["c10"]
    both = [config.model_copy(update={"max_params": 100_000}) for config in (large, small)]
    plan = planned(tmp_path, both)
    assert [plan.parameters_of(config) for config in both] == [count_parameters(build_for(config)) for config in both]
    assert plan.norms == ("bn",)


def test_a_norm_without_a_meaning_in_the_network_is_refused_or_left_out_before_any_run(tmp_path):
    configs = [RunConfig(norm=norm, network={"name": "mlp"}, data={"name": "digits"}) for norm in ("bn", "in")]
    with pytest.raises(UnfitNormError, match="in has no meaning on vectors of 128 channels"):
        engine.plan(configs, MachineConfig(out=tmp_path, device="cpu"), "one")
    plan = engine.plan(configs, MachineConfig(out=tmp_path, device="cpu"), "one", leave_out_oversized=True)
    assert [config.norm for config in plan.configs] == ["bn"]
    assert any("left out: in has no meaning" in warning for warning in plan.warnings)


def test_networks_that_draw_random_numbers_train_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(concurrency, "cores", lambda: 2)
    (tmp_path / "noisy.py").write_text(
        "import torch\nclass Noisy(torch.nn.Module):\n"
        "    def __init__(self, channels):\n        super().__init__()\n"
        "    def forward(self, x):\n        return x + 0.01 * torch.randn_like(x) if self.training else x\n"
    )
    noisy = settings(f"{tmp_path}/noisy.py:Noisy")
    assert planned(tmp_path, [settings("bn", dropout=0.1), settings("gn", dropout=0.1)]).concurrency == Concurrency(1)
    assert planned(tmp_path, [settings("bn"), noisy]).concurrency == Concurrency(1)
    assert planned(tmp_path, [settings("bn"), settings("gn")]).concurrency == Concurrency(2, 1)


def test_a_run_that_fails_beside_others_stops_only_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(concurrency, "cores", lambda: 2)
    (tmp_path / "broken.py").write_text(
        "import torch\nclass Broken(torch.nn.Module):\n"
        "    def __init__(self, channels):\n        super().__init__()\n"
        "    def forward(self, x):\n        assert len(x) != 32, 'not that many'\n        return x\n"
    )
    plan = planned(tmp_path, [settings(f"{tmp_path}/broken.py:Broken"), settings("bn"), settings("gn")])
    assert plan.concurrency.runs == 3
    results = engine.run_all(plan, Recorder())
    assert [result.status for result in results] == ["failed", "done", "done"]
    assert "not that many" in results[0].problem


def test_an_interruption_stops_the_threads_and_keeps_finished_epochs(tmp_path, monkeypatch):
    monkeypatch.setattr(concurrency, "cores", lambda: 2)

    class Interrupting(Recorder):
        def epoch_done(self, config, row):
            super().epoch_done(config, row)
            if len([event for event in self.events if event[0] == "epoch"]) == 3:
                done.set()

    done = threading.Event()
    configs = [settings(norm, epochs=20) for norm in ("bn", "gn")]
    plan = planned(tmp_path, configs)
    monkeypatch.undo()

    def interrupted(_threads):
        assert done.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr(threads.Threads, "_next", interrupted)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        engine.run_all(plan, Interrupting())
    assert threading.active_count() == before
    assert {folder.state for folder in plan.folders} == {"interrupted"}
    assert not [path for folder in plan.folders for path in folder.path.glob(".writing*")]


def test_too_little_memory_halves_the_group_and_goes_on(tmp_path, monkeypatch):
    """The device is played by what it does: refuse a group of more than two."""
    data = load(SIX[0].data, MachineConfig(), CPU)
    tried = []

    def small_device(folders, *rest):
        tried.append(len(folders))
        if len(folders) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return execute(folders, *rest)

    monkeypatch.setattr(run, "execute", small_device)
    callback = Recorder()
    folders = folders_of(tmp_path, [config.model_copy(update={"training": ONE_EPOCH}) for config in SIX])
    outcomes = dict(run.run_group(folders, data, callback, ExecutionOptions()))
    assert tried == [6, 3, 1, 2, 3, 1, 2]
    assert [outcomes[folder].status for folder in folders] == ["done"] * 6
    assert len([event for event in callback.events if event[0] == "warning"]) == 3


def test_one_that_breaks_a_group_is_found_and_the_others_go_on_from_where_they_were(tmp_path, monkeypatch):
    data = load(SIX[0].data, MachineConfig(), CPU)

    class Breaking(Recorder):
        def epoch_done(self, config, row):
            super().epoch_done(config, row)
            if config.norm == "gn" and row.epoch >= 2:
                raise RuntimeError("broken")

    folders = folders_of(tmp_path, [settings(norm, epochs=6) for norm in ("bn", "gn", "ln")])
    callback = Breaking()
    outcomes = dict(run.run_group(folders, data, callback, ExecutionOptions()))
    assert [getattr(outcomes[folder], "status", "failed") for folder in folders] == ["done", "failed", "done"]
    again = [event for event in callback.events if event[:2] == ("started", "bn")]
    assert [event[3] for event in again] == [1, 3]


def test_a_setting_that_no_run_can_be_trained_with_stops_all(tmp_path):
    plan = planned(tmp_path, [settings("bn", batch_size=1000), settings("gn", batch_size=1000)])
    with pytest.raises(UsageError, match="do not fill one batch"):
        engine.run_all(plan, Recorder())


ENDING = """
import sys, torch
class Odd(BaseException): pass
class Ends(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
    def forward(self, x):
        if self.training and len(x) == 32:
            self.end()
        return x
class Exits(Ends):
    def end(self): sys.exit(0)
class Raises(Ends):
    def end(self): raise Odd("odd")
class Interrupts(Ends):
    def end(self): raise KeyboardInterrupt
"""


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize(("norm", "words"), [("Exits", "sys.exit(0)"), ("Raises", "Odd: odd")])
def test_a_norm_that_ends_the_program_fails_its_run_only(tmp_path, norm, words, jobs):
    (tmp_path / "ending.py").write_text(ENDING)
    plan = planned(tmp_path, [settings(f"{tmp_path}/ending.py:{norm}"), settings("bn"), settings("gn")], jobs=jobs)
    callback = Recorder()
    results = engine.run_all(plan, callback)
    assert [result.status for result in results] == ["failed", "done", "done"]
    assert words in results[0].problem
    (failed,) = [event for event in callback.events if event[0] == "failed"]
    assert (failed[1:3], words in failed[3]) == ((plan.configs[0].norm, 0), True)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interruption_out_of_a_run_ends_all_and_each_run_is_told_to_have_failed(tmp_path, jobs):
    (tmp_path / "ending.py").write_text(ENDING)
    configs = [settings(f"{tmp_path}/ending.py:Interrupts"), settings("bn", epochs=20)]
    callback = Recorder()
    with pytest.raises(KeyboardInterrupt):
        engine.run_all(planned(tmp_path, configs, jobs=jobs), callback)
    started = [event[1] for event in callback.events if event[0] == "started"]
    assert [event[1] for event in callback.events if event == ("failed", event[1], 0, "interrupted")] == started != []


def test_a_callback_that_fails_ends_all_and_fails_no_run(tmp_path):
    class Failing(Recorder):
        def epoch_done(self, config, row):
            raise OSError("no screen")

    plan = planned(tmp_path, [settings("bn"), settings("gn")], jobs=2)
    callback = Failing()
    with pytest.raises(OSError, match="no screen"):
        engine.run_all(plan, callback)
    assert {event[3] for event in callback.events if event[0] == "failed"} == {"interrupted"}
    assert [result.status for result in engine.run_all(plan, Recorder())] == ["done", "done"]


@pytest.mark.parametrize("granted", [0, 1])
def test_with_fewer_threads_than_wanted_every_run_is_trained(tmp_path, monkeypatch, granted):
    """The system is played by what it does: refuse threads."""
    start = threading.Thread.start
    left = [granted]

    def few(thread):
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    plan = planned(tmp_path, [settings("bn"), settings("gn"), settings("ln")], jobs=3)
    monkeypatch.setattr(threading.Thread, "start", few)
    assert [result.status for result in engine.run_all(plan, Recorder())] == ["done"] * 3


def test_a_plan_says_which_settings_of_sgd_another_optimizer_does_not_read(tmp_path):
    config = settings("gn", optimizer="adam", momentum=0.5, nesterov=False)
    unread = [
        name
        for name in ("momentum", "nesterov")
        if f"training.{name} " in " ".join(planned(tmp_path, [config]).warnings)
    ]
    assert unread == ["momentum", "nesterov"]
    for quiet in (settings("gn", optimizer="adam"), settings("gn", momentum=0.5, nesterov=False)):
        assert planned(tmp_path, [quiet]).warnings == ()


@pytest.mark.parametrize(("known", "warned"), [(True, False), (False, True)])
def test_a_plan_in_bf16_warns_of_a_cpu_without_instructions_for_it(known, warned, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "x86_64", "avx512_bf16": known})
    plan = engine.plan([settings(precision="bf16")], MachineConfig(out=tmp_path, device="cpu"), "e")
    assert any("no instructions for bfloat16" in warning for warning in plan.warnings) == warned
    assert not engine.plan([settings()], MachineConfig(out=tmp_path, device="cpu"), "e").warnings


def test_imports_of_a_run_are_prepared_while_the_images_load_and_a_failure_there_is_not_the_end(monkeypatch, tmp_path):
    begun, load = threading.Event(), run.datasets.load
    asked = []

    def failing():
        asked.append(threading.current_thread().name)
        begun.set()
        raise OSError("no versions")

    def loading(*arguments):
        assert begun.wait(10), "nothing is prepared before the images are there"
        return load(*arguments)

    monkeypatch.setattr(run, "package_versions", failing)
    monkeypatch.setattr(run.datasets, "load", loading)
    plan = engine.plan([settings()], MachineConfig(out=tmp_path, device="cpu"), "e")
    (result,) = engine.run_all(plan)
    assert (result.status, asked) == ("done", ["normbench-preparation"])
