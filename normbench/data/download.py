"""Fetching CIFAR-10: under a lock, resumable, checked before it is unpacked, put in place in one step.

torchvision knows the address and the MD5; the transfer is ours, since its own can neither go on where it broke off,
nor give up on a host that has gone silent, nor tell a progress bar how far it is.
"""

import hashlib
import http.client
import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from filelock import FileLock

from normbench.config import MachineConfig
from normbench.data.cifar10 import FOLDER, WAYS_OUT, cache, check, locate
from normbench.errors import DataError

OnDownload = Callable[[int, int | None], None]
"""Told of bytes that have arrived, and of how many there will be, where that is known."""

SILENCE = 20.0
"""Seconds without a byte after which a host counts as gone."""
CHUNK = 1 << 18


def check_torchvision() -> None:
    """Import torchvision, whose failure beside a foreign torch build is hard to read.

    Raises:
        DataError: It cannot be imported; says which pair of versions is installed, and the way out.
    """
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError) as error:
        try:
            problem = f"torchvision {version('torchvision')} does not fit torch {version('torch')}: {error}"
        except PackageNotFoundError:
            problem = "torchvision is not installed"
        raise DataError(
            problem, "Install a matching pair in one command: pip install --force-reinstall torch torchvision"
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
        raise DataError(f"CIFAR-10 is not in {root}, and nothing may be downloaded (--offline, or a dry run)", WAYS_OUT)
    check_torchvision()
    from torchvision.datasets import CIFAR10

    address = machine.mirror or CIFAR10.url
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".cifar10.lock"):
            if not _whole(root / FOLDER):  # another process may have fetched it while this one waited
                archive = root / CIFAR10.filename
                _transfer(address, archive, CIFAR10.tgz_md5, _Watch(on_download, patience))
                _unpack(archive, root)
    except urllib.error.URLError as error:
        raise DataError(f"CIFAR-10 cannot be downloaded from {address}: {error.reason}", WAYS_OUT) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DataError(f"CIFAR-10 cannot be downloaded from {address} to {root}: {error}", WAYS_OUT) from error
    return root / FOLDER


class _Watch:
    """Passes progress on, and gives up on a transfer that would take longer than the caller's patience."""

    def __init__(self, on_download: OnDownload | None, patience: float | None) -> None:
        self.on_download, self.patience = on_download, patience
        self.started: tuple[float, int] | None = None

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if self.on_download is not None:
            self.on_download(done, total)
        if self.started is None:
            self.started = now, done
        since, had = self.started
        waited = now - since
        if self.patience is None or waited < self.patience / 20:
            return
        left = waited * (total - done) / max(1, done - had) if total is not None else 0.0
        if waited + left > self.patience:
            to_go = f"{left / 60:.0f} minutes to go" if total is not None else f"{waited / 60:.0f} minutes and no end"
            raise DataError(f"its host is slow, {to_go}; what has come is kept", WAYS_OUT)


def _transfer(address: str, archive: Path, md5: str, watch: _Watch) -> None:
    """Bring the archive here, going on with what an earlier try has left in its `.part` file."""
    part = archive.with_name(archive.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=SILENCE) as response:
            continues = response.status == 206 if have else False
            done = have if continues else 0
            length = response.headers.get("Content-Length")
            total = done + int(length) if length else None
            watch(done, total)
            with part.open("ab" if continues else "wb") as file:
                while chunk := response.read1(CHUNK):  # what has come, however little: a slow host is noticed
                    done += file.write(chunk)
                    watch(done, total)
            if total is not None and done < total:
                raise ConnectionError(f"the connection broke off at {done:,} of {total:,} bytes; they are kept")
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing left to send: the earlier try had all of it
            raise
    with part.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != md5:
        part.unlink()
        raise DataError(f"what {address} gave is not CIFAR-10: its MD5 is {found}, not {md5}; deleted", WAYS_OUT)
    part.replace(archive)


def _unpack(archive: Path, root: Path) -> None:
    """Unpack beside the target and put it in place in one step; the batch files are checked once more when read."""
    with tempfile.TemporaryDirectory(dir=root, prefix=".unpack-") as temporary:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(temporary, filter="data")
        target = root / FOLDER
        if target.exists():
            shutil.rmtree(target)
        (Path(temporary) / FOLDER).replace(target)
    archive.unlink()


def _whole(folder: Path) -> bool:
    return all(state == "ok" for state in check(folder).values())
