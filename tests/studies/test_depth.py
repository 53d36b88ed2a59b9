"""Depth: published figures, definitions of the figures, norms that are left out, and sentences made from them."""

import dataclasses
from math import atanh, sqrt
from pathlib import Path
from statistics import fmean

import pytest
import torch
from helpers.cli import normbench, refused
from helpers.recorded_graph import RecordedGraphs
from torch import nn

from normbench import data
from normbench.config import DataConfig, MachineConfig
from normbench.errors import USAGE, UsageError
from normbench.networks.stacks import StackConfig, build_stack, weights
from normbench.norms import Norm
from normbench.studies.depth import training as depth_training
from normbench.studies.depth.demonstration import (
    PRINTED_NETWORKS,
    PrintedNetwork,
    build,
    output_norms,
    prediction_interval,
)
from normbench.studies.depth.measure import (
    Measurement,
    Variant,
    VariantResult,
    measure_depth,
    reason_to_leave_out,
)
from normbench.studies.depth.sentences import conclusions, learning_depths
from normbench.studies.depth.settings import DepthSettings
from normbench.studies.depth.signal import (
    Signal,
    _cosine_similarity,
    _output_input_labels,
    _saturation,
    measure_signal,
)
from normbench.studies.depth.tables import study_result
from normbench.studies.depth.training import StackTraining, TrainedStack, train_stack, train_together

CPU = torch.device("cpu")


def short(*lrs: float) -> DepthSettings:
    return DepthSettings(epochs=3, batch_size=64, lrs=lrs)


@pytest.fixture(scope="module")
def digits() -> data.DataSet:
    return data.load(DataConfig(name="digits", val_split=0.1), MachineConfig(), CPU)


@pytest.fixture(scope="module")
def few_digits() -> data.DataSet:
    return data.load(DataConfig(name="digits", subset=256, val_split=0.1), MachineConfig(), CPU)


def published(norm: str, position: str = "pre") -> list[float]:
    """Output norms of an MLP of width 512 after 0 to 29 hidden layers, mean over three seeds."""
    config = StackConfig("mlp", 29, 512, position)
    by_seed = [measure_signal(config, Norm.parse(norm), seed, CPU).output_norms for seed in range(3)]
    return [fmean(norms) for norms in zip(*by_seed, strict=True)]


def test_without_a_norm_the_output_vanishes_as_published():
    norms = published("none")
    assert norms[0] == pytest.approx(12, rel=0.15)
    assert norms[9] == pytest.approx(0.005, rel=0.35)
    assert norms[0] == pytest.approx(sqrt(512 / 3), rel=0.01)
    assert norms[9] == pytest.approx(sqrt(512 / 3) * 6**-4.5, rel=0.2)


@pytest.mark.parametrize("norm", ["bn", "ln"])
@pytest.mark.parametrize(("position", "about", "expected"), [("pre", 5, sqrt(512 / 18)), ("post", 9, sqrt(512 / 6))])
def test_with_a_norm_the_output_keeps_its_size_as_published(norm, position, about, expected):
    norms = published(norm, position)[1:]
    assert norms == pytest.approx([about] * 29, rel=0.15)
    assert norms == pytest.approx([expected] * 29, rel=0.07)


@pytest.mark.parametrize("position", ["pre", "post"])
def test_a_stack_is_the_network_that_it_says_it_is(position):
    stack = build_stack(StackConfig("mlp", 3, 16, position), Norm.parse("bn"))
    plain = []
    for layer in stack.layers:
        linear, norm = nn.Linear(16, 16, bias=False), nn.BatchNorm1d(16, affine=False)
        linear.load_state_dict(layer.weights.state_dict())
        plain += [norm, linear, nn.ReLU()] if position == "pre" else [linear, norm, nn.ReLU()]
    x = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(nn.Sequential(*stack.layers)(x), nn.Sequential(*plain)(x))


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_every_norm_and_depth_starts_from_the_same_weights(kind):
    short = build_stack(StackConfig(kind, 2, 8, "pre", side=4), Norm.parse("none"), seed=3)
    long = build_stack(StackConfig(kind, 5, 8, "post", side=4), Norm.parse("gn"), seed=3)
    for a, b in zip(short.layers, long.layers, strict=False):
        assert torch.equal(a.weights.weight, b.weights.weight)
    assert torch.equal(next(short.stem.parameters()), next(long.stem.parameters()))


