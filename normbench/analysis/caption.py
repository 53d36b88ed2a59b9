"""What a table of accuracies was measured on, and whether that was the same for all of its runs."""

import math
from collections.abc import Sequence

from normbench.analysis import format as words
from normbench.runs import RunResult

SAME = ("device", "torch", "batch_size", "epochs", "dataset", "train_images", "split_seed", "network", "precision")
"""What every run of a comparison shares; the number of CPU threads is part of the device's name."""


def mixed(results: Sequence[RunResult]) -> list[str]:
    """One sentence for every condition that differs among finished runs, with the norms on either side."""
    done = [result for result in results if result.status == "done"]
    sentences = []
    for name in SAME:
        norms: dict[object, dict[str, None]] = {}
        for result in done:
            norms.setdefault(_condition(result, name), {})[result.norm] = None
        if len(norms) > 1:
            sides = "; ".join(f"{value} ({', '.join(names)})" for value, names in norms.items())
            sentences.append(f"not on equal terms: runs differ in {name.replace('_', ' ')}: {sides}")
    return sentences


def _condition(result: RunResult, name: str) -> object:
    """The value of a condition; earlier versions did not note the precision, which on a CPU was float32 by default."""
    value = getattr(result, name)
    if name == "precision" and value is None:
        return "fp32" if "thread" in result.device else "not noted"
    return value


def uneven_seeds(results: Sequence[RunResult]) -> list[str]:
    """A sentence where norms were not all trained with the same seeds; those of runs that failed do not count."""
    seeds: dict[str, set[int]] = {}
    for result in results:
        seeds.setdefault(result.norm, set()).update([result.seed] * (result.status != "failed"))
    if len({frozenset(of_norm) for of_norm in seeds.values()}) < 2:
        return []
    sides = "; ".join(f"{norm} {_listed(of_norm)}" for norm, of_norm in seeds.items())
    return [f"unequal seeds: {sides}. Norms are ranked on the seeds that all of them share, and differences are over"
            " the seeds that a pair shares"]  # fmt: skip


def _listed(seeds: set[int]) -> str:
    """Seeds as ranges: 0-2, 5."""
    if not seeds:
        return "none"
    ordered = sorted(seeds)
    starts = [seed for seed in ordered if seed - 1 not in seeds]
    ends = [seed for seed in ordered if seed + 1 not in seeds]
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def conditions(results: Sequence[RunResult], epochs: int, searching: bool = False) -> str:
    """The sentence that every table of accuracies needs: on what, for how long, with what."""
    first = results[0]
    seeds = sorted({result.seed for result in results})
    named = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds ({seeds[0]}-{seeds[-1]})"
    read = "The test images were not read." if searching else "Accuracies are the last epoch's, not the best's."
    sentence = words.untuned(result.norm for result in results if result.tuned is False)
    not_tuned = f" {sentence}" if sentence else ""
    length = f"{epochs} epoch{'s' if epochs > 1 else ''}"
    beyond = f"{_spread(results)}{_sampling(results)}"
    return (
        f"{_data_words(first)}; network {first.network}; {length}; {_batch_words(results)}; {named}; "
        f"{_every(results, 'device')}{_beside(results)}; torch {_every(results, 'torch')}. {read}{beyond}{not_tuned}"
    )


def _spread(results: Sequence[RunResult]) -> str:
    """How several seeds are shown."""
    counts: dict[tuple[str, float, float], int] = {}
    for result in results:
        if result.status == "done":
            key = result.norm, result.lr, result.weight_decay
            counts[key] = counts.get(key, 0) + 1
    many = " ± is the half width of the 95 % interval of the mean (Student's t), over initialisation and order alone."
    pairs = " Two seeds are shown as their two values."
    return many * any(n > 2 for n in counts.values()) + pairs * any(n == 2 for n in counts.values())


def _sampling(results: Sequence[RunResult]) -> str:
    """How far other test images of the same kind would move an accuracy, which no number of seeds can tell."""
    tested = [result for result in results if result.test_accuracy is not None]
    if not tested:
        return ""
    images = min(result.test_images for result in tested)
    accuracy = sum(result.test_accuracy or 0.0 for result in tested) / len(tested)
    half = 1.96 * math.sqrt(accuracy * (1 - accuracy) / images)
    return (
        f" Other test images would move an accuracy, too: by ± {100 * half:.1f} pp at {accuracy:.0%} of {images:,} "
        "(95 %, binomial), which no seed tells of (data.split_seed does)."
    ).replace("% of", " % of")


def _beside(results: Sequence[RunResult]) -> str:
    """How many runs shared the device, which their seconds depend on."""
    counts = sorted({result.side_by_side for result in results})
    return "" if counts == [1] else f", {' or '.join(map(str, counts))} concurrent runs"


def _data_words(result: RunResult) -> str:
    name = {"cifar10": "CIFAR-10", "digits": "the embedded digits, not CIFAR-10"}[result.dataset]
    split = f", dealt anew with split seed {result.split_seed}" if result.split_seed else ""
    return f"{name} ({result.train_images:,} train and {result.test_images:,} test images{split})"


def _batch_words(results: Sequence[RunResult]) -> str:
    sizes = sorted({result.batch_size for result in results})
    return f"batch {sizes[0]}" if len(sizes) == 1 else f"batches of {', '.join(map(str, sizes))}"


def _every(results: Sequence[RunResult], name: str) -> str:
    return " or ".join(dict.fromkeys(getattr(result, name) for result in results))
