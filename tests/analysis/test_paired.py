"""Paired differences against published examples, SciPy, and simulation with a known truth."""

import numpy as np
import pytest
from helpers.results import make_result, make_results
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from normbench.analysis import compare_pairs, holm, paired_differences, probability_of_superiority
from normbench.analysis.power import seeds_needed
from normbench.analysis.tables import differences_note, joint_points
from normbench.errors import UsageError

# Student, The Probable Error of a Mean, Biometrika 6 (1908): hours of sleep gained with either drug by ten patients.
DRUG_1 = (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)
DRUG_2 = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)


def test_students_sleep_data():
    [pair] = paired_differences(make_results(drug1=DRUG_1, drug2=DRUG_2))
    assert (pair.norm, pair.control, pair.seeds) == ("drug2", "drug1", tuple(range(10)))
    # R: t = 4.0621, df = 9, p = 0.002833, interval 0.7001142 to 2.4598858.
    assert pair.difference.mean == pytest.approx(1.58)
    assert (pair.difference.low, pair.difference.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)
    assert pair.p == pytest.approx(0.002833, abs=5e-7)
    assert pair.p_holm == pair.p, "one comparison is not adjusted"
    # Drug 2 did better for nine patients, and one slept as long with either.
    assert pair.better.probability == 0.95
    assert pair.separated
    assert pair.more_seeds is None


def test_holms_procedure_on_its_published_example():
    # Wikipedia, "Holm-Bonferroni method", example: at 0.05 the first and the fourth are rejected.
    adjusted = holm([0.01, 0.04, 0.03, 0.005])
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [p < 0.05 for p in adjusted] == [True, False, False, True]


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_never_lowers_a_p(values):
    adjusted = holm(values)
    assert all(raw <= new <= 1 for raw, new in zip(values, adjusted, strict=True))
    assert all(new <= min(1, raw * len(values)) for raw, new in zip(values, adjusted, strict=True)), "Bonferroni's"
    ordered = [new for _, new in sorted(zip(values, adjusted, strict=True))]
    assert ordered == sorted(ordered)


def test_holm_keeps_false_findings_at_the_level():
    rng, repeats, norms = np.random.default_rng(0), 2000, 4
    differences = rng.normal(0, 1, (repeats, norms, 5))
    p_values = stats.ttest_1samp(differences, 0, axis=2).pvalue
    any_found = np.mean([min(holm(row)) < 0.05 for row in p_values])
    assert any_found < 0.05 + 3 * (0.05 * 0.95 / repeats) ** 0.5
    assert np.mean(p_values.min(axis=1) < 0.05) > 0.15, "which unadjusted p-values do not"


def test_p_is_scipys_and_adjusted_over_the_norms():
    rng = np.random.default_rng(1)
    bn, gn, ln = rng.normal(0.75, 0.01, (3, 6)).tolist()
    pairs = paired_differences(make_results(bn=bn, gn=gn, ln=ln))
    raw = [stats.ttest_rel(a, b).pvalue for a, b in ((gn, bn), (ln, bn), (ln, gn))]
    assert [pair.p for pair in pairs] == pytest.approx(raw[:2])
    assert [pair.p_holm for pair in pairs] == pytest.approx(holm(raw)[:2]), "over all pairs of norms"
    assert {pair.tests for pair in pairs} == {3}


def test_pairing_cancels_the_luck_of_the_seed():
    rng = np.random.default_rng(2)
    seeds = rng.normal(0.7, 0.05, 8)
    [pair] = paired_differences(make_results(bn=seeds.tolist(), gn=(seeds + 0.004 + rng.normal(0, 0.001, 8)).tolist()))
    assert pair.separated
    assert stats.ttest_ind(seeds, seeds + 0.004).pvalue > 0.5


@pytest.mark.parametrize("truth", [0.5, 0.7])
def test_interval_of_p_better_covers_the_truth_about_95_times_in_100(truth):
    repeats, n = 200, 25
    shift = stats.norm.ppf(truth) * 2**0.5
    ours, theirs = np.random.default_rng(3).normal(0, 1, (2, repeats, n)) + np.array([shift, 0])[:, None, None]
    estimates = [probability_of_superiority(a, b) for a, b in zip(ours.tolist(), theirs.tolist(), strict=True)]
    covered = np.mean([estimate.low <= truth <= estimate.high for estimate in estimates])
    # A proportion of 25 pairs takes few values, so that coverage cannot be 0.95 to the digit.
    assert 0.88 < covered <= 0.99
    mean = np.mean([estimate.probability for estimate in estimates])
    assert abs(mean - truth) < 3 * (truth * (1 - truth) / (n * repeats)) ** 0.5