@pytest.mark.parametrize("kind", ["mlp", "conv"])
@pytest.mark.parametrize("position", ["pre", "post"])
@pytest.mark.parametrize(
    ("norm", "biased"), [("none", True), ("lrn", True), ("bn", False), ("ln", False), ("rms", False)]
)
def test_layers_whose_norm_adds_no_shift_have_a_bias_of_zeros(kind, position, norm, biased):
    stack = build_stack(StackConfig(kind, 2, 8, position, side=4), Norm.parse(norm))
    for layer in stack.layers:
        assert (layer.weights.bias is not None) == biased
        assert not biased or not layer.weights.bias.any()
        assert {id(p) for p in layer.norm_parameters()} == {id(p) for p in layer.parameters()} - {
            id(layer.weights.weight)
        }


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_an_image_goes_through_every_layer_of_a_stack(kind):
    stack = build_stack(StackConfig(kind, 4, 8, side=4), Norm.parse("ln-chw"))
    passed = []
    for layer in stack.layers:
        layer.register_forward_hook(lambda module, inputs, output: passed.append(tuple(output.shape)))
    assert stack(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    assert passed == [(2, 8) if kind == "mlp" else (2, 8, 4, 4)] * 4


def test_the_gradient_norms_are_those_of_the_loss_by_each_layers_weights():
    config, norm = StackConfig("mlp", 2, 8, activation="tanh"), Norm.parse("ln")
    _, x, labels = _output_input_labels(config, norm, 0, CPU)
    stack = build_stack(config, norm).double()
    weight, gradient = stack.layers[0].weights.weight, torch.zeros(64, dtype=torch.float64)

    def loss(index: int, step: float) -> float:
        with torch.no_grad():
            weight.view(-1)[index] += step
            y = nn.Sequential(*stack.layers)(x.double())
            weight.view(-1)[index] -= step
            return nn.functional.cross_entropy(stack.classify(y), labels).item()

    for index in range(64):
        gradient[index] = (loss(index, 1e-4) - loss(index, -1e-4)) / 2e-4
    assert measure_signal(config, norm, 0, CPU).gradient_norms[0] == pytest.approx(gradient.norm().item(), rel=1e-4)


def test_a_unit_is_dead_if_saturated_for_the_whole_batch_and_a_value_is_saturated_if_its_derivative_is_small():
    before = torch.tensor([[-1.0, 1.0], [-2.0, -1.0]])
    assert _saturation(nn.ReLU(), before) == (0.5, 0.75)
    edge = torch.tensor([[atanh(0.971), atanh(0.969)], [-atanh(0.971), 0.0]])
    assert _saturation(nn.Tanh(), edge) == (0.5, 0.5)


def test_a_unit_of_a_map_is_its_channel():
    before = -torch.ones(2, 2, 3, 3)
    before[1, 1, 2, 2] = 1.0
    assert _saturation(nn.ReLU(), before) == (0.5, pytest.approx(35 / 36))


def test_cosine_similarity_is_that_of_different_inputs_whatever_their_size():
    assert _cosine_similarity(torch.tensor([[1.0, 1.0], [2.0, 2.0], [1e-30, 1e-30]])) == pytest.approx(1)
    assert _cosine_similarity(torch.eye(3)) == pytest.approx(0)
    assert _cosine_similarity(torch.tensor([[1.0, 0.0], [-3.0, 0.0]])) == pytest.approx(-1)


def test_deep_layers_make_outputs_similar_after_ln_but_not_after_bn():
    config = StackConfig("mlp", 20, 128, "post")
    bn, ln = (measure_signal(config, Norm.parse(norm), 0, CPU).cosine_similarity[-1] for norm in ("bn", "ln"))
    assert bn < 0.5
    assert ln > 0.85


def test_weights_drawn_for_relu_keep_the_signal_without_a_norm():
    config = StackConfig("mlp", 10, 256, init="kaiming")
    norms = measure_signal(config, Norm.parse("none"), 0, CPU).output_norms
    assert norms[10] > norms[0] / 3


def variant(norm: str, kind: str = "mlp") -> Variant:
    return Variant(kind, "pre", Norm.parse(norm))


def test_norms_without_meaning_on_vectors_are_left_out_of_the_mlp_only(tmp_path: Path):
    zero = tmp_path / "zero.py"
    zero.write_text(
        "import torch\nclass Zero(torch.nn.Module):\n"
        "    def __init__(self, channels): super().__init__()\n"
        "    def forward(self, x): return x - x.mean((2, 3), keepdim=True)\n"
    )
    assert "one value" in reason_to_leave_out(variant("in"), CPU)
    assert "convolutions" in reason_to_leave_out(variant("bn+ws"), CPU)
    assert "leaves nothing" in reason_to_leave_out(variant(f"{zero}:Zero"), CPU)
    assert [
        reason_to_leave_out(variant(norm), CPU) for norm in ("bn", "gn", "ln", "ln-c", "ln-chw", "rms", "lrn", "none")
    ] == [None] * 8
    assert reason_to_leave_out(variant("in", "conv"), CPU) is None


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ("None", "returns NoneType, not a tensor"),
        ("(x, x)", "returns tuple, not a tensor"),
        ("x[:, :1]", "changes the shape: "),
        ("x if x.shape[2] == 1 else None", "returns NoneType, not a tensor"),
    ],
)
def test_a_norm_that_gives_no_tensor_of_its_shape_is_refused_in_words(tmp_path: Path, output: str, problem: str):
    file = tmp_path / "wrong.py"
    file.write_text(
        "import torch\nclass Wrong(torch.nn.Module):\n"
        "    def __init__(self, channels): super().__init__()\n"
        f"    def forward(self, x): return {output}\n"
    )
    answer = normbench("depth", "--norms", f"none,{file}:Wrong", "--no-train", "--depth", 3, "--out", tmp_path / "out")
    refused(answer, USAGE, f"wrong.py:Wrong' {problem}", "A norm maps")
    assert "signal" not in answer.stderr


