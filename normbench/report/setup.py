"""The sections of the page that tell what stands behind the figures: norms, settings, environment, commands."""

from normbench.analysis import format as words
from normbench.norms import norm_info
from normbench.norms.axes import axes_words
from normbench.report.axes import axes_svg
from normbench.report.elements import Block, Code, Fold, Grid, Norm, Section, Text
from normbench.report.experiment import Experiment, Series
from normbench.report.facts import Facts, environment, reproduction, settings

RUN_COLUMNS = ("run", "norm", "seed", "state", "train accuracy", "test accuracy", "seconds")


def norms(experiment: Experiment) -> Section:
    """What each norm computes, and a picture of what it averages over."""
    first = {one.row.norm: one for one in reversed(experiment.series)}
    shown = [one for one in experiment.series if first[one.row.norm] is one]
    return Section("norms", "The norms", [_norm(one) for one in shown])


def _norm(series: Series) -> Norm:
    info, groups = norm_info(series.row.norm), series.runs[0].settings["groups"]
    standardized = " Convolutions before it have standardized weights (+ws)." * series.row.norm.endswith("+ws")
    return Norm(
        name=series.row.norm,
        title=info.title,
        formula=f"y = {info.formula}",
        axes=_axes(info.axes, groups) + axes_words(info, groups) + standardized,
        when=info.when,
        avoid=info.avoid,
        paper=info.paper,
        picture=axes_svg(info, groups, f"axes-{series.index + 1}"),
    )


def _axes(axes: str, groups: int) -> str:
    """The axes as the registry names them, where it does."""
    if axes in {"-", "?"}:
        return ""
    return f"{axes}, with {groups} groups. " if "groups" in axes else f"{axes}. "


def configuration(experiment: Experiment) -> Section:
    """Settings and environment, equal and differing, and every run."""
    blocks = [
        *_facts("settings", "Settings", settings(experiment)),
        *_facts("environment", "Environment", environment(experiment)),
        Fold(f"Every run ({len(experiment.results)})", [_run_table(experiment)]),
    ]
    if experiment.left_out:
        lines = [(one.run, one.reason) for one in experiment.left_out]
        table = Grid("left-out", "Runs in this folder that are not in the report", ("run", "why"), lines, figures=False)
        blocks.append(Fold(f"Runs that are left out ({len(lines)})", [table]))
    return Section("configuration", "Configuration and environment", blocks)


def _facts(ident: str, title: str, facts: Facts) -> list[Block]:
    name = title.lower()
    shared = Grid(f"{ident}-shared", f"{title} that all runs share", ("name", "value"), facts.shared, figures=False)
    folded = Fold(f"{title} that all runs share ({len(facts.shared)})", [shared])
    if not facts.differing:
        but = ", but for what the tables above show" if ident == "settings" else ""
        return [Text(f"All runs have the same {name}{but}."), folded]
    columns = ("name", "value", "runs")
    return [Grid(f"{ident}-differing", f"{title} that differ", columns, facts.differing, figures=False), folded]


def _run_table(experiment: Experiment) -> Grid:
    lines = [
        (
            run.path.name,
            one.label,
            str(run.result.seed),
            run.result.status,
            words.percent(run.result.train_accuracy),
            words.percent(run.result.test_accuracy),
            f"{run.result.seconds:.1f}",
        )
        for one in experiment.series
        for run in one.runs
    ]
    return Grid("runs", "The runs behind this report", RUN_COLUMNS, lines)


def reproduce(experiment: Experiment) -> Section:
    """The commands as they were typed, and the versions that they were typed into."""
    found = reproduction(experiment)
    told = f"Made with {'; '.join(found.versions)}. constraints.txt beside the source has the rest."
    return Section("reproduce", "How to reproduce", [Code("\n".join(found.commands)), Text(told, "note")])
