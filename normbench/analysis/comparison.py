"""Comparison of norms on equal terms.

It is made from results alone, as is a search for the settings that suit each norm.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from normbench.analysis.aggregate import Aggregate, aggregate_runs, best_settings, group_by_setting
from normbench.analysis.format import caption, seed_ranges
from normbench.analysis.paired import MARGIN, PairedDifference, paired_differences
from normbench.analysis.ranking import Ranking, rank_norms
from normbench.analysis.sensitivity import Sensitivity, sensitivity_curves
from normbench.analysis.time_to_accuracy import TimeToAccuracy, times_to_accuracy
from normbench.config import Recipe, RunConfig
from normbench.errors import UsageError
from normbench.norms import listing_order, norm_info
from normbench.runs import RunResult, list_experiment

SAME = ("device", "torch", "batch_size", "epochs", "dataset", "train_images", "split_seed", "network", "precision")
"""Fields that every run of a comparison shares; of the device the processor, without its number of threads."""
THREADS = re.compile(r", (\d+ threads?)$")


@dataclass(frozen=True)
class Series:
    """Runs of one norm at one setting: a row of the tables, a colour and a marker of the plots."""

    label: str
    """Name of the norm, with the setting if it ran with several."""
    index: int
    row: Aggregate
    results: tuple[RunResult, ...]

    @property
    def done(self) -> tuple[RunResult, ...]:
        """Runs that are done."""
        return tuple(result for result in self.results if result.status == "done")


@dataclass(frozen=True)
class Comparison:
    """Statistics of a set of runs, by norm (and by setting, in a search); see `Comparison.of`."""

    results: tuple[RunResult, ...]
    series: tuple[Series, ...]
    epochs: int
    """Planned epochs of the runs, even if some diverged earlier."""
    searching: bool = False
    """True for a search, which tries settings on the validation split and leaves the test images unread."""
    best: Mapping[str, Aggregate] = field(default_factory=dict)
    """In a search the best setting of each norm."""
    differences: tuple[PairedDifference, ...] = ()
    """Every other norm minus the control; empty in a search."""
    ranking: Ranking | None = None
    """None in a search, or where no seed is shared by all norms."""
    sensitivity: tuple[tuple[Sensitivity, ...], ...] = ()
    """In a search: for each setting with several values the curves, norm by norm."""
    unranked: tuple[str, ...] = ()
    """Sentences on norms that ran with several settings: ranking those by test images would choose by them."""
    warnings: tuple[str, ...] = ()
    """Sentences on what was not equal among the runs."""

    @classmethod
    def of(
        cls,
        results: Sequence[RunResult],
        control: str | None = None,
        margin: float = MARGIN,
        *,
        searching: bool | None = None,
        epochs: int | None = None,
    ) -> "Comparison":
        """Compare norms by the results of their runs.

        Args:
            results: One per norm, setting and seed; at least one.
            control: Norm that the others are compared with; by default the first one.
            margin: Difference (a fraction) within which norms may be called alike.
            searching: True for a search; by default settled by the results.
            epochs: Epochs that the runs were to train; by default those of the longest run.

        Raises:
            UsageError: There are no results, no run has the control norm, or it ran with several settings.
        """
        if not results:
            raise UsageError("there are no runs to compare")
        series = _series(results)
        epochs = max(result.epochs for result in results) if epochs is None else epochs
        rows = [entry.row for entry in series]
        if _is_search(results, rows) if searching is None else searching:
            return cls(
                tuple(results),
                series,
                epochs,
                searching=True,
                best=best_settings(rows),
                sensitivity=tuple(map(tuple, sensitivity_curves(rows))),
                warnings=(*mismatches(results), *unequal_times(results)),
            )
        unranked = _with_several_settings(series)
        if control in unranked:
            raise UsageError(f"{unranked[control]}, and so cannot be the control", "Give --control another norm.")
        ranked = [result for result in results if result.norm not in unranked]
        return cls(
            tuple(results),
            series,
            epochs,
            differences=tuple(paired_differences(ranked, control, margin)) if ranked else (),
            ranking=rank_norms(ranked, margin),
            unranked=tuple(unranked.values()),
            warnings=(*mismatches(results), *unequal_times(results), *seed_mismatches(ranked)),
        )

    @property
    def rows(self) -> tuple[Aggregate, ...]:
        """One row per norm, or in a search per norm and setting."""
        return tuple(entry.row for entry in self.series)

    @property
    def some_failed(self) -> bool:
        """True if a run diverged or failed."""
        return any(result.status != "done" for result in self.results)

    @property
    def is_paired(self) -> bool:
        """True if a norm shares two finished seeds with the control, so that differences have a spread."""
        return any(len(difference.seeds) > 1 for difference in self.differences)

    @property
    def seeds(self) -> int:
        """Largest number of seeds that a norm was finished with."""
        return max(len(entry.done) for entry in self.series)

    @property
    def caption(self) -> str:
        """Data set, network, epochs, seeds, device and versions behind the figures."""
        return caption(self.results, self.epochs, searching=self.searching)

    @property
    def shown(self) -> tuple[Series, ...]:
        """Series of the curves: all of them, or in a search the best setting of each norm, renumbered."""
        if not self.searching:
            return self.series
        best = [entry for entry in self.series if entry.row in self.best.values()]
        return tuple(replace(entry, index=index) for index, entry in enumerate(best))

    @cached_property
    def times(self) -> tuple[TimeToAccuracy, ...]:
        """Time to accuracy of every row; read from the run folders when first asked for.

        Raises:
            RunFailedError: The epochs of a run cannot be read.
        """
        return tuple(times_to_accuracy(self.results))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Rows as plain data, as the JSON document has them; accuracies are fractions."""
        return [row.to_dict() for row in self.rows]

    def document(self) -> dict[str, Any]:
        """Everything as plain data: what `compare --json` prints of the comparison."""
        return {
            "rows": self.to_dicts(),
            "differences": [difference.to_dict() for difference in self.differences],
            "time_to_accuracy": [time.to_dict() for time in self.times],
            "best": {norm: {"lr": row.lr, "weight_decay": row.weight_decay} for norm, row in self.best.items()},
            "sensitivity": [curve.to_dict() for curves in self.sensitivity for curve in curves],
            "runs": [result.model_dump(mode="json") for result in self.results],
        }


