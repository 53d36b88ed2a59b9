"""The sections of the page that tell what was measured: tables, differences, curves, mistakes."""

from collections.abc import Sequence
from itertools import pairwise

from normbench.analysis import conditions, sensitivity_answer, sensitivity_charts
from normbench.analysis import format as words
from normbench.errors import NormbenchError
from normbench.report.charts import chart_plot
from normbench.report.confusion import Confusion, Mistakes
from normbench.report.confusion_plots import classes_plot, confusion_plot
from normbench.report.curves import CURVES, curve_plot, differences_plot, lr_steps
from normbench.report.elements import Block, Code, Fold, Grid, Plots, Section, Text
from normbench.report.experiment import Experiment, Series
from normbench.report.figure import Plot
from normbench.runs import read_rows
from normbench.training import EpochRow

METRICS = "metrics.jsonl"


def comparison(experiment: Experiment) -> Section:
    """A line for each norm and setting, and what it was measured on."""
    rows = [one.row for one in experiment.series]
    if experiment.searching:
        best = frozenset(place for place, row in enumerate(rows) if experiment.found.get(row.norm) is row)
        lines = [words.search_cells(row, place in best) for place, row in enumerate(rows)]
        table = Grid("rows", "Every setting of the search", words.SEARCH_COLUMNS, lines, strong=best)
    else:
        table = Grid("rows", "Accuracy, loss and cost by norm", words.ROW_COLUMNS, list(map(words.row_cells, rows)))
    said = conditions(experiment.results, experiment.epochs, searching=experiment.searching)
    problems = [Text(f"{one.label}: {problem}", "warning") for one in experiment.series for problem in one.row.problems]
    blocks: list[Block] = [table, Text(said[0].upper() + said[1:], "note"), *problems]
    if experiment.found:
        blocks += [Text("What the search has found, for a recipe:"), Code(words.recipe_lines(experiment.found))]
    return Section("comparison", "Comparison", blocks)


def sensitivity(experiment: Experiment) -> list[Section]:
    """In a search: how much each norm minds the setting that was searched; elsewhere there is no such section."""
    if not experiment.sensitivity:
        return []
    plots = Plots([chart_plot(chart) for chart in sensitivity_charts(experiment.sensitivity)])
    said = [Text(sentence) for curves in experiment.sensitivity for sentence in sensitivity_answer(curves)]
    return [Section("sensitivity", "Sensitivity to the settings", [plots, *said])]


def differences(experiment: Experiment) -> Section:
    """Every norm against the control, in pairs of equal seeds."""
    found, ident, title = experiment.differences, "differences", "Paired differences"
    if experiment.searching:
        return Section(ident, title, missing="A search leaves the test images unread, so there is nothing to pair.")
    if not found:
        return Section(ident, title, missing="There are no two norms here that are ranked.")
    if not experiment.is_paired:
        return Section(ident, title, missing="It takes two seeds or more in common to judge a difference (--seeds 5).")
    drawn = [one for one in found if one.difference is not None and one.difference.n > 1]
    plots = [differences_plot(drawn, {one.label: one.index for one in experiment.series})] if drawn else []
    lines = [words.difference_cells(one) for one in found]
    strong = frozenset(place for place, one in enumerate(found) if one.separated)
    table = Grid("pairs", words.difference_title(found), words.DIFFERENCE_COLUMNS, lines, strong=strong)
    return Section(
        ident, title, [*([Plots(plots)] if plots else []), table, Text(words.difference_notes(found), "note")]
    )


def curves(experiment: Experiment) -> Section:
    """Loss and accuracy by epoch, of every norm (in a search: at its best setting)."""
    notes: list[str] = []
    rows = {one.label: _epochs(one, notes) for one in experiment.shown}
    plots = [plot for curve in CURVES if (plot := curve_plot(curve, experiment.shown, rows))]
    unread = [Text(note, "warning") for note in notes]
    if not plots:
        return Section("curves", "Training curves", unread, missing="No run was finished, so there is no curve.")
    told = [_bands(experiment), _steps(rows), *_unmeasured(plots)]
    return Section("curves", "Training curves", [Plots(plots), Text(" ".join(told), "note"), *unread])


