"""Using a finished run again: its network with the trained weights, on its own data set or on the user's pictures."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from normbench import networks
from normbench.config import RunConfig
from normbench.errors import RunFailedError
from normbench.files import check_regular, kind_of
from normbench.norms import norm_info, resolve_norm
from normbench.runs.folder import MODEL


@dataclass(frozen=True)
class SavedModel:
    """A trained network in eval mode on the CPU, and what it needs to know of the images it takes."""

    network: nn.Module
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    """Per channel, in units of pixel values 0-255; of the images it was trained on."""
    std: tuple[float, ...]


def load_model(folder: Path, config: RunConfig) -> SavedModel:
    """Build a run's network and give it the weights it ended with.

    Raises:
        RunFailedError: The weights are missing, damaged, or of another network.
    """
    path = folder / MODEL
    if kind_of(path) is None:
        raise RunFailedError(f"{folder} has no weights", "Only runs that are done have them: see `normbench runs`.")
    if config.norm_revision != norm_info(config.norm).revision:
        raise RunFailedError(
            f"{folder} was trained with another revision of {config.norm} than this normbench has",
            "Train the run again, or use the normbench that trained it (env.json names its version).",
        )
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["images"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        network = networks.build(config.network, resolve_norm(config.norm, config.groups), len(facts["classes"]))
        network.load_state_dict(weights)
        model = SavedModel(network.eval(), *(tuple(facts[name]) for name in ("classes", "mean", "std")))
    except (SafetensorError, TypeError, KeyError, ValueError, RuntimeError, OSError) as error:
        raise RunFailedError(f"{path} cannot be used: {error}", "Train the run again: --force") from error
    return model


def as_channels(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Per-channel figures as a float32 tensor (C, 1, 1) that broadcasts over images."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)
