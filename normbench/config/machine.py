"""Machine settings: where things lie and what runs them. They never move a number by intent."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from normbench.config.settings import Frozen
from normbench.config.validation import user_path, validated

GivenPath = Annotated[Path, BeforeValidator(user_path)]
DeviceName = Literal["auto", "cuda", "mps", "cpu"]


class MachineConfig(Frozen):
    """Flag, else `NORMBENCH_*`, else the default; science settings never come from the environment."""

    data_dir: GivenPath | None = None
    device: DeviceName = "auto"
    out: GivenPath = Path("runs")
    offline: bool = False
    mirror: str | None = None
    """Address of a copy of `cifar-10-python.tar.gz`; its MD5 is checked as the original's is."""
    force: bool = Field(False, description="redo runs that are already done")
    jobs: int | None = Field(None, ge=1, le=256)
    """Runs trained at once; None decides by the device."""
    capture: bool = True
    """Whether CUDA repeats a captured step; without it every step is sent anew."""

    @classmethod
    def resolve(cls, given: dict[str, object]) -> "MachineConfig":
        """Settings from the flags that were given (no None among them) and the environment."""
        environment: dict[str, object] = {
            name: os.environ[key]
            for name in ("data_dir", "device", "out", "offline", "mirror", "jobs")
            if os.environ.get(key := f"NORMBENCH_{name.upper()}")
        }
        return validated(cls, environment | given, "flags and NORMBENCH_* variables")
