"""Named random streams from one seed, and determinism.

Order and augmentation depend on (seed, epoch) alone, never on the norm or the device: runs that share a seed
see identical batches, so norms can be compared in pairs.
"""

import hashlib
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.utils.deterministic

GLOBAL = threading.Lock()
"""Held while torch's global generators are seeded and drawn from: several threads train at once."""

Stream = Literal["init", "order", "augment", "dropout", "subset"]


def stream_seed(seed: int, stream: Stream, epoch: int = 0) -> int:
    """A 63-bit seed for one stream of one epoch; different streams do not correlate."""
    digest = hashlib.sha256(f"{seed}/{stream}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, stream: Stream, epoch: int = 0) -> torch.Generator:
    """A CPU generator for one stream of one epoch: the same numbers whatever the device."""
    return torch.Generator().manual_seed(stream_seed(seed, stream, epoch))


def seed_global(seed: int, stream: Stream, epoch: int = 0, *, host: bool = False) -> None:
    """Seed torch's global generators, which weight initialisation and dropout draw from.

    With `host` also those of Python and NumPy, which a custom norm may draw from.
    """
    number = stream_seed(seed, stream, epoch)
    torch.manual_seed(number)
    if host:
        random.seed(number)
        np.random.seed(number % 2**32)  # the generator that others draw from is meant


def host_state() -> str:
    """A digest of the state of Python's and NumPy's global generators."""
    numpy = np.random.get_state(legacy=False)
    state = dict(numpy["state"])
    keys = state.pop("key").tobytes()
    return hashlib.sha256(repr((random.getstate(), numpy | {"state": state}, keys)).encode()).hexdigest()


@contextmanager
def restored() -> Iterator[None]:
    """Leave the global generators of torch, on the CPU, of Python and of NumPy as they were."""
    python, host = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(host)


@contextmanager
def deterministic(enabled: bool) -> Iterator[None]:
    """Choose kernels by one rule, bitwise repeatable ones if asked for, and restore torch's flags afterwards.

    cuDNN's search for the fastest kernels stays off: on an H200 it took 7 to 10 s and gained nothing, and which kernel
    wins may differ from one process to the next.
    """
    if enabled:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = _flags()
    _set_flags(_Flags(enabled, True, enabled, False, False))
    try:
        yield
    finally:
        _set_flags(before)


class _Flags(NamedTuple):
    algorithms: bool
    warn_only: bool
    cudnn_deterministic: bool
    cudnn_benchmark: bool
    fill_memory: bool
    """Part of torch's deterministic mode: fills uninitialized memory, which doubles the kernels."""


def _flags() -> _Flags:
    return _Flags(
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
    )


def _set_flags(flags: _Flags) -> None:
    torch.use_deterministic_algorithms(flags.algorithms, warn_only=flags.warn_only)
    torch.backends.cudnn.deterministic = flags.cudnn_deterministic
    torch.backends.cudnn.benchmark = flags.cudnn_benchmark
    torch.utils.deterministic.fill_uninitialized_memory = flags.fill_memory  # type: ignore[attr-defined]
