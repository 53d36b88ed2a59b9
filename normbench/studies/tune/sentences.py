"""Conclusions and caption of `tune`. They are computed from its trials."""

from normbench import analysis
from normbench.studies.tune.budget import leaders
from normbench.studies.tune.measure import Measurement
from normbench.studies.tune.search import Search


def conclusions(measurement: Measurement) -> tuple[str, ...]:
    """Norms by their best setting, the leader at each budget, best values at a border, divergences, and limits."""
    search = measurement.search
    return (
        *_ranking(search),
        *_leaders(measurement),
        *borders(search),
        *_diverged(search),
        *_limits(search),
        f"The best settings are in {measurement.recipe_file}.",
    )


def caption(measurement: Measurement) -> str:
    """Conditions of the figures: data set, network, epochs, batch, seeds, device and versions."""
    search = measurement.search
    runs = [run for trials in search.trials.values() for trial in trials for run in trial.runs]
    return analysis.caption(runs, search.recipe.training.epochs, searching=True)


def _ranking(search: Search) -> list[str]:
    best = {norm: trial for norm in search.trials if (trial := search.best(norm))}
    ordered = sorted(best.values(), key=lambda trial: -trial.mean)
    if not ordered:
        return ["No trial was finished."]
    listed = ", ".join(f"{trial.norm} {100 * trial.mean:.2f} %" for trial in ordered)
    return [f"Validation accuracy at the best setting: {listed}. `compare --config` tests them on the test images."]


def _leaders(measurement: Measurement) -> list[str]:
    if len(measurement.budgets) < 2:
        return []
    (_, first), *changes = leaders(measurement.budgets)
    leads = "is best so far" if measurement.adaptive else "is expected to be best"
    if not changes:
        return [f"{first} {leads} at every budget from 1 trial to all of them."]
    later = ", ".join(f"{norm} from {n} trials on" for n, norm in changes)
    return [f"The ranking depends on the budget: {first} {leads} after 1 trial, {later}."]


def borders(search: Search) -> list[str]:
    """Name best values at an end of their interval, with a wider interval to try."""
    sentences = []
    for norm, space in search.spaces.items():
        if (best := search.best(norm)) is None:
            continue
        for dimension in space:
            value = best.point[dimension.name]
            if (end := dimension.beyond(value)) is not None:
                side, further = end
                sentences.append(
                    f"The best {dimension.name} of {norm}, {value:g}, is at the {side} end of its range: search to "
                    f"{further:g} to find out if there is a better one."
                )
    return sentences


def _diverged(search: Search) -> list[str]:
    counts = {norm: sum(trial.diverged for trial in trials) for norm, trials in search.trials.items()}
    if not any(counts.values()):
        return ["No run diverged."]
    runs = {norm: sum(len(trial.runs) for trial in trials) for norm, trials in search.trials.items()}
    listed = ", ".join(f"{norm} {count} of {runs[norm]} runs" for norm, count in counts.items() if count)
    return [f"Diverged: {listed}; each counts as the worst."]


def _limits(search: Search) -> list[str]:
    held_out = f"{100 * search.recipe.data.val_split:g} % of the training images"
    share = f"{held_out} were held out to choose the settings (--val-split)."
    single = "Each setting was tried with one seed, so that the best one is partly luck (--confirm 3)."
    return [share] if search.settings.confirm else [single, share]
