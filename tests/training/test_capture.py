"""Capturability of a step in a CUDA graph, shown without a GPU.

On the meta device nothing has a number, so whatever looks at one raises there; a tensor made on the host shows among
the inputs of a kernel. What Python counts by itself is not seen.
"""

import inspect
import os
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from helpers.recorded_graph import RecordedGraphs
from helpers.small import run_config, timeless, train_epoch, weights
from torch import nn

from normbench import engine
from normbench.config import MachineConfig, NetworkConfig, RunConfig, TrainingConfig
from normbench.data import DataSet, Split
from normbench.device import resolve_device
from normbench.engine.concurrency import run_groups
from normbench.networks import IMAGE_SHAPE, NETWORKS, build
from normbench.norms import NORMS, Norm
from normbench.training import RunGroup, Training, graphs_for
from normbench.training.cuda_graph import CudaGraphs
from normbench.training.host_access import HostTensors, host_access

PLANNING = sys.modules["normbench.engine.plan"]  # the package holds the function under that name
META, CUDA = torch.device("meta"), torch.device("cuda")


def nowhere(images):
    """A data set on the meta device."""
    split = Split(
        torch.empty((images, *IMAGE_SHAPE), dtype=torch.uint8, device=META),
        torch.empty(images, dtype=torch.int64, device=META),
    )
    figure = torch.empty((3, 1, 1), device=META)
    return DataSet("nowhere", tuple("0123456789"), split, None, split, figure, figure, flips=True)


def begun(norm, monkeypatch, network=None, **settings):
    """A training on the meta device after one step, which brings momentum into being."""
    training = TrainingConfig(**({"batch_size": 16, "epochs": 2} | settings))
    config = RunConfig(norm=norm, network=network or NetworkConfig(), training=training)
    # torch has no fused SGD for meta: the foreach one stands in, which reads no learning rate that is a tensor.
    sgd = torch.optim.SGD
    monkeypatch.setattr(
        "normbench.training.optimizer.SGD",
        lambda groups, **given: sgd(
            [{**group, "lr": training.lr} for group in groups] if isinstance(groups[0], dict) else groups,
            **{**given, "fused": None, "foreach": True},
        ),
    )
    monkeypatch.setattr(Training, "_non_finite", lambda _: set())  # it reads numbers, between epochs and not in a step
    built = build(config.network, Norm.parse(norm), 10, 0).to_empty(device=META)
    result = Training(config, built, nowhere(64), capturable=False)
    result.network.train()
    result.step(*result.batches.next())
    return result


def assert_stays_on_the_device(training):
    with HostTensors() as watch:
        training.step(*training.batches.next())
    assert watch.lines == []


@pytest.mark.parametrize("norm", [*NORMS, "gn+ws", "gn+wn", "gn+cwn"])
def test_a_step_reads_no_number_and_makes_nothing_on_the_host(norm, monkeypatch):
    assert_stays_on_the_device(begun(norm, monkeypatch))


@pytest.mark.parametrize(
    "settings",
    [
        {"l1": 1e-5, "label_smoothing": 0.1},
        {"momentum": 0.0},
        {"weight_decay": 0.0, "decay_norms": False},
        *({"network": NetworkConfig(name=name)} for name in NETWORKS),
        {"network": NetworkConfig(block="depthwise", dropout=0.1)},
        {"network": NetworkConfig(block="separable", residual=False)},
        *({"network": NetworkConfig(activation=name)} for name in ("silu", "gelu", "leaky_relu", "elu", "tanh")),
    ],
    ids=str,
)
def test_nor_with_other_settings(settings, monkeypatch):
    assert_stays_on_the_device(begun("bn", monkeypatch, **settings))


@pytest.mark.parametrize("schedule", ["onecycle", "linear"])
def test_the_learning_rate_of_every_step_is_set_by_the_device(schedule, digits, monkeypatch):
    """A schedule that advances every step is part of it: nothing is left to do between steps."""
    config = run_config("bn", batch_size=16, schedule=schedule, epochs=3)
    training = Training(config, build(config.network, Norm.parse("bn")), digits, capturable=True)
    alone = Training(config, build(config.network, Norm.parse("bn")), digits, capturable=False)
    for epoch in (1, 2, 3):
        assert train_epoch(training, epoch).lr == pytest.approx(train_epoch(alone, epoch).lr, rel=1e-6)
        assert training.schedule.last_epoch == alone.schedule.last_epoch
        assert training.schedule.get_last_lr() == alone.schedule.get_last_lr()
    monkeypatch.setattr(training.schedule, "step", lambda: pytest.fail("the host sets the learning rate"))
    training.after_step()


