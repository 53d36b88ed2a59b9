"""Conditions of a measurement, as far as they are known: environment, packages, load."""

import importlib.metadata
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch

from normbench.runs.environment import environment

PEERS = ("lightning", "timm", "airbench")


def conditions(device: torch.device, load_before: float | None) -> dict[str, Any]:
    """Return the environment as a run records it, without the command line, with peer packages and load."""
    recorded = environment(device)
    del recorded["argv"]  # paths of the machine; the settings have the rest
    recorded["packages"] = {name: recorded["packages"][name] for name in ("torch", "torchvision")} | _peers()
    return recorded | {"git_dirty": _git_dirty(), "load_before": load_before}


def load_average() -> float | None:
    """Return the mean number of runnable processes over the last minute; None if the system has no figure."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _peers() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for name in PEERS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _git_dirty() -> bool:
    """Test if the code of the checkout differs from its commit; results do not count."""
    git, checkout = shutil.which("git"), Path(__file__).resolve().parents[1]
    if git is None or not (checkout / ".git").exists():
        return False
    command = [
        git,
        "-C",
        str(checkout),
        "status",
        "--porcelain",
        "--",
        ".",
        ":!benchmarks/results",
        ":!benchmarks/README.md",
    ]
    status = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return bool(status.stdout.strip())
