"""Loading of a data set onto the device. `auto` is resolved to a data set."""

from dataclasses import dataclass
from importlib import import_module

import torch

from normbench.config import DataConfig, MachineConfig
from normbench.data import cifar10
from normbench.data.download import OnDownload, fetch
from normbench.data.splits import DataSet, Source, assemble
from normbench.errors import DataError

AUTO_PATIENCE = 120.0
"""Seconds that `auto` allows a download before it falls back to the digits."""
WAY_BACK = "`normbench data --fetch` downloads it (163 MiB)"


@dataclass(frozen=True)
class Choice:
    """Data settings with `auto` resolved, and the cause of a fallback."""

    config: DataConfig
    cause: str = ""
    """Obstacle to CIFAR-10, in words, where the digits take its place."""

    @property
    def reason(self) -> str:
        """Warning of a fallback; empty without one."""
        return f"training on the embedded digits, not on CIFAR-10: {self.cause}. {WAY_BACK}" if self.cause else ""


def settle(config: DataConfig, machine: MachineConfig, on_download: OnDownload | None = None) -> Choice:
    """Resolve `auto`: CIFAR-10 where it is found or quickly downloaded, else all of the digits, with the cause.

    With an explicit data folder it is always CIFAR-10: faults of the folder are reported when it is read.
    """
    if config.name != "auto":
        return Choice(config)
    cifar = Choice(config.model_copy(update={"name": "cifar10"}))
    if machine.data_dir is not None or cifar10.locate(machine).complete or cifar10.find_archive(machine):
        return cifar
    try:
        fetch(machine, on_download, patience=AUTO_PATIENCE)
    except DataError as error:
        return Choice(config.model_copy(update={"name": "digits", "subset": None}), error.message)
    return cifar


def load(
    config: DataConfig, machine: MachineConfig, device: torch.device, on_download: OnDownload | None = None
) -> DataSet:
    """Read a data set and move it to the device; CIFAR-10 is downloaded where it is not found.

    Raises:
        DataError: It is missing, damaged or cannot be downloaded, or has another number of classes than its record.
        UsageError: More images are requested than the data set has.
    """
    if config.name == "cifar10":
        source = _cifar10(machine, on_download)
    else:
        source = import_module(f"normbench.data.{config.name}").read()
    if len(source.classes) != config.classes:
        raise DataError(
            f"{config.name} has {len(source.classes)} classes, but its record states {config.classes}",
            "Mend its line in DATA_SETS of normbench/config/settings.py: networks are checked with that number.",
        )
    return assemble(source, config, device)


def _cifar10(machine: MachineConfig, on_download: OnDownload | None) -> Source:
    """Read CIFAR-10, downloaded first where incomplete; in an explicit folder it is at most unpacked."""
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
