"""Power and seeds needed against published figures and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from normbench.analysis import Estimate, estimate
from normbench.analysis.power import more_seeds, power, seeds_needed


def test_power_of_cohens_exercise_2_5():
    # Cohen (1988), p. 47, gives 0.46; R's pwr.t.test(d=0.2, n=60, sig.level=0.10, type="one.sample") prints more.
    assert power(0.2, 60, alpha=0.10) == pytest.approx(0.4555818, abs=1e-7)


def test_seeds_of_the_gpower_example():
    # UCLA, "Power analysis for paired-sample t-test", G*Power: loss 5 pounds, sd of differences 5, power 0.8: N = 10.
    assert seeds_needed(5 / 5) == 10
    # The paired-test table everyone carries: a medium effect needs 34 pairs (G*Power, dz = 0.5).
    assert seeds_needed(0.5) == 34


@pytest.mark.parametrize("effect", [0.05, 0.3, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 8])
def test_seeds_needed_is_the_smallest_number(effect, alpha):
    seeds = seeds_needed(effect, alpha)
    assert power(effect, seeds, alpha) >= 0.8
    assert seeds == 2 or power(effect, seeds - 1, alpha) < 0.8


def test_promised_power_is_what_simulation_finds():
    effect, repeats = 0.8, 4000
    samples = np.random.default_rng(0).normal(effect, 1, (repeats, seeds_needed(effect)))
    simulated = np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05)
    exact = power(effect, seeds_needed(effect))
    assert abs(simulated - exact) < 3 * math.sqrt(exact * (1 - exact) / repeats)


def test_sign_does_not_matter():
    assert power(-0.4, 12) == pytest.approx(power(0.4, 12))
    assert seeds_needed(-0.4) == seeds_needed(0.4)


def test_more_seeds_are_those_beyond_the_ones_there_are():
    difference = estimate([0.01, -0.01, 0.02])
    assert more_seeds(difference) == seeds_needed(difference.mean / difference.sd) - 3


@pytest.mark.parametrize(
    "difference",
    [
        Estimate(mean=0.01, n=1),
        estimate([0.01, 0.01, 0.01]),
        estimate([0.7031 - 0.7, 0.8031 - 0.8]),  # equal, but for the 17th digit
        estimate([0.01, -0.01]),
    ],
    ids=["one seed", "no scatter", "no scatter but rounding", "no difference"],
)
def test_none_where_it_cannot_be_told(difference):
    assert more_seeds(difference) is None
