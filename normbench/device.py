"""The device a run uses: choosing it, describing it, and its mixed precision."""

import contextlib
import platform
from pathlib import Path

import torch

from normbench.errors import UsageError


def resolve_device(name: str) -> torch.device:
    """The device of a name; `auto` takes CUDA, then MPS, then the CPU.

    Raises:
        UsageError: The device is asked for by name and torch does not see it.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        why = f" (torch {torch.__version__}, {built})" if name == "cuda" else ""
        raise UsageError(
            f"device {name} is not available: torch sees none{why}",
            "Use --device auto, or see `normbench env`.",
        )
    return torch.device(name)


def describe(device: torch.device) -> str:
    """The device in words, as results name it: `NVIDIA H200` or `AMD EPYC, 2 threads`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return f"{platform.processor() or platform.machine()} GPU (MPS)"
    threads = torch.get_num_threads()
    return f"{_cpu_name()}, {threads} thread{'s' if threads > 1 else ''}"


def _cpu_name() -> str:
    """The CPU's model name; `platform` knows it only on some systems, Linux tells in /proc/cpuinfo."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine() or "CPU"


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[None]:
    """The mixed-precision context of a setting: bfloat16, or nothing.

    bfloat16 has float32's range, so gradients need no scaling.
    """
    if precision == "bf16" or (precision == "auto" and device.type == "cuda"):
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that a clock read next tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
