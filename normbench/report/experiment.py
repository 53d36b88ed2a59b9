"""An experiment as the report shows it: its runs by norm and setting, and what follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from normbench.analysis import (
    MARGIN,
    Leading,
    PairedDifference,
    Row,
    Sensitivity,
    best_settings,
    leading,
    mixed,
    paired_differences,
    searched,
    summarize,
    uneven_seeds,
)
from normbench.errors import UsageError
from normbench.norms import NORMS
from normbench.report.select import Finished, LeftOut, select
from normbench.runs import RunResult, list_experiment


@dataclass(frozen=True)
class Series:
    """The runs of one norm at one setting: a line of the tables, a colour and a marker of the plots."""

    label: str
    """The norm's name; where it ran with several settings, with the one that tells them apart."""
    index: int
    row: Row
    runs: tuple[Finished, ...]

    @property
    def done(self) -> tuple[Finished, ...]:
        """The runs that ended well."""
        return tuple(run for run in self.runs if run.result.status == "done")


@dataclass(frozen=True)
class Experiment:
    """The runs of an experiment that stand on equal terms, and the statistics of them."""

    name: str
    folder: Path
    epochs: int
    """That the runs were to train, whether they got there or diverged."""
    series: tuple[Series, ...]
    searching: bool
    """Whether it tried settings on the validation split and left the test images unread."""
    found: dict[str, Row]
    """In a search the best settings, by norm."""
    sensitivity: tuple[tuple[Sensitivity, ...], ...]
    """In a search of each setting with several values the curves, norm by norm."""
    differences: tuple[PairedDifference, ...]
    """To the control; empty in a search, or of one norm."""
    leader: Leading | None
    unranked: tuple[str, ...]
    """Norms that ran with several settings, and with which: ranking those by test images would choose by them."""
    warnings: tuple[str, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def results(self) -> list[RunResult]:
        """Of every run, in the order of the series."""
        return [run.result for one in self.series for run in one.runs]

    @property
    def seeds(self) -> int:
        """The most seeds that a norm was finished with."""
        return max(len(one.done) for one in self.series)

    @property
    def is_paired(self) -> bool:
        """Whether a norm shares two finished seeds with the control, so that differences have a spread."""
        return any(len(one.seeds) > 1 for one in self.differences)

    @property
    def shown(self) -> tuple[Series, ...]:
        """What the curves show: every series, or in a search the best setting of each norm, with colours of its own."""
        if not self.searching:
            return self.series
        best = [one for one in self.series if one.row in self.found.values()]
        return tuple(replace(one, index=place) for place, one in enumerate(best))


def collect(folder: Path, control: str | None = None, margin: float = MARGIN) -> Experiment:
    """Read the runs of an experiment's folder.

    Args:
        folder: Where the run folders lie.
        control: The norm that the others are set against; by default the first one.
        margin: The difference (a fraction) within which norms may be called alike.

    Raises:
        UsageError: No run has a result, or none has the control norm, or that ran with several settings.
    """
    runs, left_out = select(list_experiment(folder))
    if not runs:
        raise UsageError(f"no run in {folder} has a result", "See `normbench runs` for what became of them.")
    searching = not runs[0].settings["read_test"]
    runs = sorted(runs, key=_order)
    series = _series(runs)
    unranked = {} if searching else _several_settings(series)
    if control in unranked:
        raise UsageError(f"{unranked[control]}, and so cannot be the control", "Give --control another norm.")
    ranked = [run.result for one in series for run in one.runs if one.row.norm not in unranked]
    differences = [] if searching or not ranked else paired_differences(ranked, control, margin)
    return Experiment(
        name=folder.resolve().name,
        folder=folder,
        epochs=runs[0].settings["training.epochs"],
        series=series,
        searching=searching,
        found=best_settings(one.row for one in series) if searching else {},
        sensitivity=tuple(map(tuple, searched([one.row for one in series]))) if searching else (),
        differences=tuple(differences),
        leader=None if searching else leading(ranked, margin),
        unranked=tuple(unranked.values()),
        warnings=tuple(
            mixed([run.result for one in series for run in one.runs]) + ([] if searching else uneven_seeds(ranked))
        ),
        left_out=tuple(left_out),
    )


def _order(run: Finished) -> tuple[int, str, float, float, int]:
    """The registry's order, then the user's own norms by name; settings and seeds from small to large."""
    result, names = run.result, list(NORMS)
    place = names.index(name) if (name := result.norm.removesuffix("+ws")) in names else len(names)
    return place, result.norm, result.lr, result.weight_decay, result.seed


def _series(runs: Sequence[Finished]) -> tuple[Series, ...]:
    rows = summarize(run.result for run in runs)
    groups: dict[tuple[str, float, float], list[Finished]] = {}
    for run in runs:
        groups.setdefault((run.result.norm, run.result.lr, run.result.weight_decay), []).append(run)
    return tuple(
        Series(_label(row, rows), index, row, tuple(groups[row.norm, row.lr, row.weight_decay]))
        for index, row in enumerate(rows)
    )


def _label(row: Row, rows: Sequence[Row]) -> str:
    same = [one for one in rows if one.norm == row.norm]
    lr = f", lr {row.lr:g}" if len({one.lr for one in same}) > 1 else ""
    decay = f", decay {row.weight_decay:g}" if len({one.weight_decay for one in same}) > 1 else ""
    return f"{row.norm}{lr}{decay}"


def _several_settings(series: Sequence[Series]) -> dict[str, str]:
    """By name, of each norm that stands there with several settings: that it does, and with which."""
    labels: dict[str, list[str]] = {}
    for one in series:
        labels.setdefault(one.row.norm, []).append(one.label.removeprefix(f"{one.row.norm}, "))
    return {
        norm: f"{norm} ran with several settings ({'; '.join(found)})"
        for norm, found in labels.items()
        if len(found) > 1
    }
