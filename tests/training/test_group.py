"""Run groups and captured steps: a run's numbers are the same alone and in company, sent anew and repeated."""

import copy
from contextlib import contextmanager
from dataclasses import replace
from typing import get_args

import pytest
import torch
from helpers.recorded_graph import RecordedGraphs, Recording
from helpers.small import run_config, start, timeless, train_epoch, weights
from torch import nn

from normbench.config.settings import Optimizer, Schedule
from normbench.networks import build, build_for
from normbench.networks.blocks import Block
from normbench.norms import NORMS, Norm
from normbench.studies.cost.profiling import saved_bytes
from normbench.training import DivergedError, RunGroup, Training
from normbench.training.cuda_graph import CudaGraphs


def capturable(config, digits, batches=None):
    network = build_for(config)
    return Training(config, network, digits, batches, capturable=True)


def train(trainings, graphs=None, epochs=2):
    """The rows of each run, by epoch, and its weights at the end."""
    group = RunGroup(trainings, graphs)
    rows = [[timeless(row) for row in group.epoch(epoch)] for epoch in range(1, epochs + 1)]
    return list(zip(*rows, strict=True)), [weights(training) for training in trainings], group


def assert_same(some, others):
    assert some[0] == others[0]
    for mine, yours in zip(some[1], others[1], strict=True):
        assert [name for name in mine if not torch.equal(mine[name], yours[name])] == []


def without_validation(data):
    return replace(data, validation=None)


@pytest.mark.parametrize("norm", [*NORMS, "gn+ws", "gn+wn", "gn+cwn"])
def test_a_captured_step_gives_the_numbers_of_the_eager_one(norm, digits):
    config = run_config(norm, batch_size=8, gamma=0.5, step_size=1)
    graphs = RecordedGraphs()
    assert_same(train([capturable(config, digits)], graphs), train([capturable(config, digits)]))
    assert graphs.captured == 1
    assert graphs.replayed == 2 * 12 - 3  # all steps of two epochs but those of the warm-up


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_a_captured_step_follows_the_schedule(schedule, optimizer, digits):
    lr = 0.05 if optimizer == "sgd" else 1e-3
    settings = {"step_size": 1, "patience": 0, "cycles": 1, "optimizer": optimizer, "lr": lr}
    config = run_config("gn", batch_size=16, schedule=schedule, epochs=3, **settings)
    captured = train([capturable(config, digits)], RecordedGraphs(), epochs=3)
    assert_same(captured, train([capturable(config, digits)], epochs=3))
    rates = {row["lr"] for row in captured[0][0]}
    # The loss decides on a plateau; a cycle is as far up after a third as after two.
    assert schedule == "plateau" or len(rates) == {"constant": 1, "cyclic": 2}.get(schedule, 3)


def test_a_captured_step_follows_a_rate_that_the_loss_has_lowered(digits):
    """No loss is lower than one of 0."""
    config = run_config("gn", batch_size=16, schedule="plateau", patience=0, gamma=0.5, epochs=3)
    ends = []
    for graphs in (RecordedGraphs(), None):
        training = capturable(config, digits)
        training.schedule.best = 0.0
        ends.append(train([training], graphs, epochs=3))
    assert_same(*ends)
    assert [row["lr"] for row in ends[0][0][0]] == pytest.approx([0.05, 0.025, 0.0125])


def test_a_capture_does_nothing_by_itself(digits):
    training = capturable(run_config(batch_size=8), digits)
    group = RunGroup([training], RecordedGraphs())
    training.batches.start(1)
    training.begin(1)
    for _ in range(3):
        group._advance()
    before, index = weights(training), training.batches.index.item()
    group._captured(group.graphs)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(training).items())
    assert training.batches.index.item() == index


def test_a_run_has_the_same_numbers_in_a_group_as_alone(digits):
    configs = [run_config(norm, seed, batch_size=16) for norm in ("bn", "gn", "rms") for seed in (0, 1)]
    alone = [train([capturable(config, digits)]) for config in configs]
    batches = {}
    group = []
    for config in configs:
        group.append(capturable(config, digits, batches.get(config.seed)))
        batches[config.seed] = group[-1].batches
    rows, ends, _ = train(group, RecordedGraphs())
    for place, (own_rows, own_ends, _) in enumerate(alone):
        assert_same(([rows[place]], [ends[place]]), (own_rows, own_ends))


