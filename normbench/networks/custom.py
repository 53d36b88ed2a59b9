"""Custom networks, from a factory (norm, classes). It comes from a file, a package or Python."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from normbench.config.settings import is_custom_network
from normbench.custom_code import Code, Location, import_factory, locate_in_folder, read_code, split_spec
from normbench.errors import NormbenchError, UsageError
from normbench.networks.blocks import NormLayer, make_norm, norm_layers
from normbench.norms import Norm
from normbench.shortage import shortage

CONTRACT = (
    "A network factory takes a norm and the number of classes and returns a torch.nn.Module, "
    "(N, 3, 32, 32) to (N, classes); norm.make(channels) makes a norm layer."
)
FIXED_NORMS = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm,
    nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.LocalResponseNorm,
)  # fmt: skip
"""Norm layers of torch, which a network may hold beside those of the norm under study."""


@dataclass(frozen=True)
class CustomNetwork:
    """A custom network, imported and ready to be built with any norm."""

    name: str
    build: Callable[[Norm, int], nn.Module]
    """(norm, classes) -> network; a failure of the factory is a `UsageError`."""
    code: Code


def custom_network(name: str, location: Location | None = None) -> CustomNetwork:
    """Import the factory of a custom network: `file.py:factory` or `package.module:factory`.

    Args:
        name: Of the network, as in its config.
        location: Of its code, where this is not the one that the name states.

    Raises:
        UsageError: The factory cannot be imported.
    """
    factory = import_factory(name, "network", location)

    def build(norm: Norm, classes: int) -> nn.Module:
        call = f"network '{name}': factory(norm, {classes})"
        try:
            with factory.importable():
                network = factory.call(_with_layers(norm), classes)
        except NormbenchError:
            raise
        except (Exception, SystemExit) as error:
            if resource_error := shortage(error):
                raise resource_error from error
            raise UsageError(f"{call} failed: {type(error).__name__}: {error}", CONTRACT) from error
        if not isinstance(network, nn.Module):
            raise UsageError(f"{call} returned {type(network).__name__}, not a module", CONTRACT)
        if not any(parameter.requires_grad for parameter in network.parameters()):
            raise UsageError(f"{call} returned a network without a parameter to train", CONTRACT)
        return network

    return CustomNetwork(name, build, factory.code)


def network_from_folder(folder: Path, main: str, name: str) -> CustomNetwork:
    """Import a custom network from a folder with all its code.

    Args:
        folder: Of the code.
        main: The file in it that has the factory.
        name: The network's name when its code was saved there.

    Raises:
        UsageError: It cannot be imported.
    """
    return custom_network(name, locate_in_folder(folder, main, split_spec(name, "network")[1]))


def network_code(name: str) -> Code | None:
    """Read all the code of a custom network, without importing it; None for built-in networks.

    Raises:
        UsageError: It cannot be found or read.
    """
    return read_code(name, "network") if is_custom_network(name) else None


def _with_layers(norm: Norm) -> Norm:
    """Return the norm with layers that follow the rules of built-in networks wherever they are put.

    The activations are those that the network has: a norm that brings its own comes without it.
    """

    def build(channels: int, **_arguments: object) -> nn.Module:
        return NormLayer(make_norm(norm, channels))

    return replace(norm, info=replace(norm.info, build=build, activates=False))


def neglected_norm(network: nn.Module, norm: Norm) -> list[str]:
    """List the ways in which a custom network does not respond to the norm, a sentence each."""
    layers = norm_layers(network).values()
    if not layers:
        return ["it has no layer of norm.make, so every norm gives the same numbers"]
    sentences = []
    made = {id(part) for layer in layers for part in layer.modules()}
    fixed = {type(m).__name__ for m in network.modules() if isinstance(m, FIXED_NORMS) and id(m) not in made}
    if fixed:
        sentences.append(f"its {', '.join(sorted(fixed))} is not of norm.make and stays the same for every norm")
    if norm.weights and not any(isinstance(module, norm.conv) for module in network.modules()):
        sentences.append(f"none of its convolutions is of norm.conv, so {norm.weights} has no effect")
    return sentences