def test_ties_count_half_and_the_interval_repeats():
    first = probability_of_superiority([3, 2, 1, 5], [1, 2, 3, 4])
    assert first.probability == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert first == probability_of_superiority([3, 2, 1, 5], [1, 2, 3, 4])
    swapped = probability_of_superiority([1, 2, 3, 4], [3, 2, 1, 5])
    assert swapped.probability == pytest.approx(1 - first.probability)


@pytest.mark.parametrize("wins", range(6))
def test_the_interval_of_p_better_is_clopper_and_pearsons(wins):
    better = probability_of_superiority([1] * wins + [0] * (5 - wins), [0.5] * 5)
    exact = stats.binomtest(wins, 5).proportion_ci(0.95, method="exact")
    assert (better.low, better.high) == pytest.approx((exact.low, exact.high))


def test_pairs_that_all_fall_one_way_have_an_interval():
    better = probability_of_superiority([2, 2, 2], [1, 1, 1])
    assert (better.probability, better.high) == (1.0, 1.0)
    assert better.low == pytest.approx(0.025 ** (1 / 3))  # the chance of three wins in three is 2.5 % there


def test_ties_widen_the_interval_to_whatever_they_would_have_become():
    tied, lost, won = (
        probability_of_superiority([2, 2, 1, *last], [1, 1, 2, 1, 1]) for last in ([1, 1], [0, 0], [2, 2])
    )
    assert (tied.low, tied.high) == (lost.low, won.high)


def test_only_seeds_that_both_finished_are_paired():
    results = [
        make_result("bn", 0, 0.5),
        make_result("bn", 1, None, status="failed"),
        make_result("bn", 2, 0.6),
        make_result("bn", 3, 0.7),
    ]
    results += [
        make_result("gn", 3, 0.75),
        make_result("gn", 1, 0.9),
        make_result("gn", 0, 0.52),
        make_result("gn", 2, None, status="failed"),
    ]
    [pair] = paired_differences(results)
    assert pair.seeds == (0, 3)
    assert pair.difference.mean == pytest.approx((0.02 + 0.05) / 2)


def test_a_run_that_diverged_leaves_no_mean_and_loses_its_seed():
    results = [
        *make_results(bn=[0.5, 0.6, 0.7]),
        make_result("gn", 0, 0.55),
        make_result("gn", 1, None, status="diverged"),
        make_result("gn", 2, 0.75),
    ]
    [pair] = paired_differences(results)
    assert (pair.difference, pair.p, pair.separated, pair.diverged) == (None, None, False, 1)
    assert pair.better.probability == pytest.approx(2 / 3)
    assert (pair.verdict, joint_points(pair)) == ("diverged", "1 of 3 diverged")
    [seen_from_gn] = paired_differences(results, "gn")
    assert seen_from_gn.better.probability == pytest.approx(1 / 3)


def test_holm_is_keyed_by_the_pair():
    a, b, c = {0: 0.70, 1: 0.71, 2: 0.73}, {0: 0.72, 1: 0.74, 2: 0.75}, {0: 0.60, 1: 0.66, 2: 0.61}
    pairs = compare_pairs([("a", "b"), ("a", "c")], {"a": a, "b": b, "c": c})
    raw = [stats.ttest_rel(list(a.values()), list(other.values())).pvalue for other in (b, c)]
    assert [pair.p_holm for pair in pairs] == pytest.approx(holm(raw))


def test_the_joint_intervals_are_bonferronis():
    rng = np.random.default_rng(5)
    accuracies = dict(zip(("bn", "gn", "ln", "in"), rng.normal(0.7, 0.01, (4, 5)).tolist(), strict=True))
    for pair in paired_differences(make_results(**accuracies)):
        differences = np.subtract(accuracies[pair.norm], accuracies["bn"])
        low, high = stats.t.interval(1 - 0.05 / 6, 4, differences.mean(), stats.sem(differences))
        assert (pair.low, pair.high) == pytest.approx((low, high))


def test_the_joint_intervals_hold_together_95_times_in_100():
    rng, repeats = np.random.default_rng(6), 300
    missed = single = 0
    for _ in range(repeats):
        luck = rng.normal(0.7, 0.02, 5)
        accuracies = dict(zip("abcd", luck + rng.normal(0, 0.01, (4, 5)), strict=True))
        pairs = [pair for norm in "abcd" for pair in paired_differences(make_results(**accuracies), norm)]
        missed += any(not pair.low <= 0 <= pair.high for pair in pairs)
        single += any(not pair.difference.low <= 0 <= pair.difference.high for pair in pairs)
    assert missed <= stats.binom.ppf(0.999, repeats, 0.05)
    assert single > 2 * missed, "which the intervals of the single means do not"


