"""Search of a norm's settings, by generations. Trials are ordinary runs; every process derives the same generations."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from normbench.config import Recipe, RunConfig
from normbench.errors import UsageError
from normbench.files import in_words
from normbench.runs import RunResult
from normbench.studies.tune.settings import TuneSettings
from normbench.studies.tune.space import Dimension, Point, dimensions, grid_points, run_at, sobol_points

STARTUP = 8
"""Number of points of Sobol's sequence before `tpe` chooses."""
GENERATION = 4
"""Number of trials of `tpe` per norm that are chosen together, on any machine, so that the search is reproducible."""
JOURNAL = "optuna.journal"

Train = Callable[[Sequence[RunConfig]], Sequence[RunResult]]


@dataclass(frozen=True)
class Trial:
    """One setting of one norm with its runs: the first is that of the search, the others confirm it."""

    norm: str
    number: int
    """Index in the search of this norm, from 0."""
    point: Point
    runs: tuple[RunResult, ...]

    @property
    def accuracy(self) -> float | None:
        """Validation accuracy (a fraction) of the run of the search; None if it failed, 0.0 if it diverged."""
        return _score(self.runs[0])

    @property
    def accuracies(self) -> list[float]:
        """Validation accuracies over the seeds; a diverged run counts as 0.0."""
        return [score for run in self.runs if (score := _score(run)) is not None]

    @property
    def mean(self) -> float:
        """Mean validation accuracy over the seeds, by which the best setting is chosen; 0.0 if all failed."""
        return sum(self.accuracies) / len(self.accuracies) if self.accuracies else 0.0

    @property
    def diverged(self) -> int:
        """Number of runs that diverged."""
        return sum(run.status == "diverged" for run in self.runs)


def _score(run: RunResult) -> float | None:
    return 0.0 if run.status == "diverged" else run.validation_accuracy


@dataclass(frozen=True)
class Search:
    """All trials of a search, and the spaces that they were drawn from."""

    recipe: Recipe
    settings: TuneSettings
    spaces: Mapping[str, Sequence[Dimension]]
    trials: Mapping[str, Sequence[Trial]]
    """Trials by norm, in the order in which they were drawn."""

    def best(self, norm: str) -> Trial | None:
        """Find the trial with the highest mean, among confirmed ones if there are any; None if none was finished."""
        most = max((len(trial.runs) for trial in self.trials[norm]), default=0)
        finished = [trial for trial in self.trials[norm] if trial.accuracies and len(trial.runs) == most]
        return max(finished, key=lambda trial: trial.mean, default=None)


def search(recipe: Recipe, settings: TuneSettings, train: Train) -> Search:
    """Draw, train and score the same number of settings of every norm; then confirm the best with more seeds.

    Raises:
        UsageError: The sampler needs more trials, or the space does not fit the norms.
    """
    spaces = dimensions(recipe)
    if settings.sampler == "tpe":
        points, results = _by_tpe(recipe, settings, spaces, train)
    else:
        draw = grid_points(spaces, settings.trials) if settings.sampler == "grid" else None
        points = draw or sobol_points(spaces, settings.trials, recipe.seed)
        results = _train(recipe, settings, spaces, points, train)
    trials = {
        norm: [
            Trial(norm, number, point, (run,))
            for number, (point, run) in enumerate(zip(of_norm, results[norm], strict=True))
        ]
        for norm, of_norm in points.items()
    }
    result = Search(recipe, settings, spaces, trials)
    return _confirmed(result, train) if settings.confirm else result


def _train(
    recipe: Recipe,
    settings: TuneSettings,
    spaces: Mapping[str, Sequence[Dimension]],
    points: Mapping[str, Sequence[Point]],
    train: Train,
    *,
    seeds: Sequence[int] = (),
) -> dict[str, list[RunResult]]:
    """Train the runs at these points, and return their results by norm; equal points share one run."""
    configs = {
        norm: [
            run_at(recipe, norm, point, spaces[norm], seed=seed, max_params=settings.max_params)
            for point in of_norm
            for seed in seeds or (recipe.seed,)
        ]
        for norm, of_norm in points.items()
    }
    by_run = {config.fingerprint: config for of_norm in configs.values() for config in of_norm}
    results = dict(zip(by_run, train(list(by_run.values())), strict=True))
    return {norm: [results[config.fingerprint] for config in of_norm] for norm, of_norm in configs.items()}


