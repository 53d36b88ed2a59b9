"""The answer of an experiment in sentences: which norm leads, and whether that is more than chance."""

from collections.abc import Sequence

from normbench.analysis import Leading, PairedDifference
from normbench.analysis.format import percent
from normbench.report.experiment import Experiment


def answer(experiment: Experiment) -> list[str]:
    """What a reader wants to know first, then what stands against it."""
    return [*_verdict(experiment), *_diverged(experiment), *_unranked(experiment), *_stand_in(experiment)]


def _verdict(experiment: Experiment) -> list[str]:
    if experiment.searching:
        return _best_settings(experiment)
    leader = experiment.leader
    if leader is None:
        return [_no_leader(experiment)]
    if not leader.others:
        against = "There is no other norm here to compare it with."
        return [f"{leader.norm} reaches {_reached(leader)}. {against}"]
    if len(leader.seeds) == 1 and not leader.tests:
        return [_of_one_seed(leader)]
    return [f"{leader.norm} leads with {_reached(leader)}. {_separation(leader)}"]


def _no_leader(experiment: Experiment) -> str:
    done = [one for one in experiment.series if one.done]
    if not done:
        return "No run was finished, so no norm leads."
    if experiment.unranked:
        return "No norm is ranked here."
    if all(one.row.diverged for one in done):
        return "A run of every norm diverged, so no norm leads."
    return "No norm leads: there is no seed with which all of them were trained."


def _reached(leader: Leading) -> str:
    """The accuracy over the seeds that decide the ranking, and which these are."""
    seeds = leader.seeds
    if len(seeds) == 1:
        return f"{percent(leader.accuracy.mean)} test accuracy, with seed {seeds[0]}"
    return f"{percent(leader.accuracy.mean)} test accuracy (mean over seeds {_and(list(map(str, seeds)))})"


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
    second = max(leader.others, key=lambda one: one.difference.mean if one.difference else -1.0)
    ahead = f", {100 * -second.difference.mean:.2f} pp above {second.norm}" if second.difference else ""
    return (
        f"{leader.norm} has the highest test accuracy, {percent(leader.accuracy.mean)}{ahead}. Whether that is more "
        "than chance cannot be told: it takes two seeds or more to judge a difference (--seeds 5)."
    )


def _separation(leader: Leading) -> str:
    """The others by what the tests say; a test of other seeds than the ranking's can say that another is ahead."""
    groups: dict[str, list[PairedDifference]] = {}
    for one in leader.others:
        groups.setdefault(_kind(one), []).append(one)
    parts = [words.format(_and([_distance(one) for one in groups[kind]])) for kind, words in KINDS if kind in groups]
    family = f", over all {leader.tests} pairs of norms together (Holm), as the leader was picked after the fact"
    level = f" The level is 0.05{family if leader.tests > 1 else ''}." if leader.tests else ""
    return f"{' '.join(parts)}{level}"


KINDS = (
    ("ahead", "Separated from it: {}."),
    ("behind", "On the seeds that they share with it these are ahead of it, and separated: {}."),
    ("alike", "Alike: {}, by an equivalence test."),
    ("undecided", "Not separated from it: {}, which may be chance."),
    ("no spread", "The difference is the same on every seed, so there is no spread to test it by: {}."),
    ("untold", "Undecided, for fewer than two seeds in common: {}."),
)


def _kind(one: PairedDifference) -> str:
    if one.difference is None or one.difference.n < 2:
        return "untold"
    if one.has_no_spread:
        return "no spread"
    if one.separated:
        return "ahead" if one.difference.mean < 0 else "behind"
    return "alike" if one.alike else "undecided"


def _distance(one: PairedDifference) -> str:
    if one.difference is None:
        return one.norm
    within = f" (within {100 * one.margin:g} pp)" if one.alike else ""
    return f"{one.norm} at {100 * one.difference.mean:+.2f} pp{within}"


def _diverged(experiment: Experiment) -> list[str]:
    """A norm of which a run diverged has no mean, and is below every norm that has one."""
    lost = [
        f"{one.row.diverged} of {one.row.runs} runs of {one.label}" for one in experiment.series if one.row.diverged
    ]
    if not lost:
        return []
    below = "they are best at no setting" if experiment.searching else "they rank below all norms without one"
    return [f"Diverged: {_and(lost)}. These have no mean accuracy, and {below}."]


def _unranked(experiment: Experiment) -> list[str]:
    """To pick the better of two settings by the test images would be to tune on them."""
    if not experiment.unranked:
        return []
    return [
        f"{_and(list(experiment.unranked))}: such runs are not ranked by the test images, which would then have chosen "
        "the setting. Search with several values of --lr and a validation split (--val-split), or give each setting an "
        "experiment of its own."
    ]


def _stand_in(experiment: Experiment) -> list[str]:
    if experiment.results[0].dataset == "cifar10":
        return []
    return ["The images are the embedded digits, not CIFAR-10, and tell little of other images."]


def _and(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
