"""Tests that need a CUDA device: a captured step is the eager one, and company changes no number."""

import dataclasses
import os
import warnings

import pytest
import torch
from helpers.callbacks import Recorder
from helpers.small import run_config, timeless, weights
from torch.profiler import ProfilerActivity, profile

from normbench import engine
from normbench.config import DataConfig, MachineConfig, NetworkConfig, TrainingConfig
from normbench.data import load
from normbench.device import autocast, float32_arithmetic
from normbench.engine.concurrency import fitting
from normbench.engine.execute import ExecutionOptions, execute
from normbench.evaluation import evaluate
from normbench.networks import NETWORKS, build, build_for
from normbench.networks.blocks import Block
from normbench.networks.stacks import StackConfig
from normbench.norms import NORMS, Norm
from normbench.randomness import deterministic
from normbench.studies.cost.measure import measure_costs, noise
from normbench.studies.depth.settings import DepthSettings
from normbench.studies.depth.training import StackTraining, train_together
from normbench.training import DivergedError, RunGroup, Training, graphs_for
from tests.engine.test_engine import SIX, folders_of, left_behind

pytestmark = pytest.mark.gpu
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
LONGEST_CAPTURE = 1.0
"""Seconds: a capture is to cost well under one."""
OWN = f"{__file__}:"


@pytest.fixture(scope="module", autouse=True)
def repeatable():
    with deterministic(True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "avg_pool3d_backward_cuda does not have a deterministic implementation")
        yield


@pytest.fixture(scope="module")
def digits():
    """Digits that are mirrored, so that every part of the augmentation is at work."""
    found = load(DataConfig(name="digits", subset=96, val_split=0.05), MachineConfig(), CUDA)
    return dataclasses.replace(found, flips=True)


@pytest.fixture(scope="module")
def photos():
    """Noise at the size of real batches, ten steps of 64."""
    return noise(640, CUDA)


def training(config, data, batches=None):
    return Training(config, build_for(config), data, batches)


def rows_and_weights(trainings, graphs, epochs=2):
    group = RunGroup(trainings, graphs)
    rows = [[outcome(row) for row in group.epoch(epoch)] for epoch in range(1, epochs + 1)]
    return rows, [weights(one) for one in trainings], group


def outcome(row):
    """Outcome of an epoch; a run that diverged, as `none` may, has to do so in the same way."""
    return str(row) if isinstance(row, DivergedError) else timeless(row)


def assert_captured_equals_eager(config, data):
    rows, (captured,), group = rows_and_weights([training(config, data)], graphs_for(CUDA))
    expected, (eager,), _ = rows_and_weights([training(config, data)], None)
    assert 0 < group.capture_seconds < LONGEST_CAPTURE
    assert rows == expected
    assert [name for name in captured if not torch.equal(captured[name].nan_to_num(), eager[name].nan_to_num())] == []


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
@pytest.mark.parametrize("norm", [*NORMS, "gn+ws", "gn+wn", "gn+cwn"])
def test_a_captured_step_gives_the_numbers_of_the_eager_one(norm, precision, digits):
    assert_captured_equals_eager(run_config(norm, batch_size=8, precision=precision, step_size=1, gamma=0.5), digits)


@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "fp32"},
        {"schedule": "onecycle"},
        {"schedule": "linear"},
        {"schedule": "plateau", "patience": 0, "lr": 1.0},
        {"schedule": "cyclic"},
        {"optimizer": "adam", "lr": 1e-3},
        {"optimizer": "adamw", "lr": 1e-3, "schedule": "linear"},
        {"l1": 1e-5, "label_smoothing": 0.1},
        {"decay_norms": False},
        {"dropout": 0.3},
    ],
    ids=str,
)
def test_so_it_does_with_other_settings(settings, digits):
    assert_captured_equals_eager(run_config("gn", **{"batch_size": 8, **settings}), digits)


@pytest.mark.parametrize("norm", ["bn", "gn", "ln"])
def test_so_it_does_at_the_real_widths_and_batch_size(norm, photos):
    config = run_config(norm, batch_size=64, lr=1e-3).model_copy(update={"network": NetworkConfig(activation="silu")})
    assert_captured_equals_eager(config, photos)


@pytest.mark.parametrize("norm", ["bn", "ln"])
@pytest.mark.parametrize("network", NETWORKS)
def test_so_it_does_in_every_network(network, norm, photos):
    config = run_config(norm, batch_size=64, lr=1e-3).model_copy(update={"network": NetworkConfig(name=network)})
    assert_captured_equals_eager(config, photos)


