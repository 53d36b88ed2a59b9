"""Means and intervals against a published example, SciPy, and simulation with a known truth."""

import numpy as np
import pytest
from scipy import stats

from normbench.analysis import estimate

# Student, The Probable Error of a Mean, Biometrika 6 (1908): hours of sleep gained by ten patients; drug 2 less drug 1.
GAINED = (1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4)


def test_students_sleep_data():
    gain = estimate(GAINED)
    # Student gives mean 1.58; R prints the interval of `t.test(extra ~ group, sleep, paired = TRUE)`.
    assert gain.n == 10
    assert gain.mean == pytest.approx(1.58)
    assert gain.sd == pytest.approx(1.229995, abs=1e-6)
    assert (gain.low, gain.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)


def test_interval_is_scipys():
    gain = estimate(GAINED)
    interval = stats.ttest_1samp(GAINED, 0).confidence_interval(0.95)
    assert (gain.low, gain.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_interval_covers_the_truth_95_times_in_100(n):
    repeats = 1000
    samples = np.random.default_rng(n).normal(0.75, 0.01, (repeats, n))
    estimates = [estimate(sample.tolist()) for sample in samples]
    covered = np.mean([interval.low <= 0.75 <= interval.high for interval in estimates])
    # Three standard errors of a proportion of 0.95.
    assert abs(covered - 0.95) < 3 * (0.95 * 0.05 / repeats) ** 0.5


def test_one_value_has_no_interval_and_no_value_no_estimate():
    single = estimate([0.7])
    assert (single.mean, single.n, single.sd, single.low, single.high) == (0.7, 1, None, None, None)
    assert estimate([]) is None
