"""Benchmark: contenders train the same, clocks and memory are right, tables come from the JSON."""

import dataclasses
import json
import shutil
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.small import WIDTHS, run_config

from benchmarks import contenders, goals, gpu, measure, norms, records, run, table, timing
from benchmarks.breakdown import breakdown, phases
from benchmarks.contenders import CONTENDERS, run_group
from benchmarks.job import Job, setups
from benchmarks.process import FailedError, rehearse
from benchmarks.records import Contender, Setup, Spread
from benchmarks.table import breakdown_table
from normbench import data
from normbench.config import DataConfig, MachineConfig, NetworkConfig
from normbench.data import normalize
from normbench.norms import NORMS
from normbench.studies.cost.measure import Bench, noise

CPU = torch.device("cpu")
IMAGES = DataConfig(name="digits", subset=96)
TINY = "--dataset digits --images 64 --curve-images 16 --batch-size 16 --counts 1 --repeats 1 --threads 1 --device cpu"
FOLDER = Path(run.__file__).parent


@pytest.fixture(scope="module")
def images():
    return data.load(IMAGES, MachineConfig(), CPU)


def small_job(images_config=IMAGES, norms=("bn", "gn"), **settings):
    config = run_config(epochs=2).model_copy(update={"data": images_config, "read_test": False})
    runs = tuple(config.model_copy(update={"norm": norm}) for norm in norms)
    return Job(config, MachineConfig(), CPU, Setup(threads=1, workers=0), laps=2, group=runs, **settings)


def clocked(name, images, job=None):
    entry = CONTENDERS[name]
    if reason := entry.missing():
        pytest.skip(reason)
    clock = measure.Clock(CPU)
    entry.load()(job or small_job(), images, clock)
    return clock


@pytest.mark.parametrize("name", CONTENDERS)
def test_every_contender_trains_the_same_network_for_every_lap(name, images):
    clock, job = clocked(name, images), small_job()
    untrained = measure.probe_loss(job.network(images), images)
    assert clock.initial_loss == (None if name == "run-group" else untrained)
    assert len(clock.laps) == 2
    assert all(0 < lap.seconds < 60 for lap in clock.laps)
    assert all(0.3 * untrained < lap.loss < untrained + 0.5 for lap in clock.laps)  # it learns, a little
    if name != "run-group":  # whose laps start from scratch
        assert clock.laps[1].loss < clock.laps[0].loss


def test_the_first_run_of_the_group_is_the_single_run(images):
    single, group = clocked("normbench", images), clocked("run-group", images)
    assert group.laps[0].loss == pytest.approx(single.laps[1].loss, rel=1e-3)  # both after two epochs
    assert group.laps[0].loss == pytest.approx(group.laps[1].loss, rel=1e-3)


def test_a_run_that_fails_gives_the_group_no_figure(images):
    job = small_job(norms=("bn", "none"))
    diverging = job.group[1].training.model_copy(update={"lr": 1e8})
    broken = (job.group[0], job.group[1].model_copy(update={"training": diverging}))
    with pytest.raises(Exception, match="diverged"):
        clocked("run-group", images, dataclasses.replace(job, group=broken))


@pytest.mark.parametrize("name", ["loop", "timm"])
def test_loaders_give_the_images_that_normbench_trains_on(name, images):
    if reason := CONTENDERS[name].missing():
        pytest.skip(reason)
    from benchmarks.contenders.pictures import Pictures, data_loader

    job = small_job(IMAGES.model_copy(update={"crop_padding": 0}))
    if name == "timm":
        from benchmarks.contenders.timm_loop import _loader as data_loader
    batches = [batch for batch, _ in data_loader(job, Pictures(images), images)]
    theirs = torch.cat(batches).flatten(1)
    ours = normalize(images.train.images, images.mean, images.std).flatten(1)
    nearest = torch.cdist(theirs, ours).argmin(1)
    assert sorted(nearest.tolist()) == sorted(set(nearest.tolist()))  # every image once
    assert torch.allclose(theirs, ours[nearest], atol=1e-5)


def test_crops_are_padded_and_digits_are_not_flipped(images):
    from benchmarks.contenders.pictures import augmentation

    crop, *flip = augmentation(small_job(), images)
    assert (crop.padding, flip) == (4, [])
    assert len(augmentation(small_job(), dataclasses.replace(images, flips=True))) == 2


