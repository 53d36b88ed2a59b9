"""What has been measured of one norm so far, experiment by experiment."""

from collections.abc import Iterable
from dataclasses import dataclass

from normbench.analysis.aggregate import Row, summarize
from normbench.analysis.caption import conditions
from normbench.config import RunConfig
from normbench.config.settings import MOVES_NO_NUMBER
from normbench.runs import Entry, RunResult, flat

OF_ONE_RUN = ("seed", *MOVES_NO_NUMBER)
"""Settings that runs may differ in and still be averaged."""


@dataclass(frozen=True)
class Recorded:
    """A norm's runs in one experiment, which differ in nothing but the seed."""

    experiment: str
    row: Row
    conditions: str


def record(entries: Iterable[Entry], norm: str) -> list[Recorded]:
    """The test accuracies of a norm, in the order of the experiments; searches, which read none, are left out.

    A run that diverged counts: without it the mean of the others would flatter the norm.
    """
    groups: dict[tuple[str, str], list[RunResult]] = {}
    for entry in entries:
        result, config = entry.result, entry.config
        if result and config and result.norm == norm and config.read_test and result.status != "failed":
            groups.setdefault((entry.path.parent.name, _terms(config, result)), []).append(result)
    return [
        Recorded(experiment, summarize(results)[0], conditions(results, results[0].epochs))
        for (experiment, _), results in groups.items()
    ]


def _terms(config: RunConfig, result: RunResult) -> str:
    settings = flat(config.model_dump(mode="json"))
    return repr([{key: settings[key] for key in settings if key not in OF_ONE_RUN}, result.device, result.torch])