def test_bn_learns_at_a_depth_at_which_nothing_is_learned_without_a_norm(digits):
    deep = StackConfig("mlp", 12, 64)
    plain = train_stack(deep, Norm.parse("none"), digits, short(0.03), seed=0)
    normed = train_stack(deep, Norm.parse("bn"), digits, short(0.03), seed=0)
    assert plain.test_accuracy < 0.2
    assert normed.test_accuracy > 0.7


def test_validation_images_choose_the_rate_and_the_test_images_are_read_with_it_alone(digits, monkeypatch):
    read = []
    score = depth_training.evaluate

    def counted(network, split, *others):
        read.append(split is digits.test)
        return score(network, split, *others)

    monkeypatch.setattr(depth_training, "evaluate", counted)
    config, norm = StackConfig("mlp", 1, 32), Norm.parse("bn")
    trained = train_stack(config, norm, digits, short(1e-6, 0.05), seed=0)
    assert (trained.lr, read) == (0.05, [True])
    assert trained == train_stack(config, norm, digits, short(0.05), seed=0)


@pytest.mark.parametrize(
    ("at_once", "graphs", "third"),
    [(1, None, "none"), (31, None, f"{__file__}:make_noisy"), (7, RecordedGraphs(), "none")],
)
def test_stacks_trained_together_are_those_trained_alone(few_digits, at_once, graphs, third):
    """As on CUDA, where all rates of several stacks share their steps; one that draws numbers trains by itself."""
    jobs = [
        StackTraining(StackConfig("mlp", depth, 16), Norm.parse(name), seed)
        for depth in (1, 2)
        for name in ("bn", "ln-c", third)
        for seed in (0, 1)
    ]
    config = short(1e20, 0.01, 0.05)
    together = dict(train_together(jobs, few_digits, config, graphs, at_once))
    alone = {job: train_stack(job.stack, job.norm, few_digits, config, seed=job.seed) for job in jobs}
    assert together == alone
    assert all(trained.diverged == (1e20,) for trained in together.values() if trained is not None)


class Noisy(torch.nn.Module):
    """A norm that draws random numbers while it trains."""

    def __init__(self, channels):
        super().__init__()
        self.inner = torch.nn.BatchNorm2d(channels)

    def forward(self, x):
        y = self.inner(x)
        return y + 0.01 * torch.randn_like(y) if self.training else y


def make_noisy(channels):
    return Noisy(channels)


