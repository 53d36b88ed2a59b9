"""Fetching CIFAR-10: under a lock, resumable, checked before it is unpacked, put in place in one step.

torchvision knows the address and the MD5; the transfer is ours, since its own can neither go on where it broke off,
nor give up on a host that has gone silent, nor tell a progress bar how far it is.
"""

import hashlib
import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from normbench.config import MachineConfig
from normbench.data.cifar10 import FOLDER, WAYS_OUT, cache, check, locate
from normbench.errors import DataError

OnDownload = Callable[[int, int | None], None]
"""Told of bytes that have arrived, and of how many there will be, where that is known."""

SILENCE = 20.0
"""Seconds without a byte after which a host counts as gone."""
CHUNK = 1 << 20


def check_torchvision() -> None:
    """Import torchvision, whose failure beside a foreign torch build is hard to read.

    Raises:
        DataError: It cannot be imported; says which pair of versions is installed, and the way out.
    """
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError) as error:
        from importlib.metadata import version

        raise DataError(
            f"torchvision {version('torchvision')} does not fit torch {version('torch')}: {error}",
            "Install a matching pair in one command: pip install --force-reinstall torch torchvision",
        ) from error


def fetch(machine: MachineConfig, on_download: OnDownload | None = None, patience: float | None = None) -> Path:
    """Download CIFAR-10 into `--data-dir`, or the cache, unless it is there and whole; returns its folder.

    Args:
        machine: Where to, whether the network may be touched, and the address of a mirror.
        on_download: Told how far it is.
        patience: Seconds the whole transfer may take; None waits as long as bytes come.

    Raises:
        DataError: Offline, unreachable, too slow, or not the official archive; a broken transfer is kept.
    """
    found = locate(machine)
    if found.complete and found.folder is not None:
        return found.folder
    root = machine.data_dir.expanduser() if machine.data_dir is not None else cache()
    if machine.offline:
        raise DataError(f"CIFAR-10 is not in {root}, and --offline forbids a download", WAYS_OUT)
    check_torchvision()
    from torchvision.datasets import CIFAR10

    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".cifar10.lock"):
            if set(check(root / FOLDER).values()) != {"ok"}:  # another process may have fetched it meanwhile
                archive = root / CIFAR10.filename
                _transfer(machine.mirror or CIFAR10.url, archive, CIFAR10.tgz_md5, on_download, patience)
                _unpack(archive, root)
    except urllib.error.URLError as error:
        raise DataError(f"CIFAR-10 cannot be downloaded: {error.reason}", WAYS_OUT) from error
    except (OSError, ValueError) as error:
        raise DataError(f"CIFAR-10 cannot be downloaded to {root}: {error}", WAYS_OUT) from error
    return root / FOLDER


def _transfer(address: str, archive: Path, md5: str, on_download: OnDownload | None, patience: float | None) -> None:
    """Bring the archive here, going on with what an earlier try has left in its `.part` file."""
    part = archive.with_suffix(".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=SILENCE) as response:
        continues = getattr(response, "status", None) == 206
        have = have if continues else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if continues else "wb") as file:
            _copy(response, file, have, total, on_download, patience)
    with part.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != md5:
        part.unlink()
        raise DataError(f"what {address} gave is not CIFAR-10: its MD5 is {found}, not {md5}; deleted", WAYS_OUT)
    part.replace(archive)


def _copy(
    source: BinaryIO, file: BinaryIO, done: int, total: int | None, on_download: OnDownload | None, patience: float | None
) -> None:
    tell = on_download or (lambda _done, _total: None)
    first, started = done, time.monotonic()
    tell(done, total)
    while chunk := source.read(CHUNK):
        file.write(chunk)
        done += len(chunk)
        tell(done, total)
        elapsed = time.monotonic() - started
        if patience and total and elapsed > patience / 20 and elapsed * (total - done) / (done - first) > patience:
            minutes = elapsed * (total - done) / (done - first) / 60
            raise DataError(f"the host of CIFAR-10 is slow: {minutes:.0f} minutes to go; what has come is kept", WAYS_OUT)


def _unpack(archive: Path, root: Path) -> None:
    """Unpack beside the target and put it in place in one step; the batch files are checked once more when read."""
    with tempfile.TemporaryDirectory(dir=root, prefix=".unpack-") as temporary:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(temporary, filter="data")
        unpacked = Path(temporary) / FOLDER
        wrong = [name for name, state in check(unpacked).items() if state != "ok"]
        if wrong:
            raise DataError(f"the archive of CIFAR-10 lacks {', '.join(wrong)}", WAYS_OUT)
        target = root / FOLDER
        if target.exists():
            shutil.rmtree(target)
        unpacked.replace(target)
    archive.unlink()
