"""The table and the README, written from the JSON and from nothing else."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from benchmarks import gpu
from benchmarks.contenders import FLEET
from benchmarks.records import Breakdown, Contender, Memory, NormCost, Point, Results, Spread, count, read

MARKERS = (
    "<!-- results: written by `run.py --write-readme` from results/*.json; edits here are lost -->",
    "<!-- end -->",
)


def contender_table(results: Results) -> str:
    """Markdown: one row a contender, then why others are missing."""
    epochs = int(results.settings["epochs"])
    head = (
        f"| contender | images/s | s per epoch | × normbench | memory | loss after {count(epochs, 'epoch')} | setup |\n"
        "|---|---:|---:|---:|---:|---:|---|\n"
    )
    rows = "".join(_row(one, epochs) for one in results.contenders if not one.skipped)
    missing = "".join(f"\nNot measured: {one.name}: {one.skipped}\n" for one in results.contenders if one.skipped)
    return head + rows + missing


def _row(one: Contender, epochs: int) -> str:
    assert one.images_per_second, "a contender that was not skipped has been timed"
    assert one.seconds_per_epoch, "a contender that was not skipped has been timed"
    title = one.title if one.runs == 1 else f"{one.title} ({one.runs} runs)"
    loss = one.losses[0 if one.name == FLEET else epochs - 1]  # a lap of the fleet is all its epochs
    cells = (
        title,
        _range(one.images_per_second, 0),
        f"{one.seconds_per_epoch.median:.2f}",
        _range(one.ratio, 2) if one.ratio else "-",
        _memory(one.memory),
        f"{loss:.3f}",
        str(one.setup),
    )
    return f"| {' | '.join(cells)} |\n"


def _range(figure: Spread, digits: int) -> str:
    middle = f"{figure.median:,.{digits}f}"
    return middle if figure.low == figure.high else f"{middle} ({figure.low:,.{digits}f} to {figure.high:,.{digits}f})"


def _memory(memory: Memory | None) -> str:
    if memory is None:
        return "-"
    parts = [(memory.cuda_bytes, "GPU"), (memory.host_bytes, "RAM")]
    known = [f"{size / 2**20:,.0f} MiB {where}" for size, where in parts if size is not None]
    return ", ".join(known) or "-"


def curve_table(title: str, points: Iterable[Point]) -> str:
    """Markdown: one row an x, one column a series, medians with their ranges."""
    points = list(points)
    series = list(dict.fromkeys(point.series for point in points))
    speeds = {(point.series, point.x): _range(point.images_per_second, 0) for point in points}
    rows = [
        f"| {x} | " + " | ".join(speeds.get((name, x), "-") for name in series) + " |\n"
        for x in dict.fromkeys(point.x for point in points)
    ]
    head = f"| {title} | " + " | ".join(f"{name}: images/s" for name in series) + " |\n"
    return head + "|---:|" + "---:|" * len(series) + "\n" + "".join(rows)


def cost_table(costs: Iterable[NormCost]) -> str:
    """Markdown: what each norm costs in a step."""
    rows = "".join(
        f"| {one.norm} | {_range(one.forward_milliseconds, 2)} | {_range(one.backward_milliseconds, 2)} "
        f"| {one.saved_bytes / 2**20:.1f} |\n"
        for one in costs
    )
    return "| norm | forward, ms | backward, ms | kept for backward, MiB |\n|---|---:|---:|---:|\n" + rows


def breakdown_table(found: Breakdown) -> str:
    """Markdown: where the time of a command goes."""
    rows = "".join(f"| {phase.name} | {phase.seconds:.2f} |\n" for phase in found.phases)
    return f"| `{found.command}` | seconds |\n|---|---:|\n{rows}| all of it | {found.seconds:.2f} |\n"


def conditions(results: Results) -> str:
    """One paragraph of what the figures hold for."""
    was, made = results.conditions, results.settings
    packages = ", ".join(f"{name} {version}" for name, version in was["packages"].items() if version)
    commit = f"commit {was['git_commit'][:12]}" if was["git_commit"] else "no git commit known"
    if was["git_dirty"]:
        commit += " with uncommitted changes"
    return (
        f"{made['dataset']}, {made['images']:,} images; network {made['network']}, norm {made['norm']}; "
        f"batches of {made['batch_size']}; {count(made['repeats'], 'repeat')} of {count(made['epochs'], 'epoch')} "
        f"after one warm-up; {was['device']} ({was['cpu_count']} processors, load {was['load_before']} before); "
        f"{results.date}, {results.seconds} s in all; normbench {was['normbench']}, {commit}; "
        f"Python {was['python']}, {packages}."
    )


def report(results: Results) -> str:
    """Everything that was measured, in Markdown."""
    parts = [contender_table(results)] if results.contenders else []
    curves = (("batch size", results.batch_sizes), ("runs", results.runs), ("norms", results.norms))
    parts += [curve_table(title, points) for title, points in curves if points]
    if results.norm_costs:
        parts.append(cost_table(results.norm_costs))
    if results.breakdown:
        parts.append(breakdown_table(results.breakdown))
    return "\n".join([*parts, conditions(results) + "\n"])


def write_readme(readme: Path, folder: Path) -> int:
    """Fill the part between the markers in from every JSON file of the folder; returns how many there were."""
    files = sorted(folder.glob("*.json"))
    sections = []
    for path in files:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("benchmark") == gpu.KIND:
            sections.append(f"### {document['conditions']['device']}: training steps\n\n{gpu.table(document)}")
            continue
        if "schema_version" not in document:  # figures of a script of their own, which a page of docs tells
            continue
        results = read(path)
        plot = f"![{path.stem}]({folder.name}/{path.stem}.svg)\n\n" if path.with_suffix(".svg").exists() else ""
        sections.append(f"### {results.conditions['device']}\n\n{plot}{report(results)}")
    content = "\n".join(sections) or "No results yet.\n"
    text = readme.read_text(encoding="utf-8")
    start, end = (re.escape(marker) for marker in MARKERS)
    filled = re.sub(f"({start}\n).*?({end})", lambda found: f"{found[1]}{content}{found[2]}", text, flags=re.DOTALL)
    readme.write_text(filled, encoding="utf-8")
    return len(sections)
