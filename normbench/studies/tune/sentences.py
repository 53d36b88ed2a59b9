"""Conclusions of `tune`, computed from its trials."""

from collections.abc import Mapping

from normbench.studies.tune.budget import Budget, leaders
from normbench.studies.tune.search import Search


def conclusions(found: Search, budgets: Mapping[str, Budget]) -> list[str]:
    """Norms by their best setting, the leader at each budget, bests at a border, divergences, and limits."""
    return [*_ranking(found), *_leaders(found, budgets), *borders(found), *_diverged(found), *_limits(found)]


def _ranking(found: Search) -> list[str]:
    best = {norm: trial for norm in found.trials if (trial := found.best(norm))}
    ordered = sorted(best.values(), key=lambda trial: -trial.mean)
    if not ordered:
        return ["No trial was finished."]
    listed = ", ".join(f"{trial.norm} {100 * trial.mean:.2f} %" for trial in ordered)
    return [f"Validation accuracy at the best setting: {listed}. `compare --config` tests them on the test images."]


def _leaders(found: Search, budgets: Mapping[str, Budget]) -> list[str]:
    if len(budgets) < 2:
        return []
    first, *changes = leaders(dict(budgets))
    what = "is best so far" if found.settings.sampler == "tpe" else "is expected to be best"
    if not changes:
        return [f"{first[1]} {what} at every budget from 1 trial to all of them."]
    later = ", ".join(f"{norm} from {n} trials on" for n, norm in changes)
    return [f"The ranking depends on the budget: {first[1]} {what} after 1 trial, {later}."]


def borders(found: Search) -> list[str]:
    """Best values at an end of their interval, with the interval that would settle it."""
    sentences = []
    for norm, space in found.spaces.items():
        if (best := found.best(norm)) is None:
            continue
        for dimension in space:
            value = best.point[dimension.name]
            if (end := dimension.beyond(value)) is not None:
                side, further = end
                sentences.append(
                    f"The best {dimension.name} of {norm}, {value:g}, lies at the {side} end of its range: a range to "
                    f"{further:g} would tell whether a better one lies beyond."
                )
    return sentences


def _diverged(found: Search) -> list[str]:
    counts = {norm: sum(trial.diverged for trial in own) for norm, own in found.trials.items()}
    if not any(counts.values()):
        return ["No run diverged."]
    listed = ", ".join(f"{norm} {count} of {_runs(found, norm)} runs" for norm, count in counts.items() if count)
    return [f"Diverged: {listed}; each counts as the worst."]


def _runs(found: Search, norm: str) -> int:
    return sum(len(trial.runs) for trial in found.trials[norm])


def _limits(found: Search) -> list[str]:
    share = f"{100 * found.recipe.data.val_split:g} % of the training images were held out to choose by (--val-split)."
    single = "Each setting was tried with one seed, so that the best one is partly luck (--confirm 3)."
    return [share] if found.settings.confirm else [single, share]