class ReadsAnItem(nn.Module):
    def forward(self, x):
        return x / (1 + x.abs().max().item())


class AsksATensor(nn.Module):
    def forward(self, x):
        if x.mean() > 0:
            return x
        return -x


class Masks(nn.Module):
    def forward(self, x):
        x = x.clone()
        x[x > 3] = 3.0 * x[x > 3].mean()
        return x


class MakesOnTheHost(nn.Module):
    def forward(self, x):
        return x * torch.tensor([1.0, 2.0]).sum().to(x.device)


class UsesNumpy(nn.Module):
    def forward(self, x):
        return x * float(x.detach().cpu().numpy().max())


class ReadsInBackward(nn.Module):
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(_ctx, x):
            return x * 1

        @staticmethod
        def backward(_ctx, gradient):
            return gradient * gradient.max().item()

    def forward(self, x):
        return self.Function.apply(x)


READING = (ReadsAnItem, AsksATensor, Masks, MakesOnTheHost, UsesNumpy, ReadsInBackward)


def factory(module):
    """A norm of the user's own from this file."""
    return f"{__file__}:make_{module.__name__}"


for _module in READING:
    globals()[f"make_{_module.__name__}"] = lambda _channels, module=_module: module()


def make_clean(channels):
    return nn.Sequential(nn.GroupNorm(2, channels), nn.Softshrink())


def lines_of(module):
    lines, first = inspect.getsourcelines(module)
    return range(first, first + len(lines))


def network_of(norm):
    return build(run_config(norm).network, Norm.parse(norm))


@pytest.mark.parametrize("norm", [*NORMS, f"{__file__}:make_clean"])
def test_a_network_that_can_be_captured_is_not_accused(norm):
    assert host_access(network_of(norm), IMAGE_SHAPE) is None


@pytest.mark.parametrize("name", NETWORKS)
def test_no_network_is_accused(name):
    assert host_access(build(NetworkConfig(name=name), Norm.parse("bn")), IMAGE_SHAPE) is None


@pytest.mark.parametrize("module", READING)
def test_a_norm_that_reads_numbers_on_the_host_is_found_with_its_line(module):
    reason = host_access(network_of(factory(module)), IMAGE_SHAPE)
    file, line = reason.rstrip(")").rpartition("(")[2].rsplit(":", 1)
    assert Path(file).resolve() == Path(__file__).resolve()
    assert int(line) in lines_of(module)


def cuda_plan(monkeypatch, tmp_path, norms, **machine):
    monkeypatch.setattr(PLANNING, "resolve_device", lambda _: CUDA)
    configs = [run_config(norm, seed) for norm in norms for seed in (0, 1)]
    return engine.plan(configs, MachineConfig(out=tmp_path, **machine), "x")


def test_a_plan_on_cuda_warns_of_such_norms_and_leaves_the_others_captured(monkeypatch, tmp_path):
    bad = factory(ReadsAnItem)
    plan = cuda_plan(monkeypatch, tmp_path, ["bn", bad, f"{__file__}:make_clean"])
    assert plan.uncaptured == {bad}
    (warning,) = [text for text in plan.warnings if "CUDA graph" in text]
    assert f"{Path(__file__).name}:" in warning
    groups = [{folder.config.norm for folder in group} for group in run_groups(plan.folders, 31, plan.uncaptured)]
    assert groups == [{"bn", f"{__file__}:make_clean"}, {bad}]


def test_a_plan_without_captures_looks_for_none(monkeypatch, tmp_path):
    plan = cuda_plan(monkeypatch, tmp_path, [factory(ReadsAnItem)], capture=False)
    assert plan.uncaptured == frozenset()
    assert not [text for text in plan.warnings if "CUDA graph" in text]


def train(graphs, digits, warn=lambda _: None):
    config = run_config("bn", batch_size=16)
    training = Training(config, build(config.network, Norm.parse("bn")), digits, capturable=True)
    group = RunGroup([training], graphs, warn=warn)
    return [timeless(group.epoch(epoch)[0]) for epoch in (1, 2)], weights(training)


