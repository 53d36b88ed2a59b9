"""Result of `claims`: tables and charts."""

from collections.abc import Callable, Sequence
from typing import Any

from normbench.analysis import Chart, Estimate, Line, StudyResult, Table, estimate
from normbench.analysis import format as text
from normbench.runs import RunResult
from normbench.runs.environment import environment
from normbench.studies.claims.figures import gap
from normbench.studies.claims.measure import Claim, Measurement
from normbench.studies.claims.notebook import Losses, Technique
from normbench.studies.claims.runs import CONTROL, INITS, Run
from normbench.studies.claims.sentences import caption, conclusions, conditions, shown
from normbench.studies.claims.study import STUDY

CHANCE = 0.1
"""Accuracy of guessing among the ten classes that each data set here has."""


def study_result(measurement: Measurement) -> StudyResult:
    """Lay out the claims, or the notebook's techniques."""
    notebook = bool(measurement.techniques)
    tables = (_techniques(measurement.techniques),) if notebook else _tables(measurement)
    charts = (_losses(measurement.techniques),) if notebook else _charts(measurement)
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        conclusions=tuple(conclusions(measurement)),
        caption=caption(measurement),
        tables=tables,
        charts=charts,
        environment=environment(measurement.device),
        values=_notebook_values(measurement.techniques) if notebook else _values(measurement),
    )


def _tables(measurement: Measurement) -> tuple[Table, ...]:
    return (
        _verdicts(measurement.claims),
        _figures(measurement),
        _regularizers(measurement),
        _rates(measurement),
        _initialisations(measurement),
    )


def _verdicts(claims: Sequence[Claim]) -> Table:
    rows = tuple(
        (
            claim.name,
            claim.figure,
            shown(claim, CONTROL),
            ", ".join(f"{norm} {shown(claim, norm)}" for norm in claim.norms),
            claim.verdict,
            conditions(claim),
        )
        for claim in claims
    )
    columns = ("claim", "measured", "without", "with", "verdict", "on what")
    return Table(title="Five claims", columns=columns, rows=rows, sentences=True)


def _figures(measurement: Measurement) -> Table:
    """A row per norm with every figure."""
    times, best = measurement.times or {}, measurement.best or {}
    columns = ("norm", "best rate", "epochs", "seconds", "largest rate", "initialisations", "gap", "gradients")
    rows = []
    for norm in measurement.norms:
        epochs, rate, share, difference, gradients = (shown(claim, norm) for claim in measurement.claims)
        reached = list(times.get(norm, {}).values())
        seconds = estimate([time.seconds for time in reached if time]) if all(reached) else None
        rows.append((norm, f"{best[norm]:g}", epochs, text.figure(seconds, 1), rate, share, difference, gradients))
    target = "-" if measurement.target is None else f"{100 * measurement.target:.1f} %"
    note = (
        f"Epochs and seconds to a validation accuracy of {target}, where no run without a norm ends below; a miss "
        "counts as one epoch more than there were, and has no seconds. Largest rate, and share of initialisations: "
        "with at most 5 points less than the best. Gap: train less validation accuracy. Gradients: orders of magnitude "
        "between those of the first layer in a stack of 30 3x3 convolutions and in a stack of one, at initialisation."
    )
    return Table(title="Figures by norm", columns=columns, rows=tuple(rows), note=note)


def _over_seeds(runs: Sequence[Run], value: Callable[[RunResult], float | None]) -> Estimate | None:
    """Mean over the finished runs; None if one diverged."""
    values = [value(run.result) for run in runs if run.result.status != "failed"]
    finished = [score for score in values if score is not None]
    return estimate(finished) if len(finished) == len(values) else None


def _accuracy(runs: Sequence[Run]) -> str:
    diverged = sum(run.result.status == "diverged" for run in runs)
    mean = _over_seeds(runs, lambda result: result.validation_accuracy)
    return text.accuracy(mean, diverged, len(runs)) if runs else text.NOTHING


def _regularizers(measurement: Measurement) -> Table:
    labels = dict.fromkeys(run.label for run in measurement.regularized)
    of = {label: [run for run in measurement.regularized if run.label == label] for label in labels}
    rows = tuple(
        (
            label if label in measurement.norms else f"{CONTROL}, {label}",
            text.percent(_over_seeds(runs, lambda result: result.train_accuracy)),
            _accuracy(runs),
            text.points(_over_seeds(runs, gap)),
        )
        for label, runs in of.items()
    )
    columns = ("norm", "train accuracy", "validation accuracy", "gap")
    note = "Each norm alone at its best rate, and the other regularizers without a norm at its rate."
    return Table(title="Generalization gap", columns=columns, rows=rows, note=note)


