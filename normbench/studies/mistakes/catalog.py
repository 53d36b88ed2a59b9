"""Catalog of the mistakes: wrong and right way, in words and in code, advice, and the trial that measures each."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from normbench.errors import UsageError, unknown
from normbench.studies.mistakes import trials
from normbench.studies.mistakes.bench import Bench, Outcome


@dataclass(frozen=True)
class Mistake:
    """One mistake; `look` has fields for the facts of its outcomes, figures as means over the seeds."""

    name: str
    wrong: str
    """The wrong way, as a phrase."""
    right: str
    wrong_code: str
    right_code: str
    look: str
    """Symptoms to look for."""
    trial: Callable[[Bench], Outcome]


_ENTRIES = (
    Mistake(
        "train-mode", "BatchNorm in train mode at the test: batches of 8 images, sorted by class",
        "eval mode", "logits = network(images)", "network.eval()",
        "An image's class changes with its neighbours: {changed:.0%} of the images are classified "
        "differently when the same batches of 8 are shuffled, and then accuracy is {small:.1%}. "
        "Shuffled large batches hide the mistake.",
        trials.train_mode,
    ),
    Mistake(
        "state", "running statistics not restored: only the parameters are loaded",
        "the whole state is loaded, strictly",
        "network.load_state_dict(parameters, strict=False)",
        "network.load_state_dict(state)",
        "{buffers:.0f} missing keys (running_mean, running_var) that strict=False does not report. After "
        "averaging weights they must be computed again: torch.optim.swa_utils.update_bn.",
        trials.statistics_not_restored,
    ),
    Mistake(
        "momentum", "BatchNorm's momentum too small for the number of steps (0.001)",
        "torch's default (0.1)", "nn.BatchNorm2d(channels, momentum=0.001)", "nn.BatchNorm2d(channels)",
        "Train mode learns as usual, eval mode fails: after {steps:.0f} steps {left:.0%} of the running statistics are "
        "still the initial mean 0 and variance 1.",
        trials.slow_statistics,
    ),
    Mistake(
        "keras-momentum", "Keras's momentum=0.99 in torch, where it is the weight of the new batch",
        "torch's default (0.1; Keras's 0.99 is torch's 0.01)", "nn.BatchNorm2d(channels, momentum=0.99)",
        "nn.BatchNorm2d(channels)",
        "The running statistics are almost those of the last batch alone; this can go unnoticed if batches are alike.",
        trials.keras_momentum,
    ),
    Mistake(
        "batch-one", "BatchNorm trained with one image per step",
        "GroupNorm, same images and steps; learning rate scaled with the batch for both",
        "DataLoader(images, batch_size=1)  # nn.BatchNorm2d",
        "nn.GroupNorm(groups, channels)",
        "It trains without a warning for {steps:.0f} steps, since a map has many values per channel, and fails in eval "
        "mode. With one value per channel torch raises: {raises}.",
        trials.batch_of_one,
    ),
    Mistake(
        "accumulation", "gradients accumulated over micro-batches of 2 in place of one batch, with BatchNorm",
        "the whole batch at once", "loss(network(images[:2])).backward()  # and so on",
        "loss(network(images)).backward()",
        "Gradients accumulate, statistics do not: BatchNorm sees 2 images at a time, however many are accumulated.",
        trials.accumulation,
    ),
    Mistake(
        "bias", "a bias in the convolution before BatchNorm",
        "no bias: the norm subtracts it and has its own", "nn.Conv2d(inputs, outputs, 3)",
        "nn.Conv2d(inputs, outputs, 3, bias=False)",
        "{parameters:.0f} parameters whose gradient is {gradient:.0e} of that of the norms' own beta: rounding. "
        "Raising every bias by 1 changes the logits by {moved:.0e} of the largest. (GroupNorm and LayerNorm subtract "
        "only the mean over a group, so there a bias has some use.)",
        trials.bias_before_norm,
    ),
    Mistake(
        "instance", "InstanceNorm in a classifier",
        "GroupNorm, same budget", "nn.InstanceNorm2d(channels, affine=True)", "nn.GroupNorm(groups, channels)",
        "Every channel of every image gets the same mean and variance, so the strength of a filter's response "
        "is lost, and the average pool has little information left: {train:.0%} even on the training images.",
        trials.instance_norm,
    ),
    Mistake(
        "order", "the norm after the activation",
        "convolution, norm, activation", "nn.Sequential(conv, act, norm)", "nn.Sequential(conv, norm, act)",
        "The next convolution gets inputs of mean 0 where it would get the activation's, and the average pool before "
        "the classifier averages maps that the norm has just centred.",
        trials.norm_after_activation,
    ),
    Mistake(
        "mixed", "BatchNorm, GroupNorm, LayerNorm and InstanceNorm mixed at random, a block each",
        "BatchNorm in every block", "norm = random.choice(norms)(channels)", "norm = nn.BatchNorm2d(channels)",
        "Each norm removes something else of its input, and one learning rate has to suit all of them. With BatchNorm "
        "among them the network keeps its dependence on the batch.",
        trials.mixed_at_random,
    ),
    Mistake(
        "no-shift", "no bias before the activation: neither in the convolution nor in the norm",
        "the norm's own shift (beta)", "nn.BatchNorm2d(channels)  # with bias = None", "nn.BatchNorm2d(channels)",
        "{parameters:.0f} parameters fewer. The activation is fed mean 0 in every channel, so each is active for about "
        "half of its inputs, and training cannot move that.",
        trials.no_shift,
    ),
    Mistake(
        "frozen", "running statistics frozen while fine-tuning on other images (pixels from 0 to 1, not standardized)",
        "train mode: the statistics follow the new images",
        "for norm in norms: norm.eval()  # in every epoch", "network.train()",
        "Accuracy on the new images is {before:.0%} before fine-tuning, here at a hundredth of the rate. Frozen "
        "statistics do not follow the weights: at a tenth of the rate "
        "{diverged:.0%} of the seeds diverge.",
        trials.frozen_statistics,
    ),
    Mistake(
        "decay-norms", f"weight decay ({trials.STRONG_DECAY:g}) on gamma and beta, too",
        "decay on the weights alone", "SGD(network.parameters(), weight_decay=decay)",
        "SGD([{'params': weights, 'weight_decay': decay}, {'params': norms, 'weight_decay': 0}])",
        "Mean gamma at the end: {gamma_decayed:.2f}, and {gamma_kept:.2f} without decay on the norms. In front of a "
        "norm decay only changes the effective step of a weight (arXiv:1706.05350); on gamma and beta it is a penalty.",
        trials.decayed_norms,
    ),
    Mistake(
        "leak-pixels", "pixel mean and deviation taken from train and test images together",
        "from the training images alone", "mean = torch.cat([train, test]).mean((0, 2, 3))",
        "mean = train.mean((0, 2, 3))",
        "The mean moves by {moved:.0e} standard deviations: two numbers per channel, computed from many images, "
        "reveal almost nothing about one. The habit is wrong all the same.",
        trials.fitted_on_all,
    ),
    Mistake(
        "leak-statistics", "test images, shuffled and all at once, normalized with their own statistics",
        "running statistics of the training images", "network.train(); logits = network(test_images)",
        "network.eval(); logits = network(test_images)",
        "The result holds for this test set as a whole and for no single image; if it is higher, that is the "
        "information that the test images have about each other.",
        trials.own_statistics,
    ),
)  # fmt: skip

MISTAKES: dict[str, Mistake] = {entry.name: entry for entry in _ENTRIES}


def select(names: Collection[str] | None) -> list[Mistake]:
    """Select mistakes by name, in the order of the catalog; None selects all.

    Raises:
        UsageError: There are no names, or one is unknown.
    """
    if names is None:
        return list(MISTAKES.values())
    if not names:
        raise UsageError("--only names no mistake", f"Known: {', '.join(MISTAKES)}.")
    for name in names:
        if name not in MISTAKES:
            raise unknown("mistake", name, MISTAKES)
    return [mistake for mistake in MISTAKES.values() if mistake.name in names]
