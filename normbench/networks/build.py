"""Construction of a network from its config."""

import contextlib
import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from normbench import randomness
from normbench.config import NetworkConfig, RunConfig
from normbench.config.settings import Init, is_custom_network
from normbench.custom_code import no_factory
from normbench.errors import NormbenchError, UsageError, shortened, unknown
from normbench.networks.blocks import CONTRACT_OF_NORMS, check_output, check_vectors, norm_layers
from normbench.networks.c10 import C10, C10_WIDTHS
from normbench.networks.convnext import CONVNEXT_WIDTHS, ConvNeXt
from normbench.networks.custom import CONTRACT, CustomNetwork, custom_network
from normbench.networks.cyclegan import CYCLEGAN_WIDTHS, Generator
from normbench.networks.dwnet import DWNET_WIDTHS, dwnet, lnet
from normbench.networks.lstm import LSTM, LSTM_WIDTHS
from normbench.networks.mlp import MLP, MLP_WIDTHS
from normbench.networks.resnet import RESNET_WIDTHS, ResNet
from normbench.networks.unet import UNET_WIDTHS, UNet
from normbench.networks.vit import VIT_WIDTHS, VisionTransformer
from normbench.norms import Norm
from normbench.norms.layers import WeightNormConv2d
from normbench.shortage import shortage

IMAGE_SHAPE = (3, 32, 32)

NETWORKS: dict[str, tuple[Callable[[Norm, NetworkConfig, int], nn.Module], tuple[int, ...]]] = {
    "c10": (C10, C10_WIDTHS),
    "dwnet": (dwnet, DWNET_WIDTHS),
    "lnet": (lnet, DWNET_WIDTHS),
    "resnet": (ResNet, RESNET_WIDTHS),
    "convnext": (ConvNeXt, CONVNEXT_WIDTHS),
    "mlp": (MLP, MLP_WIDTHS),
    "vit": (VisionTransformer, VIT_WIDTHS),
    "unet": (UNet, UNET_WIDTHS),
    "cyclegan": (Generator, CYCLEGAN_WIDTHS),
    "lstm": (LSTM, LSTM_WIDTHS),
}


def default_widths(name: str) -> tuple[int, ...]:
    """Return the output channels per block of a network, first to last, before any multiplier.

    Raises:
        UsageError: The network is unknown.
    """
    if name.endswith(".py"):
        raise no_factory(name, "network")
    if (base := name.partition("(")[0]) in NETWORKS and base != name:
        raise UsageError(
            f"network '{shortened(name)}': {base} takes no arguments",
            "Its settings are those of [network] in a recipe, as --set network.activation=silu",
        )
    if name not in NETWORKS:
        raise unknown("network", name, NETWORKS)
    return NETWORKS[name][1]


def check_network(name: str) -> None:
    """Check that there is a network of a name; a custom one is imported.

    Raises:
        UsageError: There is none, or its factory cannot be imported.
    """
    if is_custom_network(name):
        custom_network(name)
    else:
        default_widths(name)


def build(
    config: NetworkConfig, norm: Norm, classes: int = 10, seed: int = 0, custom: CustomNetwork | None = None
) -> nn.Module:
    """Build a network, initialised from the `init` stream of the seed; torch's global random state is preserved.

    Args:
        config: Name and settings of the network.
        norm: The norm after every convolution but the classifier.
        classes: Outputs of the classifier.
        seed: Seed of the initial weights.
        custom: The custom network of this name where it is imported already.

    Returns:
        The network in train mode on the CPU, (N, 3, 32, 32) -> (N, classes).

    Raises:
        UsageError: The network is unknown, its widths do not fit, or the norm cannot be built or run in it.
    """
    if is_custom_network(config.name):
        custom = custom or custom_network(config.name)
    else:
        _check_widths(config)
    with randomness.GLOBAL, randomness.restored():
        randomness.seed_global(seed, "init", host=norm.is_custom or custom is not None)
        if custom:
            network = custom.build(norm, classes)
        else:
            network = NETWORKS[config.name][0](norm, config, classes)
            initialise(network, config.init, config.init_gain)
        _run_trial(network, norm, custom, classes)
    return network


def _check_widths(config: NetworkConfig) -> None:
    expected = len(default_widths(config.name))
    if config.widths is not None and len(config.widths) != expected:
        raise UsageError(
            f"{config.name} takes {expected} widths, but {len(config.widths)} are given",
            f"Its default widths are {list(default_widths(config.name))}.",
        )


