"""Conclusions and caption of `claims`."""

from collections.abc import Callable
from statistics import fmean

from normbench.analysis import Estimate, compare_pairs, estimate
from normbench.analysis import format as text
from normbench.studies.claims.measure import Claim, Measurement
from normbench.studies.claims.notebook import POINTS
from normbench.studies.claims.runs import CONTROL, REGULARIZERS

FORMATS: dict[str, Callable[[float], str]] = {
    "faster convergence": lambda value: f"{value:.1f}",
    "larger learning rates": lambda value: f"{10**value:.2g}",
    "less sensitivity to initialisation": lambda value: f"{100 * value:.0f} %",
    "regularization": lambda value: f"{100 * value:+.1f} pp",
    "stable gradients": lambda value: f"{value:.1f}",
}
"""Format of the figure of each claim."""
RULE = (
    "A claim holds for a norm if its figure is better than that of none over the same seeds: paired t-test at 0.05, "
    "Holm-adjusted over the norms, or the same difference on each of at least three seeds. It holds if it does for "
    "every norm, depends if for some, and is not shown where no test says so."
)


def conclusions(measurement: Measurement) -> list[str]:
    """Verdict on each claim with its figures, and what limits them."""
    if measurement.techniques:
        return _notebook(measurement)
    return [*map(claim_sentence, measurement.claims), *_limits(measurement)]


def mean_of(claim: Claim, norm: str) -> Estimate | None:
    """Mean of a figure over the seeds; None if a run of the norm diverged."""
    values = list(claim.values.get(norm, {}).values())
    finished = [value for value in values if value is not None]
    return estimate(finished) if len(finished) == len(values) else None


def shown(claim: Claim, norm: str) -> str:
    """Mean of a figure as text."""
    mean = mean_of(claim, norm)
    return text.NOTHING if mean is None else FORMATS[claim.name](mean.mean)


def claim_sentence(claim: Claim) -> str:
    """State the verdict on a claim, and the figures behind it."""
    figures = ", ".join(f"{norm} {shown(claim, norm)}" for norm in claim.norms)
    return (
        f"{claim.name.capitalize()}: {claim.verdict} ({conditions(claim)}). {claim.figure.capitalize()}: {figures}, "
        f"without a norm {shown(claim, CONTROL)}."
    )


def conditions(claim: Claim) -> str:
    """Norms by outcome."""
    phrases = {"yes": "shown for", "no": "the opposite for", "not shown": "not shown for"}
    parts = []
    for outcome, phrase in phrases.items():
        norms = [norm for norm, of_norm in claim.outcomes.items() if of_norm == outcome]
        if norms:
            parts.append(f"{phrase} {', '.join(norms)}")
    costly = [norm for norm in claim.costly if claim.outcomes.get(norm) == "not shown"]
    if costly:
        parts.append(f"lower validation accuracy with {', '.join(costly)}")
    return "; ".join(parts)


def _limits(measurement: Measurement) -> list[str]:
    results, best = measurement.results, measurement.best or {}
    rates = sorted(set(measurement.settings.rates))
    edge = [norm for norm, rate in best.items() if rate in (rates[0], rates[-1])]
    seeds = len({result.seed for result in results})
    digits = results[0].dataset != "cifar10"
    return [
        *([f"At the edge of the grid of learning rates: {', '.join(edge)}."] if edge else []),
        *(["One seed shows no spread: no claim can be shown (--seeds 3)."] if seeds == 1 else []),
        *(["The images are the embedded digits, not CIFAR-10, and tell little of other images."] if digits else []),
    ]


def _notebook(measurement: Measurement) -> list[str]:
    """State which technique fits the points best, and which differ from the plain network on other points."""
    fitted = {technique.label: fmean(loss.fitted for loss in technique.losses) for technique in measurement.techniques}
    fresh = {
        technique.label: {seed: loss.fresh for seed, loss in enumerate(technique.losses)}
        for technique in measurement.techniques
    }
    plain, *others = fresh
    pairs = compare_pairs([(label, plain) for label in others], fresh)
    worse = [pair.norm for pair in pairs if pair.separated and pair.difference and pair.difference.mean > 0]
    better = [pair.norm for pair in pairs if pair.separated and pair.difference and pair.difference.mean < 0]
    low, high = min(fitted, key=fitted.__getitem__), max(fitted, key=fitted.__getitem__)
    return [
        f"In eval mode the points are fitted best with {low} ({fitted[low]:.3f}) and worst with {high} "
        f"({fitted[high]:.3f}).",
        f"On other points the error is higher than that of the plain network with {', '.join(worse) or 'none of them'} "
        f"and lower with {', '.join(better) or 'none of them'} (paired t-tests, Holm-adjusted). The targets are "
        "random, so that no network can do better there than their variance of 1, and to fit the points is to overfit.",
    ]


def caption(measurement: Measurement) -> str:
    """Data set, network, epochs, seeds, device and versions, and the rule of the verdicts."""
    if measurement.techniques:
        seeds = len(measurement.techniques[0].losses)
        return (
            f"{POINTS} points of 10 standard normal inputs with standard normal targets; network 10-64-32-1 with ReLU; "
            f"Adam, mean squared error, all points in one step per epoch; {seeds} seeds, CPU."
        )
    assert measurement.recipe is not None, "only the notebook has no recipe"
    settings = text.caption(measurement.results, measurement.recipe.training.epochs, searching=True)
    others = ", ".join(regularizer.label for regularizer in REGULARIZERS)
    return f"{settings} {RULE} No weight decay, dropout or L1 but in the rows of {others}."
