"""The tables of `train` and `--dry-run`, and what every table looks like."""

from collections.abc import Collection

from rich.console import Group, RenderableType

from normbench.analysis import Table, caption
from normbench.analysis.format import learning_rate, percent, untuned
from normbench.console.fit import FittedTable
from normbench.console.output import Output
from normbench.console.text import Text
from normbench.engine import Plan
from normbench.runs import RunResult

KEPT = ("norm", "seed", "train accuracy", "test accuracy", "validation accuracy", "state", "folder")
"""Columns that stand in every table that has them, though all their cells be equal."""


def plain_table(
    *columns: str, left: int = 1, title: str | None = None, wraps: Collection[int] = (), keep: Collection[str] = KEPT
) -> FittedTable:
    """A table whose first `left` columns are words and the others figures; whole at any width.

    Args:
        columns: The headers.
        left: How many columns are words.
        title: A line above it.
        wraps: Columns of sentences, by number.
        keep: Headers of columns that never move into the line below.
    """
    kept = [place for place, column in enumerate(columns) if column in keep]
    return FittedTable(columns, left, title, wraps, kept)


def show_table(table: Table) -> list[RenderableType]:
    """A table as data, laid out for the terminal: title, rows and note."""
    wraps = range(1, len(table.columns)) if table.sentences else ()
    title = f"\n{table.title}" if table.title else None
    fitted = plain_table(*table.columns, title=title, wraps=wraps)
    for index, row in enumerate(table.rows):
        fitted.add_row(*row, style="bold" if index in table.strong else None, end_section=table.sentences)
    return [fitted, *([Text(table.note, style="dim")] if table.note else [])]


def run_table(result: RunResult, epochs: int) -> RenderableType:
    """The table at the end of `train`."""
    table = plain_table(
        "norm", "train accuracy", "test accuracy", "train loss", "test loss", "parameters", "lr", "images/s", "seconds"
    )
    diverged = result.status == "diverged"
    speed = f"{result.images_per_second:,.0f}" if result.images_per_second else "-"
    table.add_row(
        result.norm,
        "diverged" if diverged else percent(result.train_accuracy),
        "diverged" if diverged else percent(result.test_accuracy),
        "-" if result.train_loss is None else f"{result.train_loss:.3f}",
        "-" if result.test_loss is None else f"{result.test_loss:.3f}",
        f"{result.parameters:,}",
        learning_rate(result.lr, result.tuned),
        speed,
        f"{result.seconds:.1f}",
    )
    return Group(table, Text(caption([result], epochs), style="dim"))


def show_plan(output: Output, plan: Plan) -> None:
    """Print what `--dry-run` shows: the runs that would be made, where, and which are done."""
    table = plain_table("norm", "seed", "epochs", "batch", "lr", "decay", "parameters", "state", "folder")
    for config, folder in zip(plan.configs, plan.folders, strict=True):
        training = config.training
        rate = learning_rate(training.lr, config.tuned)
        figures = (config.seed, training.epochs, training.batch_size, rate, f"{training.weight_decay:g}")
        parameters = f"{plan.parameters_of(config):,}"
        table.add_row(config.norm, *map(str, figures), parameters, folder.state, Text(str(folder.path)))
    runs = [
        {"folder": str(folder.path), "state": folder.state, "config": config.model_dump(mode="json")}
        for config, folder in zip(plan.configs, plan.folders, strict=True)
    ]
    document = {
        "dry_run": True,
        "device": str(plan.device),
        "side_by_side": plan.concurrency.runs,
        "runs": runs,
        "warnings": list(plan.warnings),
    }
    folders = "\n".join(str(folder.path) for folder in plan.folders)
    sentence = untuned(config.norm for config in plan.configs if config.tuned is False)
    notes = [Text(sentence, style="dim")] if sentence else []
    output.result([table, *notes, Text(f"Nothing was run.{_at_once(plan)}", style="dim")], document, quiet=folders)


def _at_once(plan: Plan) -> str:
    """How the runs would share the device; nothing of runs that take turns."""
    concurrency = plan.concurrency
    if concurrency.runs == 1:
        return ""
    each = (
        f", each with {concurrency.threads} thread{'s' if concurrency.threads > 1 else ''}"
        if concurrency.threads
        else ""
    )
    return f" It would train {concurrency.runs} runs at once{each}."
