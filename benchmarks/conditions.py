"""The conditions that figures were taken under, as far as the machine tells them."""

import importlib.metadata
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch

from normbench.runs.environment import environment

PEERS = ("lightning", "timm")


def conditions(device: torch.device, load_before: float | None) -> dict[str, Any]:
    """The environment as a run records it, less the command line, with the peers' versions and the load."""
    found = environment(device)
    del found["argv"]  # paths of somebody's machine; the settings say the rest
    found["packages"] = {name: found["packages"][name] for name in ("torch", "torchvision")} | _peers()
    return found | {"git_dirty": _git_dirty(), "load_before": load_before}


def load_average() -> float | None:
    """Processes that wanted a processor over the last minute; None where the system does not tell."""
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
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return bool(answer.stdout.strip())