def _epochs(series: Series, notes: list[str]) -> list[list[EpochRow]]:
    """The epochs of the finished runs; a run whose epochs are damaged is left out, and named."""
    found = []
    for run in series.done:
        try:
            rows = read_rows(run.path / METRICS)
        except NormbenchError as error:
            notes.append(f"{series.label}, seed {run.result.seed}, has no curve: {error.message}.")
            continue
        if len(rows) == run.result.epochs:
            found.append(rows)
        else:
            notes.append(f"{series.label}, seed {run.result.seed}, has no curve: not all of its epochs were kept.")
    return found


def _bands(experiment: Experiment) -> str:
    chosen = "Each norm at the best setting of the search. " if experiment.searching else ""
    band = "Lines are means over seeds, bands go from the lowest to the highest seed. " if experiment.seeds > 1 else ""
    diverged = [one.label for one in experiment.shown if one.row.diverged]
    lost = f"Runs that diverged have no curve, which flatters {', '.join(diverged)}. " if diverged else ""
    running = "Running figures are averages over the augmented batches of an epoch while the weights move; "
    return f"{chosen}{band}{lost}{running}train accuracy in the table above is of the last weights on plain images."


def _steps(rows: dict[str, list[list[EpochRow]]]) -> str:
    runs = [run for of_series in rows.values() for run in of_series]
    steps = lr_steps(runs)
    if steps:
        return f"Dotted lines: the learning rate steps down before epoch {' and '.join(map(str, steps))}."
    moves = any(a.lr != b.lr for run in runs for a, b in pairwise(run))
    return "The learning rate moves in every epoch." if moves else "The learning rate does not change."


def _unmeasured(plots: Sequence[Plot]) -> list[str]:
    measured = any(plot.name.startswith("curve-validation") for plot in plots)
    return [] if measured else ["Validation was not measured: there was no validation split (--val-split)."]


def classes(found: Mistakes) -> Section:
    """Test accuracy by class, the norms side by side."""
    if not found.confusions:
        return Section("classes", "Accuracy by class", missing=" ".join(found.notes))
    columns = ("class", *(one.series.label for one in found.confusions))
    over = ", mean over seeds" if any(len(one.series.done) > 1 for one in found.confusions) else ""
    lines = [
        (name, *(_class_accuracy(one, place) for one in found.confusions)) for place, name in enumerate(found.classes)
    ]
    table = Grid("per-class-table", f"Test accuracy by class{over}", columns, lines)
    notes = [Text(note, "warning") for note in found.notes]
    plots = Plots([classes_plot(found.classes, found.confusions)])
    return Section("classes", "Accuracy by class", [plots, table, *notes])


def _class_accuracy(one: Confusion, place: int) -> str:
    """The mean over seeds; nothing of a class without images."""
    found = one.per_class[place]
    return words.NOTHING if found is None else words.percent(found.mean)


def confusions(found: Mistakes) -> Section:
    """What is taken for what, a matrix for each norm."""
    if not found.confusions:
        return Section("confusions", "Confusions", missing="See accuracy by class: it needs the same evaluation.")
    plots = Plots([confusion_plot(found.classes, one) for one in found.confusions])
    seeds = max(len(one.series.done) for one in found.confusions)
    summed = f" Summed over {seeds} seeds." if seeds > 1 else ""
    note = f"Of 100 test images of a class (row), how many were taken for each class (column).{summed}"
    tables = [_counts(found.classes, one) for one in found.confusions]
    return Section("confusions", "Confusions", [Text(note), plots, Fold("The counts as tables", tables)])


def _counts(names: Sequence[str], one: Confusion) -> Grid:
    lines = [(name, *(f"{count:,}" for count in row)) for name, row in zip(names, one.counts.tolist(), strict=True)]
    caption = f"{one.series.label}: test images by true class (row) and the class they were taken for (column)"
    return Grid(f"confusion-{one.series.index + 1}-table", caption, ("true class", *names), lines)
