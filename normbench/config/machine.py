"""Machine settings: where things lie and what runs them. They never move a number by intent."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from normbench.config.paths import user_path
from normbench.config.settings import Frozen
from normbench.config.validation import validated

DeviceName = Literal["auto", "cuda", "mps", "cpu"]


class MachineConfig(Frozen):
    """Flag, else `NORMBENCH_*`, else the default; science settings never come from the environment."""

    data_dir: Path | None = None
    device: DeviceName = "auto"
    out: Path = Path("runs")
    offline: bool = False
    mirror: str | None = None
    """Address of a copy of `cifar-10-python.tar.gz`; its MD5 is checked as the original's is."""
    force: bool = Field(False, description="redo runs that are already done")
    fleet: int | None = Field(None, ge=1)
    """Runs trained at once; None decides by the device."""
    capture: bool = True
    """Whether CUDA repeats a captured step; without it every step is sent anew."""

    @field_validator("data_dir", "out")
    @classmethod
    def _in_full(cls, path: Path | None) -> Path | None:
        return None if path is None else user_path(path)

    @classmethod
    def resolve(cls, given: dict[str, object]) -> "MachineConfig":
        """Settings from the flags that were given (no None among them) and the environment."""
        environment: dict[str, object] = {
            name: os.environ[key]
            for name in ("data_dir", "device", "out", "offline", "mirror", "fleet")
            if os.environ.get(key := f"NORMBENCH_{name.upper()}")
        }
        return validated(cls, environment | given, "flags and NORMBENCH_* variables")
