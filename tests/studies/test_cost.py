"""Cost: exact bytes, clocks that wait, real shapes, fair turns, and a table that follows from what was measured."""

import time
from pathlib import Path

import pytest
import torch
from helpers.cli import SMALL, normbench, refused
from helpers.recorded_graph import RecordedGraphs
from helpers.small import run_config
from torch import nn

from normbench.config import NetworkConfig, RunConfig, load_recipe
from normbench.norms import NORMS
from normbench.studies.cost import profiling
from normbench.studies.cost.measure import Bench, Measurement, _rounds, cost_configs, measure_costs, noise
from normbench.studies.cost.profiling import Spread, peak_bytes, repeatable, saved_bytes, seconds, spread
from normbench.studies.cost.tables import study_result

CPU = torch.device("cpu")
FLOAT = 4
SLOW = (
    "import time, torch\nclass Slow(torch.nn.Module):\n"
    "    def __init__(self, channels): super().__init__()\n"
    "    def forward(self, x):\n        time.sleep(0.01)\n        return x * 1.0\n"
)


def input_(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).requires_grad_()


def bench(norm: str, images: int = 4) -> Bench:
    return Bench(run_config(norm, batch_size=images), noise(images, CPU))


def costs(*norms: str, repeats: int = 1):
    return measure_costs([run_config(norm, batch_size=4) for norm in norms], CPU, repeats, lambda _: None)


def test_bytes_kept_are_those_of_what_is_kept():
    x, identity = input_(8, 6), nn.Identity()
    assert saved_bytes(lambda: torch.relu(x), identity) == 48 * FLOAT
    assert saved_bytes(lambda: (x.exp(), x.exp()), identity) == 2 * 48 * FLOAT
    assert saved_bytes(lambda: x + 1, identity) == 0


def test_memory_that_two_operations_keep_counts_once_and_parameters_not_at_all():
    x, linear = input_(8, 6), nn.Linear(6, 6)
    assert saved_bytes(lambda: (x.sin(), x.cos(), x.view(48).sin()), nn.Identity()) == 48 * FLOAT
    assert saved_bytes(lambda: linear(x), linear) == 48 * FLOAT


def test_group_norm_keeps_its_input_and_a_mean_and_a_deviation_for_each_group():
    norm, x = nn.GroupNorm(2, 4), input_(3, 4, 5, 5)
    assert saved_bytes(lambda: norm(x), norm) == (300 + 2 * 3 * 2) * FLOAT


def test_what_a_norm_adds_to_the_memory_of_a_step_is_what_its_layers_keep():
    none, bn = costs("none", "bn")
    assert (none.layers_saved, none.step_peak) == (0, None)
    assert bn.step_saved - none.step_saved == pytest.approx(bn.layers_saved, rel=0.01)


def test_there_is_no_peak_to_read_off_a_cuda_device():
    assert peak_bytes(lambda: None, CPU) is None


def test_a_clock_reads_the_time_of_the_work():
    assert 0.02 <= seconds(lambda: time.sleep(0.02), CPU) < 2


def test_on_cuda_the_clock_waits_before_and_after_the_work(monkeypatch):
    order: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            order.append("event")

        def elapsed_time(self, end: "Event") -> float:
            return 1500.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(profiling, "synchronize", lambda device: order.append("wait"))
    assert seconds(lambda: order.append("work"), torch.device("cuda")) == 1.5
    assert order == ["wait", "event", "work", "event", "wait"]


def test_median_and_quartiles():
    assert spread([5.0, 1.0, 2.0, 3.0, 100.0]) == Spread(3.0, 2.0, 5.0)


def test_the_layers_stand_at_the_shapes_and_in_the_memory_format_of_the_network():
    layers = Bench(RunConfig(norm="bn", network=NetworkConfig()), noise(128, CPU)).layers
    assert layers.shapes[0] == (128, 16, 32, 32)
    assert layers.shapes[-1] == (128, 32, 8, 8)
    assert len(layers.shapes) == 10
    assert all(layer.x.is_contiguous(memory_format=torch.channels_last) for layer in layers.layers)


def test_a_norm_that_copies_its_input_into_another_format_is_found():
    assert bench("bn").layers.keep_layout()
    assert not bench("ln-chw").layers.keep_layout()


def test_evaluating_leaves_the_layers_in_train_mode_and_their_statistics_alone():
    layers = bench("bn").layers
    before = [layer.module.running_mean.clone() for layer in layers.layers]
    layers.evaluate()
    assert all(layer.module.training for layer in layers.layers)
    after = [layer.module.running_mean for layer in layers.layers]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_timed_step_is_a_step_of_the_training():
    gn = bench("gn")
    before = [parameter.detach().clone() for parameter in gn.training.network.parameters()]
    gn.times()
    moved = [not torch.equal(a, b) for a, b in zip(before, gn.training.network.parameters(), strict=True)]
    assert all(moved)


def test_every_norm_is_first_as_often_as_any_other():
    rounds = list(_rounds(["a", "b", "c"], 6))
    assert [names[0] for names in rounds] == ["a", "b", "c"] * 2
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds)


