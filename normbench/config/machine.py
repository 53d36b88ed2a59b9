"""Machine settings: folders, device, concurrency. They move no number by intent."""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from normbench.config.settings import Frozen
from normbench.config.validation import user_path, validated

GivenPath = Annotated[Path, BeforeValidator(user_path)]
DEVICES = re.compile(r"auto|cuda(:[0-9]{1,3})?|mps|cpu")


def _check_device(name: str) -> str:
    """Refuse what is no name of a device; pydantic turns the ValueError into words."""
    if not DEVICES.fullmatch(name):
        raise ValueError("auto, cuda, cuda:N, mps or cpu")
    return name


DeviceName = Annotated[str, AfterValidator(_check_device)]

VARIABLES = ("data_dir", "device", "out", "offline", "mirror", "jobs")
"""Settings that the environment can give."""


def variable(setting: str) -> str:
    """Name of the environment variable of a machine setting."""
    return f"NORMBENCH_{setting.upper()}"


class MachineConfig(Frozen):
    """Flag, else `NORMBENCH_*`, else the default; science settings never come from the environment."""

    data_dir: GivenPath | None = Field(None, description="Folder with CIFAR-10.")
    device: DeviceName = Field("auto", description="Device of the computation: auto, cuda, cuda:N, mps or cpu.")
    out: GivenPath = Field(Path("runs"), description="Folder of experiments.")
    offline: bool = Field(False, description="Never access the internet.")
    mirror: str | None = None
    """Address of a copy of `cifar-10-python.tar.gz`; its MD5 is checked as the original's is."""
    force: bool = Field(False, description="Train runs again that are done.")
    jobs: int | None = Field(
        None, ge=1, le=256, description="Runs trained concurrently, by default as many as the device can."
    )
    capture: bool = True
    """Repeat a captured step on CUDA; without it every step is launched kernel by kernel."""

    @classmethod
    def resolve(cls, flags: dict[str, object]) -> "MachineConfig":
        """Settings from the flags that were given (no None among them) and the environment."""
        environment: dict[str, object] = {
            name: os.environ[key] for name in VARIABLES if os.environ.get(key := variable(name))
        }
        return validated(cls, environment | flags, "flags and NORMBENCH_* variables")