def _series(results: Sequence[RunResult]) -> tuple[Series, ...]:
    rows, groups = aggregate_runs(results), group_by_setting(results).values()
    pairs = zip(_labels(rows), rows, groups, strict=True)
    return tuple(Series(label, index, row, tuple(group)) for index, (label, row, group) in enumerate(pairs))


def _labels(rows: Sequence[Aggregate]) -> list[str]:
    """Name each row by its norm, and by the settings of which that norm has several."""
    rates: dict[str, set[float]] = {}
    decays: dict[str, set[float]] = {}
    for row in rows:
        rates.setdefault(row.norm, set()).add(row.lr)
        decays.setdefault(row.norm, set()).add(row.weight_decay)
    return [
        row.norm
        + f", lr {row.lr:g}" * (len(rates[row.norm]) > 1)
        + f", decay {row.weight_decay:g}" * (len(decays[row.norm]) > 1)
        for row in rows
    ]


def _is_search(results: Sequence[RunResult], rows: Sequence[Aggregate]) -> bool:
    """True if no test image was read, and there is a validation accuracy or a norm with several settings."""
    if any(result.test_accuracy is not None for result in results):
        return False
    validated = any(result.validation_accuracy is not None for result in results)
    return validated or len({row.norm for row in rows}) < len(rows)


def _with_several_settings(series: Sequence[Series]) -> dict[str, str]:
    """Describe each norm that ran with several settings, by name."""
    labels: dict[str, list[str]] = {}
    for entry in series:
        labels.setdefault(entry.row.norm, []).append(entry.label.removeprefix(f"{entry.row.norm}, "))
    return {
        norm: f"{norm} ran with several settings ({'; '.join(settings)})"
        for norm, settings in labels.items()
        if len(settings) > 1
    }


