"""Runs of `rank`: norms, networks and seeds. Their rates are those of a recipe or of an equal search."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from normbench.config import DataConfig, NetworkConfig, Recipe, RunConfig, TrainingConfig
from normbench.config.recipes import COMMAND_LINE, check_count
from normbench.config.validation import validated
from normbench.engine import check_model
from normbench.errors import UsageError
from normbench.networks import NETWORKS, check_network
from normbench.runs import RunResult
from normbench.studies.batch_size.measure import scaled_lr

SEARCH_SPLIT = 0.04
"""Share of the training images that a search is scored on, unless the recipe holds some out."""


@dataclass(frozen=True)
class Task:
    """A network at a batch size: the terms that norms are compared on."""

    network: str
    batch_size: int


@dataclass(frozen=True, eq=False)
class Candidate:
    """A norm in a task, with the recipe of its settings."""

    task: Task
    norm: str
    recipe: Recipe
    max_params: int

    def run(self, seed: int, lr: float | None = None, **extra: Any) -> RunConfig:
        """Return the run of a seed; without `lr` at the recipe's rate, scaled to the batch size (arXiv:1706.02677)."""
        config = self.recipe.run(self.norm, seed, max_params=self.max_params, **extra)
        usual = config.training
        if lr is None:
            lr = scaled_lr(usual.lr, self.task.batch_size / usual.batch_size, self.recipe.sweep.lr_scaling)
        settings = usual.model_dump() | {"batch_size": self.task.batch_size, "lr": lr}
        return config.model_copy(update={"training": validated(TrainingConfig, settings, COMMAND_LINE)})


def check_networks(names: Iterable[str] | None) -> tuple[str, ...]:
    """Return the networks of these names, each once; all for None.

    Raises:
        UsageError: There is no such network.
    """
    if names is None:
        return tuple(NETWORKS)
    chosen = tuple(dict.fromkeys(validated(NetworkConfig, {"name": name}, COMMAND_LINE).name for name in names))
    for name in chosen:
        check_network(name)
    return chosen


def candidates(
    recipes: Mapping[str, Recipe], batch_sizes: Sequence[int], max_params: int
) -> tuple[list[Candidate], dict[tuple[Task, str], str]]:
    """Return the norms of every task, and by task and norm the reasons why some cannot be there.

    Args:
        recipes: By network.
        batch_sizes: Of every network.
        max_params: Parameter budget.

    Raises:
        UsageError: No norm can be in any of the networks.
    """
    fitting, holes = [], {}
    for network, recipe in recipes.items():
        for size in sorted(set(batch_sizes)):
            for norm in recipe.norms:
                candidate = Candidate(Task(network, size), norm, recipe, max_params)
                try:
                    check_model(candidate.run(recipe.seed))
                except UsageError as error:
                    holes[candidate.task, norm] = error.message
                else:
                    fitting.append(candidate)
    if not fitting:
        raise UsageError(f"no norm can be ranked: {next(iter(holes.values()))}", "Choose others: --norms, --networks.")
    return fitting, holes


@dataclass(frozen=True)
class Hole:
    """Norms that have no run in the same networks for the same reason."""

    norms: tuple[str, ...]
    networks: tuple[str, ...]
    reason: str
    """Reason of the first norm in the first network; the others have it with other figures."""

    @property
    def text(self) -> str:
        """Reason, for all norms and networks."""
        return self.reason + "; the others likewise" * (len(self.norms) * len(self.networks) > 1)


def group_holes(holes: Mapping[tuple[Task, str], str]) -> list[Hole]:
    """Group holes whose reasons differ in no more than norm, network and figures."""
    networks: dict[tuple[str, str], dict[str, str]] = {}
    for (task, norm), reason in holes.items():
        networks.setdefault((_kind_of(reason, task.network, norm), norm), {}).setdefault(task.network, reason)
    groups: dict[tuple[str, tuple[str, ...]], list[tuple[str, str]]] = {}
    for (kind, norm), reasons in networks.items():
        groups.setdefault((kind, tuple(reasons)), []).append((norm, next(iter(reasons.values()))))
    return [Hole(tuple(norm for norm, _ in members), names, members[0][1]) for (_, names), members in groups.items()]


def _kind_of(reason: str, network: str, norm: str) -> str:
    names = "|".join(map(re.escape, (network, norm)))
    return re.sub(r"[0-9][0-9,]*", "", re.sub(rf"(?<![\w-])(?:{names})(?![\w-])", "", reason))


def search_configs(chosen: Sequence[Candidate], rates: Sequence[float], seed: int) -> list[RunConfig]:
    """Return the runs of the search: every candidate at every rate, on a validation split.

    Args:
        chosen: Candidates.
        rates: Tried for each of them.
        seed: One that is not ranked by, so that no rate is chosen for its luck on those.
    """
    check_count(len(chosen) * len(rates))
    configs = [
        candidate.run(seed, lr, read_test=False, tuned=None) for candidate in chosen for lr in sorted(set(rates))
    ]
    return [config.model_copy(update={"data": held_out(config.data)}) for config in configs]


def held_out(data: DataConfig) -> DataConfig:
    """Return the data settings with some training images held out."""
    return data if data.val_split else data.model_copy(update={"val_split": SEARCH_SPLIT})


def found_rates(
    chosen: Sequence[Candidate], configs: Sequence[RunConfig], results: Sequence[RunResult]
) -> dict[Candidate, float]:
    """Return the rate of each candidate with the highest validation accuracy, the smallest where every run diverged.

    A candidate without all of its runs has none.
    """
    rates = {config.training.lr for config in configs}
    scores: dict[tuple[Task, str], dict[float, float]] = {}
    for config, result in zip(configs, results, strict=True):
        task = Task(config.network.name, config.training.batch_size)
        of_norm = scores.setdefault((task, config.norm), {})
        of_norm[config.training.lr] = -1.0 if result.validation_accuracy is None else result.validation_accuracy
    best = {key: max(of_norm, key=of_norm.__getitem__) for key, of_norm in scores.items()}
    complete = {key for key, of_norm in scores.items() if of_norm.keys() == rates}
    return {c: best[c.task, c.norm] for c in chosen if (c.task, c.norm) in complete}


def ranked_configs(
    chosen: Sequence[Candidate], seeds: Sequence[int], rates: Mapping[Candidate, float] | None
) -> list[RunConfig]:
    """Return the runs that are ranked, network by network; at the rates of the search if there was one."""
    check_count(len(chosen) * len(seeds))
    if rates is None:
        return [candidate.run(seed) for candidate in chosen for seed in seeds]
    return [candidate.run(seed, rates[candidate], tuned=True) for candidate in chosen for seed in seeds]
