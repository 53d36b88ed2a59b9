"""Trials of the mistakes: each is made once on one seed, beside the right way."""

import copy
import dataclasses

import torch
from torch import nn

from normbench import randomness
from normbench.data.splits import channel_statistics
from normbench.networks import count_parameters
from normbench.networks.blocks import Block, ensure_bias
from normbench.studies.mistakes.bench import Accumulated, Bench, FrozenStatistics, LeftInTraining, Outcome
from normbench.training import DivergedError

SIZES = (2, 8, 32, 128)
"""Batch sizes at which a network that was left in train mode is scored."""
SMALL = 8
SHUFFLED, SORTED = "shuffled", "sorted"
SLOW_MOMENTUM = 0.001
KERAS_MOMENTUM = 0.99
BATCH_ONE_EPOCHS = 2
"""Steps on one image take long, and these suffice to show the effect."""
MICRO_BATCH = 2
MIXED = ("bn", "gn", "ln", "in")
FINE_TUNING_EPOCHS = 2
FINE_TUNING_RATE = 0.01
"""Learning rate of fine-tuning, as a share of the rate before."""
PIXEL_MAXIMUM = 255.0
STRONG_DECAY = 0.005
"""Weight decay at which a few epochs show whether it falls on the norms."""

# Mistakes in scoring or loading a trained network.


def train_mode(bench: Bench) -> Outcome:
    """Score without `network.eval()`: batches of a few test images are normalized with their own statistics."""
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
    """Load the parameters alone with `strict=False`: the running mean is 0 and the running variance 1."""
    network, restored = bench.trained(), bench.network()
    missing = restored.load_state_dict(dict(network.named_parameters()), strict=False).missing_keys
    restored.to(bench.test.images.device)
    return Outcome(bench.accuracy(network), bench.accuracy(restored), {"buffers": float(len(missing))})


def own_statistics(bench: Bench) -> Outcome:
    """Normalize the test images, shuffled and all in one batch, with their own statistics."""
    network = bench.trained()
    return Outcome(bench.accuracy(network), _share(bench.left_in_training(network, len(bench.test))))


def fitted_on_all(bench: Bench) -> Outcome:
    """Compute mean and deviation of the pixels from train and test images together."""
    data = bench.data
    mean, std = channel_statistics(torch.cat([data.train.images.cpu(), data.test.images.cpu()]))
    leaking = dataclasses.replace(data, mean=mean.to(data.mean.device), std=std.to(data.std.device))
    network = bench.train(bench.network(), bench.config("bn"), leaking)
    shift = ((leaking.mean - data.mean) / data.std).abs().max()
    return Outcome(bench.accuracy(bench.trained()), bench.accuracy(network, leaking), {"moved": float(shift)})


def _share(values: torch.Tensor) -> float:
    return values.float().mean().item()


# Mistakes in the network, the batch or the momentum, before or during training.