def mismatches(results: Sequence[RunResult]) -> list[str]:
    """Describe every field of `SAME` that differs among finished runs, with the norms on either side."""
    sides = {name: _sides([(_value(result, name), result) for result in results]) for name in SAME}
    return [
        f"not on equal terms: runs differ in {name.replace('_', ' ')}: {text}" for name, text in sides.items() if text
    ]


def unequal_times(results: Sequence[RunResult]) -> list[str]:
    """Describe numbers of CPU threads that differ among finished runs.

    The number of threads changes the seconds of a run; its accuracy only in the order in which floats are added, as
    another seed would.
    """
    threads = [(found[1], result) for result in results if (found := THREADS.search(result.device))]
    text = _sides(threads)
    return [f"seconds are not on equal terms: {text}"] * bool(text)


def _sides(values: Sequence[tuple[object, RunResult]]) -> str:
    """Format the values of finished runs with the norms that have each; empty where all are equal."""
    norms: dict[object, dict[str, None]] = {}
    for value, result in values:
        if result.status == "done":
            norms.setdefault(value, {})[result.norm] = None
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in norms.items()) if len(norms) > 1 else ""


def _value(result: RunResult, name: str) -> object:
    """Return a field; earlier versions did not record the precision, which was float32 by default on a CPU."""
    value = getattr(result, name)
    if name == "device":
        return THREADS.sub("", result.device)
    if name == "precision" and value is None:
        return "fp32" if "thread" in result.device else "not recorded"
    return value


def seed_mismatches(results: Sequence[RunResult]) -> list[str]:
    """Describe seeds that not all norms were trained with; those of failed runs do not count."""
    seeds: dict[str, set[int]] = {}
    for result in results:
        seeds.setdefault(result.norm, set()).update([result.seed] * (result.status != "failed"))
    if len({frozenset(of_norm) for of_norm in seeds.values()}) < 2:
        return []
    sides = "; ".join(f"{norm} {seed_ranges(of_norm)}" for norm, of_norm in seeds.items())
    return [f"unequal seeds: {sides}. Norms are ranked on the seeds that all of them share, and differences are over"
            " the seeds that a pair shares"]  # fmt: skip


def earlier_results(folder: Path, recipe: Recipe, configs: Sequence[RunConfig]) -> list[RunResult]:
    """Read the results of other runs in an experiment's folder that answer the same question, in a fixed order.

    Args:
        folder: Folder of the experiment.
        recipe: Recipe of the comparison.
        configs: Runs of the comparison itself, which are left out, as are those of earlier code of their norms.
    """
    fingerprints = {config.fingerprint for config in configs}
    code = {config.norm: config.norm_source for config in configs}
    results = [
        entry.result
        for entry in list_experiment(folder)
        if entry.result is not None
        and entry.config is not None
        and entry.config.fingerprint not in fingerprints
        and entry.config.norm_source == code.get(entry.config.norm, entry.config.norm_source)
        and _is_of(entry.config, recipe, configs[0])
    ]
    return sorted(results, key=lambda result: (listing_order(result.norm), result.seed, result.lr))


def _is_of(config: RunConfig, recipe: Recipe, example: RunConfig) -> bool:
    """Test if a run belongs to the recipe, for any norm and seed; in a search at any rate and decay."""
    try:
        current = {"norm_revision": norm_info(config.norm).revision, "norm_source": config.norm_source}
        expected = recipe.run(config.norm, config.seed, read_test=example.read_test)
    except UsageError:
        return False
    fixed: dict[str, object] = {
        "data": example.data,
        "network_source": example.network_source,
        "max_params": config.max_params,
        "tuned": config.tuned,
        **current,
    }
    if not example.read_test:
        rates = {"lr": config.training.lr, "weight_decay": config.training.weight_decay}
        fixed["training"] = expected.training.model_copy(update=rates)
    return expected.model_copy(update=fixed) == config
