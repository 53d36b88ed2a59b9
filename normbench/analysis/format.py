"""Cells of tables and captions as text. They are the same for screen and paper."""

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from normbench.analysis.aggregate import Aggregate, Estimate, group_by_setting
from normbench.config.settings import data_set_title
from normbench.runs import RunResult
from normbench.text import counted

NOTHING = "-"
UNTUNED = "*"
"""Mark beside a learning rate that was not tuned for its norm."""


def percent(value: Estimate | float | None) -> str:
    """Format an accuracy in percent: over seeds with the half width of its 95 % interval, for two seeds both values."""
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return f"{value:.2%}".replace("%", " %")
    if value.is_pair:
        return f"{', '.join(f'{100 * accuracy:.2f}' for accuracy in value.values)} %"
    if value.high is None:
        return percent(value.mean)
    return f"{100 * value.mean:.2f} ± {100 * (value.high - value.mean):.2f} %"


def points(value: Estimate | None) -> str:
    """Format a difference in percentage points (pp) with sign and half width, for two seeds as both values."""
    if value is None:
        return NOTHING
    if value.is_pair:
        return f"{', '.join(f'{100 * difference:+.2f}' for difference in value.values)} pp"
    spread = "" if value.high is None else f" ± {100 * (value.high - value.mean):.2f}"
    return f"{100 * value.mean:+.2f}{spread} pp"


def figure(value: Estimate | None, digits: int = 3) -> str:
    """Format a mean with so many digits after the point."""
    return NOTHING if value is None else f"{value.mean:.{digits}f}"


def p_value(p: float | None) -> str:
    """Format a p-value."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def accuracy(value: Estimate | None, diverged: int = 0, runs: int = 0) -> str:
    """Format an accuracy over runs; if some diverged, their number is shown in place of a mean."""
    return f"{diverged} of {runs} diverged" if diverged else percent(value)


def finished(row: Aggregate) -> str:
    """Format the number of finished runs of a row, with that of all runs if some were not finished."""
    return f"{row.finished}" if row.finished == row.runs else f"{row.finished} of {row.runs}"


def learning_rate(lr: float, tuned: bool | None) -> str:
    """Format a learning rate, with the mark that `untuned` explains if it was not tuned for the norm."""
    return f"{lr:g}{UNTUNED if tuned is False else ''}"


def join_names(names: Sequence[str]) -> str:
    """Join names as in a sentence: `a, b and c`; at least one."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def untuned(norms: Iterable[str]) -> str:
    """Sentence that names the norms whose settings were not tuned; empty if there are none."""
    names = list(dict.fromkeys(norms))
    if not names:
        return ""
    return f"{UNTUNED} Not tuned: the settings of {join_names(names)} were not searched for."


def recipe_lines(best: Mapping[str, Aggregate]) -> str:
    """Best settings of a search, as a recipe spells them."""
    return "\n".join(
        f"[norm.{_toml_key(norm)}]\nlr = {row.lr:g}\nweight_decay = {row.weight_decay:g}" for norm, row in best.items()
    )


def _toml_key(norm: str) -> str:
    """Name as a TOML key: in quotes unless it is bare, which `gn+ws` and paths are not."""
    return norm if re.fullmatch(r"[A-Za-z0-9_-]+", norm) else json.dumps(norm)


def caption(results: Sequence[RunResult], epochs: int, searching: bool = False) -> str:
    """Caption of a table of accuracies: data set, network, epochs, seeds, device and versions behind it."""
    first = results[0]
    seeds = sorted({result.seed for result in results})
    named = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds ({seed_ranges(seeds)})"
    read = "The test images were not read." if searching else "Accuracies are the last epoch's, not the best's."
    sentence = untuned(result.norm for result in results if result.tuned is False)
    not_tuned = f" {sentence}" if sentence else ""
    length = counted(epochs, "epoch")
    beyond = f"{_spread(results)}{_sampling(results)}"
    return (
        f"{_data(first)}; network {first.network}; {length}; {_batch(results)}; {named}; "
        f"{_all(results, 'device')}{_concurrency(results)}; torch {_all(results, 'torch')}. {read}{beyond}{not_tuned}"
    )


def seed_ranges(seeds: Collection[int]) -> str:
    """Format seeds as ranges, such as 0-2, 5."""
    if not seeds:
        return "none"
    ordered = sorted(seeds)
    starts = [seed for seed in ordered if seed - 1 not in seeds]
    ends = [seed for seed in ordered if seed + 1 not in seeds]
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def _spread(results: Sequence[RunResult]) -> str:
    """Meaning of the figures over several seeds."""
    counts = [
        sum(result.status == "done" for result in of_setting) for of_setting in group_by_setting(results).values()
    ]
    many = " ± is the half width of the 95 % interval of the mean (Student's t), over initialisation and order alone."
    pairs = " Two seeds are shown as their two values."
    return many * any(n > 2 for n in counts) + pairs * any(n == 2 for n in counts)


def _sampling(results: Sequence[RunResult]) -> str:
    """Sampling error over test images of the same kind, which no number of seeds shows."""
    tested = [result for result in results if result.test_accuracy is not None]
    if not tested:
        return ""
    images = min(result.test_images for result in tested)
    accuracy = sum(result.test_accuracy or 0.0 for result in tested) / len(tested)
    half = 1.96 * math.sqrt(accuracy * (1 - accuracy) / images)
    return (
        f" Other test images would move an accuracy, too: by ± {100 * half:.1f} pp at {accuracy:.0%} of {images:,} "
        "(95 %, binomial), which no seed shows (data.split_seed does)."
    ).replace("% of", " % of")


def _concurrency(results: Sequence[RunResult]) -> str:
    """Number of runs that shared the device, which their seconds depend on."""
    counts = sorted({result.side_by_side for result in results})
    return "" if counts == [1] else f", {' or '.join(map(str, counts))} concurrent runs"


def other_images(results: Sequence[RunResult]) -> list[str]:
    """Sentence that limits conclusions to the images of a data set other than CIFAR-10; none for CIFAR-10."""
    dataset = results[0].dataset
    name = data_set_title(dataset)
    return [] if dataset == "cifar10" else [f"The images are {name}, and say little about other images."]


def _data(result: RunResult) -> str:
    name = data_set_title(result.dataset)
    split = f", re-split with seed {result.split_seed}" if result.split_seed else ""
    return f"{name} ({result.train_images:,} train and {result.test_images:,} test images{split})"


def _batch(results: Sequence[RunResult]) -> str:
    sizes = sorted({result.batch_size for result in results})
    return f"batch {sizes[0]}" if len(sizes) == 1 else f"batches of {', '.join(map(str, sizes))}"


def _all(results: Sequence[RunResult], name: str) -> str:
    return " or ".join(dict.fromkeys(getattr(result, name) for result in results))
