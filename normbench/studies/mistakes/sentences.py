"""Conclusions and caption of `mistakes`. Each difference between the wrong and the right way has a verdict."""

import torch

from normbench.analysis import PairedDifference
from normbench.analysis.format import points
from normbench.studies.mistakes.bench import TEST_IMAGES
from normbench.studies.mistakes.catalog import Mistake
from normbench.studies.mistakes.measure import Measurement

FEW_SEEDS = 20
"""Largest number of further seeds that is worth naming."""
COSTS, GAINS, NIL, UNDECIDED = "costs", "scores higher", "no difference", "not separated"
ONE_SEED, NO_SPREAD = "one seed", "no spread"


def verdict(pair: PairedDifference) -> str:
    """Return `costs` or `scores higher` if separated at level 0.05 over all mistakes, else the reason why not."""
    difference = pair.difference
    assert difference is not None, "every mistake is made on every seed"
    if difference.mean == 0.0 and not difference.sd:
        return NIL
    if difference.n == 1:
        return ONE_SEED
    if pair.has_no_spread:
        return NO_SPREAD
    if not pair.separated:
        return UNDECIDED
    return COSTS if difference.mean < 0 else GAINS


def conclusions(measurement: Measurement) -> tuple[str, ...]:
    """The most costly mistake, then all of them by verdict, the most costly first."""
    differences = measurement.differences
    by_cost = sorted(measurement.mistakes, key=lambda mistake: _mean(differences[mistake.name]))
    groups: dict[str, list[Mistake]] = {}
    for mistake in by_cost:
        groups.setdefault(verdict(differences[mistake.name]), []).append(mistake)
    sentences = []
    for kind, sentence in SENTENCES.items():
        if kind in groups:
            listed = [f"{mistake.name}{_distance(differences[mistake.name], kind)}" for mistake in groups[kind]]
            sentences.append(sentence.format(", ".join(listed)) + MORE_SEEDS * any(" more)" in name for name in listed))
    first = by_cost[0]
    if verdict(differences[first.name]) == COSTS:
        difference = points(differences[first.name].difference)
        sentences.insert(0, f"The most costly mistake is {first.name} ({first.wrong}): {difference}.")
    return tuple(sentences)


SENTENCES = {
    COSTS: "Costs accuracy: {}.",
    GAINS: "Scores higher than the right way, and is still wrong: {}.",
    ONE_SEED: "One seed, which cannot separate effect from chance: {}.",
    NO_SPREAD: "The difference is the same on every seed, so there is no spread to test it by: {}.",
    UNDECIDED: "Not separated from no effect with these seeds: {}.",
    NIL: "No difference on any seed: {}.",
}
MORE_SEEDS = " In brackets: as many more seeds may separate it, if this is its size."


def _distance(pair: PairedDifference, kind: str) -> str:
    """Difference in points, and the number of further seeds that may separate it if that is small."""
    if kind == NIL:
        return ""
    difference, more = f" {points(pair.difference)}", pair.more_seeds
    if more is None or more > FEW_SEEDS:
        return difference
    return f"{difference} ({more} more)"


def _mean(pair: PairedDifference) -> float:
    assert pair.difference is not None, "every mistake is made on every seed"
    return pair.difference.mean


def caption(measurement: Measurement) -> str:
    """Conditions of the figures: data set, network, epochs, batch, seeds, device and version."""
    recipe, data, training = measurement.recipe, measurement.data, measurement.recipe.training
    scored = min(TEST_IMAGES, len(data.test))
    name = {"cifar10": "CIFAR-10", "digits": "the embedded digits, not CIFAR-10"}.get(data.name, data.name)
    last = recipe.seed + recipe.seeds - 1
    seeds = f"seed {recipe.seed}" if recipe.seeds == 1 else f"{recipe.seeds} seeds ({recipe.seed}-{last})"
    widths = f" with widths {list(recipe.network.widths)}" if recipe.network.widths else ""
    return (
        f"{name} ({len(data.train):,} training images, {scored:,} test images scored); network {recipe.network.name}"
        f"{widths}; {training.epochs} epochs; batch {training.batch_size}; {seeds}; {measurement.device}; torch "
        f"{torch.__version__}. ± is the half width of the 95 % interval (Student's t)."
    )