def test_runs_of_one_seed_draw_each_batch_once(digits, monkeypatch):
    first = capturable(run_config("bn", batch_size=16), digits)
    second = capturable(run_config("gn", batch_size=16), digits, first.batches)
    drawn = []
    draw = first.batches.next
    monkeypatch.setattr(first.batches, "next", lambda: drawn.append(1) or draw())
    train([first, second], epochs=1)
    assert len(drawn) == len(first.batches)


def test_a_member_that_diverges_leaves_the_others_alone(digits):
    lost = capturable(run_config("none", lr=1e8), digits)
    kept = capturable(run_config("gn", lr=0.05), digits, lost.batches)
    diverged, row = RunGroup([lost, kept]).epoch(1)
    assert isinstance(diverged, DivergedError)
    assert timeless(row) == timeless(train_epoch(capturable(run_config("gn", lr=0.05), digits), 1))


def test_what_python_computes_in_a_step_is_frozen_by_the_capture(digits):
    """The rule that a norm has to keep, shown by one that breaks it: the stand-in must not hide it."""

    class Counting(nn.Module):
        calls = 0

        def forward(self, x):
            Counting.calls += 1
            return x * (1 + Counting.calls)

    training = capturable(run_config("none", batch_size=8, lr=1e-30), without_validation(digits))
    training.network.C1.norm = Counting()
    train([training], RecordedGraphs(), epochs=1)
    assert Counting.calls == 4  # the warm-up and the capture; the replays call no Python


def test_a_captured_step_follows_the_schedule_in_every_group_of_parameters(digits):
    config = run_config("gn", batch_size=16, epochs=3, step_size=1, weight_decay=0.1, decay_norms=False)
    assert_same(
        train([capturable(config, digits)], RecordedGraphs(), epochs=3), train([capturable(config, digits)], epochs=3)
    )


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
def test_the_state_of_a_captured_run_goes_on_uncaptured_and_back(optimizer, digits):
    config = run_config("bn", batch_size=16, epochs=3, step_size=1, optimizer=optimizer)
    whole = train([capturable(config, digits)], epochs=3)
    begun = capturable(config, digits)
    RunGroup([begun], RecordedGraphs()).epoch(1)
    resumed = capturable(config, digits)
    resumed.load_state(begun.state())
    group = RunGroup([resumed], RecordedGraphs())
    rows = [timeless(group.epoch(epoch)[0]) for epoch in (2, 3)]
    assert rows == list(whole[0][0])[1:]
    assert all(torch.equal(tensor, whole[1][0][name]) for name, tensor in weights(resumed).items())


def test_a_state_may_move_between_devices_with_and_without_capture(digits):
    config = run_config("bn", batch_size=16, epochs=3, step_size=1)
    plain = Training(config, build(config.network, Norm.parse("bn"), 10, 0), digits)
    train_epoch(plain, 1)
    moved = capturable(config, digits)
    moved.load_state(plain.state())
    assert moved.lr == pytest.approx(plain.lr, rel=1e-6)
    assert torch.is_tensor(moved.optimizer.param_groups[0]["lr"])
    back = Training(config, build(config.network, Norm.parse("bn"), 10, 0), digits)
    back.load_state(moved.state())
    assert isinstance(back.optimizer.param_groups[0]["lr"], float)
    assert not back.optimizer.param_groups[0]["fused"]


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adams_way_to_compute_is_that_of_the_device_that_goes_on(optimizer, digits):
    """A captured step of it raises unless its groups are capturable, and its count of steps is on the device."""
    config = run_config("bn", batch_size=16, epochs=3, step_size=1, optimizer=optimizer)
    plain, moved = start(config, digits), capturable(config, digits)
    train_epoch(plain, 1)
    moved.load_state(copy.deepcopy(plain.state()))
    back = start(config, digits)
    back.load_state(copy.deepcopy(moved.state()))
    for training, captured in ((moved, True), (back, False)):
        (group,) = training.optimizer.param_groups
        assert (bool(group["fused"]), group["capturable"]) == (captured, captured)
        group["lr"] = plain.optimizer.param_groups[0]["lr"]  # a tensor's rate has the digits of float32
    assert timeless(train_epoch(back, 2)) == timeless(train_epoch(plain, 2))


def test_a_group_asks_before_each_step_whether_to_go_on(digits):
    class Enough(Exception):
        pass

    asked = []

    def interrupted():
        asked.append(1)
        if len(asked) == 3:
            raise Enough

    with pytest.raises(Enough):
        RunGroup([capturable(run_config(batch_size=8), digits)], interrupted=interrupted).epoch(1)


