"""`normbench verify`: the norms compute their definitions, and every way of breaking one is detected."""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.cli import Answer, normbench, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from normbench.errors import USAGE, UsageError
from normbench.norms import NORMS
from normbench.norms.layers import ChannelLayerNorm, LazyPositionLayerNorm, RMSNorm, StandardizedConv2d
from normbench.studies.verify.builtin import subjects, verify_builtin
from normbench.studies.verify.cases import KINDS, Case, draw_cases, float32, layer_shapes
from normbench.studies.verify.checks import QUANTITIES, Check, Verification, bound_of, compare, severity
from normbench.studies.verify.custom import verify_custom
from normbench.studies.verify.finite_differences import directional_derivative

SUBJECTS = {subject.name: subject for subject in subjects()}
Build = Callable[..., nn.Module]

CASES = draw_cases(0, 1)
ORDINARY, SINGLE = CASES[:1], [case for case in CASES if case.kind == "single"]


@functools.cache
def whole(name: str) -> Verification:
    """Verify a built-in norm on inputs of every kind."""
    return verify_builtin(SUBJECTS[name], CASES)


def broken(name: str, build: Build, monkeypatch: pytest.MonkeyPatch, cases: Sequence[Case] = ORDINARY) -> Verification:
    monkeypatch.setitem(NORMS, name, replace(NORMS[name], build=build))
    return verify_builtin(SUBJECTS[name], cases)


def verify(out: Path, *arguments: object) -> Answer:
    return normbench("verify", "--cases", 1, "--out", out, *arguments)


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_norm_computes_its_definition(name):
    verification = whole(name)
    assert verification.problems == ()
    assert [check for check in verification.checks if not check.passed] == []
    assert {check.kind for check in verification.checks} == set(KINDS)
    assert {check.precision for check in verification.checks} == {"float32", "float64"}
    module = SUBJECTS[name].make(CASES[0])
    missing = set() if any(buffer.is_floating_point() for buffer in module.buffers()) else {"buffers"}
    missing |= set() if list(module.parameters()) else {"parameter gradients"}
    assert {check.quantity for check in verification.checks} == set(QUANTITIES) - missing


def test_every_built_in_norm_weight_standardization_and_dropout_are_verified():
    assert list(SUBJECTS) == [*NORMS, "+ws", "+wn", "+cwn", "dropout"]


shapes = st.tuples(st.integers(1, 3), st.sampled_from([2, 4, 6]), st.integers(2, 5), st.integers(2, 5))


@settings(deadline=None, max_examples=25)
@given(name=st.sampled_from(list(SUBJECTS)), shape=shapes, power=st.floats(-3, 4), seed=st.integers(0, 2**31))
def test_a_norm_is_as_defined_whatever_the_shape_and_the_scale(name, shape, power, seed):
    rng = np.random.default_rng(seed)
    steps = tuple(float32(10**power * (rng.normal() + rng.standard_normal(shape))) for _ in range(3))
    verification = verify_builtin(SUBJECTS[name], [Case("ordinary", 2, steps, (seed, 0))])
    assert verification.passed, max(verification.checks, key=severity)


def test_single_values_are_refused_where_there_is_nothing_to_standardize():
    refusals = {name: whole(name).refused for name in SUBJECTS}
    assert {name: count for name, count in refusals.items() if count} == {
        "bn": 2, "gn": 2, "ln": 1, "in": 3, "brn": 2, "gbn": 2, "ebn": 2, "bin": 3,
    }  # fmt: skip


class UnbiasedGroupNorm(nn.GroupNorm):
    """Divides by m - 1 where the paper divides by m."""

    def forward(self, x):
        groups = x.view(len(x), self.num_groups, -1)
        var, mean = torch.var_mean(groups, 2, keepdim=True, correction=1)
        y = ((groups - mean) / torch.sqrt(var + self.eps)).view(x.shape)
        return y * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