def test_a_run_whose_host_waits_in_the_last_step_of_the_warm_up_goes_on_uncaptured(digits):
    class Waiting(RecordedGraphs):
        def watch(self, step):
            step()
            return "norm.py:7"

    told, graphs = [], Waiting()
    rows, ends = train(graphs, digits, told.append)
    expected_rows, expected_ends = train(None, digits)
    assert (graphs.captured, rows) == (0, expected_rows)
    assert all(torch.equal(ends[name], tensor) for name, tensor in expected_ends.items())
    (warning,) = told
    assert "bn" in warning
    assert "norm.py:7" in warning


class PlayedStream:
    def __init__(self, log, name):
        self.log, self.name = log, name

    def wait_stream(self, other):
        self.log.append((self.name, other.name))


@pytest.fixture
def played(monkeypatch):
    """torch.cuda with streams that only keep a log, and captures that can be made to fail at their end."""

    class Cuda:
        log, mode, ends_with = [], 0, None

    @contextmanager
    def graph(_graph):
        try:
            yield
        finally:
            if Cuda.ends_with:
                raise Cuda.ends_with

    @contextmanager
    def current(_):
        yield

    names = iter(f"side {number}" for number in range(9))
    for name, value in {
        "Stream": lambda _: PlayedStream(Cuda.log, next(names)),
        "current_stream": lambda _: PlayedStream(Cuda.log, "main"),
        "stream": current,
        "device": current,
        "graph": graph,
        "CUDAGraph": type("Graph", (), {"replay": lambda _: None}),
        "synchronize": lambda _: None,
        "get_sync_debug_mode": lambda: Cuda.mode,
        "set_sync_debug_mode": lambda mode: setattr(Cuda, "mode", mode),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    Cuda.log.clear()
    return Cuda


def fail():
    raise KeyError("the norm's own")


def test_streams_are_joined_when_a_work_fails_and_its_error_is_raised(played):
    with pytest.raises(KeyError, match="the norm's own"):
        CudaGraphs(CUDA).concurrently([lambda: None, fail, lambda: None])
    assert played.log[-2:] == [("main", "side 0"), ("main", "side 1")]  # the third has not begun


@pytest.mark.parametrize("ending", [None, RuntimeError("operation failed due to a previous error during capture")])
def test_a_failed_capture_raises_the_error_of_the_step_not_that_of_its_end(ending, played):
    played.ends_with = ending
    with pytest.raises(KeyError, match="the norm's own"):
        CudaGraphs(CUDA).capture(fail)


def test_a_capture_that_only_its_end_fails_raises_that(played):
    played.ends_with = RuntimeError("unjoined")
    with pytest.raises(RuntimeError, match="unjoined"):
        CudaGraphs(CUDA).capture(lambda: None)


def test_a_watched_step_tells_the_line_of_the_first_wait_and_passes_other_warnings_on(played):
    def step():
        assert played.mode == "warn"
        warnings.warn("something else", UserWarning, stacklevel=1)
        warnings.warn_explicit("called a synchronizing CUDA operation", UserWarning, "norm.py", 7)
        warnings.warn_explicit("called a synchronizing CUDA operation", UserWarning, "norm.py", 9)

    with pytest.warns(UserWarning, match="something else") as told:
        assert CudaGraphs(CUDA).watch(step) == "norm.py:7"
    assert len(told) == 1
    assert played.mode == 0
    assert CudaGraphs(CUDA).watch(lambda: None) is None


def test_the_mode_is_restored_when_a_watched_step_fails(played):
    with pytest.raises(KeyError):
        CudaGraphs(CUDA).watch(fail)
    assert played.mode == 0


def test_hardware_queues_are_asked_for_before_cuda_starts_unless_the_user_has(monkeypatch):
    monkeypatch.delenv("CUDA_DEVICE_MAX_CONNECTIONS", raising=False)
    resolve_device("cpu")
    assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] == "32"
    monkeypatch.setenv("CUDA_DEVICE_MAX_CONNECTIONS", "4")
    resolve_device("cpu")
    assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] == "4"


def test_nothing_captures_on_a_cpu():
    assert graphs_for(torch.device("cpu")) is None
