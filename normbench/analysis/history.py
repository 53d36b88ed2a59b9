"""History of one norm: the accuracies it reached so far, experiment by experiment."""

from collections.abc import Iterable
from dataclasses import dataclass

from normbench.analysis.aggregate import Aggregate, aggregate_runs
from normbench.analysis.format import caption
from normbench.config import RunConfig
from normbench.config.settings import MOVES_NO_NUMBER
from normbench.runs import Entry, RunResult, flat

OF_ONE_RUN = ("seed", *MOVES_NO_NUMBER)
"""Settings in which runs may differ and still be averaged."""


@dataclass(frozen=True)
class HistoryEntry:
    """Runs of a norm in one experiment that differ in nothing but the seed."""

    experiment: str
    row: Aggregate
    caption: str


def norm_history(entries: Iterable[Entry], norm: str) -> list[HistoryEntry]:
    """Collect the test accuracies of a norm, in the order of the experiments; searches, which have none, are left out.

    A run that diverged counts: without it the mean of the others would flatter the norm.
    """
    groups: dict[tuple[str, str], list[RunResult]] = {}
    for entry in entries:
        result, config = entry.result, entry.config
        if result and config and result.norm == norm and config.read_test and result.status != "failed":
            groups.setdefault((entry.path.parent.name, _terms(config, result)), []).append(result)
    return [
        HistoryEntry(experiment, aggregate_runs(results)[0], caption(results, results[0].epochs))
        for (experiment, _), results in groups.items()
    ]


def _terms(config: RunConfig, result: RunResult) -> str:
    settings = flat(config.model_dump(mode="json"))
    return repr([{key: settings[key] for key in settings if key not in OF_ONE_RUN}, result.device, result.torch])