def test_a_rate_that_diverges_is_noted_and_no_rate_left_is_none(digits):
    config, norm = StackConfig("mlp", 1, 16), Norm.parse("none")
    assert train_stack(config, norm, digits, short(1e20), seed=0) is None
    assert train_stack(config, norm, digits, short(1e20, 0.01), seed=0).diverged == (1e20,)


def result(norm: str, output: float, gradient: float, cosine: float, accuracies: dict[int, float]) -> VariantResult:
    """A variant whose figures over two layers go from 8 to `output`, and from `gradient` to 1."""
    signal = Signal((9.0, 8.0, output), (gradient, 1.0), (0.0, 0.25), (0.5, 0.5), (0.3, cosine))
    trained = {depth: (TrainedStack(depth, 0.1, accuracy, accuracy, ()),) for depth, accuracy in accuracies.items()}
    return VariantResult(Variant("mlp", "post", Norm.parse(norm)), signal, trained)


def test_the_conclusions_follow_from_the_figures(digits):
    results = (
        result("none", 1e-5, 2.0, 0.99, {1: 0.9, 5: 0.1}),
        result("bn", 7.0, 300.0, 0.3, {1: 0.9, 5: 0.5}),
    )
    settings = DepthSettings(norms=("none", "bn"), depth=5)
    text = " ".join(conclusions(Measurement(settings, results, digits, (), CPU)))
    for part in (
        "goes from 8 after the first hidden layer to 1e-05 after number 5 without a norm",
        "stays between 7 and 8 with bn post",
        "grows towards the first layer with bn post (300 times that of the last)",
        "keeps its size without a norm (first layer: 2)",
        "are similar without a norm (cosine 0.99), and stay apart with bn post (cosine 0.3)",
        "dead units: 25 % without a norm",
        "1 without a norm, 5 with bn post",
    ):
        assert part in text


def test_nothing_learns_where_all_stay_at_chance():
    at_chance = [result("none", 1.0, 1.0, 0.5, {1: 0.1, 5: 0.1})]
    assert learning_depths(at_chance, (1, 5)) == {"none": ()}


def test_a_training_whose_every_rate_diverged_counts_as_chance():
    bn = result("bn", 1.0, 1.0, 0.5, {1: 0.9, 5: 0.9})
    bn = dataclasses.replace(bn, trained=bn.trained | {5: (None,)})
    assert learning_depths([bn], (1, 5)) == {"bn post": (1,)}


def test_the_result_has_a_row_a_line_and_figures_for_every_norm_and_position(digits):
    settings = DepthSettings(norms=("none", "in"), width=16, depth=2, epochs=1, lrs=(0.01,))
    laid_out = study_result(measure_depth(settings, CPU, digits, lambda _: None))
    assert [row[0] for row in laid_out.tables[2].rows] == ["none", "in pre", "in post"]
    assert [table.title.split(":")[0] for table in laid_out.tables] == ["mlp", "mlp", "conv", "conv"]
    accuracy = next(chart for chart in laid_out.charts if chart.name == "conv-accuracy")
    assert [line.label for line in accuracy.lines] == ["none", "in pre", "in post"]
    assert accuracy.lines[1].x == (1, 2)
    row = laid_out.values["conv"]["in pre"]["trained"]["2"][0]
    assert accuracy.lines[1].y[1] == row["test_accuracy"]
    assert len(laid_out.values["mlp"]["none"]["output_norms"]) == 3
    assert "left out of the mlp" in laid_out.warnings[0]


def test_several_seeds_give_means_and_bands(digits):
    settings = DepthSettings(norms=("none",), width=16, depth=1, epochs=1, lrs=(0.01,), seeds=2)
    measurement = measure_depth(settings, CPU, digits, lambda _: None)
    line = next(chart for chart in study_result(measurement).charts if chart.name == "mlp-accuracy").lines[0]
    accuracies = [run.test_accuracy for run in measurement.results[0].trained[1]]
    assert line.y[0] == pytest.approx(fmean(accuracies))
    assert line.low[0] <= min(accuracies) <= max(accuracies) <= line.high[0]
    signals = [measure_signal(StackConfig("mlp", 1, 16, "pre", side=4), Norm.parse("none"), s, CPU) for s in (0, 1)]
    assert measurement.results[0].signal.output_norms[1] == pytest.approx(fmean(s.output_norms[1] for s in signals))


