"""Measurement of the claims: training, a figure per norm and seed, and a paired comparison with no norm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from normbench.analysis import PairedDifference, Reached, compare_pairs
from normbench.config import Recipe
from normbench.device import resolve_device
from normbench.engine import check_model
from normbench.errors import UsageError
from normbench.runs import RunResult
from normbench.studies.claims import figures
from normbench.studies.claims.notebook import Technique, train_techniques
from normbench.studies.claims.runs import (
    CONTROL,
    Run,
    Trial,
    configs,
    init_trials,
    rate_trials,
    regularizer_trials,
    undecayed,
)
from normbench.studies.claims.settings import ClaimsSettings
from normbench.studies.claims.study import STUDY
from normbench.studies.study import StudyContext

NOTEBOOK_SEEDS = 5
FEWEST = 3
"""Seeds that show a difference which is the same on each of them."""

Values = Mapping[str, Mapping[int, float | None]]
"""Figure by norm (or regularizer) and seed; None of a run that diverged."""


@dataclass(frozen=True)
class Claim:
    """A benefit that is claimed, and the figure that it is judged by."""

    name: str
    figure: str
    higher_is_better: bool
    values: Values
    pairs: tuple[PairedDifference, ...]
    """Each norm minus none, over the seeds that both have."""
    costly: tuple[str, ...] = ()
    """Norms whose validation accuracy is lower than without: what they lower else is no benefit."""

    def outcome(self, norm: str) -> str:
        """`yes`, `no` (the opposite) or `not shown`, by the paired test."""
        pair = next(pair for pair in self.pairs if pair.norm == norm)
        if pair.difference is None or not (pair.separated or _is_constant(pair)):
            return "not shown"
        better = (pair.difference.mean > 0) == self.higher_is_better
        if better and norm in self.costly:
            return "not shown"
        return "yes" if better else "no"

    @property
    def outcomes(self) -> dict[str, str]:
        """Outcome by norm."""
        return {pair.norm: self.outcome(pair.norm) for pair in self.pairs if pair.norm in self.norms}

    @property
    def norms(self) -> tuple[str, ...]:
        """Norms that the verdict is about, without the control."""
        return tuple(norm for norm in self.values if norm != CONTROL)

    @property
    def verdict(self) -> str:
        """`holds`, `does not hold`, `depends` or `not shown`."""
        outcomes = set(self.outcomes.values())
        if outcomes == {"yes"}:
            return "holds"
        if outcomes == {"no"}:
            return "does not hold"
        return "depends" if "yes" in outcomes or outcomes == {"no", "not shown"} else "not shown"


def _is_constant(pair: PairedDifference) -> bool:
    """True for the same difference on every one of enough seeds, which no t-test can judge."""
    difference = pair.difference
    return difference is not None and pair.has_no_spread and difference.n >= FEWEST and difference.mean != 0


@dataclass(frozen=True)
class Measurement:
    """Claims with the runs behind them; of the notebook's set-up only the techniques."""

    settings: ClaimsSettings
    device: torch.device
    claims: tuple[Claim, ...] = ()
    recipe: Recipe | None = None
    rate_runs: tuple[Run, ...] = ()
    init_runs: tuple[Run, ...] = ()
    regularized: tuple[Run, ...] = ()
    """Runs at the best rate: of each norm, and of the other regularizers."""
    best: Mapping[str, float] | None = None
    """Best learning rate by norm."""
    target: float | None = None
    times: Mapping[str, Mapping[int, Reached | None]] | None = None
    techniques: tuple[Technique, ...] = ()

    @property
    def results(self) -> list[RunResult]:
        """Results of all runs, each once."""
        runs = [*self.rate_runs, *self.init_runs, *self.regularized]
        return list({run.config.fingerprint: run.result for run in runs}.values())

    @property
    def norms(self) -> tuple[str, ...]:
        """Norms, the control first."""
        return tuple(dict.fromkeys(run.label for run in self.rate_runs))


def measure(settings: ClaimsSettings, context: StudyContext) -> Measurement:
    """Train at every learning rate, then from every initialisation and with other regularizers; or as the notebook."""
    device = resolve_device(context.machine.device)
    if settings.notebook:
        return Measurement(settings, device, techniques=train_techniques(range(NOTEBOOK_SEEDS)))
    recipe = undecayed(context.load_trained_recipe(STUDY.recipe, {"norms": settings.norms} if settings.norms else {}))
    norms = _fitting(figures.ordered(recipe.norms), recipe, settings, context)
    rate_runs = _train(rate_trials(norms, settings.rates), recipe, settings, context)
    best = figures.best_rates(figures.accuracies(rate_runs))
    from_inits, regularized = init_trials(best, settings.gains), regularizer_trials(best[CONTROL])
    second = _train([*from_inits, *regularized], recipe, settings, context)
    init_runs, others = second[: len(from_inits) * recipe.seeds], second[len(from_inits) * recipe.seeds :]
    at_best = [run for run in rate_runs if run.setting == ("rate", best[run.label])]
    target = figures.target_of([run.result for run in at_best if run.label == CONTROL])
    times = _times(at_best, target)
    claims = (
        _convergence(times, recipe.training.epochs),
        _rates(rate_runs),
        _initialisation(init_runs),
        _regularization([*at_best, *others], norms),
        _gradients(norms, recipe, device, context),
    )
    return Measurement(
        settings, device, claims, recipe, tuple(rate_runs), tuple(init_runs), (*at_best, *others), best, target, times
    )


