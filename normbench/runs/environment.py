"""Environment of a run, recorded beside its numbers."""

import contextlib
import importlib.metadata
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

from normbench import __version__
from normbench.device import describe

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "typer", "rich", "pydantic")
GIT_SECONDS = 5.0
"""Longest wait for git."""


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
        "git_commit": _git_commit()[0],
        "argv": [word.encode("utf-8", "backslashreplace").decode() for word in sys.argv],  # bytes that are no UTF-8
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }


def commit_problem() -> str | None:
    """Return the reason that the commit could not be read, where it should have been."""
    return _git_commit()[1]


@cache
def _git_commit() -> tuple[str | None, str | None]:
    """The commit of normbench's own checkout, or why git does not tell; neither when it is installed otherwise."""
    git = shutil.which("git")
    checkout = Path(__file__).resolve().parents[2]
    if git is None or not (checkout / ".git").exists():
        return None, None
    command = [git, "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        # A file takes the answer: the end of a pipe would be waited for as long as a child of git has it open.
        with tempfile.TemporaryFile() as answer:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=answer, stderr=subprocess.DEVNULL, start_new_session=True
            )
            try:
                code = process.wait(GIT_SECONDS)
            except BaseException:
                _end(process)
                raise
            answer.seek(0)
            commit = answer.read().decode("ascii", errors="replace").strip()
    except (OSError, subprocess.SubprocessError) as error:
        return None, f"git cannot tell the commit of normbench, so no run records it: {error}"
    return (commit or None) if code == 0 else None, None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process, with its children where the system has groups of them."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
