"""Expected best accuracy by number of trials. The estimate is that of arXiv:1909.03004.

The settings that accuracy is sensitive to are computed here, too.
"""

from collections.abc import Sequence
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
"""Finished trials below which the share of a setting is not estimated."""


@dataclass(frozen=True)
class Budget:
    """Validation accuracy of the best of n trials, for n = 1, 2, ...; fractions."""

    expected: tuple[float, ...]
    low: tuple[float, ...] | None
    """Ends of the 95 % bootstrap interval; None where the trials depend on each other (tpe)."""
    high: tuple[float, ...] | None


def budget(trials: Sequence[Trial], seed: int, *, adaptive: bool) -> Budget | None:
    """Expected maximum over n of these trials; None if none was finished.

    Trials that an adaptive sampler chose depend on those before them, so there it is the best so far. A diverged trial
    has the accuracy 0. The interval is a bootstrap of the trials, which can be too narrow where n is
    near their number (arXiv:2004.13705).
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
    """Mean of the maximum over all subsets of n scores, for n = 1 to N: the unbiased estimator of arXiv:2004.13705.

    The i-th smallest of N scores is the maximum of (i - 1 choose n - 1) of the (N choose n) subsets.
    """
    ordered, count = np.sort(scores), len(scores)
    sizes, ranks = np.arange(1, count + 1)[:, None], np.arange(count)[None, :]
    weights = comb(ranks, sizes - 1) / comb(count, sizes)
    return np.asarray((weights * ordered).sum(axis=1))


def leaders(budgets: dict[str, Budget]) -> list[tuple[int, str]]:
    """Number of trials from which on each norm leads, in expectation."""
    length = min(len(budget.expected) for budget in budgets.values())
    by_size = [max(budgets, key=lambda norm, n=n: budgets[norm].expected[n]) for n in range(length)]  # type: ignore[misc]
    return [(n + 1, norm) for n, norm in enumerate(by_size) if n == 0 or by_size[n - 1] != norm]


def shares(found: Search, norm: str) -> dict[str, float]:
    """Share of the variance of validation accuracy that each setting explains (fANOVA), by name.

    Empty with fewer than `FEWEST` finished trials, or where all reach the same.
    """
    trials = [trial for trial in found.trials[norm] if trial.accuracy is not None]
    if len(trials) < FEWEST or len({trial.accuracy for trial in trials}) == 1:
        return {}
    study = optuna.create_study(direction="maximize")
    runs: list[RunResult] = [trial.runs[0] for trial in trials]
    study.add_trials(optuna_trials(found.spaces[norm], [trial.point for trial in trials], runs))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=found.recipe.seed)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def near_best(trials: Sequence[Trial], best: Trial) -> list[Trial]:
    """Trials whose accuracy in the search is at most `NEAR` below that of the best setting."""
    reached = best.accuracy or 0.0
    return [trial for trial in trials if trial.accuracy is not None and trial.accuracy >= reached - NEAR]
