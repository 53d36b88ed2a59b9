"""Statistics over seeds: against a worked example, against scipy, and what is left out of them."""

import math

import numpy as np
import pytest
from helpers.results import make_result
from scipy import stats

from normbench.analysis import aggregate_runs, best_settings, estimate, sensitivity_curves
from normbench.analysis.format import percent
from normbench.analysis.tables import ROW_COLUMNS, row_cells


def test_a_worked_example():
    mean_estimate = estimate([2, 4, 4, 4, 5, 5, 7, 9])  # squared deviations from 5 add up to 32
    assert (mean_estimate.mean, mean_estimate.n) == (5, 8)
    assert mean_estimate.sd == pytest.approx(math.sqrt(32 / 7))
    half = 2.365 * math.sqrt(32 / 7 / 8)  # t of 7 degrees of freedom, from a printed table
    assert mean_estimate.low == pytest.approx(5 - half, abs=1e-3)
    assert mean_estimate.high == pytest.approx(5 + half, abs=1e-3)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_the_interval_is_scipys(n):
    values = np.random.default_rng(n).normal(0.7, 0.01, n)
    mean_estimate = estimate(list(values))
    low, high = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert (mean_estimate.low, mean_estimate.high) == pytest.approx((low, high))


def test_the_interval_covers_the_truth_about_95_times_in_100():
    draws = np.random.default_rng(0).normal(0.7, 0.01, (2000, 3))
    intervals = [estimate(list(values)) for values in draws]
    covered = np.mean([interval.low <= 0.7 <= interval.high for interval in intervals])
    assert covered == pytest.approx(0.95, abs=0.02)


def test_one_seed_has_a_mean_and_no_spread():
    mean_estimate = estimate([0.7])
    assert (mean_estimate.mean, mean_estimate.n, mean_estimate.sd, mean_estimate.low, mean_estimate.high) == (
        0.7,
        1,
        None,
        None,
        None,
    )


def test_no_seed_has_no_estimate():
    assert estimate([]) is None


def test_seeds_are_gathered_by_norm_and_setting_in_order_of_appearance():
    runs = [make_result(norm, seed, lr=lr) for norm in ("gn", "bn") for lr in (0.2, 0.1) for seed in (0, 1)]
    rows = aggregate_runs(runs)
    assert [(row.norm, row.lr) for row in rows] == [("gn", 0.2), ("gn", 0.1), ("bn", 0.2), ("bn", 0.1)]
    assert [row.seconds.n for row in rows] == [2, 2, 2, 2]


def test_a_mean_of_which_a_run_diverged_is_no_number():
    runs = [
        make_result(seed=0, test_accuracy=0.6),
        make_result(seed=1, status="diverged", problem="the loss is not finite"),
        make_result(seed=2, test_accuracy=0.8),
    ]
    (row,) = aggregate_runs(runs)
    assert (row.test_accuracy, row.runs, row.finished, row.diverged) == (None, 3, 2, 1)
    assert row_cells(row)[ROW_COLUMNS.index("test accuracy")] == "1 of 3 diverged"
    assert row_cells(row)[ROW_COLUMNS.index("seeds")] == "2 of 3"
    assert row.problems == ("seed 1 diverged: the loss is not finite",)


def test_test_accuracy_that_was_not_read_is_none():
    (row,) = aggregate_runs([make_result(validation_accuracy=0.5)])
    assert row.test_accuracy is None
    assert row.validation_accuracy.mean == 0.5


def test_the_best_setting_of_each_norm_is_the_one_best_on_validation():
    runs = [
        make_result("bn", lr=0.1, validation_accuracy=0.6, train_accuracy=0.9),
        make_result("bn", lr=0.2, validation_accuracy=0.7, train_accuracy=0.8),
        make_result("bn", lr=0.4, validation_accuracy=0.5, train_accuracy=0.7),
        make_result("gn", lr=0.1, validation_accuracy=0.4),
        make_result("gn", lr=0.2, status="diverged", problem="the loss is not finite"),
    ]
    best = best_settings(aggregate_runs(runs))
    assert {norm: row.lr for norm, row in best.items()} == {"bn": 0.2, "gn": 0.1}


def test_a_rate_at_which_a_run_diverged_is_never_the_best():
    steady = [
        make_result(lr=0.3, seed=seed, validation_accuracy=score) for seed, score in enumerate((0.48, 0.49, 0.47))
    ]
    lucky = [
        make_result(lr=1.0, validation_accuracy=0.5),
        *(make_result(lr=1.0, seed=s, status="diverged") for s in (1, 2)),
    ]
    rows = aggregate_runs([*lucky, *steady])
    assert best_settings(rows)["bn"].lr == 0.3
    ((curve,),) = sensitivity_curves(rows)
    assert curve.best == 0.3
    assert curve.tolerated == (0.3,)
    assert best_settings(aggregate_runs(lucky)) == {}


def test_two_values_are_shown_as_they_are_and_three_as_mean_and_interval():
    assert percent(estimate([0.82, 0.8])) == "82.00, 80.00 %"
    assert percent(estimate([0.82, 0.8, 0.81])).startswith("81.00 ± ")
    assert percent(estimate([0.82])) == "82.00 %"


def test_the_best_setting_is_chosen_by_the_mean_over_seeds():
    lucky = [make_result(lr=0.1, seed=seed, validation_accuracy=score) for seed, score in enumerate((0.9, 0.3))]
    steady = [make_result(lr=0.2, seed=seed, validation_accuracy=score) for seed, score in enumerate((0.7, 0.7))]
    assert best_settings(aggregate_runs(lucky + steady))["bn"].lr == 0.2


def test_a_norm_without_any_validation_accuracy_has_no_best_setting():
    assert best_settings(aggregate_runs([make_result(status="failed", problem="no memory")])) == {}