@pytest.mark.parametrize("norm", [*NORMS, "gn+ws", "gn+wn", "gn+cwn"])
def test_the_host_reads_no_single_number_in_an_epoch(norm, digits):
    """Every read makes a GPU wait: `.item()`, `float()` and `.tolist()` are all one of these two kernels."""
    network = build(run_config().network, Norm.parse(norm))
    training = Training(run_config(norm, batch_size=32), network, without_validation(digits))
    train_epoch(training, 1)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        train_epoch(training, 2)
    reads = {event.key: event.count for event in profile.key_averages()}
    assert reads.get("aten::_local_scalar_dense", 0) == 0


@pytest.mark.parametrize("norm", ["bn", "gn", "ln"])
def test_a_step_has_no_more_kernels_than_its_layers_need(norm, digits):
    """Work that a GPU launches and a CPU allocates for: forward and backward of each layer, one update, one batch."""
    training = capturable(run_config(norm, batch_size=8), digits)
    training.batches.start(1)
    training.step(*training.batches.next())
    with Recording() as recording:
        training.step(*training.batches.next())
    blocks = sum(isinstance(module, Block) for module in training.network.modules())
    residuals, pools = 2 * 2, 2 * 2
    of_layers = blocks * (2 + 2 + 2) + residuals + pools
    counters = blocks * (norm == "bn")  # BatchNorm counts its batches
    # The classifier, the average over the map, the loss, the totals and the batch take what is left.
    assert sum(not is_bookkeeping(kernel) for kernel, *_ in recording.kernels) <= of_layers + counters + 36


@pytest.mark.parametrize("norm", ["bn", "gn", "ln"])
def test_a_step_keeps_no_more_for_its_backward_pass_than_the_maps_between_its_layers(norm, digits):
    training = Training(run_config(norm, batch_size=8), build(run_config().network, Norm.parse(norm)), digits)
    images, labels = next(training.batches.epoch(1))
    maps = [images]
    for module in training.network.modules():
        if isinstance(module, Block | nn.Conv2d | nn.BatchNorm2d | nn.GroupNorm | nn.AdaptiveAvgPool2d):
            module.register_forward_hook(lambda _module, _given, output: maps.append(output))
        if isinstance(module, nn.MaxPool2d):  # the place of each maximum, in int64
            module.register_forward_hook(lambda _module, _given, output: maps.extend([output, output, output]))
    kept = saved_bytes(lambda: nn.functional.cross_entropy(training.network(images), labels), training.network)
    size = sum(of_map.nbytes for of_map in maps)
    assert 0.5 * size < kept <= 1.05 * size


def is_bookkeeping(kernel):
    """Test whether a kernel only names memory, or copies a gradient because the recording holds on to it."""
    name = kernel._schema.name.removeprefix("aten::")
    views = {"view", "select", "detach", "expand", "as_strided", "as_strided_", "squeeze", "unsqueeze", "permute"}
    return name in views | {"empty", "new_empty_strided", "copy_", "t", "transpose", "alias"} or "profiler" in name


class PlayedCuda:
    """torch.cuda's streams and graphs, as far as `CudaGraphs` uses them: takes down what is called on which stream."""

    def __init__(self):
        self.told, self.made = [], 0
        self.on = ["main"]

    def Stream(self, _device):
        self.made += 1
        return PlayedStream(self, f"side {self.made}")

    def current_stream(self, _device):
        return PlayedStream(self, self.on[-1])

    @contextmanager
    def stream(self, stream):
        self.on.append(stream.name)
        yield
        self.on.pop()


class PlayedStream:
    def __init__(self, cuda, name):
        self.cuda, self.name = cuda, name

    def wait_stream(self, other):
        self.cuda.told.append((self.name, "waits for", other.name))


def test_each_concurrent_work_has_a_stream_that_starts_after_the_others_and_is_waited_for(monkeypatch):
    cuda = PlayedCuda()
    for name in ("Stream", "current_stream", "stream"):
        monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
    graphs = CudaGraphs(torch.device("cuda"))
    works = [lambda n=n: cuda.told.append((cuda.on[-1], "does", n)) for n in ("first", "second")]
    graphs.concurrently(works)
    names = [stream.name for stream in graphs.streams]
    for name, work in zip(names, ("first", "second"), strict=True):
        begins, does = cuda.told.index((name, "waits for", "main")), cuda.told.index((name, "does", work))
        joins = cuda.told.index(("main", "waits for", name))
        assert begins < does < joins
    assert cuda.told[-2:] == [("main", "waits for", name) for name in names]  # no work waits for another one
    graphs.concurrently(works[:1])
    assert len(graphs.streams) == 2  # they are kept: what was captured runs on them
