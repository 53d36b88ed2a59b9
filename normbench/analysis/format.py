"""Figures in words: what a table's cells say, the same on the terminal and on paper."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from normbench.analysis.aggregate import Row
from normbench.analysis.estimates import Estimate
from normbench.analysis.paired import PairedDifference, Superiority

NOTHING = "-"
UNTUNED = "*"
"""Beside a learning rate that was not searched for with its norm."""
ROW_COLUMNS = (
    "norm", "train accuracy", "test accuracy", "train loss", "test loss", "parameters", "lr", "decay", "seeds",
    "seconds",
)  # fmt: skip
SEARCH_COLUMNS = ("norm", "lr", "decay", "validation accuracy", "train accuracy", "seeds", "seconds", "")
DIFFERENCE_COLUMNS = ("norm", "difference", "seeds", "Holm p", "P(better)", "verdict", "more seeds, roughly")
MANY_SEEDS = 1000


def percent(value: Estimate | float | None) -> str:
    """An accuracy in percent; over seeds with the half width of its 95 % interval, of two seeds both values."""
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return f"{value:.2%}".replace("%", " %")
    if value.is_pair:
        return f"{', '.join(f'{100 * one:.2f}' for one in value.values)} %"
    if value.high is None:
        return percent(value.mean)
    return f"{100 * value.mean:.2f} ± {100 * (value.high - value.mean):.2f} %"


def points(value: Estimate | None) -> str:
    """A difference of accuracies in percentage points (pp), with sign and half width, of two seeds both values."""
    if value is None:
        return NOTHING
    if value.is_pair:
        return f"{', '.join(f'{100 * one:+.2f}' for one in value.values)} pp"
    spread = "" if value.high is None else f" ± {100 * (value.high - value.mean):.2f}"
    return f"{100 * value.mean:+.2f}{spread} pp"


def figure(value: Estimate | None, digits: int = 3) -> str:
    """A mean with so many digits after the point."""
    return NOTHING if value is None else f"{value.mean:.{digits}f}"


def accuracy(value: Estimate | None, diverged: int = 0, runs: int = 0) -> str:
    """An accuracy over runs; where one of them diverged there is no mean, and how many did is said in its place."""
    return f"{diverged} of {runs} diverged" if diverged else percent(value)


def finished(row: Row) -> str:
    """How many runs the figures of a row are over; of how many, where not all were finished."""
    return f"{row.finished}" if row.finished == row.runs else f"{row.finished} of {row.runs}"


def row_cells(row: Row) -> tuple[str, ...]:
    """A norm's line under `ROW_COLUMNS`."""
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
        accuracy(row.validation_accuracy, row.diverged, row.runs),
        accuracy(row.train_accuracy, row.diverged, row.runs),
        finished(row),
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
    return (
        one.norm,
        joint_points(one),
        str(len(one.seeds)),
        _p(one.p_holm),
        _probability(one.better),
        verdict(one),
        _seeds(one),
    )


def joint_points(one: PairedDifference) -> str:
    """A difference in percentage points with the interval that holds for all pairs of its family together."""
    if one.diverged:
        return f"{one.diverged} of {len(one.seeds)} diverged"
    if one.difference is None or one.difference.is_pair or one.low is None or one.high is None:
        return points(one.difference)
    return f"{100 * one.difference.mean:+.2f} [{100 * one.low:+.2f}, {100 * one.high:+.2f}] pp"


def verdict(one: PairedDifference) -> str:
    """What the tests say of a pair."""
    if one.diverged:
        return "diverged"
    if one.difference is None:
        return "no common seed"
    if one.difference.n == 1:
        return "one seed"
    if one.has_no_spread:
        return "no spread"
    if one.alike:
        return "separated, alike" if one.separated else "alike"
    return "separated" if one.separated else "undecided"


def difference_title(differences: Sequence[PairedDifference]) -> str:
    """The heading of the table of differences."""
    counts = sorted({len(one.seeds) for one in differences})
    seeds = f"{counts[0]}-{counts[-1]}" if len(counts) > 1 else str(counts[0])
    return f"Paired differences to {differences[0].control} ({seeds} seeds)"


def difference_notes(differences: Sequence[PairedDifference]) -> str:
    """What the columns of the table of differences mean."""
    first = differences[0]
    family = f" for all {first.tests} pairs of norms together" if first.tests > 1 else ""
    pairs = " Two seeds are shown as their two values." if any(_is_pair(one) for one in differences) else ""
    still = [one.norm for one in differences if one.has_no_spread]
    constant = f" The same on every seed, so there is no spread to test by: {', '.join(still)}." if still else ""
    joint, adjusted = (f" that holds{family}, by Bonferroni", f", adjusted{family}") if family else ("", "")
    wider = ", which can be where the wider interval still touches 0" if family else ""
    return (
        f"Test accuracy less that of {first.control} on the seeds that both share, with a 95 % interval (Student's t)"
        f"{joint}.{pairs}{constant} Holm p: paired t-test{adjusted}; separated: below 0.05{wider}. alike: less than "
        f"{100 * first.margin:g} pp apart (--margin) by two one-sided tests{', adjusted likewise' if family else ''}. "
        "P(better): probability of beating it on one seed, ties half, with its exact 95 % interval (Clopper-Pearson). "
        "More seeds: for 80 % power, were the observed difference the true one. That is a plan from noise: of two norms"
        " that do not differ at all, three seeds ask for ten more or fewer in about a quarter of cases."
    )


def _is_pair(one: PairedDifference) -> bool:
    return one.difference is not None and one.difference.is_pair


def _p(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _probability(value: Superiority | None) -> str:
    if value is None:
        return NOTHING
    return f"{value.probability:.2f} [{value.low:.2f}, {value.high:.2f}]"


def _seeds(one: PairedDifference) -> str:
    if one.separated:
        return "none"
    if one.more_seeds is None:
        return NOTHING
    return f"{one.more_seeds:,}" if one.more_seeds <= MANY_SEEDS else f"over {MANY_SEEDS:,}"