def test_an_epoch_on_the_device_is_that_on_the_cpu(digits):
    """Order, crops and flips: the same images to the bit."""
    here = training(run_config(batch_size=8), digits)
    there = dataclasses.replace(
        digits, train=digits.train.to(CPU), test=digits.test.to(CPU), validation=None, mean=digits.mean.cpu(),
        std=digits.std.cpu(),
    )  # fmt: skip
    others = Training(run_config(batch_size=8), build(run_config().network, Norm.parse("bn")), there)
    here.batches.start(3)
    others.batches.start(3)
    assert torch.equal(here.batches.images.cpu(), others.batches.images)
    assert torch.equal(here.batches.labels.cpu(), others.batches.labels)


def test_a_run_in_a_group_leaves_the_folder_of_a_run_alone(tmp_path):
    configs = [config.model_copy(update={"deterministic": True}) for config in SIX]
    data = load(configs[0].data, MachineConfig(), CUDA)
    together, alone = folders_of(tmp_path / "together", configs), folders_of(tmp_path / "alone", configs)
    execute(together, data, Recorder(), ExecutionOptions(graphs=graphs_for(CUDA), concurrent_runs=6))
    for folder in alone:
        execute([folder], data, Recorder(), ExecutionOptions(graphs=graphs_for(CUDA)))
    for mine, yours in zip(together, alone, strict=True):
        assert left_behind(mine.path) == left_behind(yours.path)


def run_plan(out, configs, **machine):
    plan = engine.plan(configs, MachineConfig(out=out, device="cuda", **machine), "one")
    callback = Recorder()
    return plan, engine.run_all(plan, callback), callback


def test_no_capture_gives_the_same_numbers(tmp_path):
    configs = [config.model_copy(update={"deterministic": True}) for config in SIX]
    plans = [run_plan(tmp_path / str(capture), configs, capture=capture)[0] for capture in (True, False)]
    for mine, yours in zip(plans[0].folders, plans[1].folders, strict=True):
        assert left_behind(mine.path) == left_behind(yours.path)


def test_results_name_the_precision_that_auto_means(tmp_path):
    _, results, _ = run_plan(tmp_path, SIX[:1])
    assert (results[0].status, results[0].precision) == ("done", "tf32")


class Reads(torch.nn.Module):
    """A norm that reads a number wherever it is."""

    def __init__(self, channels):
        super().__init__()
        self.inner = torch.nn.GroupNorm(2, channels)

    def forward(self, x):
        return self.inner(x) / (1 + self.seen(x))

    def seen(self, x):
        return x.detach().abs().max().item()


class ReadsOnCuda(Reads):
    """One that the meta device cannot find out."""

    def seen(self, x):
        return x.detach().abs().max().item() if x.is_cuda else 0.0


class FailsLate(Reads):
    """One that raises an error of its own in its fourth training step, which is the captured one."""

    def seen(self, x):
        self.steps = getattr(self, "steps", 0) + (self.training and x.is_cuda)
        if self.steps == 4:
            raise KeyError("an error of its own")
        return 0.0


@pytest.mark.parametrize("norm", ["Reads", "ReadsOnCuda"])
def test_a_norm_that_reads_numbers_trains_uncaptured_and_the_others_are_what_they_were(norm, tmp_path):
    configs = [
        run_config(name, batch_size=8, epochs=1).model_copy(update={"deterministic": True})
        for name in ("bn", OWN + norm, "gn")
    ]
    plan, results, callback = run_plan(tmp_path / "mixed", configs)
    assert [result.status for result in results] == ["done"] * 3
    told = [*plan.warnings, *(event[1] for event in callback.events if event[0] == "warning")]
    assert [text for text in told if "CUDA graph" in text and "test_gpu.py:" in text]
    assert results[1].capture_seconds is None
    _, alone, _ = run_plan(tmp_path / "alone", configs, capture=False)
    for mine, yours in zip(results, alone, strict=True):
        assert (mine.test_accuracy, mine.test_loss) == (yours.test_accuracy, yours.test_loss)


def test_a_norm_that_fails_in_the_capture_fails_alone_and_with_its_own_words(tmp_path):
    configs = [run_config(name, batch_size=8, epochs=1) for name in ("bn", f"{OWN}FailsLate", "gn")]
    _, results, _ = run_plan(tmp_path, configs)
    assert [result.status for result in results] == ["done", "failed", "done"]
    assert "an error of its own" in results[1].problem
    torch.cuda.empty_cache()  # the allocator is of use still
    assert torch.ones(8, device=CUDA).sum().item() == 8


def test_the_group_that_fits_is_found_from_free_memory(digits):
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
    first = rows_and_weights([training(config, digits)], graphs_for(CUDA))
    again = rows_and_weights([training(config, digits)], graphs_for(CUDA))
    assert first[0] == again[0]
    masks = []
    one = training(config, digits)
    one.network.C1.drop.register_forward_hook(lambda _, given, got: masks.append(got == 0))
    RunGroup([one], None).epoch(1)
    assert len({mask.cpu().numpy().tobytes() for mask in masks}) == len(masks) > 3


