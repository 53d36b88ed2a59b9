"""Average ranks over blocks: ties, diverged runs, Friedman's test and Nemenyi's critical difference."""

import math

import numpy as np
import pytest
import scipy

from normbench.analysis import average_ranks, critical_difference

# Demšar (2006), table 5 (a): the quantile of the Studentized range over the square root of 2, for 2 to 10 classifiers.
QUANTILES = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}


@pytest.mark.parametrize("names", QUANTILES)
def test_the_critical_difference_has_the_published_quantiles(names):
    per_block = math.sqrt(names * (names + 1) / (6 * 14))
    assert critical_difference(names, 14) / per_block == pytest.approx(QUANTILES[names], abs=1.1e-3)


def blocks_of(table, names="abc"):
    return [dict(zip(names, row, strict=True)) for row in table]


def test_ties_share_ranks_and_a_diverged_run_is_the_worst():
    ranks = average_ranks(blocks_of([(0.9, 0.9, 0.1), (0.5, None, None), (0.2, 0.3, None)]))
    assert ranks.names == ("a", "b", "c")
    assert ranks.ranks == pytest.approx((1.5 / 3 + 1 / 3 + 2 / 3, (1.5 + 2.5 + 1) / 3, (3 + 2.5 + 3) / 3))
    assert ranks.first == (1.5, 1.5, 0.0)
    assert ranks.blocks == 3


def test_the_statistics_are_those_of_the_formulas():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(9, 4)) + np.array([0.0, 0.3, 1.0, 2.0])
    ranks = average_ranks(blocks_of(table, "abcd"))
    n, k = table.shape
    means = scipy.stats.rankdata(-table, axis=1).mean(axis=0)
    chi_square = 12 * n / (k * (k + 1)) * ((means**2).sum() - k * (k + 1) ** 2 / 4)
    f = (n - 1) * chi_square / (n * (k - 1) - chi_square)
    assert ranks.friedman.chi_square == pytest.approx(chi_square)
    assert ranks.friedman.f == pytest.approx(f)
    assert ranks.friedman.p_f == pytest.approx(scipy.stats.f.sf(f, k - 1, (k - 1) * (n - 1)))
    assert dict(zip(ranks.names, ranks.ranks, strict=True)) == pytest.approx(dict(zip("abcd", means, strict=True)))


def test_groups_are_the_largest_sets_of_neighbours_that_do_not_differ():
    ranks = average_ranks(blocks_of([(0.9, 0.8, 0.2, 0.1), (0.8, 0.9, 0.1, 0.2)] * 10, "abcd"))
    assert ranks.friedman.rejected
    assert ranks.groups == (("a", "b"), ("c", "d"))
    assert ranks.letters == {"a": "a", "b": "a", "c": "b", "d": "b"}
    assert ranks.differ("a", "c")
    assert not ranks.differ("a", "b")


def test_without_a_friedman_test_that_rejects_nothing_differs():
    ranks = average_ranks(blocks_of([(0.9, 0.8, 0.7), (0.7, 0.8, 0.9)] * 20))
    assert not ranks.friedman.rejected
    assert ranks.groups == (("a", "b", "c"),)


def test_blocks_that_all_agree_are_rejected_with_an_infinite_statistic():
    ranks = average_ranks(blocks_of([(0.9, 0.8, 0.7)] * 12))
    assert (ranks.friedman.f, ranks.friedman.p_f) == (None, 0.0)
    assert ranks.differ("a", "c")


@pytest.mark.parametrize("table", [[(0.1, 0.2, 0.3)], [(0.5, 0.5, 0.5)] * 4])
def test_one_block_and_equal_scores_are_not_tested(table):
    ranks = average_ranks(blocks_of(table))
    assert ranks.friedman is None
    assert ranks.groups == (ranks.names,)


def test_a_block_without_a_score_is_refused_and_one_name_is_no_ranking():
    with pytest.raises(ValueError, match="every name"):
        average_ranks([{"a": 0.1, "b": 0.2}, {"a": 0.1}])
    assert average_ranks([{"a": 0.1}]) is None
    assert average_ranks([]) is None