def test_alike_takes_an_equivalence_test_at_the_margin():
    bn = np.array([0.700, 0.712, 0.705, 0.709, 0.698])
    noise = np.array([0.0006, -0.0004, 0.0003, -0.0005, 0.0001])
    [pair] = paired_differences(make_results(bn=bn.tolist(), gn=(bn + noise).tolist()))
    low = stats.ttest_1samp(noise, -0.005, alternative="greater").pvalue
    high = stats.ttest_1samp(noise, 0.005, alternative="less").pvalue
    assert pair.p_alike == pytest.approx(max(low, high))
    assert (pair.alike, pair.separated, pair.verdict) == (True, False, "alike")
    [strict] = paired_differences(make_results(bn=bn.tolist(), gn=(bn + noise).tolist()), margin=0.0002)
    assert (strict.alike, strict.verdict) == (False, "undecided")


def test_norms_at_the_margin_are_called_alike_no_more_often_than_the_level_says():
    rng, repeats = np.random.default_rng(7), 2000
    alike = 0
    for differences in rng.normal(0.005, 0.002, (repeats, 5)).tolist():
        zero, other = dict.fromkeys(range(5), 0.0), dict(enumerate(differences))
        alike += compare_pairs([("b", "a")], {"a": zero, "b": other})[0].alike
    assert alike <= stats.binom.ppf(0.999, repeats, 0.05)


def test_a_constant_difference_is_said_to_have_no_spread():
    accuracies = [0.70, 0.71, 0.72, 0.73, 0.74]
    [pair] = paired_differences(make_results(bn=accuracies, gn=[value + 0.02 for value in accuracies]))
    assert (pair.has_no_spread, pair.p, pair.alike) == (True, None, False)
    assert pair.verdict == "no spread"
    assert "The same on every seed, so there is no spread to test by: gn." in differences_note([pair])


def test_a_plan_for_more_seeds_is_as_uncertain_as_the_note_states():
    # The effect from which on 10 more seeds or fewer are asked for; three seeds without an effect reach it by chance.
    effect = min(effect for effect in np.linspace(0.5, 1.5, 101) if seeds_needed(effect) <= 13)
    few = (2 * stats.t.sf(effect * 3**0.5, 2) - 0.05) / 0.95  # of those that are not separated
    assert few == pytest.approx(0.24, abs=0.01)
    pairs = paired_differences(make_results(bn=[0.7, 0.71, 0.73], gn=[0.72, 0.70, 0.74]))
    assert "it names ten or fewer from three seeds in about a quarter of cases" in differences_note(pairs)


def test_one_seed_gives_the_difference_only():
    [pair] = paired_differences(make_results(bn=[0.7], gn=[0.75]))
    assert pair.difference.mean == pytest.approx(0.05)
    assert (pair.difference.low, pair.p, pair.p_holm, pair.low, pair.more_seeds) == (None,) * 5
    assert pair.better.low == pytest.approx(0.025)


def test_no_common_seed_gives_nothing():
    [pair] = paired_differences([make_result("bn", 0, 0.7), make_result("gn", 1, 0.8)])
    assert (pair.difference, pair.better, pair.seeds) == (None, None, ())


def test_equal_differences_are_not_taken_for_evidence():
    [pair] = paired_differences(make_results(bn=[0.7, 0.8], gn=[0.7031, 0.8031]))
    assert pair.difference.mean == pytest.approx(0.0031)
    assert (pair.p, pair.separated, pair.more_seeds, pair.has_no_spread) == (None, False, None, True)


def test_a_norm_that_is_not_separated_needs_at_least_one_more_seed():
    rng = np.random.default_rng(4)
    for _ in range(50):
        bn, gn, ln = (rng.normal(0, 0.01, (3, 5)) + np.array([[0.7], [0.708], [0.715]])).tolist()
        for pair in paired_differences(make_results(bn=bn, gn=gn, ln=ln)):
            assert (pair.more_seeds is None) if pair.separated else pair.more_seeds >= 1


def test_the_control_is_the_first_norm_or_the_one_named():
    results = make_results(bn=[0.7, 0.71], gn=[0.72, 0.73], ln=[0.6, 0.65])
    assert [(pair.norm, pair.control) for pair in paired_differences(results)] == [("gn", "bn"), ("ln", "bn")]
    assert [(pair.norm, pair.control) for pair in paired_differences(results, "ln")] == [("bn", "ln"), ("gn", "ln")]
    with pytest.raises(UsageError, match="unknown control norm 'lnn'"):
        paired_differences(results, "lnn")
