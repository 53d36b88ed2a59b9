"""The mistakes: what is done, what is right, the line of code, what to look for, and how each is measured."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from normbench.errors import UsageError, unknown
from normbench.studies.mistakes import scoring, setup
from normbench.studies.mistakes.bench import Bench, Outcome


@dataclass(frozen=True)
class Mistake:
    """One mistake; `look` takes the outcome's facts by name, figures as means over the seeds."""

    name: str
    wrong: str
    """What is done, as a phrase."""
    right: str
    wrong_code: str
    right_code: str
    look: str
    measure: Callable[[Bench], Outcome]


_ENTRIES = (
    Mistake(
        "train-mode", "BatchNorm in train mode at the test: batches of 8 images, sorted by class",
        "eval mode", "scores = network(images)", "network.eval()",
        "An image's class changes with its neighbours: {changed:.0%} of the images are judged otherwise when the same "
        "batches of 8 come shuffled, and then accuracy is {small:.1%}. Shuffled large batches hide the mistake.",
        scoring.train_mode,
    ),
    Mistake(
        "state", "running statistics not restored: the parameters alone are loaded",
        "the whole state is loaded, strictly",
        "network.load_state_dict(parameters, strict=False)",
        "network.load_state_dict(state)",
        "{buffers:.0f} missing keys (running_mean, running_var) that strict=False keeps quiet about. An average of "
        "weights needs them measured anew: torch.optim.swa_utils.update_bn.",
        scoring.statistics_not_restored,
    ),
    Mistake(
        "momentum", "BatchNorm's momentum too small for the number of steps (0.001)",
        "torch's default (0.1)", "nn.BatchNorm2d(channels, momentum=0.001)", "nn.BatchNorm2d(channels)",
        "Train mode learns as ever, eval mode fails: after {steps:.0f} steps {left:.0%} of the running statistics are "
        "still the mean 0 and variance 1 that they began with.",
        setup.slow_statistics,
    ),
    Mistake(
        "keras-momentum", "Keras's momentum=0.99 in torch, where it is the weight of the new batch",
        "torch's default (0.1; Keras's 0.99 is torch's 0.01)", "nn.BatchNorm2d(channels, momentum=0.99)",
        "nn.BatchNorm2d(channels)",
        "Running statistics are those of hardly more than the last batch; it can go unnoticed where batches are alike.",
        setup.keras_momentum,
    ),
    Mistake(
        "batch-one", "BatchNorm trained with one image a step",
        "GroupNorm, same images and steps; learning rate scaled with the batch for both",
        "DataLoader(images, batch_size=1)  # nn.BatchNorm2d",
        "nn.GroupNorm(groups, channels)",
        "It trains without a word for {steps:.0f} steps, since a map has many values a channel, and fails in eval "
        "mode. With one value a channel torch raises: {raises}.",
        setup.batch_of_one,
    ),
    Mistake(
        "accumulation", "gradients accumulated over micro-batches of 2 in place of one batch, with BatchNorm",
        "the whole batch at once", "loss(network(images[:2])).backward()  # and so on",
        "loss(network(images)).backward()",
        "Gradients add up, statistics do not: BatchNorm sees 2 images at a time whatever the number accumulated.",
        setup.accumulation,
    ),
    Mistake(
        "bias", "a bias in the convolution before BatchNorm",
        "no bias: the norm subtracts it and brings its own", "nn.Conv2d(inputs, outputs, 3)",
        "nn.Conv2d(inputs, outputs, 3, bias=False)",
        "{parameters:.0f} parameters whose gradient is {gradient:.0e} of that of the norms' own beta: rounding. "
        "Raising every bias by 1 moves the scores by {moved:.0e} of the largest. (GroupNorm and LayerNorm subtract "
        "only the mean over a group, so that there a bias is not quite without use.)",
        setup.bias_before_norm,
    ),
    Mistake(
        "instance", "InstanceNorm in a classifier",
        "GroupNorm, same budget", "nn.InstanceNorm2d(channels, affine=True)", "nn.GroupNorm(groups, channels)",
        "Every channel of every image gets the same mean and variance, so how strongly a filter answers is thrown "
        "away, and the average pool has little left to tell: {train:.0%} even on the training images.",
        setup.instance_norm,
    ),
    Mistake(
        "leak-pixels", "pixel mean and deviation taken from train and test images together",
        "from the training images alone", "mean = torch.cat([train, test]).mean((0, 2, 3))",
        "mean = train.mean((0, 2, 3))",
        "The mean moves by {moved:.0e} standard deviations: two numbers a channel, taken from many images, tell "
        "next to nothing of one. The habit is wrong all the same.",
        scoring.fitted_on_all,
    ),
    Mistake(
        "leak-statistics", "test images, shuffled and all at once, normalized with their own statistics",
        "running statistics of the training images", "network.train(); scores = network(test_images)",
        "network.eval(); scores = network(test_images)",
        "The result holds for this test set as a whole and for no single image: where it is higher, that is what the "
        "test images told about each other.",
        scoring.own_statistics,
    ),
)  # fmt: skip

MISTAKES: dict[str, Mistake] = {entry.name: entry for entry in _ENTRIES}


def chosen(names: Collection[str] | None) -> list[Mistake]:
    """The mistakes of these names in the order of the catalog; all of them for None.

    Raises:
        UsageError: There are no names, or there is no mistake of one of them.
    """
    if names is None:
        return list(MISTAKES.values())
    if not names:
        raise UsageError("--only names no mistake", f"Known: {', '.join(MISTAKES)}.")
    for name in names:
        if name not in MISTAKES:
            raise unknown("mistake", name, MISTAKES)
    return [mistake for mistake in MISTAKES.values() if mistake.name in names]