def _by_tpe(
    recipe: Recipe, settings: TuneSettings, spaces: Mapping[str, Sequence[Dimension]], train: Train
) -> tuple[dict[str, list[Point]], dict[str, list[RunResult]]]:
    """Train Sobol points, then generations that Optuna's tree-structured Parzen estimator chooses."""
    if settings.trials <= STARTUP:
        raise UsageError(
            f"tpe models the results of its first {STARTUP} trials, and {settings.trials} leave it none to choose",
            f"Give --trials {STARTUP + GENERATION} or more, or --sampler sobol.",
        )
    points = sobol_points(spaces, STARTUP, recipe.seed)
    results = _train(recipe, settings, spaces, points, train)
    while (done := len(points[recipe.norms[0]])) < settings.trials:
        size = min(GENERATION, settings.trials - done)
        chosen = {norm: _ask(recipe.seed + done, spaces[norm], points[norm], results[norm], size) for norm in points}
        trained = _train(recipe, settings, spaces, chosen, train)
        for norm in points:
            points[norm] = [*points[norm], *chosen[norm]]
            results[norm] = [*results[norm], *trained[norm]]
    return points, results


def _ask(
    seed: int, space: Sequence[Dimension], points: Sequence[Point], results: Sequence[RunResult], size: int
) -> list[Point]:
    """Choose the next points of one norm, which depend only on the results so far and the seed."""
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=1, multivariate=True, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(optuna_trials(space, points, results))
    drawn = [study.ask({d.name: d.distribution for d in space}).params for _ in range(size)]
    return [{d.name: d.rounded(params[d.name]) for d in space} for params in drawn]


def _confirmed(result: Search, train: Train) -> Search:
    """Train the best settings of a search with further seeds."""
    recipe, settings = result.recipe, result.settings
    seeds = range(recipe.seed, recipe.seed + settings.confirm_seeds)
    best = {
        norm: sorted(
            (trial for trial in of_norm if trial.accuracy is not None and not trial.diverged),
            key=lambda trial: -trial.mean,
        )[: settings.confirm]
        for norm, of_norm in result.trials.items()
    }
    points = {norm: [trial.point for trial in of_norm] for norm, of_norm in best.items()}
    results = _train(recipe, settings, result.spaces, points, train, seeds=seeds)
    runs = {
        norm: {
            trial.number: tuple(results[norm][index * len(seeds) : (index + 1) * len(seeds)])
            for index, trial in enumerate(of_norm)
        }
        for norm, of_norm in best.items()
    }
    trials = {
        norm: [replace(trial, runs=runs[norm].get(trial.number, trial.runs)) for trial in of_norm]
        for norm, of_norm in result.trials.items()
    }
    return replace(result, trials=trials)


def optuna_trials(
    space: Sequence[Dimension], points: Sequence[Point], results: Sequence[RunResult]
) -> list[FrozenTrial]:
    """Convert trials to those of Optuna; a failed run is a failed trial, a diverged one has the worst value."""
    return [
        optuna.trial.create_trial(
            state=TrialState.FAIL if (score := _score(run)) is None else TrialState.COMPLETE,
            value=score,
            params=dict(point),
            distributions={d.name: d.distribution for d in space},
            user_attrs={"run": run.folder, "status": run.status},
        )
        for point, run in zip(points, results, strict=True)
    ]


def write_journal(folder: Path, result: Search) -> Path:
    """Write the trials, one study per norm, as a journal for the tools of Optuna; it is not read here.

    Raises:
        RunFailedError: The folder cannot be written.
    """
    path, scratch = folder / JOURNAL, folder / f".writing-{os.getpid()}-{JOURNAL}"
    with in_words(path):
        scratch.unlink(missing_ok=True)
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(scratch)))
        for norm, of_norm in result.trials.items():
            study = optuna.create_study(storage=storage, study_name=norm, direction="maximize")
            runs = [trial.runs[0] for trial in of_norm]
            study.add_trials(optuna_trials(result.spaces[norm], [trial.point for trial in of_norm], runs))
        scratch.replace(path)
    return path
