"""Figures in words: what a table's cells say, the same on the terminal and on paper."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from normbench.analysis.estimates import Estimate
from normbench.analysis.paired import Outperforming, PairedDifference
from normbench.analysis.rows import Row

NOTHING = "-"
UNTUNED = "*"
"""Beside a learning rate that was not searched for with its norm."""
ROW_COLUMNS = (
    "norm", "train accuracy", "test accuracy", "train loss", "test loss", "parameters", "lr", "decay", "seconds",
)  # fmt: skip
SEARCH_COLUMNS = ("norm", "lr", "decay", "validation accuracy", "train accuracy", "seconds", "")
DIFFERENCE_COLUMNS = ("norm", "difference", "Holm p", "P(better)", "more seeds needed")
MANY_SEEDS = 1000


def percent(value: Estimate | float | None) -> str:
    """An accuracy in percent; over seeds with the half width of its 95 % interval."""
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return f"{value:.2%}".replace("%", " %")
    if value.high is None:
        return percent(value.mean)
    return f"{100 * value.mean:.2f} ± {100 * (value.high - value.mean):.2f} %"


def points(value: Estimate | None) -> str:
    """A difference of accuracies in percentage points (pp), with sign and half width."""
    if value is None:
        return NOTHING
    spread = "" if value.high is None else f" ± {100 * (value.high - value.mean):.2f}"
    return f"{100 * value.mean:+.2f}{spread} pp"


def figure(value: Estimate | None, digits: int = 3) -> str:
    """A mean with so many digits after the point."""
    return NOTHING if value is None else f"{value.mean:.{digits}f}"


def row_cells(row: Row) -> tuple[str, ...]:
    """A norm's line under `ROW_COLUMNS`."""
    return (
        row.norm,
        percent(row.train_accuracy),
        percent(row.test_accuracy),
        figure(row.train_loss),
        figure(row.test_loss),
        f"{row.parameters:,}",
        learning_rate(row.lr, row.tuned),
        f"{row.weight_decay:g}",
        figure(row.seconds, 1),
    )


def learning_rate(lr: float, tuned: bool | None) -> str:
    """A rate, with the mark that `untuned` explains where no search for the norm found it."""
    return f"{lr:g}{UNTUNED if tuned is False else ''}"


def untuned(norms: Iterable[str]) -> str:
    """The sentence that names the norms whose settings were not searched for; empty where there are none."""
    names = list(dict.fromkeys(norms))
    if not names:
        return ""
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if names[1:] else names[0]
    return f"{UNTUNED} Not tuned: the settings of {listed} were not searched for."


def search_cells(row: Row, chosen: bool) -> tuple[str, ...]:
    """A norm's and setting's line under `SEARCH_COLUMNS`."""
    return (
        row.norm,
        f"{row.lr:g}",
        f"{row.weight_decay:g}",
        percent(row.validation_accuracy),
        percent(row.train_accuracy),
        figure(row.seconds, 1),
        "best on validation" if chosen else "",
    )


def recipe_lines(found: Mapping[str, Row]) -> str:
    """What a search has found, as a recipe spells it."""
    return "\n".join(
        f"[norm.{_key(norm)}]\nlr = {row.lr:g}\nweight_decay = {row.weight_decay:g}" for norm, row in found.items()
    )


def _key(norm: str) -> str:
    """A name as TOML takes it for a key: in quotes unless it is bare, which `gn+ws` and paths are not."""
    return norm if re.fullmatch(r"[A-Za-z0-9_-]+", norm) else json.dumps(norm)


def difference_cells(one: PairedDifference) -> tuple[str, ...]:
    """A norm's line under `DIFFERENCE_COLUMNS`."""
    return (one.norm, points(one.difference), _p(one.p_holm), _probability(one.better), _seeds(one))


def difference_title(differences: Sequence[PairedDifference]) -> str:
    """The heading of the table of differences."""
    counts = sorted({len(one.seeds) for one in differences})
    seeds = f"{counts[0]}-{counts[-1]}" if len(counts) > 1 else str(counts[0])
    return f"Paired differences to {differences[0].control} ({seeds} seeds)"


def difference_notes(differences: Sequence[PairedDifference]) -> str:
    """What the columns of the table of differences mean."""
    tests = sum(one.p is not None for one in differences)
    family = f", Holm-adjusted for {tests} comparisons" if tests > 1 else ""
    return (
        f"Test accuracy less that of {differences[0].control} on the same seeds; ± is the half width of the 95 % "
        f"interval (Student's t). p: paired t-test{family}. P(better): probability of beating it on one seed, ties "
        "half, with its 95 % bootstrap interval where pairs disagree. More seeds: for 80 % power, were the observed "
        "difference the true one."
    )


def _p(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _probability(value: Outperforming | None) -> str:
    if value is None:
        return NOTHING
    interval = "" if value.low is None else f" [{value.low:.2f}, {value.high:.2f}]"
    return f"{value.probability:.2f}{interval}"


def _seeds(one: PairedDifference) -> str:
    if one.separated:
        return "none"
    if one.more_seeds is None:
        return NOTHING
    return f"{one.more_seeds:,}" if one.more_seeds <= MANY_SEEDS else f"over {MANY_SEEDS:,}"