class BlindRMSNorm(RMSNorm):
    """Right forward; takes its root for a constant backward."""

    def forward(self, x):
        scale = torch.rsqrt(x.square().mean(dim=(1, 2, 3), keepdim=True) + self.eps).detach()
        return x * scale * self.weight.view(-1, 1, 1)


class SeedingBatchNorm(nn.BatchNorm2d):
    """Takes the first batch for its running statistics, as some other frameworks do."""

    def forward(self, x):
        self.momentum = 1.0 if self.num_batches_tracked == 0 else 0.1
        return super().forward(x)


class BiasedRunningBatchNorm(nn.BatchNorm2d):
    """Averages the biased variance."""

    def forward(self, x):
        before = self.running_var.clone()
        y = super().forward(x)
        if self.training:
            self.running_var.copy_(0.9 * before + 0.1 * x.detach().var((0, 2, 3), correction=0))
        return y


class RunningStatisticsInTraining(nn.BatchNorm2d):
    """Uses its running statistics in training as well."""

    def forward(self, x):
        return nn.functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)


BROKEN: dict[str, tuple[str, Build]] = {
    "bn eps": ("bn", lambda c: nn.BatchNorm2d(c, eps=1e-4)),
    "bn momentum": ("bn", lambda c: nn.BatchNorm2d(c, momentum=0.01)),
    "bn first batch": ("bn", SeedingBatchNorm),
    "bn biased running variance": ("bn", BiasedRunningBatchNorm),
    "bn running statistics in training": ("bn", RunningStatisticsInTraining),
    "bn over images": ("bn", lambda c: nn.InstanceNorm2d(c, affine=True)),
    "gn eps": ("gn", lambda c, groups: nn.GroupNorm(groups, c, eps=1e-6)),
    "gn groups": ("gn", lambda c, groups: nn.GroupNorm(c, c)),
    "gn unbiased": ("gn", lambda c, groups: UnbiasedGroupNorm(groups, c)),
    "ln axes": ("ln", ChannelLayerNorm),
    "ln no shift": ("ln", RMSNorm),
    "in axes": ("in", lambda c: nn.GroupNorm(1, c)),
    "in eps": ("in", lambda c: nn.InstanceNorm2d(c, affine=True, eps=2e-5)),
    "lrn size": ("lrn", lambda c: nn.LocalResponseNorm(3)),
    "lrn alpha": ("lrn", lambda c: nn.LocalResponseNorm(5, alpha=1.01e-4)),
    "ln-chw eps": ("ln-chw", lambda c: LazyPositionLayerNorm(c, eps=1e-6)),
    "ln-chw parameters": ("ln-chw", lambda c: nn.GroupNorm(1, c)),
    "ln-c axes": ("ln-c", lambda c: nn.GroupNorm(1, c)),
    "ln-c eps": ("ln-c", lambda c: ChannelLayerNorm(c, eps=1e-6)),
    "rms eps": ("rms", lambda c: RMSNorm(c, eps=1.1e-5)),
    "rms backward": ("rms", BlindRMSNorm),
    "none": ("none", lambda c: nn.Hardtanh(-2.0, 2.0)),
}


@pytest.mark.parametrize("way", BROKEN)
def test_a_broken_norm_is_detected(way, monkeypatch):
    assert not broken(*BROKEN[way], monkeypatch).passed


def test_a_wrong_backward_is_distinguished_from_a_wrong_forward(monkeypatch):
    verification = broken(*BROKEN["rms backward"], monkeypatch)
    assert {check.quantity for check in verification.checks if not check.passed} == {"input gradient"}


def test_broken_weight_standardization_is_detected(monkeypatch):
    monkeypatch.setattr(StandardizedConv2d, "eps", 1.1e-5)
    assert not verify_builtin(SUBJECTS["+ws"], ORDINARY).passed


class UnscaledDropout(nn.Dropout):
    """Drops without dividing by 1 - p."""

    def forward(self, x):
        y = super().forward(x)
        return y * (1 - self.p) if self.training else y


