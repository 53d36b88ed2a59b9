"""Mistakes that are made with a trained network, when it is scored or read from a file."""

import dataclasses

import torch

from normbench.data.splits import channel_statistics
from normbench.studies.mistakes.bench import Bench, Outcome

SIZES = (2, 8, 32, 128)
"""Batches of test images in which a network that was left in train mode is scored."""
SMALL = 8
SHUFFLED, SORTED = "shuffled", "sorted"


def train_mode(bench: Bench) -> Outcome:
    """No `network.eval()`: batches of a few test images are normalized with their own statistics."""
    network = bench.trained()
    by_class = torch.argsort(bench.test.labels.cpu(), stable=True)
    facts: dict[str, float | str] = {}
    right = {}
    for name, order in ((SHUFFLED, None), (SORTED, by_class)):
        for size in SIZES:
            right[name, size] = bench.left_in_training(network, size, order)
            facts[f"{name}-{size}"] = _share(right[name, size])
    changed = right[SHUFFLED, SMALL] != right[SORTED, SMALL]
    wrong = _share(right[SORTED, SMALL])
    return Outcome(bench.accuracy(network), wrong, facts | {"changed": _share(changed), "small": facts["shuffled-8"]})


def statistics_not_restored(bench: Bench) -> Outcome:
    """A state of parameters alone, read with `strict=False`: running mean 0 and variance 1."""
    network, restored = bench.trained(), bench.network()
    left_out = restored.load_state_dict(dict(network.named_parameters()), strict=False).missing_keys
    restored.to(bench.test.images.device)
    return Outcome(bench.accuracy(network), bench.accuracy(restored), {"buffers": float(len(left_out))})


def own_statistics(bench: Bench) -> Outcome:
    """The test images, shuffled and all in one batch, normalized with their own statistics."""
    network = bench.trained()
    return Outcome(bench.accuracy(network), _share(bench.left_in_training(network, len(bench.test))))


def fitted_on_all(bench: Bench) -> Outcome:
    """Mean and deviation of the pixels taken from train and test images together."""
    data = bench.data
    mean, std = channel_statistics(torch.cat([data.train.images.cpu(), data.test.images.cpu()]))
    leaking = dataclasses.replace(data, mean=mean.to(data.mean.device), std=std.to(data.std.device))
    network = bench.train(bench.network(), bench.config("bn"), leaking)
    moved = ((leaking.mean - data.mean) / data.std).abs().max()
    return Outcome(bench.accuracy(bench.trained()), bench.accuracy(network, leaking), {"moved": float(moved)})


def _share(which: torch.Tensor) -> float:
    return which.float().mean().item()