def _fitting(norms: Sequence[str], recipe: Recipe, settings: ClaimsSettings, context: StudyContext) -> list[str]:
    """Leave out, with a warning, norms that cannot be in the network, where every norm was asked for.

    Raises:
        UsageError: Such a norm was asked for by its name.
    """
    fitting = []
    for norm in norms:
        try:
            check_model(recipe.run(norm, recipe.seed, max_params=settings.max_params))
        except UsageError as error:
            if not context.leave_out_oversized:
                raise
            context.warn(f"left out: {error.message}")
        else:
            fitting.append(norm)
    return fitting


def _train(trials: Sequence[Trial], recipe: Recipe, settings: ClaimsSettings, context: StudyContext) -> list[Run]:
    plan, results = context.train(configs(trials, recipe, settings.max_params), recipe)
    several = [trial for trial in trials for _ in range(recipe.seeds)]
    return [
        Run(trial.label, trial.setting, config, result)
        for trial, config, result in zip(several, plan.configs, results, strict=True)
    ]


def _claim(name: str, figure: str, values: Values, *, higher: bool) -> Claim:
    pairs = compare_pairs([(norm, CONTROL) for norm in values if norm != CONTROL], values)
    return Claim(name, figure, higher, values, tuple(pairs))


def _times(runs: Sequence[Run], target: float | None) -> dict[str, dict[int, Reached | None]]:
    times: dict[str, dict[int, Reached | None]] = {}
    for run in runs:
        if run.result.status != "failed" and target is not None:
            times.setdefault(run.label, {})[run.config.seed] = figures.time_to(run.result, target)
    return times


def _convergence(times: Mapping[str, Mapping[int, Reached | None]], epochs: int) -> Claim:
    """Epochs to the target; a miss counts as one epoch more than there were, which flatters it."""
    values = {
        norm: {seed: float(time.epoch if time else epochs + 1) for seed, time in by_seed.items()}
        for norm, by_seed in times.items()
    }
    return _claim("faster convergence", "epochs to the accuracy reached without a norm", values, higher=False)


def _rates(runs: Sequence[Run]) -> Claim:
    table = figures.accuracies(runs)
    values = {
        norm: {seed: figures.largest_rate(accuracies) for seed, accuracies in by.items()} for norm, by in table.items()
    }
    return _claim("larger learning rates", "largest learning rate that is tolerated", values, higher=True)


def _initialisation(runs: Sequence[Run]) -> Claim:
    table = figures.accuracies(runs)
    values: dict[str, dict[int, float | None]] = {
        norm: {seed: figures.tolerated_share(accuracies) for seed, accuracies in by.items()}
        for norm, by in table.items()
    }
    figure = "share of initialisations and gains that are tolerated"
    return _claim("less sensitivity to initialisation", figure, values, higher=True)


def _regularization(runs: Sequence[Run], norms: Sequence[str]) -> Claim:
    """Gap between train and validation accuracy, of norms alone; other regularizers stand beside them."""
    gaps: dict[str, dict[int, float | None]] = {norm: {} for norm in norms}
    scores: dict[str, dict[int, float | None]] = {norm: {} for norm in norms}
    for run in runs:
        if run.result.status != "failed" and run.label in gaps:
            gaps[run.label][run.config.seed] = figures.gap(run.result)
            scores[run.label][run.config.seed] = run.result.validation_accuracy
    claim = _claim("regularization", "train accuracy minus validation accuracy", gaps, higher=False)
    pairs = compare_pairs([(norm, CONTROL) for norm in norms if norm != CONTROL], scores)
    costly = tuple(pair.norm for pair in pairs if pair.difference and pair.difference.mean < 0)
    return Claim(claim.name, claim.figure, claim.higher_is_better, claim.values, claim.pairs, costly)


def _gradients(norms: Sequence[str], recipe: Recipe, device: torch.device, context: StudyContext) -> Claim:
    seeds = range(recipe.seed, recipe.seed + recipe.seeds)
    values: dict[str, dict[int, float | None]] = {}
    for norm in norms:
        context.note(f"gradients: {norm}")
        values[norm] = {seed: figures.gradient_change(norm, recipe.groups, seed, device) for seed in seeds}
    return _claim("stable gradients", "orders of magnitude by which 30 layers change a gradient", values, higher=False)
