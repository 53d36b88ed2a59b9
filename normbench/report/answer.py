"""The answer of an experiment in sentences: which norm leads, and whether that is more than chance."""

from collections.abc import Sequence

from normbench.analysis import Leading, PairedDifference
from normbench.analysis.words import percent, points
from normbench.report.experiment import Experiment


def answer(experiment: Experiment) -> list[str]:
    """What a reader wants to know first, then what stands against it."""
    return [*_verdict(experiment), *_lost(experiment), *_stand_in(experiment)]


def _verdict(experiment: Experiment) -> list[str]:
    if experiment.searching:
        return _best_settings(experiment)
    leader = experiment.leader
    if leader is None:
        return ["No run was finished, so no norm leads."]
    seeds = leader.row.test_accuracy.n if leader.row.test_accuracy else 0
    reached = f"{percent(leader.row.test_accuracy)} test accuracy"
    if not leader.others:
        over = f" (mean over {seeds} seeds)" if seeds > 1 else f", with seed {_seed(experiment)}"
        return [f"{leader.row.norm} reaches {reached}{over}. There is no other norm here to compare it with."]
    if not leader.tests:
        return [_of_one_seed(leader)]
    return [f"{leader.row.norm} leads with {reached} (mean over {seeds} seeds). {_separation(leader)}"]


def _seed(experiment: Experiment) -> int:
    return next(run.result.seed for one in experiment.series for run in one.done)


def _best_settings(experiment: Experiment) -> list[str]:
    """By norm; a search does not say which norm is better, as it was made to find settings."""
    if not experiment.found:
        return ["No run of the search was finished, so it has found nothing."]
    found = [
        f"{norm}: lr {row.lr:g} and weight decay {row.weight_decay:g}, with {percent(row.validation_accuracy)}"
        for norm, row in experiment.found.items()
    ]
    return [
        f"The best settings of the search, by validation accuracy: {'; '.join(found)}.",
        "It says nothing yet of which norm is better: the test images were not read. Compare with these settings.",
    ]


def _of_one_seed(leader: Leading) -> str:
    accuracy = percent(leader.row.test_accuracy)
    second = max(leader.others, key=lambda one: one.difference.mean if one.difference else -1.0)
    ahead = f", {100 * -second.difference.mean:.2f} pp above {second.norm}" if second.difference else ""
    return (
        f"{leader.row.norm} has the highest test accuracy, {accuracy}{ahead}. Whether that is more than chance "
        "cannot be told: it takes two seeds or more to judge a difference (--seeds 5)."
    )


def _separation(leader: Leading) -> str:
    apart = [one for one in leader.others if one.separated]
    close = [one for one in leader.others if not one.separated and one.p_holm is not None]
    untold = [one.norm for one in leader.others if one.p_holm is None]
    parts = []
    if apart:
        parts.append(f"Separated from it: {_and(list(map(_distance, apart)))}.")
    if close:
        parts.append(f"Not separated from it: {_and(list(map(_distance, close)))}, which may be chance.")
    if untold:
        parts.append(f"Not to be told, for want of common seeds that differ: {_and(untold)}.")
    family = f"over all {leader.tests} pairs of norms together (Holm), as the leader was picked after the fact"
    return f"{' '.join(parts)} The level is 0.05{', ' + family if leader.tests > 1 else ''}."


def _distance(one: PairedDifference) -> str:
    return f"{one.norm} at {points(one.difference)}"


def _lost(experiment: Experiment) -> list[str]:
    """Runs that diverged are no part of the means, which flatters their norm."""
    lost = {one.label: len(one.runs) - len(one.done) for one in experiment.series if len(one.done) < len(one.runs)}
    if not lost:
        return []
    said = [f"{count} of {label}" for label, count in lost.items()]
    return [f"Runs that diverged and are in no mean: {_and(said)}."]


def _stand_in(experiment: Experiment) -> list[str]:
    if experiment.results[0].dataset == "cifar10":
        return []
    return ["The images are the embedded digits, not CIFAR-10, and tell little of other images."]


def _and(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