@pytest.mark.parametrize("layer", [UnscaledDropout(0.3), nn.Dropout(0.5), nn.Dropout(0.0)], ids=str)
def test_broken_dropout_is_detected(layer):
    assert not verify_builtin(replace(SUBJECTS["dropout"], make=lambda case: layer), ORDINARY).passed


def test_a_norm_that_accepts_inputs_it_must_refuse_is_detected(monkeypatch):
    class Tolerant(nn.InstanceNorm2d):
        def forward(self, x):
            return x * 0 if x.shape[2:] == (1, 1) else super().forward(x)

    verification = broken("in", lambda c: Tolerant(c, affine=True), monkeypatch, SINGLE)
    assert "accepted single values, which it must refuse" in verification.problems[0]


def test_a_variance_that_cancels_is_detected(monkeypatch):
    """E[x²] - E[x]² in float32: right on ordinary inputs, and wrong where the mean is large."""

    class OnePass(nn.InstanceNorm2d):
        def forward(self, x):
            mean = x.mean((2, 3), keepdim=True)
            var = (x.square().mean((2, 3), keepdim=True) - mean.square()).clamp_min(0)
            y = (x - mean) / torch.sqrt(var + self.eps)
            return y * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)

    verification = broken("in", lambda c: OnePass(c, affine=True), monkeypatch, CASES)
    failed = {check.kind for check in verification.of("float32", "forward") if not check.passed}
    assert "offset" in failed
    assert failed <= {"offset", "constant"}


def test_bounds_are_roundings_and_nothing_else():
    assert bound_of("float32", 10) == 50 * 2.0**-24
    assert bound_of("float64", 10, steps=3) == 150 * 2.0**-53


def test_errors_are_relative_to_terms_and_nan_is_the_worst():
    ones = np.ones(2)
    assert compare(ones, ones, 0 * ones).error == 0
    assert compare(ones, 2 * ones, 4 * ones).error == 0.25
    assert compare(ones, 0 * ones, 0 * ones).error == np.inf
    check = Check("float32", "ordinary", "contiguous", "", "forward", np.nan, 1.0, np.nan)
    assert not check.passed
    assert severity(check) == np.inf


def test_the_uncertainty_of_a_derivative_covers_its_error():
    rng = np.random.default_rng(0)
    for scale in (1e-3, 1.0, 1e3):
        at, along = scale * rng.standard_normal(6), rng.standard_normal(6)

        def loss(x: np.ndarray, scale: float = scale) -> float:
            return float(np.tanh(x / scale).sum())

        derivative = directional_derivative(loss, at, along, noise=6 * 2.0**-53)
        exact = float((along / np.cosh(at / scale) ** 2).sum() / scale)
        assert abs(derivative.value - exact) <= derivative.uncertainty <= 1e-7 / scale


# The command.


def test_the_command_prints_ok_writes_a_report_and_ends_with_0(tmp_path):
    answer = verify(tmp_path, "--norm", "gn+ws")
    assert answer.code == 0
    table = answer.stdout[: answer.stdout.index("Largest errors of y")].splitlines()
    assert max(len(line.rstrip()) for line in table) <= 80
    assert "All 2 are as defined" in answer.words
    assert re.search(r"gn 64 .* ok", answer.words)
    page = (tmp_path / "verify-gn+ws" / "report.html").read_text()
    assert "Does every norm compute its definition?" in page
    assert (tmp_path / "verify-gn+ws" / "plots" / "chart-share-of-bound.svg").is_file()


def test_the_document_holds_the_figures_behind_the_table(tmp_path):
    document = verify(tmp_path, "--norm", "bn", "--json").document
    (norm,) = document["values"]["norms"]
    assert (document["command"], document["values"]["passed"], norm["norm"], norm["refused"]) == (
        "verify",
        True,
        "bn",
        2,
    )
    assert {check["quantity"] for check in norm["worst"]} == {
        "forward", "input gradient", "parameter gradients", "buffers",
    }  # fmt: skip
    assert all(check["error"] <= check["bound"] for check in norm["worst"])