def test_workers_take_their_cores_from_the_threads():
    assert [(s.threads, s.workers) for s in setups(CPU, 2, 2)] == [(2, 0), (1, 1), (1, 2)]
    assert [(s.threads, s.workers) for s in setups(CPU, 8, 8)] == [(8, 0), (7, 1), (6, 2), (4, 4)]
    assert [s.workers for s in setups(torch.device("cuda"), 8, 8)] == [4, 8]


def test_a_rehearsal_keeps_the_fastest_setup(images, monkeypatch):
    def pretend(job, _images, clock):
        for lap in range(job.laps):
            clock.start()
            clock.stop(1.0, seconds=9.0 if lap == 0 else 1.0 / (1 + job.setup.workers % 3))

    monkeypatch.setattr(contenders.Entry, "load", lambda _self: pretend)
    choices = [Setup(threads=1, workers=workers) for workers in (0, 2, 3)]
    kept, tried = rehearse(CONTENDERS["loop"], small_job(norms=()), images, choices)
    assert kept.workers == 2
    assert tried == {"1 thread, 0 workers": 32.0, "1 thread, 2 workers": 96.0, "1 thread, 3 workers": 32.0}


def test_the_clock_waits_for_its_turn_and_for_the_device(monkeypatch):
    events = []
    monkeypatch.setattr(measure, "synchronize", lambda _device: events.append("device"))
    clock = measure.Clock(CPU, turn=lambda: events.append("turn"), done=lambda lap: events.append(lap.loss))
    clock.start()
    time.sleep(0.05)
    clock.stop(2.5)
    assert events == ["turn", "device", "device", 2.5]
    assert 0.05 <= clock.laps[0].seconds < 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the memory of a family of processes")
def test_memory_is_the_growth_since_the_beginning(images):
    clock = measure.Clock(CPU)
    clock.begin(None, images)
    clock.start()
    ballast = bytearray(b"x" * (64 << 20))
    clock.stop(1.0, loaded_images=4 << 20)
    assert len(ballast) == 64 << 20
    assert 55 << 20 < clock.memory.host_bytes < 160 << 20  # the expression holds two copies for a moment
    assert clock.memory.cuda_bytes is None


def test_time_counts_with_the_share_of_the_runs_that_train():
    one_after_another = [(0, 1, 0), (4, -1, 1), (6, 0, -1), (6, 1, 0), (9, -1, 1), (11, 0, -1)]
    concurrent = [(0, 1, 0), (0, 1, 0), (2, -1, 1), (3, 0, -1), (4, -1, 1), (5, 0, -1)]
    lockstep = [(0, 1, 0), (0, 1, 0), (2, -1, 1), (2, -1, 1), (3, 0, -1), (4, 0, -1)]
    seconds = [
        run_group.training_seconds([run_group.Change(*change) for change in changes])
        for changes in (one_after_another, concurrent, lockstep)
    ]
    assert seconds == [4 + 3, 2 + 0.5 + 1, 2]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_group_reports_when_its_runs_train_even_from_threads(threads, images, monkeypatch):
    seen, before = [], torch.get_num_threads()
    torch.set_num_threads(threads)  # with two, runs are concurrent
    monkeypatch.setattr(run_group, "training_seconds", lambda changes: seen.append(changes) or 1.0)
    clocked("run-group", images)
    torch.set_num_threads(before)
    for changes in seen:
        assert [sum(column) for column in list(zip(*changes, strict=True))[1:]] == [0, 0]
        assert sum(change.training for change in changes if change.training > 0) == 2
        assert [change.training for change in changes[:2]] == ([1, -1] if threads == 1 else [1, 1])
    assert len(seen) == 2


def test_norms_cost_time_and_keep_their_input(images):
    costs = {cost.norm: cost for cost in norms.norm_costs(run_config(), list(NORMS), CPU, repeats=1)}
    config = run_config("bn")
    layers = Bench(config, noise(config.training.batch_size, CPU)).layers
    inputs = sum(layer.x.nbytes for layer in layers.layers)
    assert {cost.layers for cost in costs.values()} == {10}
    assert costs["none"].saved_bytes == 0
    assert inputs < costs["bn"].saved_bytes < 1.05 * inputs
    assert costs["rms"].saved_bytes > costs["bn"].saved_bytes
    assert costs["bn"].forward_milliseconds.median > costs["none"].forward_milliseconds.median
    assert costs["bn"].backward_milliseconds.median > costs["none"].backward_milliseconds.median