def test_train_and_eval_differ_as_measured_where_the_registry_says_so():
    differs = {cost.norm: cost.differs for cost in costs(*NORMS)}
    assert differs == {name: info.train_eval_differ for name, info in NORMS.items()}


def test_parameters_and_buffers_are_those_of_the_norm_layers():
    none, bn, gn = costs("none", "bn", "gn")
    channels = sum(shape[1] for shape in bn.shapes)
    assert (none.parameters, none.buffers) == (0, 0)
    assert (bn.parameters, gn.parameters) == (2 * channels, 2 * channels)
    assert (bn.buffers, gn.buffers) == (2 * channels + len(bn.shapes), 0)


def test_a_slow_norm_is_seen_to_be_slow_in_every_figure(tmp_path: Path):
    (tmp_path / "slow.py").write_text(SLOW)
    none, slow = costs("none", f"{tmp_path / 'slow.py'}:Slow", repeats=3)
    assert none.ratio.median == 1
    assert slow.ratio.median > 1.5
    assert all(part.median > 10 * 0.01 for part in (slow.step, slow.forward, slow.forward_backward, slow.evaluate))
    assert slow.share > 0.3


def test_the_control_is_always_measured_and_first():
    recipe = load_recipe("baseline")
    assert [config.norm for config in cost_configs(recipe, ("bn", "gn"))] == ["none", "bn", "gn"]
    assert [config.norm for config in cost_configs(recipe, ("bn", "none"))] == ["none", "bn"]


def test_the_result_follows_from_the_figures():
    measured = costs("none", "bn", "rms", repeats=3)
    result = study_result(Measurement(tuple(measured), run_config(), CPU, 3))
    ratios, shares, _memory = result.charts
    assert ratios.ticks == ("none", "bn", "rms")
    assert ratios.lines[0].y == tuple(cost.ratio.median for cost in measured)
    for line, part in zip(shares.lines, ("forward", "backward"), strict=True):
        assert line.y == tuple(getattr(cost, part).median / cost.step.median for cost in measured)
    assert result.values["bn"]["step"]["median"] == measured[1].step.median
    assert "Train and eval mode give different outputs with bn." in result.conclusions
    assert result.tables[2].rows[1][-2] != "same" and result.tables[2].rows[2][-2] == "same"


def test_cost_keeps_its_result_and_prints_it(tmp_path: Path):
    run = ("cost", "--norms", "bn", "--set", SMALL, "--batch-size", 4, "--repeats", 1, "--out", tmp_path)
    document = normbench(*run, "--json").document
    assert set(document["values"]) == {"none", "bn"}
    assert {Path(path).name for path in document["files"]} >= {"finding.json", "report.html", "chart-step.svg"}
    short = normbench(*run, "-q")
    assert [line.split("\t")[0] for line in short.stdout.splitlines()] == ["none", "bn"]
    assert short.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--repeats", 0), ("--repeats 0",)),
        (("--norms", "bnn"), ("unknown norm 'bnn'",)),
        (("--norms", " , "), ("names nothing",)),
        (("--config", "baselin"), ("unknown recipe", "did you mean 'baseline'")),
        (("--batch-size", 0), ("--batch-size 0", "from 1")),
    ],
)
def test_wrong_input_is_answered_in_words(tmp_path: Path, arguments, words):
    refused(normbench("cost", "--out", tmp_path, *arguments), 2, *words)


def test_on_cuda_each_part_is_captured_once_and_repeated(monkeypatch):
    graphs = RecordedGraphs()
    monkeypatch.setattr("normbench.studies.cost.profiling.graphs_for", lambda _: graphs)
    layers = bench("gn").layers
    passes = layers.forward, layers.backward
    monkeypatch.setattr(layers, "forward", lambda: order.append("forward") or passes[0]())
    monkeypatch.setattr(layers, "backward", lambda outputs: order.append(len(outputs)) or passes[1](outputs))
    order = []
    forward, backward = repeatable(layers.passes(), CPU)
    assert order == ["forward", 10, "forward", 10]  # to warm up, and to be captured
    assert (graphs.captured, graphs.replayed) == (2, 0)
    forward()
    backward()
    assert (len(order), graphs.replayed) == (4, 2)


def test_parts_of_a_norm_that_makes_the_host_wait_are_timed_uncaptured(monkeypatch):
    class Waiting(RecordedGraphs):
        def watch(self, step):
            step()
            return "norm.py:7"

    done, graphs = [], Waiting()
    monkeypatch.setattr("normbench.studies.cost.profiling.graphs_for", lambda _: graphs)
    works = [lambda: done.append("first"), lambda: done.append("second")]
    assert repeatable(works, CPU) == works
    assert (done, graphs.captured) == (["first", "second"], 0)


def test_a_peak_is_what_came_on_top(monkeypatch):
    held = {"now": 500}
    for name, value in {
        "synchronize": lambda _: None,
        "reset_peak_memory_stats": lambda _: None,
        "max_memory_allocated": lambda _: held["now"],
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    assert peak_bytes(lambda: held.update(now=700), torch.device("cuda"), before=500) == 200