def _rates(measurement: Measurement) -> Table:
    rates = sorted({run.setting[1] for run in measurement.rate_runs})
    rows = tuple(
        (norm, *(_accuracy(_at(measurement.rate_runs, norm, ("rate", rate))) for rate in rates))
        for norm in measurement.norms
    )
    columns = ("norm", *(f"{rate:g}" for rate in rates))
    return Table(title="Validation accuracy by learning rate", columns=columns, rows=rows)


def _initialisations(measurement: Measurement) -> Table:
    gains = sorted({run.setting[1] for run in measurement.init_runs})
    rows = tuple(
        (
            f"{init}, gain {gain:g}",
            *(_accuracy(_at(measurement.init_runs, norm, (init, gain))) for norm in measurement.norms),
        )
        for init in INITS
        for gain in gains
    )
    return Table(
        title="Validation accuracy by initialisation", columns=("initialisation", *measurement.norms), rows=rows
    )


def _at(runs: Sequence[Run], norm: str, setting: tuple[str, float]) -> list[Run]:
    return [run for run in runs if run.label == norm and run.setting == setting]


def _charts(measurement: Measurement) -> tuple[Chart, ...]:
    best = measurement.best or {}
    init = measurement.recipe.network.init if measurement.recipe else INITS[0]
    rates = sorted({run.setting[1] for run in measurement.rate_runs})
    gains = sorted({run.setting[1] for run in measurement.init_runs})
    by_rate = _chart(
        "rates", "Validation accuracy by learning rate", "learning rate",
        [_line(measurement.rate_runs, norm, "rate", rates) for norm in best],
    )  # fmt: skip
    by_gain = _chart(
        "gains", f"Validation accuracy by gain of the initial weights ({init})", "gain",
        [_line(measurement.init_runs, norm, init, gains) for norm in best],
    )  # fmt: skip
    return by_rate, by_gain


def _chart(name: str, title: str, x_label: str, lines: Sequence[Line]) -> Chart:
    return Chart(
        name=name, title=title, x_label=x_label, y_label="validation accuracy", lines=tuple(lines), log_x=True,
        percent=True, reference=CHANCE,
    )  # fmt: skip


def _line(runs: Sequence[Run], norm: str, setting: str, xs: Sequence[float]) -> Line:
    at = [_at(runs, norm, (setting, x)) for x in xs]
    means = [_over_seeds(here, lambda result: result.validation_accuracy) for here in at]
    lost = [x for x, here in zip(xs, at, strict=True) if any(run.result.status != "done" for run in here)]
    return Line.of_estimates(norm, xs, means, lost)


def _values(measurement: Measurement) -> dict[str, Any]:
    return {
        "claims": [
            {
                "name": claim.name,
                "figure": claim.figure,
                "verdict": claim.verdict,
                "outcomes": claim.outcomes,
                "values": {norm: list(by_seed.values()) for norm, by_seed in claim.values.items()},
                "pairs": [pair.to_dict() for pair in claim.pairs],
            }
            for claim in measurement.claims
        ],
        "best_rates": dict(measurement.best or {}),
        "target": measurement.target,
        "failed": sum(result.status == "failed" for result in measurement.results),
        "runs": [result.model_dump(mode="json") for result in measurement.results],
    }


def _techniques(techniques: Sequence[Technique]) -> Table:
    rows = tuple(
        (
            technique.label,
            str(technique.epochs),
            *(_spread(technique.losses, name) for name in ("first", "last", "fitted", "fresh")),
        )
        for technique in techniques
    )
    columns = ("technique", "epochs", "first loss", "last loss", "in eval mode", "other points")
    note = (
        "Means over the seeds, with the half width of the 95 % interval. First and last loss are those of training, "
        "with the penalty of L1 in them."
    )
    return Table(title="Losses of the notebook's network", columns=columns, rows=rows, note=note)


def _spread(losses: Sequence[Losses], name: str) -> str:
    value = estimate([getattr(loss, name) for loss in losses])
    assert value is not None, "a technique has a seed"
    return text.figure(value) if value.high is None else f"{value.mean:.3f} ± {value.high - value.mean:.3f}"


def _losses(techniques: Sequence[Technique]) -> Chart:
    names = {"last": "last training loss", "fresh": "other points"}
    xs = tuple(map(float, range(len(techniques))))
    return Chart(
        name="losses", title="Training loss, and error on other points", x_label="technique", y_label="loss",
        kind="bars", ticks=tuple(technique.label for technique in techniques),
        lines=tuple(
            Line.of_estimates(label, xs, [estimate([getattr(loss, name) for loss in t.losses]) for t in techniques])
            for name, label in names.items()
        ),
    )  # fmt: skip


def _notebook_values(techniques: Sequence[Technique]) -> dict[str, Any]:
    return {
        "techniques": [
            {"name": technique.label, "epochs": technique.epochs, "losses": [vars(loss) for loss in technique.losses]}
            for technique in techniques
        ]
    }
