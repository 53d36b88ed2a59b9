"""Plan of a command: its runs for `--dry-run`, and the time, memory and disk that it takes."""

from collections.abc import Iterable

from rich.console import RenderableType

from normbench.analysis.format import join_names, learning_rate, untuned
from normbench.console.output import Output
from normbench.console.progress import duration
from normbench.console.tables import plain_table
from normbench.console.text import Text
from normbench.engine import Estimate, Plan
from normbench.text import counted

MOST_LISTED = 60
"""Runs that are listed one by one; of more there is one row per norm."""
FEW = 6
"""Values of a setting that are named; of more their range is."""


def show_plan(output: Output, plan: Plan, estimate: Estimate | None) -> None:
    """Print a plan for `--dry-run`: its runs, their folders and states, and their cost."""
    table = _runs(plan) if len(plan.configs) <= MOST_LISTED else _norms(plan)
    runs = [
        {"folder": str(folder.path), "state": folder.state, "config": config.model_dump(mode="json")}
        for config, folder in zip(plan.configs, plan.folders, strict=True)
    ]
    document = {
        "dry_run": True,
        "device": str(plan.device),
        "side_by_side": plan.concurrency.runs,
        "estimate": estimate.to_dict() if estimate else None,
        "runs": runs,
        "warnings": list(plan.warnings),
    }
    folders = "\n".join(str(folder.path) for folder in plan.folders)
    sentence = untuned(config.norm for config in plan.configs if config.tuned is False)
    notes = [Text(sentence, style="dim")] if sentence else []
    cost = [Text(line) for line in cost_lines(plan, estimate)] if estimate else []
    ending = Text(f"Nothing was run.{_concurrency_note(plan)}", style="dim")
    output.result([table, *notes, *cost, ending], document, quiet=folders)


def cost_lines(plan: Plan, estimate: Estimate) -> list[str]:
    """Sentences on time, memory and disk of a plan, a line each."""
    folder = plan.folders[0].path.parent
    done = len(plan.configs) - estimate.runs
    if not estimate.runs:
        return [f"{counted(done, 'run')} done already, in {folder}"]
    before = f" ({done} done already)" if done else ""
    if estimate.seconds is None:
        time = "its first steps will show how long it takes"
    else:
        most = "at most " if estimate.at_most else ""
        time = f"{most}about {duration(estimate.seconds)}, estimated from {estimate.source}"
    room = "" if estimate.free_disk is None else f" ({_bytes(estimate.free_disk)} free)"
    memory = f"about {_bytes(estimate.memory)} of memory, " if estimate.memory else ""
    return [
        f"{counted(estimate.runs, 'run')}{before}: {time}",
        f"{memory}{_bytes(estimate.disk)} of disk{room} in {folder}",
    ]


def _bytes(size: int) -> str:
    """Format a number of bytes to two digits, in GB, MB or kB."""
    factor, unit = (1e9, "GB") if size >= 1e9 else (1e6, "MB") if size >= 1e6 else (1e3, "kB")
    value = size / factor
    return f"{value:,.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"


def _runs(plan: Plan) -> RenderableType:
    """Lay out one row per run."""
    table = plain_table("norm", "seed", "epochs", "batch", "lr", "decay", "parameters", "state", "folder")
    for config, folder in zip(plan.configs, plan.folders, strict=True):
        training = config.training
        rate = learning_rate(training.lr, config.tuned)
        figures = (config.seed, training.epochs, training.batch_size, rate, f"{training.weight_decay:g}")
        parameters = f"{plan.parameters_of(config):,}"
        table.add_row(config.norm, *map(str, figures), parameters, folder.state, Text(str(folder.path)))
    return table


def _norms(plan: Plan) -> RenderableType:
    """Lay out one row per norm: the number of its runs, those that are done, and the values of its settings."""
    columns = ("norm", "runs", "done", "seeds", "networks", "epochs", "batches", "lr", "decay")
    table = plain_table(*columns, wraps=[4, 6, 7], keep=["norm", "runs", "done"])
    done = {
        config.fingerprint for config, folder in zip(plan.configs, plan.folders, strict=True) if folder.state == "done"
    }
    for norm in plan.norms:
        configs = [config for config in plan.configs if config.norm == norm]
        table.add_row(
            norm,
            f"{len(configs):,}",
            f"{sum(config.fingerprint in done for config in configs):,}",
            str(len({config.seed for config in configs})),
            join_names(list(dict.fromkeys(config.network.name for config in configs))),
            _values(config.training.epochs for config in configs),
            _values(config.training.batch_size for config in configs),
            _values(config.training.lr for config in configs),
            _values(config.training.weight_decay for config in configs),
        )
    return table


def _values(values: Iterable[float]) -> str:
    """Name the values of a setting, or their number and range if they are many."""
    distinct = sorted(set(values))
    if len(distinct) <= FEW:
        return ", ".join(f"{value:g}" for value in distinct)
    return f"{len(distinct)} from {distinct[0]:g} to {distinct[-1]:g}"


def _concurrency_note(plan: Plan) -> str:
    """Sentence on runs that would train concurrently; empty for runs that take turns."""
    concurrency = plan.concurrency
    if concurrency.runs == 1:
        return ""
    each = (
        f", each with {concurrency.threads} thread{'s' if concurrency.threads > 1 else ''}"
        if concurrency.threads
        else ""
    )
    return f" It would train {concurrency.runs} runs concurrently{each}."