@pytest.mark.parametrize("norm", [*NORMS, "gn+ws", "gn+wn", "gn+cwn"])
def test_no_step_makes_the_host_wait(norm, digits):
    one = training(run_config(norm, batch_size=8, schedule="onecycle"), digits)
    group = RunGroup([one], None)
    one.batches.start(1)
    one.begin(1)
    for _ in range(3):
        group._advance()
    torch.cuda.set_sync_debug_mode("error")
    try:
        group._advance()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_fp32_is_ieee_float32_and_tf32_rounds_the_inputs_of_matrix_products():
    """In convolutions TF32 is allowed, and cuDNN may still choose a float32 kernel, as an H200 did at this shape."""
    chance = torch.Generator().manual_seed(0)
    x, w = torch.randn(8, 32, 16, 16, generator=chance).to(CUDA), torch.randn(32, 32, 3, 3, generator=chance).to(CUDA)
    a, b = torch.randn(2, 512, 512, generator=chance).to(CUDA)
    errors = {}
    for setting in ("fp32", "tf32"):
        with float32_arithmetic(CUDA, setting):
            found = torch.conv2d(x, w), a @ b
        exact = torch.conv2d(x.double(), w.double()), a.double() @ b.double()
        errors[setting] = [((f - e).abs().max() / e.abs().max()).item() for f, e in zip(found, exact, strict=True)]
    assert max(errors["fp32"]) < 2e-6
    assert errors["tf32"][0] < 5e-3
    assert 2e-5 < errors["tf32"][1] < 5e-3


@pytest.mark.parametrize("norm", [*NORMS, "gn+ws", "gn+wn", "gn+cwn"])
def test_under_autocast_every_norm_gives_bfloat16_and_computes_in_float32(norm):
    network = build(run_config(norm).network, Norm.parse(norm)).to(CUDA)
    inside, outside = set(), set()
    for block in (module for module in network.modules() if isinstance(module, Block)):
        block.get_submodule("norm").register_forward_hook(lambda _, given, got: inside.add((given[0].dtype, got.dtype)))
        block.get_submodule("act").register_forward_pre_hook(lambda _, given: outside.add(given[0].dtype))
    with autocast(CUDA, "bf16"):
        network(torch.zeros(2, 3, 32, 32, device=CUDA))
    assert outside == {torch.bfloat16}
    assert inside == ({(torch.bfloat16, torch.bfloat16)} if norm == "none" else {(torch.float32, torch.float32)})


def test_scores_depend_on_no_batch_size_but_for_rounding(digits):
    network = training(run_config("gn"), digits).network
    large, small = (evaluate(network, digits.test, digits, "fp32", size) for size in (None, 40))
    assert large.loss == pytest.approx(small.loss, rel=1e-5)
    assert large.accuracy == pytest.approx(small.accuracy, abs=1 / len(digits.test))


def test_a_captured_step_is_one_launch_of_the_kernels_of_the_eager_one(photos):
    """And no more of them: what the host adds around a replay is nothing."""

    def kernels(graphs):
        one = training(run_config("bn", batch_size=64), photos)
        group = RunGroup([one], graphs)
        one.batches.start(1)
        one.begin(1)
        for _ in range(4):
            group._advance()
        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
            group._advance()
            torch.cuda.synchronize()
        events = profiled.events()
        launches = sum(event.name.startswith(("cudaLaunch", "cudaGraphLaunch", "cuLaunch")) for event in events)
        return sum("CUDA" in str(event.device_type) for event in events), launches

    (eager, _), (captured, launches) = kernels(None), kernels(graphs_for(CUDA))
    assert captured <= eager + 2
    assert launches <= 3  # the graph, and what torch tells it of its random numbers


def test_costs_are_taken_of_the_device_and_not_of_the_host():
    """The control has no norm layers to compute: what remains of them must be next to nothing."""
    configs = [
        config.model_copy(update={"training": TrainingConfig(batch_size=64)})
        for config in (run_config("none"), run_config("bn"))
    ]
    costs = {cost.norm: cost for cost in measure_costs(configs, CUDA, 3, lambda _: None)}
    assert costs["bn"].forward.median > 3 * costs["none"].forward.median
    assert costs["bn"].step.median > costs["none"].step.median
    assert costs["bn"].step_peak < 200 * 2**20


def test_stacks_of_the_study_of_depth_share_their_captured_steps_and_keep_their_numbers(digits):
    config = DepthSettings(epochs=3, batch_size=16, lrs=(0.01, 0.05))
    jobs = [
        StackTraining(StackConfig(kind, 3, 16), Norm.parse(norm), seed)
        for kind in ("mlp", "conv")
        for norm in ("bn", "ln-c")
        for seed in (0, 1)
    ]
    captured = dict(train_together(jobs, digits, config, graphs_for(CUDA), 31))
    assert captured == dict(train_together(jobs, digits, config, None, 1))


def test_hardware_queues_were_asked_for_in_time(tmp_path):
    run_plan(tmp_path, SIX[:1])
    assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"]
