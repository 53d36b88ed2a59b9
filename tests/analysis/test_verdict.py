"""The verdict on a comparison claims no more than its tests, and the assignment's conditions are checked one by one."""

import pytest
from helpers.results import make_result, make_results

from normbench.analysis import Comparison
from normbench.analysis.verdict import assignment, verdict
from normbench.runs import RunResult

FAR = {"bn": [0.90, 0.91, 0.905], "gn": [0.70, 0.712, 0.706], "ln": [0.50, 0.511, 0.504]}
NEAR = [0.89, 0.915, 0.90]


def told(**accuracies: list[float]) -> str:
    return verdict(Comparison.of(make_results(**accuracies)))


def test_a_lead_that_the_tests_confirm_is_more_than_luck() -> None:
    assert told(**FAR) == "BatchNorm was best; over 3 seeds its lead over GroupNorm and LayerNorm is more than luck."


def test_a_lead_that_no_test_confirms_may_be_luck() -> None:
    assert told(bn=FAR["bn"], gn=NEAR) == "BatchNorm was best; with 3 seeds this could still be luck."


def test_a_confirmed_lead_says_nothing_for_the_others() -> None:
    sentence = told(bn=FAR["bn"], gn=NEAR, ln=FAR["ln"])
    assert "lead over LayerNorm is more than luck and that over GroupNorm could still be luck" in sentence


def test_one_seed_decides_nothing() -> None:
    assert told(bn=[0.9], gn=[0.1]) == "BatchNorm was best; one seed cannot tell that from luck (--seeds 3)."


def test_equal_means_share_the_first_place() -> None:
    assert told(bn=[0.9], gn=[0.9]).startswith("BatchNorm and GroupNorm were best")


def test_norms_within_the_margin_did_as_well() -> None:
    close = [value - shift for value, shift in zip(FAR["bn"], (1e-4, -1e-4, 1e-4), strict=True)]
    assert "GroupNorm did as well within 0.5 pp" in told(bn=FAR["bn"], gn=close)


def test_a_diverged_run_is_part_of_the_verdict() -> None:
    results = [*make_results(bn=[0.9], gn=[0.1]), make_result("ln", status="diverged")]
    assert verdict(Comparison.of(results)).endswith("A run of LayerNorm diverged.")


@pytest.mark.parametrize("accuracies", [{"bn": [0.9, 0.8]}, {}])
def test_there_is_no_verdict_without_two_norms(accuracies: dict[str, list[float]]) -> None:
    results = make_results(**accuracies) or [make_result(norm, status="diverged") for norm in ("bn", "gn")]
    assert verdict(Comparison.of(results)) == ""


def of_assignment(accuracies: tuple[float, float, float], **fields: object) -> list[RunResult]:
    facts = {"dataset": "cifar10", "parameters": 49_306} | fields
    return [
        make_result(norm, test_accuracy=value, **facts)
        for norm, value in zip(("bn", "gn", "ln"), accuracies, strict=True)
    ]


def test_the_assignment_is_met_where_every_condition_is() -> None:
    check = assignment(Comparison.of(of_assignment((0.8, 0.75, 0.701))))
    assert check is not None
    assert check.met
    assert check.sentence == "assignment met: 3 of 3 above 70 %, 49,306 < 50,000 parameters, 20 epochs"


@pytest.mark.parametrize(
    ("accuracies", "fields", "part"),
    [
        ((0.8, 0.7, 0.6), {}, "1 of 3 above 70 % (gn 70.00 %, ln 60.00 %)"),
        ((0.8, 0.8, 0.8), {"parameters": 50_000}, "50,000 not < 50,000 parameters"),
        ((0.8, 0.8, 0.8), {"epochs": 21}, "21 epochs"),
    ],
)
def test_a_condition_that_is_not_met_is_named(
    accuracies: tuple[float, float, float], fields: dict[str, object], part: str
) -> None:
    check = assignment(Comparison.of(of_assignment(accuracies, **fields)))
    assert check is not None
    assert not check.met
    assert check.sentence.startswith("assignment not met: ")
    assert part in check.sentence


@pytest.mark.parametrize("fields", [{"dataset": "digits"}, {"network": "dwnet"}, {"split_seed": 1}])
def test_other_images_and_networks_are_not_the_assignment(fields: dict[str, object]) -> None:
    assert assignment(Comparison.of(of_assignment((0.8, 0.8, 0.8), **fields))) is None
    assert assignment(Comparison.of(of_assignment((0.8, 0.8, 0.8))[:2])) is None
