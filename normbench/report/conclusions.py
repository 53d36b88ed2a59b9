"""Conclusions of an experiment in sentences: which norm leads, and whether that is more than chance."""

from normbench.analysis import Comparison, PairedDifference, Ranking
from normbench.analysis.format import join_names, other_images, percent, seed_ranges

ROUNDING = 1e-12
"""Largest difference of two means of equal accuracies."""


def conclusions(comparison: Comparison) -> list[str]:
    """Sentences on the ranking, or on the settings that a search found, followed by their reservations."""
    return [*_ranking(comparison), *_diverged(comparison), *_unranked(comparison), *other_images(comparison.results)]


def _ranking(comparison: Comparison) -> list[str]:
    if comparison.searching:
        return _best_settings(comparison)
    ranking = comparison.ranking
    if ranking is None:
        return [_no_leader(comparison)]
    if not ranking.others:
        return [f"{ranking.norm} reaches {_reached(ranking)}. There is no other norm here to compare it with."]
    if len(ranking.seeds) == 1 and not ranking.tests:
        return [_with_one_seed(ranking)]
    tied = _tied(ranking)
    leads = f"{join_names([ranking.norm, *tied])} lead together" if tied else f"{ranking.norm} leads"
    return [f"{leads} with {_reached(ranking)}. {_separation(ranking)}"]


def _tied(ranking: Ranking) -> list[str]:
    """Norms with the leader's mean over the seeds of the ranking."""
    return [
        pair.norm
        for pair in ranking.others
        if pair.difference and tuple(pair.seeds) == ranking.seeds and abs(pair.difference.mean) < ROUNDING
    ]


def _no_leader(comparison: Comparison) -> str:
    done = [series for series in comparison.series if series.done]
    if not done:
        return "No run was finished, so no norm leads."
    if comparison.unranked:
        return "No norm is ranked here."
    if all(series.row.diverged for series in done):
        return "A run of every norm diverged, so no norm leads."
    return "No norm leads: there is no seed with which all of them were trained."


def _reached(ranking: Ranking) -> str:
    """Accuracy over the seeds that decide the ranking, with these seeds."""
    seeds = ranking.seeds
    if len(seeds) == 1:
        return f"{percent(ranking.accuracy.mean)} test accuracy, with seed {seeds[0]}"
    return f"{percent(ranking.accuracy.mean)} test accuracy (mean over seeds {seed_ranges(seeds)})"


def _best_settings(comparison: Comparison) -> list[str]:
    """Settings by norm; a search does not rank norms, as it was made to find settings."""
    if not comparison.best:
        return ["No run of the search was finished, so it has found nothing."]
    settings = [
        f"{norm}: lr {row.lr:g} and weight decay {row.weight_decay:g}, with {percent(row.validation_accuracy)}"
        for norm, row in comparison.best.items()
    ]
    return [
        f"The best settings of the search, by validation accuracy: {'; '.join(settings)}.",
        "A search does not rank the norms: the test images were not read. Compare with these settings.",
    ]


def _with_one_seed(ranking: Ranking) -> str:
    second = max(ranking.others, key=lambda pair: pair.difference.mean if pair.difference else -1.0)
    ahead = f", {100 * -second.difference.mean:.2f} pp above {second.norm}" if second.difference else ""
    has = f"{ranking.norm} has"
    if tied := _tied(ranking):
        has, ahead = f"{join_names([ranking.norm, *tied])} share", ""
    return (
        f"{has} the highest test accuracy, {percent(ranking.accuracy.mean)}{ahead}. With one seed it is "
        "unknown whether that is more than chance: it takes two or more to test a difference (--seeds 5)."
    )


def _separation(ranking: Ranking) -> str:
    """The other norms by outcome of their tests; a test on more seeds than the ranking's can put another one ahead."""
    groups: dict[str, list[PairedDifference]] = {}
    for pair in ranking.others:
        groups.setdefault(_kind(pair), []).append(pair)
    parts = [
        sentence.format(join_names([_distance(pair) for pair in groups[kind]]))
        for kind, sentence in KINDS
        if kind in groups
    ]
    family = f", over all {ranking.tests} pairs of norms together (Holm), as the leader was picked after the fact"
    level = f" The level is 0.05{family if ranking.tests > 1 else ''}." if ranking.tests else ""
    bracketed = any(_interval(pair) for pair in ranking.others)
    together = " that hold for all of them together (Bonferroni)" if ranking.tests > 1 else ""
    brackets = f" In brackets: 95 % intervals{together}." if bracketed else ""
    return f"{' '.join(parts)}{level}{brackets}"


KINDS = (
    ("ahead", "Separated from it: {}."),
    ("behind", "Ahead of it and separated, on the seeds that they share with it: {}."),
    ("alike", "Alike: {}, by an equivalence test."),
    ("undecided", "Not separated from it: {}, which may be chance."),
    ("no spread", "The difference is the same on every seed, so there is no spread to test it by: {}."),
    ("too few seeds", "Undecided (fewer than two shared seeds): {}."),
)


def _kind(pair: PairedDifference) -> str:
    if pair.difference is None or pair.difference.n < 2:
        return "too few seeds"
    if pair.has_no_spread:
        return "no spread"
    if pair.separated:
        return "ahead" if pair.difference.mean < 0 else "behind"
    return "alike" if pair.alike else "undecided"


def _distance(pair: PairedDifference) -> str:
    if pair.difference is None:
        return pair.norm
    within = f" (within {100 * pair.margin:g} pp)" if pair.alike else ""
    return f"{pair.norm} at {100 * pair.difference.mean:+.2f}{_interval(pair)} pp{within}"


def _interval(pair: PairedDifference) -> str:
    """Format the interval that holds for all pairs together; none for two seeds, whose one says nothing."""
    if pair.low is None or pair.high is None or pair.difference is None or pair.difference.is_pair:
        return ""
    return f" [{100 * pair.low:+.2f}, {100 * pair.high:+.2f}]"


def _diverged(comparison: Comparison) -> list[str]:
    """Norms with a diverged run: they have no mean, and rank below every norm that has one."""
    diverged = [
        f"{series.row.diverged} of {series.row.runs} runs of {series.label}"
        for series in comparison.series
        if series.row.diverged
    ]
    if not diverged:
        return []
    below = "they are best at no setting" if comparison.searching else "they rank below all norms without one"
    return [f"Diverged: {join_names(diverged)}. These have no mean accuracy, and {below}."]


def _unranked(comparison: Comparison) -> list[str]:
    """Norms with several settings: choosing the better one by test images would be tuning on them."""
    if not comparison.unranked:
        return []
    return [
        f"{join_names(list(comparison.unranked))}: such runs are not ranked by the test images, which would then "
        "have chosen the setting. Search with several values of --lr and a validation split (--val-split), or give "
        "each setting an experiment of its own."
    ]
