"""The leader of a comparison: the best mean, and tests that allow for its having been picked for being the best."""

from itertools import combinations

import numpy as np
import pytest
from helpers.results import make_result, make_results
from scipy import stats

from normbench.analysis import compare_pairs, paired_differences, rank_norms

ACCURACIES = {
    "bn": (0.700, 0.712, 0.705, 0.709),
    "gn": (0.722, 0.731, 0.729, 0.728),
    "ln": (0.724, 0.729, 0.730, 0.731),
}


def test_the_leader_has_the_best_mean_and_differences_are_to_it():
    ranking = rank_norms(make_results(**ACCURACIES))
    assert ranking.norm == "ln"
    assert [(pair.norm, pair.control) for pair in ranking.others] == [("bn", "ln"), ("gn", "ln")]
    assert ranking.others[0].difference.mean == pytest.approx(np.mean(ACCURACIES["bn"]) - np.mean(ACCURACIES["ln"]))


def test_p_is_adjusted_over_all_pairs_as_scipy_and_holm_by_hand_say():
    pairs = {
        frozenset(pair): stats.ttest_rel(*(ACCURACIES[norm] for norm in pair)).pvalue
        for pair in combinations(ACCURACIES, 2)
    }
    first, second, third = sorted(pairs, key=pairs.get)
    by_hand = {first: 3 * pairs[first]}
    by_hand[second] = max(by_hand[first], 2 * pairs[second])
    by_hand[third] = max(by_hand[second], pairs[third])
    ranking = rank_norms(make_results(**ACCURACIES))
    assert ranking.tests == 3
    assert {frozenset((pair.norm, pair.control)): pair.p_holm for pair in ranking.others} == pytest.approx(
        {pair: p for pair, p in by_hand.items() if "ln" in pair}
    )
    assert [pair.separated for pair in ranking.others] == [True, False]


def test_picking_the_leader_afterwards_separates_equal_norms_no_more_often_than_the_level_says():
    random = np.random.default_rng(3)
    trials = 150
    false = 0
    naive = 0
    for _ in range(trials):
        accuracies = dict(zip("abcd", random.normal(0.7, 0.01, (4, 5)), strict=True))
        ranking = rank_norms(make_results(**accuracies))
        false += any(pair.separated for pair in ranking.others)
        naive += any(
            pair.separated
            for pair in compare_pairs(
                [(norm, ranking.norm) for norm in accuracies if norm != ranking.norm],
                {norm: dict(enumerate(values)) for norm, values in accuracies.items()},
            )
        )
    assert false <= stats.binom.ppf(0.999, trials, 0.05)
    assert naive >= false


def test_one_seed_or_one_norm_or_nothing_finished_make_no_test():
    ranking = rank_norms(make_results(bn=[0.7], gn=[0.8]))
    assert (ranking.norm, ranking.tests, ranking.others[0].separated) == ("gn", 0, False)
    assert rank_norms(make_results(bn=[0.7, 0.8])).others == ()
    assert rank_norms([make_result("bn", 0, None, status="diverged")]) is None
    ranking = rank_norms([*make_results(bn=[0.7, 0.8]), make_result("gn", 0, None, status="diverged")])
    assert ranking.others == (), "a norm that finished nothing is set against no one"


def test_the_ranking_is_on_the_seeds_that_all_norms_share():
    ranking = rank_norms(make_results(bn=[0.82, 0.80], gn=[0.8401, 0.8199, 0.60]))
    assert (ranking.norm, ranking.seeds) == ("gn", (0, 1))
    assert ranking.accuracy.mean == pytest.approx(0.83)
    [bn] = ranking.others
    assert bn.difference.mean == pytest.approx(-0.02)
    assert bn.p_holm == pytest.approx(stats.ttest_rel([0.82, 0.80], [0.8401, 0.8199]).pvalue)


def test_without_a_seed_that_all_share_no_norm_leads():
    assert rank_norms([make_result("bn", 0, 0.7), make_result("gn", 1, 0.8)]) is None


def test_a_norm_of_which_a_run_diverged_ranks_below_every_norm_without_one():
    lucky = [
        make_result("ln", 0, 0.9),
        make_result("ln", 1, None, status="diverged"),
        make_result("ln", 2, None, status="diverged"),
    ]
    ranking = rank_norms([*lucky, *make_results(bn=[0.70, 0.71, 0.72], gn=[0.60, 0.62, 0.61])])
    assert (ranking.norm, ranking.seeds, ranking.diverged) == ("bn", (0, 1, 2), ("ln",))
    assert [pair.norm for pair in ranking.others] == ["gn"]


def test_the_leader_is_set_against_others_in_the_judgements_of_the_table():
    results = make_results(**ACCURACIES)
    ranking = rank_norms(results)
    assert list(ranking.others) == paired_differences(results, ranking.norm)
