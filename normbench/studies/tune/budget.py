"""Expected best accuracy by number of trials. The estimate is that of arXiv:1909.03004.

The module also estimates the sensitivity of accuracy to the settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from numpy.typing import NDArray
from scipy.special import comb

from normbench.runs import RunResult
from normbench.studies.tune.search import Search, Trial, optuna_trials

FloatArray = NDArray[np.float64]
RESAMPLES = 1000
INTERVAL = (2.5, 97.5)
NEAR = 0.02
"""A setting is near the best if its accuracy is at most this much, as a fraction, below."""
FEWEST = 8
"""Smallest number of finished trials from which the share of a setting is estimated."""


@dataclass(frozen=True)
class Budget:
    """Validation accuracy of the best of n trials, for n = 1, 2, ...; fractions."""

    expected: tuple[float, ...]
    low: tuple[float, ...] | None
    """Lower ends of the 95 % bootstrap intervals; None if trials depend on each other (tpe)."""
    high: tuple[float, ...] | None


def budget(trials: Sequence[Trial], seed: int, *, adaptive: bool) -> Budget | None:
    """Compute the expected maximum over n of these trials; None if none was finished.

    Trials of an adaptive sampler depend on earlier ones, so for these it is the best so far. A diverged trial has
    accuracy 0. The interval is a bootstrap of the trials, which can be too narrow for n near their number
    (arXiv:2004.13705).
    """
    scores = np.array([trial.accuracy for trial in trials if trial.accuracy is not None])
    if not len(scores):
        return None
    if adaptive:
        return Budget(tuple(map(float, np.maximum.accumulate(scores))), None, None)
    rng = np.random.default_rng(seed)
    curves = np.array([expected_best(rng.choice(scores, len(scores))) for _ in range(RESAMPLES)])
    low, high = np.percentile(curves, INTERVAL, axis=0)
    return Budget(tuple(map(float, expected_best(scores))), tuple(map(float, low)), tuple(map(float, high)))


def expected_best(scores: FloatArray) -> FloatArray:
    """Average the maximum over all subsets of n scores, for n = 1 to N: the unbiased estimator of arXiv:2004.13705.

    The i-th smallest of N scores is the maximum of (i - 1 choose n - 1) of the (N choose n) subsets.
    """
    ordered, count = np.sort(scores), len(scores)
    sizes, ranks = np.arange(1, count + 1)[:, None], np.arange(count)[None, :]
    weights = comb(ranks, sizes - 1) / comb(count, sizes)
    return np.asarray((weights * ordered).sum(axis=1))


def leaders(budgets: Mapping[str, Budget]) -> list[tuple[int, str]]:
    """Find the numbers of trials from which on another norm leads, in expectation."""
    length = min(len(budget.expected) for budget in budgets.values())
    by_size = [max(budgets, key=lambda norm, n=n: budgets[norm].expected[n]) for n in range(length)]  # type: ignore[misc]
    return [(n + 1, norm) for n, norm in enumerate(by_size) if n == 0 or by_size[n - 1] != norm]


def shares(search: Search, norm: str) -> dict[str, float]:
    """Estimate the share of the variance of validation accuracy that each setting explains (fANOVA), by name.

    Empty with fewer than `FEWEST` finished trials, or if all have the same accuracy.
    """
    trials = [trial for trial in search.trials[norm] if trial.accuracy is not None]
    if len(trials) < FEWEST or len({trial.accuracy for trial in trials}) == 1:
        return {}
    study = optuna.create_study(direction="maximize")
    runs: list[RunResult] = [trial.runs[0] for trial in trials]
    study.add_trials(optuna_trials(search.spaces[norm], [trial.point for trial in trials], runs))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=search.recipe.seed)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def near_best(trials: Sequence[Trial], best: Trial) -> list[Trial]:
    """Select the trials whose accuracy is at most `NEAR` below that of the best setting."""
    threshold = (best.accuracy or 0.0) - NEAR
    return [trial for trial in trials if trial.accuracy is not None and trial.accuracy >= threshold]