def slow_statistics(bench: Bench) -> Outcome:
    """Train with running statistics that move too slowly for the number of steps."""
    steps = (len(bench.data.train) // bench.recipe.training.batch_size) * bench.recipe.training.epochs
    return _with_momentum(bench, SLOW_MOMENTUM, {"steps": float(steps), "left": (1 - SLOW_MOMENTUM) ** steps})


def keras_momentum(bench: Bench) -> Outcome:
    """Use the number of Keras in torch, where momentum is the weight of the new batch: mostly the last one counts."""
    return _with_momentum(bench, KERAS_MOMENTUM, {})


def _with_momentum(bench: Bench, momentum: float, facts: dict[str, float | str]) -> Outcome:
    network = bench.network()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum
    bench.train(network, bench.config("bn"))
    return Outcome(bench.accuracy(bench.trained()), bench.accuracy(network), facts)


def batch_of_one(bench: Bench) -> Outcome:
    """Train BatchNorm with one image per step; the right way is GroupNorm, with the same images and steps."""
    accuracies = {}
    for norm in ("gn", "bn"):
        network = bench.train(bench.network(norm), bench.config(norm, batch_size=1, epochs=BATCH_ONE_EPOCHS))
        accuracies[norm] = bench.accuracy(network)
    facts: dict[str, float | str] = {
        "raises": single_value_error(),
        "steps": float(len(bench.data.train) * BATCH_ONE_EPOCHS),
    }
    return Outcome(accuracies["gn"], accuracies["bn"], facts)


def single_value_error() -> str:
    """Return the message of torch for a channel with a single value to compute statistics from."""
    try:
        nn.BatchNorm2d(8)(torch.zeros(1, 8, 1, 1))
    except ValueError as error:
        return str(error).split(",")[0]
    return "nothing"


def accumulation(bench: Bench) -> Outcome:
    """Accumulate gradients over micro-batches in place of one batch."""
    network = bench.network()
    bench.train(Accumulated(network, MICRO_BATCH), bench.config("bn"))
    return Outcome(bench.accuracy(bench.trained()), bench.accuracy(network))


def bias_before_norm(bench: Bench) -> Outcome:
    """Give convolutions a bias that the BatchNorm after them subtracts again."""
    network = bench.network()
    biases = [ensure_bias(block.get_submodule("conv")) for block in blocks(network)]
    bench.train(network, bench.config("bn"))
    accuracy = bench.accuracy(network)
    betas = [block.get_parameter("norm.bias") for block in blocks(network)]
    facts: dict[str, float | str] = {
        "gradient": _mean_gradient(biases) / _mean_gradient(betas),
        "moved": effect_of_biases(bench, network, biases),
        "parameters": float(count_parameters(network) - count_parameters(bench.trained())),
    }
    return Outcome(bench.accuracy(bench.trained()), accuracy, facts)


def blocks(network: nn.Module) -> list[Block]:
    """List the blocks (convolution, norm, activation), first to last."""
    return [module for module in network.modules() if isinstance(module, Block)]


def effect_of_biases(bench: Bench, network: nn.Module, biases: list[nn.Parameter]) -> float:
    """Raise every bias by 1 for good; return the largest change of a logit, relative to the largest logit."""
    before = bench.logits(LeftInTraining(network))
    with torch.no_grad():
        for bias in biases:
            bias.add_(1.0)
    after = bench.logits(LeftInTraining(network))
    return ((after - before).abs().max() / before.abs().max()).item()


def _mean_gradient(parameters: list[nn.Parameter]) -> float:
    """Average the absolute gradients of the last step."""
    return torch.cat([parameter.grad.abs() for parameter in parameters if parameter.grad is not None]).mean().item()


def instance_norm(bench: Bench) -> Outcome:
    """Train a classifier with InstanceNorm; the right way is GroupNorm, which uses no other images either."""
    network = bench.trained("in")
    train = bench.train_accuracy(network)
    return Outcome(bench.accuracy(bench.trained("gn")), bench.accuracy(network), {"train": train})


def norm_after_activation(bench: Bench) -> Outcome:
    """Put every norm behind the activation of its block instead of before it."""
    network = bench.network()
    for block in blocks(network):
        norm = block.get_submodule("norm")
        del block.norm
        block.add_module("norm", norm)  # a block applies its layers in the order in which they were added
    bench.train(network, bench.config("bn"))
    return Outcome(bench.accuracy(bench.trained()), bench.accuracy(network))


def mixed_at_random(bench: Bench) -> Outcome:
    """Draw the norm of each block at random."""
    network = bench.network()
    layers = {norm: blocks(bench.network(norm)) for norm in MIXED}
    rng = randomness.generator(bench.seed, "init")
    for index, block in enumerate(blocks(network)):
        drawn = MIXED[int(torch.randint(len(MIXED), (), generator=rng))]
        block.norm = layers[drawn][index].get_submodule("norm")
    bench.train(network, bench.config("bn"))
    return Outcome(bench.accuracy(bench.trained()), bench.accuracy(network))


def no_shift(bench: Bench) -> Outcome:
    """Leave out the norm's shift, so that nothing moves the threshold of the activation behind it."""
    network = bench.network()
    for block in blocks(network):
        block.get_submodule("norm").register_parameter("bias", None)
    parameters = count_parameters(bench.trained()) - count_parameters(network)
    bench.train(network, bench.config("bn"))
    return Outcome(bench.accuracy(bench.trained()), bench.accuracy(network), {"parameters": float(parameters)})


def frozen_statistics(bench: Bench) -> Outcome:
    """Fine-tune on images of another contrast with the running statistics of the images before."""
    data, trained = bench.data, bench.trained()
    unscaled = dataclasses.replace(data, mean=torch.zeros_like(data.mean), std=torch.full_like(data.std, PIXEL_MAXIMUM))
    lr = bench.config("bn").training.lr

    def fine_tuned(network: nn.Module, factor: float) -> float:
        config = bench.config("bn", epochs=FINE_TUNING_EPOCHS, lr=factor * lr)
        return bench.accuracy(bench.train(network, config, unscaled), unscaled)

    facts: dict[str, float | str] = {"before": bench.accuracy(trained, unscaled), "diverged": 0.0}
    try:
        fine_tuned(FrozenStatistics(copy.deepcopy(trained)), 10 * FINE_TUNING_RATE)
    except DivergedError:
        facts["diverged"] = 1.0
    adapted = fine_tuned(copy.deepcopy(trained), FINE_TUNING_RATE)
    frozen = fine_tuned(FrozenStatistics(copy.deepcopy(trained)), FINE_TUNING_RATE)
    return Outcome(adapted, frozen, facts)


def decayed_norms(bench: Bench) -> Outcome:
    """Let a strong weight decay fall on scale and shift of the norms, too."""
    networks = {
        decayed: bench.train(bench.network(), bench.config("bn", weight_decay=STRONG_DECAY, decay_norms=decayed))
        for decayed in (False, True)
    }
    facts: dict[str, float | str] = {
        f"gamma_{name}": torch.cat([block.get_parameter("norm.weight").detach() for block in blocks(network)])
        .mean()
        .item()
        for name, network in (("kept", networks[False]), ("decayed", networks[True]))
    }
    return Outcome(bench.accuracy(networks[False]), bench.accuracy(networks[True]), facts)
