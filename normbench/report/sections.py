"""Sections on what was measured: comparison, differences, training curves, accuracy by class, confusion matrices."""

from collections.abc import Sequence
from itertools import pairwise

from normbench.analysis import Comparison, Series, Table, sensitivity_charts, sensitivity_conclusions
from normbench.analysis.format import NOTHING, percent, recipe_lines
from normbench.analysis.tables import differences_table, rows_table
from normbench.errors import NormbenchError
from normbench.report.accuracies import accuracies_plot, differences_plot
from normbench.report.charts import chart_plot
from normbench.report.confusion import Confusion, Confusions, classes_plot, confusion_plot
from normbench.report.curves import CURVES, curve_plot, lr_steps
from normbench.report.elements import Code, Element, Fold, Plots, Section, TableElement, Text
from normbench.report.experiment import Experiment
from normbench.report.figure import Plot
from normbench.runs import read_rows
from normbench.training import EpochRow

METRICS = "metrics.jsonl"


def comparison(experiment: Experiment) -> Section:
    """Accuracy, loss and cost by norm and setting, with their conditions."""
    compared = experiment.comparison
    table = rows_table(compared)
    note = table.note[0].upper() + table.note[1:]
    rows = TableElement("rows", table.model_copy(update={"note": note}))
    plot = accuracies_plot(compared)
    elements: list[Element] = [Plots([plot], [rows])] if plot else [rows]
    elements += [
        Text(f"{series.label}: {problem}", "warning") for series in compared.series for problem in series.row.problems
    ]
    if compared.best:
        elements += [Text("The best settings of the search, for a recipe:"), Code(recipe_lines(compared.best))]
    return Section("comparison", "Comparison", elements)


def sensitivity(experiment: Experiment) -> list[Section]:
    """Sensitivity of each norm to the settings of a search; empty for a comparison."""
    curves = experiment.comparison.sensitivity
    if not curves:
        return []
    plots = Plots([chart_plot(chart) for chart in sensitivity_charts(curves)])
    sentences = [Text(sentence) for of_setting in curves for sentence in sensitivity_conclusions(of_setting)]
    return [Section("sensitivity", "Sensitivity to the settings", [plots, *sentences])]


def differences(experiment: Experiment) -> Section:
    """Paired differences of every norm to the control."""
    compared, ident, title = experiment.comparison, "differences", "Paired differences"
    if compared.searching:
        return Section(ident, title, missing="A search leaves the test images unread, so there is nothing to pair.")
    if not compared.differences:
        return Section(ident, title, missing="There are no two ranked norms.")
    table = differences_table(compared)
    if table is None:
        return Section(ident, title, missing="A difference takes two or more common seeds to test (--seeds 5).")
    drawn = [pair for pair in compared.differences if pair.difference is not None and pair.difference.n > 1]
    indices = {series.label: series.index for series in compared.series}
    pairs = TableElement("pairs", table)
    return Section(ident, title, [Plots([differences_plot(drawn, indices)], [pairs]) if drawn else pairs])


def curves(experiment: Experiment) -> Section:
    """Loss and accuracy by epoch, for every norm (in a search at its best setting)."""
    notes: list[str] = []
    shown = experiment.comparison.shown
    rows = {series.label: _epochs(experiment, series, notes) for series in shown}
    plots = [plot for curve in CURVES if (plot := curve_plot(curve, shown, rows))]
    unread = [Text(note, "warning") for note in notes]
    if not plots:
        return Section("curves", "Training curves", unread, missing="No run was finished, so there is no curve.")
    sentences = [_bands(experiment.comparison), _steps(rows), *_unmeasured(plots)]
    return Section("curves", "Training curves", [Plots(plots), Text(" ".join(sentences), "note"), *unread])


