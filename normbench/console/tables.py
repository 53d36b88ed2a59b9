"""The tables people read."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from normbench.analysis import Estimate, Row
from normbench.console.output import Output
from normbench.engine import Plan
from normbench.runs import RunResult
from normbench.studies.compare import Comparison


def plain_table(*columns: str, left: int = 1, title: str | None = None) -> Table:
    """A table whose first `left` columns are words and the others figures."""
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", no_wrap=index > 0)
    return table


def percent(value: Estimate | float | None) -> str:
    """An accuracy in percent; over seeds with the half width of its 95 % interval."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2%}".replace("%", " %")
    if value.high is None:
        return percent(value.mean)
    return f"{100 * value.mean:.2f} ± {100 * (value.high - value.mean):.2f} %"


def _figure(value: Estimate | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value.mean:.{digits}f}"


def conditions(results: Sequence[RunResult], epochs: int, searching: bool = False) -> str:
    """The sentence that every table of accuracies needs: on what, for how long, with what."""
    first = results[0]
    seeds = sorted({result.seed for result in results})
    named = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds ({seeds[0]}-{seeds[-1]})"
    spread = " ± is the half width of the 95 % interval of the mean (Student's t)." if len(seeds) > 1 else ""
    read = "The test images were not read." if searching else "Accuracies are the last epoch's, not the best's."
    return (
        f"{_data_words(first)}; network {first.network}; {epochs} epoch{'s' * (epochs > 1)}; "
        f"batch {first.batch_size}; {named}; {first.device}; torch {first.torch}. {read}{spread}"
    )


def _data_words(result: RunResult) -> str:
    name = {"cifar10": "CIFAR-10", "digits": "the embedded digits, not CIFAR-10"}[result.dataset]
    return f"{name} ({result.train_images:,} train and {result.test_images:,} test images)"


def run_table(result: RunResult, epochs: int) -> RenderableType:
    """The table at the end of `train`."""
    table = plain_table(
        "norm", "train accuracy", "test accuracy", "train loss", "test loss", "parameters", "lr", "images/s", "seconds"
    )
    speed = f"{result.images_per_second:,.0f}" if result.images_per_second else "-"
    table.add_row(
        result.norm,
        percent(result.train_accuracy),
        percent(result.test_accuracy),
        "-" if result.train_loss is None else f"{result.train_loss:.3f}",
        "-" if result.test_loss is None else f"{result.test_loss:.3f}",
        f"{result.parameters:,}",
        f"{result.lr:g}",
        speed,
        f"{result.seconds:.1f}",
    )
    return Group(table, Text(conditions([result], epochs), style="dim"))


def comparison_table(comparison: Comparison, epochs: int) -> RenderableType:
    """The table at the end of `compare`: one row a norm, or in a search one row a norm and setting."""
    if comparison.found:
        return _search_table(comparison, epochs)
    table = plain_table(
        "norm", "train accuracy", "test accuracy", "train loss", "test loss", "parameters", "lr", "decay", "seconds"
    )
    for row in comparison.rows:
        table.add_row(
            row.norm,
            percent(row.train_accuracy),
            percent(row.test_accuracy),
            _figure(row.train_loss),
            _figure(row.test_loss),
            f"{row.parameters:,}",
            f"{row.lr:g}",
            f"{row.weight_decay:g}",
            _figure(row.seconds, 1),
        )
    return Group(table, *_below(comparison, epochs))


def _search_table(comparison: Comparison, epochs: int) -> RenderableType:
    table = plain_table("norm", "lr", "decay", "validation accuracy", "train accuracy", "seconds", "")
    for row in comparison.rows:
        chosen = comparison.found.get(row.norm) is row
        table.add_row(
            row.norm,
            f"{row.lr:g}",
            f"{row.weight_decay:g}",
            percent(row.validation_accuracy),
            percent(row.train_accuracy),
            _figure(row.seconds, 1),
            "best on validation" if chosen else "",
            style="bold" if chosen else None,
        )
    settings = [
        f"[norm.{norm}]\nlr = {row.lr:g}\nweight_decay = {row.weight_decay:g}" for norm, row in comparison.found.items()
    ]
    recipe = Text("For a recipe:\n" + "\n".join(settings))
    return Group(table, *_below(comparison, epochs), recipe)


def _below(comparison: Comparison, epochs: int) -> list[RenderableType]:
    problems = [Text(f"{row.norm}: {problem}", style="red") for row in comparison.rows for problem in row.problems]
    caption = conditions(comparison.results, epochs, searching=bool(comparison.found))
    return [*problems, Text(caption, style="dim")]


def row_document(row: Row) -> dict[str, object]:
    """A row of a comparison as `--json` shows it; accuracies are fractions."""

    def numbers(value: Estimate | None) -> dict[str, float | int | None] | None:
        if value is None:
            return None
        return {"mean": value.mean, "sd": value.sd, "low95": value.low, "high95": value.high, "n": value.n}

    return {
        "norm": row.norm,
        "parameters": row.parameters,
        "lr": row.lr,
        "weight_decay": row.weight_decay,
        "train_accuracy": numbers(row.train_accuracy),
        "train_loss": numbers(row.train_loss),
        "validation_accuracy": numbers(row.validation_accuracy),
        "test_accuracy": numbers(row.test_accuracy),
        "test_loss": numbers(row.test_loss),
        "seconds": numbers(row.seconds),
        "problems": list(row.problems),
    }


def comparison_document(comparison: Comparison, warnings: Sequence[str]) -> dict[str, object]:
    """What `compare --json` prints."""
    return {
        "command": "compare",
        "rows": [row_document(row) for row in comparison.rows],
        "found": {norm: {"lr": row.lr, "weight_decay": row.weight_decay} for norm, row in comparison.found.items()},
        "runs": [result.model_dump(mode="json") for result in comparison.results],
        "warnings": list(warnings),
    }


def comparison_values(comparison: Comparison) -> str:
    """What `compare -q` prints: norm and mean test accuracy (in a search: validation), a line each."""
    lines = []
    for row in comparison.rows:
        accuracy = row.test_accuracy or row.validation_accuracy
        lines.append(f"{row.norm} {accuracy.mean:.4f}" if accuracy else f"{row.norm} -")
    return "\n".join(lines)


def show_plan(output: Output, plan: Plan) -> None:
    """Print what `--dry-run` shows: the runs that would be made, where, and which are done."""
    table = plain_table("norm", "seed", "epochs", "batch", "lr", "decay", "parameters", "state", "folder")
    table.columns[-1].overflow, table.columns[-1].no_wrap = "fold", False  # a path that is cut is no use
    for config, folder in zip(plan.configs, plan.folders, strict=True):
        training = config.training
        figures = (config.seed, training.epochs, training.batch_size, f"{training.lr:g}", f"{training.weight_decay:g}")
        parameters = f"{plan.parameters[config.norm]:,}"
        table.add_row(config.norm, *map(str, figures), parameters, folder.state, Text(str(folder.path)))
    runs = [
        {"folder": str(folder.path), "state": folder.state, "config": config.model_dump(mode="json")}
        for config, folder in zip(plan.configs, plan.folders, strict=True)
    ]
    document = {"dry_run": True, "device": str(plan.device), "runs": runs, "warnings": list(plan.warnings)}
    folders = "\n".join(str(folder.path) for folder in plan.folders)
    output.result([table, "[dim]Nothing was run.[/]"], document, quiet=folders)
