"""The device a run uses: choosing it, describing it, and the precision that it computes in."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from normbench.config.settings import Precision
from normbench.errors import UsageError

HARDWARE_QUEUES = 32
"""CUDA's maximum; by default it has eight, and streams beyond them wait for each other."""

X86_BF16 = ("avx512_bf16", "amx_bf16")
"""Instructions for bfloat16 of x86, by torch's names."""


def resolve_device(name: str) -> torch.device:
    """The device of a name; `auto` takes CUDA, then MPS, then the CPU, and `cuda:1` is the second CUDA device.

    A numbered device becomes the current one of the process: torch's streams and events are of that where they name
    none.

    Raises:
        UsageError: The device is asked for by name and torch does not see it.
    """
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", str(HARDWARE_QUEUES))  # read once, when CUDA starts
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    kind, _, index = name.partition(":")
    if not available[kind]:
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        why = f" (torch {torch.__version__}, {built})" if kind == "cuda" else ""
        raise UsageError(
            f"device {name} is not available: torch sees none{why}",
            "Use --device auto, or see `normbench env`.",
        )
    if index:
        if int(index) >= (count := torch.cuda.device_count()):
            devices = f"{count} CUDA device{'s' if count > 1 else ''}, numbered from 0"
            raise UsageError(f"device {name} is not available: torch sees {devices}", "See `normbench env`.")
        torch.cuda.set_device(int(index))
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


def resolve_precision(setting: str, device: torch.device) -> Precision:
    """The precision that a setting means on a device; `auto` is TF32 on CUDA, and TF32 is float32 elsewhere."""
    if setting == "bf16":
        return "bf16"
    return "tf32" if device.type == "cuda" and setting in {"auto", "tf32"} else "fp32"


def lacks_bf16(device: torch.device) -> bool:
    """Test if a device is known to have no instructions for bfloat16; torch tells of x86 CPUs alone."""
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return capabilities.get("architecture") == "x86_64" and not any(capabilities.get(name) for name in X86_BF16)


@contextmanager
def float32_arithmetic(device: torch.device, setting: str) -> Iterator[None]:
    """Set how CUDA multiplies float32 matrices and convolves, forward and backward, and restore it afterwards.

    torch's own default is mixed: TF32 in convolutions, IEEE float32 in matrix products.
    """
    if device.type != "cuda":
        yield
        return
    mode = "tf32" if resolve_precision(setting, device) == "tf32" else "ieee"
    before = _float32_modes()
    try:
        _set_float32_modes(dict.fromkeys(before, mode))
        yield
    finally:
        _set_float32_modes(before)


def _float32_modes() -> dict[str, str]:
    """CUDA's float32 modes by operation: `tf32`, `ieee`, or `none` for torch's more general setting."""
    cudnn, cuda = torch.backends.cudnn, torch.backends.cuda
    return {
        "conv": cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
        "rnn": cudnn.rnn.fp32_precision,  # type: ignore[attr-defined]
        "matmul": cuda.matmul.fp32_precision,
    }


def _set_float32_modes(modes: dict[str, str]) -> None:
    """Set them in torch's older flags, too: torch 2.11 reads both in places, and raises where they contradict."""
    cudnn, cuda = torch.backends.cudnn, torch.backends.cuda
    cudnn.allow_tf32 = modes["conv"] == "tf32"
    cuda.matmul.allow_tf32 = modes["matmul"] == "tf32"
    cudnn.conv.fp32_precision = modes["conv"]  # type: ignore[attr-defined]
    cudnn.rnn.fp32_precision = modes["rnn"]  # type: ignore[attr-defined]
    cuda.matmul.fp32_precision = modes["matmul"]


@contextmanager
def autocast(device: torch.device, setting: str) -> Iterator[None]:
    """The precision of a forward pass: `float32_arithmetic`, and for `bf16` autocast to bfloat16.

    bfloat16 has float32's range, so gradients need no scaling.
    """
    with float32_arithmetic(device, setting):
        if resolve_precision(setting, device) == "bf16":
            with torch.autocast(device.type, torch.bfloat16):
                yield
        else:
            yield


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that a clock read next tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