def test_a_broken_norm_fails_the_command_and_the_table_locates_the_error(tmp_path, monkeypatch):
    monkeypatch.setitem(NORMS, "ln", replace(NORMS["ln"], build=BROKEN["ln axes"][1]))
    answer = verify(tmp_path, "--norm", "ln")
    assert answer.code == 1
    for words in ("Not as defined: ln.", "Out of bounds", "FAILS", "float64, train"):
        assert words in answer.words


def test_the_same_seed_gives_the_same_figures(tmp_path):
    first, second, other = (
        [check.error for check in verify_builtin(SUBJECTS["gn"], draw_cases(seed, 1)[:1]).checks] for seed in (3, 3, 4)
    )
    assert first == second != other


CUSTOM = """
import numpy as np
import torch
from torch import nn

class Centred(nn.Module):
    correction = 0
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.alpha = nn.Parameter(torch.tensor(0.5))
    def forward(self, x):
        var, mean = torch.var_mean(x, (1, 2, 3), keepdim=True, correction=self.correction)
        return (x - mean) / torch.sqrt(var + 1e-5) * self.weight * self.alpha

class Unbiased(Centred):
    def forward(self, x):
        mean = x.mean((1, 2, 3), keepdim=True)
        var = ((x - mean) ** 2).sum((1, 2, 3), keepdim=True) / max(1, x[0].numel() - 1)
        return (x - mean) / torch.sqrt(var + 1e-5) * self.weight * self.alpha

class Blind(Centred):
    def forward(self, x):
        var, mean = torch.var_mean(x, (1, 2, 3), keepdim=True, correction=0)
        return (x - mean) / torch.sqrt(var + 1e-5).detach() * self.weight * self.alpha

class Frozen(Centred):
    def forward(self, x):
        var, mean = torch.var_mean(x, (1, 2, 3), keepdim=True, correction=0)
        return (x - mean) / torch.sqrt(var + 1e-5) * self.weight * self.alpha.detach()

class Single(Centred):
    def forward(self, x):
        return super().forward(x.float()).to(x)

class Overflowing(Centred):
    def forward(self, x):
        return super().forward(x) * float("inf") * 0

class Fails(Centred):
    def forward(self, x):
        raise RuntimeError("not today")

def centred(x, parameters, training):
    mean, var = x.mean((1, 2, 3), keepdims=True), x.var((1, 2, 3), keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5) * parameters["weight"] * parameters["alpha"]

def scalar(x, parameters, training):
    return x.mean()

def broken(x, parameters, training):
    return parameters["gamma"] * x
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CUSTOM)
    return path


def verify_norm(file: Path, norm: str, reference: str = "centred", cases: Sequence[Case] = ORDINARY) -> Verification:
    return verify_custom(f"{file}:{norm}", f"{file}:{reference}", cases)


def wrong(verification: Verification) -> set[str]:
    return {check.quantity for check in verification.checks if not check.passed}


def test_a_right_custom_norm_passes_on_inputs_of_every_kind(file):
    verification = verify_norm(file, "Centred", cases=CASES)
    assert verification.passed, max(verification.checks, key=severity)
    assert {check.quantity for check in verification.checks} == set(QUANTITIES) - {"buffers"}
    assert {check.kind for check in verification.checks} == set(KINDS)


@pytest.mark.parametrize(
    ("norm", "quantities"),
    [
        ("Unbiased", {"forward", "input gradient", "parameter gradients"}),
        ("Blind", {"input gradient"}),
        ("Frozen", {"parameter gradients"}),
    ],
)
def test_a_wrong_custom_norm_is_detected(norm, quantities, file):
    assert wrong(verify_norm(file, norm)) == quantities


def test_a_norm_that_computes_in_float32_gets_a_note(file):
    verification = verify_norm(file, "Single")
    assert {check.precision for check in verification.checks if not check.passed} == {"float64"}
    assert "it seems to compute in float32" in verification.notes[0]


def test_the_command_takes_a_custom_norm_and_a_nan_fails_it(file):
    answer = verify(file.parent, "--norm", f"{file}:Overflowing", "--reference", f"{file}:centred", "-q")
    assert answer.code == 1
    lines = [line.split("\t") for line in answer.stdout.splitlines()]
    assert [(line[0], line[2], line[-2], line[-1]) for line in lines] == [("Overflowing", "nan", "nan", "FAILS")] * 2


def test_a_custom_norm_needs_a_reference(file):
    answer = verify(file.parent, "--norm", f"{file}:Centred")
    refused(answer, 2, "a custom norm", "--reference file.py:function", "f(x, parameters, training)")


@pytest.mark.parametrize(
    ("norm", "reference", "words"),
    [
        ("Centred", "missing", "nothing called 'missing'"),
        ("Centred", "scalar", "returned float64 () for an input of shape"),
        ("Centred", "broken", "KeyError: 'gamma'"),
        ("Fails", "centred", "not today"),
    ],
)
def test_a_faulty_reference_or_norm_is_reported(norm, reference, words, file):
    with pytest.raises(UsageError) as error:
        verify_norm(file, norm, reference)
    assert words in error.value.message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--norm", "bnn"), "unknown norm 'bnn'"),
        (("--norm", "bn", "--reference", "x.py:f"), "--reference goes with a custom norm"),
        (("--reference", "x.py:f"), "--reference goes with a custom norm"),
        (("--cases", 0), "--cases 0: must be from 1 to"),
    ],
)
def test_an_invalid_command_is_refused(arguments, words, tmp_path):
    refused(verify(tmp_path, *arguments), 2, words)


NETWORK_SHAPES = {
    "mlp": {(128, 1, 1), (64, 1, 1)},
    "vit": {(32, 64, 1), (32, 1, 1)},
    "lstm": {(256, 1, 1), (64, 1, 1)},
    "cyclegan": {(16, 32, 32), (16, 16, 16), (24, 8, 8)},
}


@pytest.mark.parametrize("network", NETWORK_SHAPES)
def test_the_layers_shapes_are_those_of_the_network(network):
    cases = [case for case in draw_cases(0, 1, network) if case.of_network]
    assert {case.shape[1:] for case in cases} == set(layer_shapes(network)) == NETWORK_SHAPES[network]


@pytest.mark.parametrize("network", ["vit", "mlp"])
@pytest.mark.parametrize("norm", NORMS)
def test_a_norm_computes_its_definition_on_tokens_and_vectors(norm, network):
    cases = [case for case in draw_cases(0, 1, network) if case.of_network]
    verification = verify_builtin(SUBJECTS[norm], cases)
    assert all(check.passed for check in verification.checks)
    assert not verification.problems
    refused_on_vectors = NORMS[norm].axes.is_single_value(64)
    assert verification.checks or refused_on_vectors


def test_the_network_is_chosen_on_the_command_line_and_has_its_own_folder(tmp_path):
    assert verify(tmp_path, "--norm", "ln-c", "--network", "mlp").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["verify-ln-c-mlp"]
    refused(verify(tmp_path, "--norm", "ln-c", "--network", "mlpp"), 2, "unknown network")


def test_the_norms_of_the_assignment_or_several_are_verified_alone(tmp_path):
    for flags, names in ((("--all",), ["bn", "gn", "ln"]), (("--norms", "rms,gn+ws"), ["rms", "gn", "+ws"])):
        document = verify(tmp_path, *flags, "--cases", 1, "--json").document
        assert [norm["norm"] for norm in document["values"]["norms"]] == names
    assert {path.name for path in tmp_path.iterdir()} == {"verify-bn-gn-ln", "verify-rms-gn+ws"}
    refused(verify(tmp_path, "--all", "--norm", "bn"), USAGE, "--norm excludes --norms, --all and --every")
    assert verify(tmp_path, "--all", "--every").code == USAGE
