"""Experiment behind a report: the comparison of its runs, their folders, and the runs that are left out."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from normbench.analysis import MARGIN, Comparison, Series
from normbench.errors import UsageError
from normbench.norms import listing_order
from normbench.report.select import Finished, LeftOut, select
from normbench.runs import list_experiment


@dataclass(frozen=True)
class Experiment:
    """Runs of an experiment that stand on equal terms, with their comparison."""

    name: str
    folder: Path
    comparison: Comparison
    runs: tuple[Finished, ...]
    """In the order of the results of the comparison."""
    left_out: tuple[LeftOut, ...]

    def runs_of(self, series: Series) -> tuple[Finished, ...]:
        """Runs of one series."""
        row = series.row
        return tuple(self._by_setting[row.norm, row.lr, row.weight_decay])

    @cached_property
    def _by_setting(self) -> dict[tuple[str, float, float], list[Finished]]:
        groups: dict[tuple[str, float, float], list[Finished]] = {}
        for run in self.runs:
            groups.setdefault((run.result.norm, run.result.lr, run.result.weight_decay), []).append(run)
        return groups

    def done(self, series: Series) -> tuple[Finished, ...]:
        """Runs of one series that are done."""
        return tuple(run for run in self.runs_of(series) if run.result.status == "done")


def collect(folder: Path, control: str | None = None, margin: float = MARGIN) -> Experiment:
    """Read and compare the runs in an experiment's folder.

    Args:
        folder: Folder that holds the run folders.
        control: Norm that the others are compared with; by default the first one.
        margin: Difference (a fraction) within which norms may be called alike.

    Raises:
        UsageError: No run has a result, none has the control norm, or that one ran with several settings.
    """
    runs, left_out = select(list_experiment(folder))
    if not runs:
        raise UsageError(f"no run in {folder} has a result", "See `normbench runs` for what became of them.")
    runs = sorted(runs, key=_order)
    settings = runs[0].settings
    comparison = Comparison.of(
        [run.result for run in runs],
        control,
        margin,
        searching=not settings["read_test"],
        epochs=settings["training.epochs"],
    )
    return Experiment(folder.resolve().name, folder, comparison, tuple(runs), tuple(left_out))


def _order(run: Finished) -> tuple[int, str, float, float, int]:
    """Order of the registry, then custom norms by name; settings and seeds in ascending order."""
    result = run.result
    return *listing_order(result.norm), result.lr, result.weight_decay, result.seed