def build_for(
    config: RunConfig, classes: int | None = None, norm: Norm | None = None, custom: CustomNetwork | None = None
) -> nn.Module:
    """Build the network of a run, with its norm, initialised from its seed.

    Args:
        config: Settings of the run.
        classes: Outputs of the classifier; by default the classes of the run's data set.
        norm: The norm of the run where it is loaded already, as from the code that a run folder keeps.
        custom: The custom network of the run, likewise.

    Raises:
        UsageError: As for `build`, or the norm cannot be loaded.
    """
    norm = norm or Norm.parse(config.norm, config.groups)
    return build(config.network, norm, config.data.classes if classes is None else classes, config.seed, custom)


def _run_trial(network: nn.Module, norm: Norm, custom: CustomNetwork | None, classes: int) -> None:
    """Run blank images, so that lazy norms learn their shape and a norm or network that cannot run fails at once.

    Blank images must not initialise custom code, so a copy gets them, unless its parameters depend on them.
    """
    is_custom = norm.is_custom or custom is not None
    if not is_custom or any(isinstance(p, UninitializedParameter) for p in network.parameters()):
        _run_blank(network, norm, custom, classes)
        return
    try:
        trial = copy.deepcopy(network)
    except Exception:  # noqa: BLE001  # any module may refuse to be copied
        _run_blank(network, norm, custom, classes)
        return
    _run_blank(trial, norm, custom, classes)
    if trial.state_dict().keys() != network.state_dict().keys():
        _run_blank(network, norm, custom, classes)


def initialise(network: nn.Module, init: Init, gain: float = 1.0) -> None:
    """Draw the weights of every convolution and linear layer; `torch` keeps those that torch drew.

    Args:
        network: Its weights are changed in place.
        init: Distribution of the weights.
        gain: Factor on them.
    """
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        if init == "kaiming":
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif init == "xavier":
            nn.init.xavier_uniform_(module.weight)
        if init != "torch" and module.bias is not None:
            nn.init.zeros_(module.bias)
        if gain != 1.0:
            with torch.no_grad():
                module.weight.mul_(gain)
        if isinstance(module, WeightNormConv2d):
            module.reset_scale()


def _run_blank(network: nn.Module, norm: Norm, custom: CustomNetwork | None, classes: int) -> None:
    def check_shape(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        shape = tuple(inputs[0].shape)
        if custom and shape[2:] == (1, 1):
            check_vectors(norm, shape[1])
        check_output(norm, inputs[0], output)

    hooks = [layer.register_forward_hook(check_shape) for layer in norm_layers(network).values()]
    network.eval()
    try:
        with torch.no_grad():
            logits = network(torch.zeros(2, *IMAGE_SHAPE))
    except NormbenchError:
        raise
    except (Exception, SystemExit) as error:
        if resource_error := shortage(error):
            raise resource_error from error
        reason = f"{type(error).__name__}: {error}"
        if custom:
            raise UsageError(f"network '{custom.name}' with norm '{norm.name}' fails: {reason}", CONTRACT) from error
        raise UsageError(f"norm '{norm.name}' fails in the network: {reason}", CONTRACT_OF_NORMS) from error
    if custom:
        _check_logits(logits, custom, classes)
    network.train()
    for hook in hooks:
        hook.remove()


def _check_logits(logits: object, custom: CustomNetwork, classes: int) -> None:
    shape = (2, classes)
    if isinstance(logits, Tensor) and logits.shape == shape and logits.is_floating_point():
        return
    output = f"{logits.dtype} of shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
    raise UsageError(f"network '{custom.name}' gives {output} for 2 images, not logits of shape {shape}", CONTRACT)


def draws_random_numbers(network: nn.Module) -> bool:
    """Test if a training step of the network consumes global random numbers, as dropout does those of torch.

    The step changes the running statistics of the network, which should be discarded afterwards.
    """
    with randomness.GLOBAL, randomness.restored():
        before, host = torch.get_rng_state(), randomness.host_state()
        network.train()
        # A norm that fails here fails in its own run too, which reports it and does not stop other runs.
        with contextlib.suppress(Exception, SystemExit):
            network(torch.zeros(2, *IMAGE_SHAPE)).sum().backward()
        return not torch.equal(before, torch.get_rng_state()) or host != randomness.host_state()


def count_parameters(network: nn.Module) -> int:
    """Count the trainable parameters of a built network."""
    parameters = (p for p in network.parameters() if p.requires_grad)
    return sum(p.numel() for p in parameters if not isinstance(p, UninitializedParameter))
