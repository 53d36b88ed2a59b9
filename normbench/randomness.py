"""Named random streams from one seed, and deterministic mode.

Order and augmentation depend on (seed, epoch) alone, never on the norm or the device: runs that share a seed
see identical batches, so norms can be compared in pairs.
"""

import hashlib
import os
import threading
from typing import Literal

import torch

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


def seed_global(seed: int, stream: Stream, epoch: int = 0) -> None:
    """Seed torch's global generators, which weight initialisation and dropout draw from."""
    torch.manual_seed(stream_seed(seed, stream, epoch))


def set_deterministic(enabled: bool) -> None:
    """Ask torch for bitwise repeatable kernels; on CUDA this costs speed."""
    if enabled:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(enabled, warn_only=True)
    torch.backends.cudnn.deterministic = enabled
    torch.backends.cudnn.benchmark = not enabled
