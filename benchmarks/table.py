"""Tables of the results, and the README, written from the JSON files alone."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from benchmarks import gpu
from benchmarks.contenders import RUN_GROUP
from benchmarks.records import Breakdown, Contender, Goal, Memory, NormCost, Point, Results, Spread, count, read

MARKERS = (
    "<!-- results: written by `run.py --write-readme` from results/*.json; edits here are lost -->",
    "<!-- end -->",
)


def contender_table(results: Results) -> str:
    """Render one row per contender in Markdown, then the reasons why others are missing."""
    epochs = int(results.settings["epochs"])
    head = (
        f"| contender | images/s | s per epoch | × normbench | memory | loss after {count(epochs, 'epoch')} | setup "
        "| other load |\n|---|---:|---:|---:|---:|---:|---|---:|\n"
    )
    rows = "".join(_row(contender, epochs) for contender in results.contenders if not contender.skipped)
    missing = "".join(f"\nNot measured: {c.name}: {c.skipped}\n" for c in results.contenders if c.skipped)
    return head + rows + missing


def _row(contender: Contender, epochs: int) -> str:
    assert contender.images_per_second, "a contender that was not skipped has been timed"
    assert contender.seconds_per_epoch, "a contender that was not skipped has been timed"
    title = contender.title if contender.runs == 1 else f"{contender.title} ({contender.runs} runs)"
    loss = contender.losses[0 if contender.name == RUN_GROUP else epochs - 1]  # a lap of a run group is all epochs
    cells = (
        title,
        _range(contender.images_per_second, 0),
        f"{contender.seconds_per_epoch.median:.2f}",
        _range(contender.ratio, 2) if contender.ratio else "-",
        _memory(contender.memory),
        f"{loss:.3f}",
        str(contender.setup),
        _load(contender.images_per_second.load),
    )
    return f"| {' | '.join(cells)} |\n"


def _range(figure: Spread, digits: int) -> str:
    middle = f"{figure.median:,.{digits}f}"
    return middle if figure.low == figure.high else f"{middle} ({figure.low:,.{digits}f} to {figure.high:,.{digits}f})"


def _load(load: float | None) -> str:
    return "-" if load is None else f"{load:.2f}"


def _memory(memory: Memory | None) -> str:
    if memory is None:
        return "-"
    parts = [(memory.cuda_bytes, "GPU"), (memory.host_bytes, "RAM")]
    known = [f"{size / 2**20:,.0f} MiB {where}" for size, where in parts if size is not None]
    return ", ".join(known) or "-"


def curve_table(title: str, points: Iterable[Point]) -> str:
    """Render one row per x and one column per series in Markdown, medians with their ranges."""
    points = list(points)
    series = list(dict.fromkeys(point.series for point in points))
    speeds = {(point.series, point.x): point.images_per_second for point in points}
    rows = []
    for x in dict.fromkeys(point.x for point in points):
        figures = [speeds.get((name, x)) for name in series]
        loads = [figure.load for figure in figures if figure and figure.load is not None]
        cells = [*("-" if figure is None else _range(figure, 0) for figure in figures), _load(max(loads, default=None))]
        rows.append(f"| {x} | {' | '.join(cells)} |\n")
    head = f"| {title} | " + " | ".join(f"{name}: images/s" for name in series) + " | other load |\n"
    return head + "|---:|" + "---:|" * (len(series) + 1) + "\n" + "".join(rows)


def cost_table(costs: Iterable[NormCost]) -> str:
    """Render the cost of each norm in a step in Markdown."""
    rows = "".join(
        f"| {cost.norm} | {_range(cost.forward_milliseconds, 2)} | {_range(cost.backward_milliseconds, 2)} "
        f"| {cost.saved_bytes / 2**20:.1f} | {_load(cost.forward_milliseconds.load)} |\n"
        for cost in costs
    )
    head = "| norm | forward, ms | backward, ms | kept for backward, MiB | other load |\n|---|---:|---:|---:|---:|\n"
    return head + rows


def breakdown_table(breakdown: Breakdown) -> str:
    """Render the time of a command by phase in Markdown."""
    rows = "".join(f"| {phase.name} | {phase.seconds:.2f} |\n" for phase in breakdown.phases)
    rows += f"| total | {breakdown.seconds:.2f} |\n| other load | {_load(breakdown.load)} |\n"
    return f"| `{breakdown.command}` | seconds |\n|---|---:|\n{rows}"


def goal_table(goals: Iterable[Goal]) -> str:
    """Render the goals in Markdown, each with what was measured."""
    head = "| ratio | goal | measured | met | of | other load |\n|---|---:|---:|---|---|---:|\n"
    return head + "".join(map(_goal, goals))


def _goal(goal: Goal) -> str:
    figures = ", ".join(f"{name} {figure:,.0f}" for name, figure in goal.figures.items())
    met, load = "yes" if goal.met else "no", _load(goal.ratio.load)
    return f"| {goal.title} | {goal.least:.2f} | {_range(goal.ratio, 2)} | {met} | {figures} | {load} |\n"


def conditions(results: Results) -> str:
    """Describe the conditions of the figures in one paragraph."""
    env, settings = results.conditions, results.settings
    packages = ", ".join(f"{name} {version}" for name, version in env["packages"].items() if version)
    commit = f"commit {env['git_commit'][:12]}" if env["git_commit"] else "no git commit known"
    if env["git_dirty"]:
        commit += " with uncommitted changes"
    repeats, epochs = count(settings["repeats"], "repeat"), count(settings["epochs"], "epoch")
    machine = f"{env['device']} ({env['cpu_count']} processors, load {env['load_before']} before)"
    return (
        f"{settings['dataset']}, {settings['images']:,} images; network {settings['network']}, norm "
        f"{settings['norm']}; batches of {settings['batch_size']}; {repeats} of {epochs} after one warm-up; {machine}; "
        f"{results.date}, {results.seconds} s in all; normbench {env['normbench']}, {commit}; "
        f"Python {env['python']}, {packages}."
    )


def report(results: Results) -> str:
    """Render all measurements in Markdown."""
    parts = [contender_table(results)] if results.contenders else []
    curves = (("batch size", results.batch_sizes), ("runs", results.runs), ("norms", results.norms))
    parts += [curve_table(title, points) for title, points in curves if points]
    if results.norm_costs:
        parts.append(cost_table(results.norm_costs))
    if results.breakdown:
        parts.append(breakdown_table(results.breakdown))
    if results.goals:
        parts.append(goal_table(results.goals))
    return "\n".join([*parts, conditions(results) + "\n"])


def write_readme(readme: Path, folder: Path) -> int:
    """Replace the part between the markers by the results of every JSON file of the folder; return their number."""
    files = sorted(folder.glob("*.json"))
    sections = []
    for path in files:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("benchmark") == gpu.KIND:
            sections.append(f"### {document['conditions']['device']}: training steps\n\n{gpu.table(document)}")
            continue
        if "schema_version" not in document:  # figures of another script, described in docs
            continue
        results = read(path)
        plot = f"![{path.stem}]({folder.name}/{path.stem}.svg)\n\n" if path.with_suffix(".svg").exists() else ""
        sections.append(f"### {results.conditions['device']}\n\n{plot}{report(results)}")
    content = "\n".join(sections) or "No results yet.\n"
    text = readme.read_text(encoding="utf-8")
    start, end = (re.escape(marker) for marker in MARKERS)
    filled = re.sub(f"({start}\n).*?({end})", lambda match: f"{match[1]}{content}{match[2]}", text, flags=re.DOTALL)
    readme.write_text(filled, encoding="utf-8")
    return len(sections)
