"""The environment a run was made in, recorded beside its numbers."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch

from normbench import __version__
from normbench.device import describe

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "typer", "rich", "pydantic")


@cache
def package_versions() -> dict[str, str | None]:
    """Installed versions by name, read without importing; None where a package is missing."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, device, git commit, command line and determinism flags, as JSON can hold them."""
    cuda = device.type == "cuda"
    return {
        "normbench": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(package_versions()),
        "device": describe(device),
        "device_type": device.type,
        "cuda": torch.version.cuda if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "threads": torch.get_num_threads(),
        "cpu_count": os.cpu_count(),
        "git_commit": _git_commit(),
        "argv": sys.argv,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }


@cache
def _git_commit() -> str | None:
    """The commit of normbench's own checkout; None when it is installed or git is not there."""
    git = shutil.which("git")
    checkout = Path(__file__).resolve().parents[2]
    if git is None or not (checkout / ".git").exists():
        return None
    answer = subprocess.run(
        [git, "-C", str(checkout), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        timeout=5,
    )
    return answer.stdout.strip() or None if answer.returncode == 0 else None
