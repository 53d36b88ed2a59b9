"""Machine settings: folders, device, concurrency. They move no number by intent."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from normbench.config.settings import Frozen, Switch, Whole
from normbench.config.validation import user_path, validated
from normbench.errors import UsageError, shortened

GivenPath = Annotated[Path, BeforeValidator(user_path)]
DEVICES = re.compile(r"auto|cuda(:[0-9]{1,3})?|mps|cpu")


def _check_device(name: str) -> str:
    """Refuse what is no name of a device; pydantic turns the ValueError into words."""
    if not DEVICES.fullmatch(name):
        raise ValueError("auto, cuda, cuda:N, mps or cpu")
    return name


DeviceName = Annotated[str, AfterValidator(_check_device)]

VARIABLES = ("data_dir", "device", "out", "offline", "mirror", "jobs", "engine")
"""Settings that the environment can give."""


def variable(setting: str) -> str:
    """Name of the environment variable of a machine setting."""
    return f"NORMBENCH_{setting.upper()}"


class MachineConfig(Frozen):
    """Flag, else `NORMBENCH_*`, else the default; science settings never come from the environment."""

    data_dir: GivenPath | None = Field(None, description="Folder with CIFAR-10.")
    device: DeviceName = Field("auto", description="Device of the computation: auto, cuda, cuda:N, mps or cpu.")
    out: GivenPath = Field(Path("runs"), description="Folder of experiments.")
    offline: Switch = Field(False, description="Never access the internet.")
    mirror: str | None = None
    """Address of a copy of `cifar-10-python.tar.gz`; its MD5 is checked as the original's is."""
    force: Switch = Field(False, description="Train runs again that are done.")
    jobs: Whole | None = Field(
        None, ge=1, le=256, description="Runs trained concurrently, by default as many as the device can."
    )
    capture: Switch = True
    """Repeat a captured step on CUDA; without it every step is launched kernel by kernel."""
    engine: Literal["local", "ray"] = Field("local", description="Where runs train: in this process, or on a cluster.")
    address: str | None = Field(
        None,
        min_length=1,
        description="Ray cluster, as HOST:6379; by default the one that runs on this machine, or a new one.",
    )

    @classmethod
    def resolve(cls, flags: dict[str, object]) -> "MachineConfig":
        """Settings from the flags that were given (no None among them) and the environment.

        Raises:
            UsageError: A setting does not fit, or there is the address of a cluster and no use of it.
        """
        environment = {name: _of_text(name, text) for name in VARIABLES if (text := os.environ.get(variable(name)))}
        machine = validated(cls, environment | flags, "flags and NORMBENCH_* variables")
        if machine.address is not None and machine.engine != "ray":
            raise UsageError(
                f"--address {shortened(machine.address)} is of use to a Ray cluster only", "Add --engine ray."
            )
        return machine


ON, OFF = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})
DIGITS = re.compile(r"[0-9]{1,10}")


def _of_text(setting: str, text: str) -> object:
    """Value of an environment variable, which is text whatever the setting is.

    Raises:
        UsageError: It is no switch, or no integer.
    """
    word = text.strip(" ").lower()
    if setting == "offline":
        if word not in ON | OFF:
            raise UsageError(f"{variable(setting)} = {shortened(text)}: neither on nor off", "Set it to 1 or 0.")
        return word in ON
    if setting == "jobs":
        if not DIGITS.fullmatch(word):
            raise UsageError(f"{variable(setting)} = {shortened(text)}: not an integer", "For example: 2")
        return int(word)
    return text
