"""Mistakes that are made before or while training: in the network, the batch, the momentum."""

import torch
from torch import nn

from normbench.networks import count_parameters
from normbench.networks.blocks import Block, ensure_bias
from normbench.studies.mistakes.bench import Accumulated, Bench, LeftInTraining, Outcome

MICRO_BATCH = 2
BATCH_ONE_EPOCHS = 2
"""Steps of one image take long, and these are enough to see."""
SLOW = 0.001
KERAS = 0.99


def batch_of_one(bench: Bench) -> Outcome:
    """BatchNorm with one image a step; the right way is GroupNorm, with the same images and steps."""
    accuracies = {}
    for norm in ("gn", "bn"):
        network = bench.train(bench.network(norm), bench.config(norm, batch_size=1, epochs=BATCH_ONE_EPOCHS))
        accuracies[norm] = bench.accuracy(network)
    facts: dict[str, float | str] = {
        "raises": one_value_raises(),
        "steps": float(len(bench.data.train) * BATCH_ONE_EPOCHS),
    }
    return Outcome(accuracies["gn"], accuracies["bn"], facts)


def one_value_raises() -> str:
    """What torch says when a channel has a single value to take statistics over."""
    try:
        nn.BatchNorm2d(8)(torch.zeros(1, 8, 1, 1))
    except ValueError as error:
        return str(error).split(",")[0]
    return "nothing"


def accumulation(bench: Bench) -> Outcome:
    """Gradients accumulated over micro-batches to stand in for one batch."""
    network = bench.network()
    bench.train(Accumulated(network, MICRO_BATCH), bench.config("bn"))
    return Outcome(bench.accuracy(bench.trained()), bench.accuracy(network))


def bias_before_norm(bench: Bench) -> Outcome:
    """Convolutions with a bias that the BatchNorm after them subtracts again."""
    network = bench.network()
    biases = [ensure_bias(block.get_submodule("conv")) for block in blocks(network)]
    bench.train(network, bench.config("bn"))
    accuracy = bench.accuracy(network)
    betas = [block.get_parameter("norm.bias") for block in blocks(network)]
    facts: dict[str, float | str] = {
        "gradient": _gradient(biases) / _gradient(betas),
        "moved": moved(bench, network, biases),
        "parameters": float(count_parameters(network) - count_parameters(bench.trained())),
    }
    return Outcome(bench.accuracy(bench.trained()), accuracy, facts)


def blocks(network: nn.Module) -> list[Block]:
    """Every convolution with its norm and activation, first to last."""
    return [module for module in network.modules() if isinstance(module, Block)]


def moved(bench: Bench, network: nn.Module, biases: list[nn.Parameter]) -> float:
    """How far scores move, as a share of the largest, when every bias is raised by 1, which stays so."""
    before = bench.scores(LeftInTraining(network))
    with torch.no_grad():
        for bias in biases:
            bias.add_(1.0)
    after = bench.scores(LeftInTraining(network))
    return ((after - before).abs().max() / before.abs().max()).item()


def _gradient(parameters: list[nn.Parameter]) -> float:
    """Mean absolute gradient that the last step left."""
    return torch.cat([parameter.grad.abs() for parameter in parameters if parameter.grad is not None]).mean().item()


def instance_norm(bench: Bench) -> Outcome:
    """InstanceNorm in a classifier; the right way is GroupNorm, which does not look at other images either."""
    network = bench.trained("in")
    train = bench.train_accuracy(network)
    return Outcome(bench.accuracy(bench.trained("gn")), bench.accuracy(network), {"train": train})


def slow_statistics(bench: Bench) -> Outcome:
    """Running statistics that move too slowly for the number of steps."""
    steps = (len(bench.data.train) // bench.recipe.training.batch_size) * bench.recipe.training.epochs
    left = (1 - SLOW) ** steps
    return _with_momentum(bench, SLOW, {"steps": float(steps), "left": left})


def keras_momentum(bench: Bench) -> Outcome:
    """Keras's number in torch, where momentum is the weight of the new batch: hardly more than the last one counts."""
    return _with_momentum(bench, KERAS, {})


def _with_momentum(bench: Bench, momentum: float, facts: dict[str, float | str]) -> Outcome:
    network = bench.network()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum
    bench.train(network, bench.config("bn"))
    return Outcome(bench.accuracy(bench.trained()), bench.accuracy(network), facts)