def spread(*values):
    return measure.spread(values)


def test_ratios_are_taken_within_each_repeat():
    single = Contender(name="normbench", title="", images_per_second=spread(100.0, 50.0, 200.0))
    other = Contender(name="loop", title="", images_per_second=spread(50.0, 50.0, 50.0))
    ratio = timing.with_ratios([other, single])[0].ratio
    assert ratio == Spread(median=0.5, low=0.25, high=1.0, values=(0.5, 1.0, 0.25))


def test_one_contender_that_fails_does_not_stop_the_others(capsys):
    class Fake:
        def __init__(self, name):
            self.entry, self.closed = CONTENDERS[name], False

        def close(self):
            self.closed = True

    def action(process):
        if process.entry.name == "loop":
            raise FailedError("its process ended with exit code 9")

    timed = timing.Timing(None, print)
    timed.processes = {name: Fake(name) for name in ("loop", "timm")}
    loop = timed.processes["loop"]
    timed._each(list(timed.processes), "repeat 1", action)
    assert (list(timed.processes), loop.closed) == (["timm"], True)
    assert timed.record("loop").skipped == "failed: its process ended with exit code 9"


def test_the_whole_benchmark_writes_json_plot_and_table(tmp_path, monkeypatch, capsys):
    find = contenders.importlib.util.find_spec
    monkeypatch.setattr(contenders.importlib.util, "find_spec", lambda name: None if name == "timm" else find(name))
    parts = "normbench,timm,run-counts,norm-costs"
    assert run.main([*TINY.split(), "--only", parts, "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.json")
    results = records.read(path)
    printed = capsys.readouterr()
    assert printed.out == table.report(results) + "\n"
    assert "Not measured: timm: timm is not installed: pip install 'normbench[bench]'" in printed.out
    assert "warming up: normbench" in printed.err
    single = results.contenders[0]
    assert single.images_per_second.median == pytest.approx(64 / single.seconds_per_epoch.median)
    assert (single.ratio.median, single.images, len(single.losses)) == (1.0, 64, 2)
    assert results.runs[0].images_per_second.median > 0
    assert str(tmp_path) not in path.read_text()
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "normbench, one run" in path.with_suffix(".svg").read_text()
    torch.set_num_threads(1)


@pytest.mark.parametrize("wrong", [["--only", "loops"], ["--repeats", "20"], ["--repeats", "0"]])
def test_invalid_options_are_refused(wrong, capsys):
    with pytest.raises(SystemExit) as stop:
        run.main(wrong)
    assert stop.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_missing_images_are_reported(tmp_path, capsys):
    assert run.main(["--dataset", "cifar10", "--data-dir", str(tmp_path), "--out", str(tmp_path)]) == 3
    assert "CIFAR-10 is not at" in capsys.readouterr().err


def example(**conditions):
    environment = {
        "packages": {"torch": "2.15.0", "timm": None},
        "git_commit": None,
        "git_dirty": False,
        "device": "A chip",
    }
    environment |= {"cpu_count": 2, "load_before": 0.1, "normbench": "0.1.0", "python": "3.11.7"} | conditions
    settings = {"epochs": 2, "repeats": 1, "dataset": "cifar10", "images": 640, "network": "c10", "norm": "bn"}
    timed = {"images_per_second": spread(1234.0, 1300.0, 1000.0), "seconds_per_epoch": spread(0.5)}
    contenders_ = (
        Contender(name="normbench", title="alone", **timed, losses=(3.0, 2.0, 1.0), memory=records.Memory()),
        Contender(name="run-group", title="together", **timed, runs=3, losses=(2.5, 2.6)),
        Contender(name="timm", title="timm", skipped="not there"),
    )
    settings["batch_size"] = 64
    return records.Results(date="today", seconds=60, conditions=environment, settings=settings, contenders=contenders_)


def test_the_table_has_the_figures_of_the_json(tmp_path):
    records.write(example(), tmp_path / "chip.json")
    rows = table.contender_table(records.read(tmp_path / "chip.json")).splitlines()
    assert rows[0].split(" | ")[5] == "loss after 2 epochs"
    assert rows[2] == "| alone | 1,234 (1,000 to 1,300) | 0.50 | - | - | 2.000 | None | - |"
    assert rows[3].startswith("| together (3 runs) | 1,234")
    assert "2.500" in rows[3]
    assert rows[-1] == "Not measured: timm: not there"


def test_the_readme_is_filled_in_from_the_json_and_only_there(tmp_path):
    readme, folder = tmp_path / "README.md", tmp_path / "results"
    start, end = table.MARKERS
    readme.write_text(f"before\n{start}\nold figures\n{end}\nafter\n")
    records.write(example(), folder / "chip.json")
    assert table.write_readme(readme, folder) == 1
    text = readme.read_text()
    assert text.startswith(f"before\n{start}\n### A chip\n")
    assert text.endswith(f"{end}\nafter\n")
    assert "old figures" not in text
    (folder / "notes.json").write_text('{"device": "a chip, by another script"}')
    assert "1,234 (1,000 to 1,300)" in text
    table.write_readme(readme, folder)
    assert readme.read_text() == text


def test_the_readme_of_the_benchmark_has_the_figures_of_its_results(tmp_path):
    shutil.copy(FOLDER / "README.md", tmp_path)
    table.write_readme(tmp_path / "README.md", FOLDER / "results")
    assert (tmp_path / "README.md").read_text() == (FOLDER / "README.md").read_text()


def test_a_json_of_another_shape_is_refused(tmp_path):
    path = tmp_path / "chip.json"
    records.write(example(), path)
    document = json.loads(path.read_text()) | {"more": 1}
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="more"):
        records.read(path)