def _epochs(experiment: Experiment, series: Series, notes: list[str]) -> list[list[EpochRow]]:
    """Read the epochs of the finished runs; a run whose epochs are damaged is left out, with a note."""
    runs = []
    for run in experiment.done(series):
        name = f"{series.label}, seed {run.result.seed}, has no curve"
        try:
            rows = read_rows(run.path / METRICS)
        except NormbenchError as error:
            notes.append(f"{name}: {error.message}.")
            continue
        if len(rows) == run.result.epochs:
            runs.append(rows)
        else:
            notes.append(f"{name}: not all of its epochs were kept.")
    return runs


def _bands(compared: Comparison) -> str:
    best = "Each norm at the best setting of the search. " if compared.searching else ""
    band = "Lines are means over seeds, bands go from the lowest to the highest seed. " if compared.seeds > 1 else ""
    diverged = [series.label for series in compared.shown if series.row.diverged]
    flatters = f"Runs that diverged have no curve, which favours {', '.join(diverged)}. " if diverged else ""
    running = "Running figures are averages over the augmented batches of an epoch while the weights change; "
    final = "train accuracy in the table above is that of the last weights on un-augmented images."
    return f"{best}{band}{flatters}{running}{final}"


def _steps(rows: dict[str, list[list[EpochRow]]]) -> str:
    runs = [run for of_series in rows.values() for run in of_series]
    steps = lr_steps(runs)
    if steps:
        return f"Dotted lines: the learning rate steps down before epoch {' and '.join(map(str, steps))}."
    changes = any(a.lr != b.lr for run in runs for a, b in pairwise(run))
    return "The learning rate changes in every epoch." if changes else "The learning rate is constant."


def _unmeasured(plots: Sequence[Plot]) -> list[str]:
    measured = any(plot.name.startswith("curve-validation") for plot in plots)
    return [] if measured else ["Validation was not measured: there was no validation split (--val-split)."]


def classes(confusions: Confusions) -> Section:
    """Test accuracy by class, one column per norm."""
    matrices = confusions.matrices
    if not matrices:
        return Section("classes", "Accuracy by class", missing=" ".join(confusions.notes))
    over = ", mean over seeds" if any(len(matrix.series.done) > 1 for matrix in matrices) else ""
    table = Table(
        title=f"Test accuracy by class{over}",
        columns=("class", *(matrix.series.label for matrix in matrices)),
        rows=tuple(
            (name, *(_class_accuracy(matrix, index) for matrix in matrices))
            for index, name in enumerate(confusions.classes)
        ),
    )
    notes = [Text(note, "warning") for note in confusions.notes]
    plots = Plots([classes_plot(confusions.classes, matrices)], [TableElement("per-class-table", table)])
    return Section("classes", "Accuracy by class", [plots, *notes])


def _class_accuracy(matrix: Confusion, index: int) -> str:
    """Format the mean over seeds; a dash for a class without images."""
    accuracy = matrix.per_class[index]
    return NOTHING if accuracy is None else percent(accuracy.mean)


def confusions(collected: Confusions) -> Section:
    """Confusion matrix of each norm, as a plot and as a table of counts."""
    matrices = collected.matrices
    if not matrices:
        return Section(
            "confusions", "Confusion matrices", missing="See accuracy by class: it needs the same evaluation."
        )
    plots = Plots([confusion_plot(collected.classes, matrix) for matrix in matrices])
    seeds = max(len(matrix.series.done) for matrix in matrices)
    summed = f" Summed over {seeds} seeds." if seeds > 1 else ""
    note = f"Predicted classes (columns) per 100 test images of each true class (rows).{summed}"
    tables = [_counts(collected.classes, matrix) for matrix in matrices]
    return Section(
        "confusions", "Confusion matrices", [plots, Text(note, "note"), Fold("The counts as tables", tables)]
    )


def _counts(names: Sequence[str], matrix: Confusion) -> TableElement:
    rows = zip(names, matrix.counts.tolist(), strict=True)
    table = Table(
        title=f"{matrix.series.label}: test images by true class (row) and predicted class (column)",
        columns=("true class", *names),
        rows=tuple((name, *(f"{count:,}" for count in counts)) for name, counts in rows),
    )
    return TableElement(f"confusion-{matrix.series.index + 1}-table", table)
