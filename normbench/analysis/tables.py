"""Tables of a comparison: its rows, the paired differences, the time to accuracy, and its runs."""

from collections.abc import Sequence

from normbench.analysis.aggregate import Aggregate
from normbench.analysis.comparison import Comparison
from normbench.analysis.document import Table
from normbench.analysis.format import NOTHING, accuracy, figure, finished, learning_rate, p_value, points
from normbench.analysis.paired import PairedDifference, Superiority
from normbench.analysis.time_to_accuracy import TimeToAccuracy
from normbench.errors import unknown
from normbench.runs import RunResult

ROW_COLUMNS = (
    "norm", "train accuracy", "test accuracy", "train loss", "test loss", "parameters", "lr", "decay", "seeds",
    "seconds",
)  # fmt: skip
SEARCH_COLUMNS = ("norm", "lr", "decay", "validation accuracy", "train accuracy", "seeds", "seconds", "")
DIFFERENCE_COLUMNS = ("norm", "difference", "seeds", "Holm p", "P(better)", "verdict", "more seeds, roughly")
TIMES_NOTE = "Mean over runs if every run reached it; time of training, without that of the validation."
MANY_SEEDS = 1000


def rows_table(comparison: Comparison) -> Table:
    """Accuracy, loss and cost, one row per norm; in a search one row per norm and setting."""
    rows = comparison.rows
    if not comparison.searching:
        return Table(
            title="Accuracy, loss and cost by norm",
            columns=ROW_COLUMNS,
            rows=tuple(map(row_cells, rows)),
            note=comparison.caption,
        )
    best = tuple(index for index, row in enumerate(rows) if comparison.best.get(row.norm) is row)
    return Table(
        title="Every setting of the search",
        columns=SEARCH_COLUMNS,
        rows=tuple(_search_cells(row, index in best) for index, row in enumerate(rows)),
        strong=best,
        note=comparison.caption,
    )


def row_cells(row: Aggregate) -> tuple[str, ...]:
    """Cells of a norm under `ROW_COLUMNS`."""
    return (
        row.norm,
        accuracy(row.train_accuracy, row.diverged, row.runs),
        accuracy(row.test_accuracy, row.diverged, row.runs),
        figure(row.train_loss),
        figure(row.test_loss),
        f"{row.parameters:,}",
        learning_rate(row.lr, row.tuned),
        f"{row.weight_decay:g}",
        finished(row),
        figure(row.seconds, 1),
    )


def _search_cells(row: Aggregate, is_best: bool) -> tuple[str, ...]:
    return (
        row.norm,
        f"{row.lr:g}",
        f"{row.weight_decay:g}",
        accuracy(row.validation_accuracy, row.diverged, row.runs),
        accuracy(row.train_accuracy, row.diverged, row.runs),
        finished(row),
        figure(row.seconds, 1),
        "best on validation" if is_best else "",
    )


def differences_table(comparison: Comparison) -> Table | None:
    """Paired differences to the control; None for a single seed, as one difference has no spread to test it by."""
    if not comparison.is_paired:
        return None
    differences = comparison.differences
    counts = sorted({len(difference.seeds) for difference in differences})
    seeds = f"{counts[0]}-{counts[-1]}" if len(counts) > 1 else str(counts[0])
    return Table(
        title=f"Paired differences to {differences[0].control} ({seeds} seeds)",
        columns=DIFFERENCE_COLUMNS,
        rows=tuple(map(_difference_cells, differences)),
        strong=tuple(index for index, difference in enumerate(differences) if difference.separated),
        note=differences_note(differences),
    )


def _difference_cells(difference: PairedDifference) -> tuple[str, ...]:
    return (
        difference.norm,
        joint_points(difference),
        str(len(difference.seeds)),
        p_value(difference.p_holm),
        _probability(difference.better),
        difference.verdict,
        _more_seeds(difference),
    )


def joint_points(difference: PairedDifference) -> str:
    """Format a difference in percentage points with the interval that holds for all pairs of its family together."""
    mean = difference.difference
    if difference.diverged:
        return f"{difference.diverged} of {len(difference.seeds)} diverged"
    if mean is None or mean.is_pair or difference.low is None or difference.high is None:
        return points(mean)
    return f"{100 * mean.mean:+.2f} [{100 * difference.low:+.2f}, {100 * difference.high:+.2f}] pp"


