"""`normbench verify` on custom norms: checked as training runs them, without false alarms."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.cli import Answer, normbench, refused
from torch import nn

from normbench.errors import UsageError
from normbench.norms import NORMS
from normbench.studies.verify.cases import KINDS, Case, draw_cases, layer_shapes
from normbench.studies.verify.checks import Verification, severity
from normbench.studies.verify.custom import verify_custom
from normbench.studies.verify.settings import VerifySettings, variant

FILE = Path(__file__).parents[1] / "helpers" / "user_norms.py"
CASES = draw_cases(0, 1)
SMALL = [case for case in CASES if not case.of_network]
NETWORK = [case for case in CASES if case.of_network]
FEW = [SMALL[0], *(case for case in SMALL if case.kind in {"offset", "single"}), NETWORK[-1]]
RIGHT = {
    "group_norm_1": "layer",
    "group_norm_4": "group",
    "batch_norm": "batch",
    "cumulative_batch_norm": "cumulative",
    "instance_norm": "instance",
    "Wrapped": "wrapped",
    "Unsaved": "unsaved",
}
WRONG = {
    "NeverMoves": "batch",
    "momentum_02": "batch",
    "Counting": "layer",
    "WrongFrom16Channels": "layer",
    "WrongFrom5Images": "layer",
    "WrongFrom64Images": "layer",
    "WrongFrom7Rows": "layer",
    "GradientOnlyInFloat32": "layer",
    "WeightWithoutGradientInFloat32": "layer",
    "BeginsAtHalf": "layer",
}


def verify_norm(norm: str, reference: str, cases: Sequence[Case]) -> Verification:
    return verify_custom(f"{FILE}:{norm}", f"{FILE}:{reference}", cases)


def verify(out: Path, *arguments: object) -> Answer:
    return normbench("verify", "--cases", 1, "--out", out, *arguments)


@pytest.fixture
def few(monkeypatch) -> None:
    """Make the command check few inputs."""
    monkeypatch.setattr("normbench.studies.verify.measure.draw_cases", lambda *_: FEW)


def spelt(norm: str, reference: str) -> tuple[str, ...]:
    return "--norm", f"{FILE}:{norm}", "--reference", f"{FILE}:{reference}"


def norm_in(answer: Answer) -> dict:
    (norm,) = answer.document["values"]["norms"]
    return norm


def test_cases_have_the_shapes_of_the_network_and_batches_as_trained():
    assert {case.shape[1:] for case in NETWORK} == set(layer_shapes())
    assert len(layer_shapes()) == 5
    assert max(case.shape[0] for case in NETWORK) == 64
    assert min(case.shape[0] for case in NETWORK) > 5
    assert {case.initial for case in NETWORK} == {True, False}
    assert max(len(case.steps) for case in NETWORK) > 20


@pytest.mark.parametrize("norm", RIGHT)
def test_a_right_norm_is_accepted_on_inputs_of_every_kind(norm):
    verification = verify_norm(norm, RIGHT[norm], CASES)
    assert verification.problems == ()
    assert verification.passed, max(verification.checks, key=severity)
    assert {check.kind for check in verification.checks} == set(KINDS)
    assert {check.layout for check in verification.checks} == {"contiguous", "channels last"}


@pytest.mark.parametrize("seed", [4, 6, 11])  # the hardest of 40
def test_torchs_own_norms_raise_no_false_alarm_on_small_and_hard_inputs(seed):
    cases = [case for case in draw_cases(seed, 2) if not case.of_network]
    for norm in ("group_norm_1", "group_norm_4", "batch_norm", "instance_norm"):
        verification = verify_norm(norm, RIGHT[norm], cases)
        assert verification.passed, max(verification.checks, key=severity)


@pytest.mark.parametrize("norm", WRONG)
def test_a_wrong_norm_is_detected_at_the_shapes_of_the_network(norm):
    assert any(not verify_norm(norm, WRONG[norm], [case]).passed for case in reversed(NETWORK))


@pytest.mark.parametrize(
    ("norm", "arrays"),
    [("GradientOnlyInFloat32", {"dL/dx"}), ("WeightWithoutGradientInFloat32", {"dL/d weight"})],
)
def test_gradients_are_compared_in_float32_one_by_one(norm, arrays):
    failed = [check for check in verify_norm(norm, "layer", SMALL).checks if not check.passed]
    assert {check.array for check in failed} == arrays
    assert {check.precision for check in failed} == {"float32"}


def test_statistics_are_compared_if_the_reference_returns_them():
    verification = verify_norm("momentum_02", "batch", NETWORK[-1:])
    assert {check.array for check in verification.checks if not check.passed} == {"running_mean", "running_var"}
    assert verification.not_compared == ()
    compared = [
        check for check in verify_norm("batch_norm", "batch", NETWORK[-1:]).checks if check.quantity == "buffers"
    ]
    steps = {check.where.rpartition("step ")[2] for check in compared if "step" in check.where}
    assert len(steps) == len(NETWORK[-1].steps) - 1
    assert any("eval" in check.where for check in compared)


def test_statistics_that_are_not_returned_are_named_in_the_verdict(few, tmp_path):
    answer = verify(tmp_path, *spelt("NeverMoves", "silent_batch"), "--json")
    assert answer.code == 0
    assert "as defined, initial values, running_mean and running_var not compared:" in answer.document["conclusions"][0]
    assert norm_in(answer)["not_compared"] == ["running_mean", "running_var", "initial values"]


def test_initial_values_are_compared_if_the_reference_has_them():
    assert verify_norm("BeginsAtHalf", "silent_layer", SMALL[:1]).not_compared == ("initial values",)
    verification = verify_norm("BeginsAtHalf", "layer", SMALL[:1])
    assert verification.problems == ("initial value of weight[0] is 0.5, not 1",)
    assert verification.not_compared == ()


def test_a_norm_that_cannot_be_built_for_some_channels_is_checked_with_the_others(few, tmp_path):
    norm = norm_in(verify(tmp_path, *spelt("group_norm_4", "group"), "--json"))
    assert (norm["verdict"], norm["not_built"]) == ("as defined", [1])


def test_the_error_of_a_norm_that_fails_in_a_later_step_names_the_step():
    with pytest.raises(UsageError, match=r"step 7: RuntimeError: boom"):
        verify_norm("FailsLater", "same", NETWORK)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("returns_more", "returned 'speed', which the norm does not have"),
        ("returns_other_shape", r"returned float64 \(1, 2\) for weight"),
        ("returns_list", "returned list beside y, not a dict"),
    ],
)
def test_faulty_returned_statistics_are_reported(reference, words):
    with pytest.raises(UsageError, match=words):
        verify_norm("group_norm_1", reference, SMALL[:1])


def test_an_unknown_norm_is_reported_before_a_missing_reference(tmp_path):
    refused(verify(tmp_path, "--norm", f"{FILE}:Nope"), 2, "nothing called 'Nope'")


# Content and folder of a failure.


def test_a_failure_has_array_input_got_and_expected(few, tmp_path):
    answer = verify(tmp_path, *spelt("momentum_02", "batch"), "--json")
    assert answer.code == 1
    norm = norm_in(answer)
    assert norm["verdict"] == "not as defined"
    assert {failure["array"] for failure in norm["failures"]} == {"running_mean", "running_var"}
    for failure in norm["failures"]:
        assert abs(failure["got"] - failure["expected"]) > 1e-3
        assert failure["error"] > failure["bound"]
        assert failure["kind"] in failure["input"]
        assert failure["precision"] in failure["input"]
        assert len(failure["index"]) == 1
    (sentence,) = [line for line in answer.document["conclusions"] if line.startswith(f"{FILE}:momentum_02: running_")]
    assert " and should be " in sentence
    (table,) = [table for table in answer.document["tables"] if table["title"] == "Out of bounds"]
    assert len(table["rows"]) == len(norm["failures"])


def test_nan_fails_and_the_document_is_still_json(few, tmp_path):
    path = tmp_path / "nan.py"
    path.write_text("from torch import nn\nclass Nan(nn.Module):\n"
                    "    def __init__(self, channels):\n        super().__init__()\n"
                    "    def forward(self, x):\n        return x * float('nan')\n"
                    "def same(x, parameters, training):\n    return x\n")  # fmt: skip
    answer = verify(tmp_path, "--norm", f"{path}:Nan", "--reference", f"{path}:same", "--json")
    assert answer.code == 1
    assert "NaN" not in answer.stdout
    assert {failure["got"] for failure in norm_in(answer)["failures"]} == {None}


def test_the_check_of_one_norm_leaves_that_of_another_alone(few, tmp_path):
    other = tmp_path / "elsewhere" / FILE.name
    other.parent.mkdir()
    other.write_text(FILE.read_text())
    out = tmp_path / "out"
    verify(out, "--norm", "bn")
    verify(out, "--norm", "gn")
    verify(out, *spelt("batch_norm", "batch"))
    verify(out, *spelt("batch_norm", "silent_batch"))  # the same norm, another question
    verify(out, "--norm", f"{other}:batch_norm", "--reference", f"{FILE}:batch")
    folders = sorted(path.name for path in out.iterdir())
    assert folders[3:] == ["verify-bn", "verify-gn"]
    assert len({name.rpartition("-")[2] for name in folders[:3]}) == 3
    assert all(name.startswith("verify-batch_norm-") for name in folders[:3])
    for name in folders:
        assert normbench("report", name, "--out", out).code == 0


# A record of the registry without a definition.


@pytest.fixture
def undefined(monkeypatch) -> str:
    record = replace(NORMS["gn"], name="new", build=lambda channels, groups: nn.GroupNorm(1, channels))
    monkeypatch.setitem(NORMS, "new", record)
    return "new"


def test_a_record_without_a_definition_is_named_and_the_others_are_checked(few, undefined, tmp_path):
    answer = verify(tmp_path, "--json")
    assert answer.code == 0
    document = answer.document
    verdicts = {norm["norm"]: (norm["verdict"], norm["passed"]) for norm in document["values"]["norms"]}
    assert verdicts.pop("new") == ("no reference definition", None)
    assert set(verdicts.values()) == {("as defined", True)}
    assert set(verdicts) == {*NORMS, "+ws", "+wn", "+cwn", "dropout"} - {"new"}
    assert any("No reference definition, so not checked: new." in sentence for sentence in document["conclusions"])


def test_a_record_without_a_definition_is_refused_by_name_and_takes_a_reference(few, undefined, tmp_path):
    refused(verify(tmp_path, "--norm", undefined), 2, "new", "without a reference definition", "--reference")
    answer = verify(tmp_path, "--norm", undefined, "--reference", f"{FILE}:layer", "--json")
    assert answer.code == 0
    assert norm_in(answer)["verdict"] == "as defined"


def test_a_reference_for_a_norm_that_has_a_definition_is_refused(tmp_path):
    refused(verify(tmp_path, "--norm", "bn", "--reference", f"{FILE}:batch"), 2, "--reference goes with")


def test_the_folder_of_a_check_is_readable_and_of_one_norm_alone(tmp_path: Path) -> None:
    specs = ["m.py:Scale", "n.py:Scale", "m.py:Scale(power=0.5)", "m.py:Scale(power=0.25)", "m.py:Scale(power=0.5)+ws",
             f"m.py:Scale(mode={'x' * 60})", f"m.py:Scale(mode={'x' * 61})", "m.py:Scale(mode='a-b')", "gn(groups=8)",
             "m.py:Scale(mode='a b')", "gn", "gn+ws", "lrn(alpha=0.00050001,beta=0.750001,k=1.50001,size=3)",
             "lrn(alpha=0.00050001,beta=0.750001,k=1.50001,size=5)"]  # fmt: skip
    folders = [variant(VerifySettings(norm=spec)) for spec in specs]
    assert len(set(folders)) == len(specs)
    assert re.fullmatch(r"Scale-power0\.5-[0-9a-f]{8}", folders[2])
    assert re.fullmatch(r"Scale-power0\.5\+ws-[0-9a-f]{8}", folders[4])
    assert folders[8] == "gn-groups8"
    assert all(re.fullmatch(r"[A-Za-z0-9+._-]+", folder) and "--" not in folder for folder in folders)
    assert variant(VerifySettings(norm="./m.py:Scale")) == folders[0], "another path to the same file"