def depth(out: Path, *arguments: object, **variables: str):
    return normbench("depth", "--out", out, "--width", 16, "--depth", 3, *arguments, **variables)


def test_depth_keeps_its_result_a_report_and_plots(tmp_path: Path):
    answer = depth(tmp_path, "--no-train", "--norms", "none,bn", "--json")
    assert answer.code == 0
    assert set(answer.document["values"]["mlp"]) == {"none", "bn pre", "bn post"}
    assert answer.document["values"]["mlp"]["none"]["trained"] == {}
    assert (tmp_path / "depth" / "finding.json").is_file()
    assert "mlp: the norm of the output" in (tmp_path / "depth" / "report.html").read_text()
    assert (tmp_path / "depth" / "plots" / "chart-mlp-activation.png").is_file()


def test_depth_warns_of_norms_left_out_and_quiet_prints_a_line_per_norm(tmp_path: Path):
    answer = depth(tmp_path, "--no-train", "--norms", "none,in", "-q")
    assert [line.split("\t")[0] for line in answer.stdout.splitlines()] == ["none"]
    assert answer.stderr.startswith("warning: in is left out of the mlp") and answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--norms", "bnn"), ("unknown norm 'bnn'", "did you mean 'bn'")),
        (("--norms", "bn", "--every"), ("--norms and --every exclude each other",)),
        (("--depth", 0), ("--depth 0", "from 1 to 200")),
        (("--activation", "rely"), ("activation", "'rely'", "'relu'")),
        (("--norms", "gn", "--groups", 3), ("3 groups do not divide",)),
        (("--epochs", 21), ("1 to 20",)),
    ],
)
def test_wrong_input_is_answered_in_words(tmp_path: Path, arguments, words):
    refused(depth(tmp_path, "--no-train", *arguments), 2, *words)


def test_missing_images_are_named(tmp_path: Path):
    answer = depth(tmp_path, "--dataset", "cifar10", "--offline", "--data-dir", tmp_path)
    refused(answer, 3, "cifar")


def test_a_group_count_that_fits_one_stack_only_is_refused():
    with pytest.raises(UsageError, match="groups do not divide"):
        measure_signal(StackConfig("mlp", 1, 10), Norm.parse("gn", 4), 0, CPU)


def test_the_output_layer_has_neither_norm_nor_bias():
    layer = weights(StackConfig("mlp", 1, 8), Norm.parse("bn"))
    assert isinstance(layer, nn.Linear) and layer.bias is None


@pytest.mark.parametrize("printed", PRINTED_NETWORKS, ids=lambda printed: printed.label)
def test_the_demonstration_of_the_source_has_its_layers(printed: PrintedNetwork) -> None:
    network = build(printed, 2)
    names = [type(layer).__name__ for layer in network]
    norm = {"no norm": [], "bn": ["BatchNorm1d"], "ln": ["LayerNorm"]}[
        printed.label.split()[0] if printed.norm else "no norm"
    ]
    hidden = {"pre": [*norm, "Linear", "ReLU"], "post": ["Linear", *norm, "ReLU"], "": ["Linear", "ReLU"]}
    assert names == ["Flatten", *2 * hidden[printed.position], "Linear"]
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(784, 512), (512, 512), (512, 100)]
    assert [layer.bias is not None for layer in linear] == [printed.position == "pre"] * 3


def test_the_printed_figures_are_such_as_20_networks_give_and_others_are_not() -> None:
    norms = output_norms(PRINTED_NETWORKS[0], range(20))
    for depth, values in enumerate(norms):
        low, high = prediction_interval(values)
        figure, _ = PRINTED_NETWORKS[0].expected(depth)
        assert low < figure < high
        assert not low < 2.45 * figure < high, "that of a network with a layer less would be seen"
        assert fmean(values) == pytest.approx(sqrt(500 / 3 / 6**depth), rel=0.06)


def test_the_demonstration_is_a_result_of_its_own(tmp_path: Path) -> None:
    document = normbench("depth", "--source", "--out", tmp_path, "--json").document
    assert {label: entry["printed_agrees"] for label, entry in document["values"].items()} == {
        printed.label: True for printed in PRINTED_NETWORKS
    }
    assert (tmp_path / "depth-source" / "finding.json").exists()