def differences_note(differences: Sequence[PairedDifference]) -> str:
    """Meaning of the columns of the table of differences."""
    first = differences[0]
    family = f" for all {first.tests} pairs of norms together" if first.tests > 1 else ""
    pairs = any(pair.difference is not None and pair.difference.is_pair for pair in differences)
    two_values = " Two seeds are shown as their two values." if pairs else ""
    constant = ", ".join(pair.norm for pair in differences if pair.has_no_spread)
    no_spread = f" The same on every seed, so there is no spread to test by: {constant}." if constant else ""
    joint, adjusted = (f" that holds{family}, by Bonferroni", f", adjusted{family}") if family else ("", "")
    wider = ", which can be where the wider interval still touches 0" if family else ""
    return (
        f"Test accuracy minus that of {first.control} on the seeds that both share, with a 95 % interval (Student's t)"
        f"{joint}.{two_values}{no_spread} Holm p: paired t-test{adjusted}; separated: below 0.05{wider}. alike: less "
        f"than {100 * first.margin:g} pp apart (--margin) by two one-sided tests"
        f"{', adjusted likewise' if family else ''}. P(better): probability of beating it on one seed, ties counting "
        "half, with its exact 95 % interval (Clopper-Pearson). More seeds: for 80 % power, if the observed difference "
        "is the true one. Such a plan is noisy: for two norms that do not differ at all, it names ten or fewer from "
        "three seeds in about a quarter of cases."
    )


def _probability(value: Superiority | None) -> str:
    if value is None:
        return NOTHING
    return f"{value.probability:.2f} [{value.low:.2f}, {value.high:.2f}]"


def _more_seeds(difference: PairedDifference) -> str:
    if difference.separated:
        return "none"
    if difference.more_seeds is None:
        return NOTHING
    return f"{difference.more_seeds:,}" if difference.more_seeds <= MANY_SEEDS else f"over {MANY_SEEDS:,}"


def times_table(comparison: Comparison) -> Table | None:
    """Time to accuracy, one row per norm and one column per level; None without a validation split.

    Raises:
        RunFailedError: The epochs of a run cannot be read.
    """
    measured = [time for time in comparison.times if time.measured]
    if not measured:
        return None
    levels = list(dict.fromkeys(time.accuracy for time in measured))
    rows = []
    for row in comparison.rows:
        setting = (row.norm, row.lr, row.weight_decay)
        cells = {t.accuracy: _time(t) for t in measured if (t.norm, t.lr, t.weight_decay) == setting}
        rows.append((row.norm, *(cells.get(level, NOTHING) for level in levels)))
    columns = ("norm", *(f"{level:.0%}" for level in levels))
    return Table(title="To a validation accuracy of", columns=columns, rows=tuple(rows), note=TIMES_NOTE)


def _time(time: TimeToAccuracy) -> str:
    if time.epochs is None or time.seconds is None:
        return f"{time.reached} of {time.runs} runs"
    return f"{time.epochs.mean:.1f} epochs, {time.seconds.mean:.1f} s"


def paper_tables(comparison: Comparison) -> list[Table]:
    """Rows and paired differences as they stand on paper: problems and warnings are part of the caption."""
    table = rows_table(comparison)
    problems = [f"{row.norm}: {problem}." for row in comparison.rows for problem in row.problems]
    note = " ".join([table.note, *problems, *(f"{warning}." for warning in comparison.warnings)])
    differences = differences_table(comparison)
    return [table.model_copy(update={"note": note}), *([differences] if differences else [])]


def select_columns(table: Table, columns: Sequence[str]) -> Table:
    """Select columns of a table in the given order, after the first one, which names the rows.

    Args:
        table: The table.
        columns: Names of columns, in any case and with hyphens or blanks.

    Raises:
        UsageError: There is no such column.
    """
    known = {column.replace(" ", "-"): index for index, column in enumerate(table.columns)}
    indices = [0]
    for column in columns:
        name = "-".join(column.lower().split())
        if name not in known:
            raise unknown("column", name, known)
        if known[name] not in indices:
            indices.append(known[name])
    return table.model_copy(
        update={
            "columns": tuple(table.columns[index] for index in indices),
            "rows": tuple(tuple(row[index] for index in indices) for row in table.rows),
        }
    )


def runs_table(results: Sequence[RunResult]) -> Table:
    """Every field of every run, one row per run; a field that a run does not have is empty."""
    rows = tuple(
        tuple("" if value is None else str(value) for value in result.model_dump(mode="json").values())
        for result in results
    )
    return Table(title="Runs", columns=tuple(RunResult.model_fields), rows=rows)