def test_the_parts_of_a_command_add_up_to_the_whole() -> None:
    few = ["--norms", "bn,gn", "--dataset", "digits", "--subset", "128", "--epochs", "1", "--batch-size", "64"]
    measured = breakdown([*few, "--device", "cpu"])
    assert measured.command == f"normbench compare {' '.join(few)} --device cpu"
    assert sum(phase.seconds for phase in measured.phases) == pytest.approx(measured.seconds)
    assert [phase.name for phase in measured.phases if phase.seconds < 0] == []
    shown = breakdown_table(measured)
    assert shown.count("\n") == len(measured.phases) + 4
    assert f"| total | {measured.seconds:.2f} |" in shown


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="unknown norm 'bnn'"):
        breakdown(["--norms", "bnn", "--dataset", "digits"])


def test_the_steps_of_a_gpu_are_timed_as_rows_and_a_row_that_fails_has_a_reason(tmp_path, capsys, monkeypatch):
    rows = (gpu.Row("two", ("bn", "gn")), gpu.Row("cycle", ("bn",), schedule="onecycle"), gpu.Row("no", ("in2",)))
    small = NetworkConfig(widths=WIDTHS)
    monkeypatch.setattr(gpu, "ROWS", rows)
    build_for = gpu.build_for
    monkeypatch.setattr(
        gpu, "build_for", lambda config, classes: build_for(config.model_copy(update={"network": small}), classes)
    )
    arguments = ["--device", "cpu", "--images", "128", "--windows", "2", "--out", str(tmp_path)]
    assert gpu.main([*arguments, "--only", "two,cycle,no"]) == 1
    (path,) = tmp_path.glob("*-gpu.json")
    results = json.loads(path.read_text())
    two, cycle = results["rows"]
    assert (two["runs"], two["precision"], two["captured"], len(two["steps"])) == (2, "fp32", False, 2)
    assert two["seconds_per_run"] == pytest.approx(20 * (50_000 // 64) * two["step"] / 1000 / 2)
    assert two["images_per_second"] == pytest.approx(2 * 64 / two["step"] * 1000)
    assert (cycle["kernels_per_step"], cycle["peak_mib"]) == (None, None)
    assert "unknown norm 'in2'" in results["failed"]["no"]
    assert gpu.table(results) in capsys.readouterr().out
    with pytest.raises(SystemExit):
        gpu.main(["--only", "nothing"])


def test_a_comparison_is_taken_apart_and_its_parts_add_up(monkeypatch):
    monkeypatch.setattr(gpu, "ASSIGNMENT", ("bn",))
    cpu = torch.device("cpu")
    command = gpu.measure_command(gpu.images(64, cpu, 8), cpu, epochs=1)
    assert (command.runs, command.epochs, command.images) == (5, 1, 64)
    assert {"train", "score", "save states", "the rest"} <= set(command.phases)
    assert sum(command.phases.values()) == pytest.approx(command.seconds)


def test_seconds_in_lockstep_count_once_for_the_group_and_not_once_for_each_run():
    run = {"seconds": 12.0, "evaluation_seconds": 0.2, "capture_seconds": 0.5, "side_by_side": 5}
    times = {"ready": 103.0, "load": 1.0, "run_all": 16.0, "lockstep": 1.0}
    seconds = {phase.name: phase.seconds for phase in phases(times, [run] * 5, 100.0, 20.0)}
    assert seconds["train"] == pytest.approx(11.5)
    assert seconds["capture the step"] == pytest.approx(0.5)
    assert seconds["score train and test images"] == pytest.approx(1.0)
    assert seconds["build networks, write files"] == pytest.approx(2.0)
    assert sum(seconds.values()) == pytest.approx(20.0)


def test_threads_of_a_cpu_share_their_time_between_training_and_scoring():
    run = {"seconds": 8.0, "evaluation_seconds": 4.0, "capture_seconds": None, "side_by_side": 2}
    times = {"ready": 101.0, "load": 1.0, "run_all": 13.0, "lockstep": 0.0}
    seconds = {phase.name: phase.seconds for phase in phases(times, [run] * 2, 100.0, 15.0)}
    assert (seconds["train"], seconds["score train and test images"]) == (pytest.approx(8.0), pytest.approx(4.0))
    assert sum(seconds.values()) == pytest.approx(15.0)


def test_the_load_of_others_is_what_the_machine_did_beside_this_family(monkeypatch):
    readings = iter([(10.0, 4.0), (16.0, 5.0), (20.0, 6.0), (21.0, 7.0)])
    monkeypatch.setattr(measure, "processor_seconds", lambda: measure.ProcessorSeconds(*next(readings)))
    clock = iter([0.0, 4.0, 10.0, 11.0])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    work = measure.OtherWork()
    assert work.load is None
    for _ in range(2):
        with work.watching():
            pass
    assert work.load == 1.0  # five seconds and none, in four seconds and one


@pytest.mark.skipif(sys.platform != "linux", reason="known on Linux only")
def test_this_process_is_no_other_work():
    before = measure.processor_seconds()
    while (after := measure.processor_seconds()).family - before.family < 0.1:
        sum(range(10_000))
    assert after.machine >= before.machine + 0.05


def test_goals_are_ratios_of_figures_of_one_run(images, monkeypatch):
    monkeypatch.setattr(goals, "STEPS", 1)
    bench, _ = run.prepare(run.parser().parse_args([*TINY.split(), "--epochs", "1"]))
    whole = records.Breakdown(
        command="", seconds=5, phases=(records.Phase(name="train", seconds=3), records.Phase(name="score", seconds=2))
    )
    timed = [
        Contender(name="run-group", title="", images_per_second=spread(30.0, 20.0)),
        Contender(name="loop-tuned", title="", images_per_second=spread(20.0, 20.0)),
    ]
    measured = [*goals.measured_goals(bench, images), *goals.derived_goals(timed, whole)]
    titles = [goal.title for goal in measured]
    assert len(titles) == len(set(titles)) >= 7
    assert all(goal.ratio.low > 0 for goal in measured)
    assert measured[-2].ratio.values == (1.5, 1.0)
    assert (measured[-1].ratio.median, measured[-1].met) == (1.5, True)
    norm = next(goal for goal in measured if goal.title.startswith("bn / no norm, step in fp32"))
    assert norm.ratio.median == pytest.approx(norm.figures["bn"] / norm.figures["none"])
    assert all(f"| {goal.title} |" in table.goal_table(measured) for goal in measured)


def test_a_contender_of_another_device_is_left_out_with_the_reason():
    assert CONTENDERS["airbench"].missing(CPU) == "it trains on cuda only"
    assert CONTENDERS["loop"].missing(CPU) is None
