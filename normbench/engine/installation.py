"""Checks of the installation: packages, disk, locks and one training step."""

import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import Timeout
from torch.nn import functional as F

from normbench.config import MachineConfig, RunConfig
from normbench.data import check_torchvision
from normbench.device import resolve_device, synchronize
from normbench.errors import NormbenchError, RunFailedError, in_one_line
from normbench.locking import acquire
from normbench.networks import IMAGE_SHAPE, build_for

SMALLEST_DISK = 2**30
"""Free bytes below which the disk is reported: CIFAR-10 takes a third of it, a run a few megabytes."""
IMAGES = 8


@dataclass(frozen=True)
class Check:
    """Result of one check."""

    name: str
    passed: bool
    detail: str
    """Measured value, or the fault with a way out."""


def check_installation(machine: MachineConfig) -> list[Check]:
    """Check packages, disk and locks of the output folder, and one step on the device; writes nothing that stays."""
    folder = _existing(machine.out)
    checks: dict[str, Callable[[], str]] = {
        "packages": _packages,
        "disk": lambda: _disk(folder),
        "locks": lambda: _locks(folder),
        "step": lambda: _step(machine.device),
    }
    return [_checked(name, check) for name, check in checks.items()]


def _checked(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except NormbenchError as error:
        return Check(name, False, f"{error.message}. {error.hint}".strip())
    except (OSError, RuntimeError) as error:  # RuntimeError: of torch, as where the driver is too old
        return Check(name, False, in_one_line(error))


def _existing(path: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())


def _packages() -> str:
    check_torchvision()
    return "torch and torchvision match"


def _disk(folder: Path) -> str:
    free = shutil.disk_usage(folder).free
    detail = f"{free / 2**30:,.1f} GiB free at {folder}"
    if free < SMALLEST_DISK:
        raise RunFailedError(f"only {detail}", "Choose another folder with --out.")
    return detail


def _locks(folder: Path) -> str:
    """Take a lock twice: the second time must fail, as for another process."""
    warnings: list[str] = []
    with tempfile.TemporaryDirectory(prefix=".normbench-check-", dir=folder) as name:
        path = Path(name) / "lock"
        first = acquire(path, warn=warnings.append)
        try:
            acquire(path, warn=warnings.append).release()
        except Timeout:
            pass
        else:
            raise RunFailedError(f"two processes would hold a lock at {folder} at once", "Run one process at a time.")
        finally:
            first.release()
    return warnings[0] if warnings else f"held against other processes at {folder}"


def _step(name: str) -> str:
    """Take one step of the assignment's network on random pixels; torch's random state is preserved."""
    device = resolve_device(name)
    network = build_for(RunConfig(norm="bn")).to(device)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(IMAGES, *IMAGE_SHAPE, generator=generator).to(device)
    labels = torch.arange(IMAGES, device=device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    F.cross_entropy(network(images), labels).backward()
    optimizer.step()
    loss = F.cross_entropy(network(images), labels).item()
    synchronize(device)
    if not math.isfinite(loss):
        raise RunFailedError(f"the loss on {device} is {loss} after one step", "Try --device cpu.")
    return f"one training step on {device}, loss {loss:.3f} after it"
