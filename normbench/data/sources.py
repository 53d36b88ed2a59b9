"""From data settings to a data set on the device; `auto` is settled here."""

from dataclasses import dataclass

import torch

from normbench.config import DataConfig, MachineConfig
from normbench.data import cifar10, digits
from normbench.data.download import OnDownload, fetch
from normbench.data.splits import DataSet, Source, assemble
from normbench.errors import DataError

AUTO_PATIENCE = 120.0
"""Seconds that `auto` lets a download take before it settles for the digits."""


@dataclass(frozen=True)
class Choice:
    """The data settings that `auto` has become, and why, where that needs saying."""

    config: DataConfig
    reason: str = ""


def settle(config: DataConfig, machine: MachineConfig, on_download: OnDownload | None = None) -> Choice:
    """Settle `auto`: CIFAR-10 where it is found or can be downloaded soon, else all of the digits, with the reason.

    A folder that was given is taken at its word: what is wrong with it is said when it is read.
    """
    if config.name != "auto":
        return Choice(config)
    cifar = Choice(config.model_copy(update={"name": "cifar10"}))
    if machine.data_dir is not None or cifar10.locate(machine).complete or cifar10.find_archive(machine):
        return cifar
    try:
        fetch(machine, on_download, patience=AUTO_PATIENCE)
    except DataError as error:
        reason = f"TRAINING ON THE EMBEDDED DIGITS, NOT ON CIFAR-10: {error.message}. {error.hint}"
        return Choice(config.model_copy(update={"name": "digits", "subset": None}), reason)
    return cifar


def load(
    config: DataConfig, machine: MachineConfig, device: torch.device, on_download: OnDownload | None = None
) -> DataSet:
    """Read a data set and move it to the device; CIFAR-10 is downloaded if it is nowhere to be found.

    Raises:
        DataError: It is missing, damaged or cannot be fetched.
        UsageError: More images are asked for than there are.
    """
    if config.name == "digits":
        return assemble(digits.read(), config, device)
    return assemble(_cifar10(machine, on_download), config, device)


def _cifar10(machine: MachineConfig, on_download: OnDownload | None) -> Source:
    """Read CIFAR-10, fetched first where it is not whole: a folder that was given is only read, or has the archive."""
    try:
        return cifar10.read(machine)
    except DataError as damage:
        if machine.data_dir is not None and cifar10.find_archive(machine) is None:
            raise
        try:
            fetch(machine, on_download)
        except DataError as error:
            if not cifar10.present(machine):
                raise
            raise DataError(f"{damage.message}; {error.message}", error.hint) from error
    return cifar10.read(machine)
