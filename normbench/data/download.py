"""Download of CIFAR-10: locked, resumable, verified before unpacking; only official files are replaced.

torchvision provides the address. The transfer is our own, since that of torchvision neither resumes, nor times out on a
host that stalls or never ends, nor reports progress.
"""

import contextlib
import hashlib
import http.client
import os
import queue
import shutil
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, Timeout

from normbench import locking
from normbench.config import MachineConfig
from normbench.data import cifar10
from normbench.data.cifar10 import FOLDER, MD5, META_MD5, WAYS_OUT, batch_folder, check, find_archive, is_archive
from normbench.errors import DataError
from normbench.files import FOLDER as A_FOLDER
from normbench.files import REGULAR, kind_of


@dataclass(frozen=True)
class Progress:
    """Progress of a download."""

    done: int = 0
    """Bytes received."""
    total: int | None = None
    rate: float | None = None
    """Bytes per second since the start."""
    note: str = ""
    """Additional message, such as the process it waits for."""


OnDownload = Callable[[Progress], None]

SILENCE = 20.0
"""Seconds without a byte after which a transfer is given up."""
ANSWER = 60.0
"""Seconds allowed for the headers of the response."""
SLOWEST = 4096
"""Bytes per second: a transfer that is slower for a whole `WINDOW` is given up."""
WINDOW = 60.0
CHUNK = 1 << 18
GZIP = b"\x1f\x8b"

LOCK, HOLDER, PART = ".cifar10.lock", ".cifar10.holder", ".cifar10.part"
UNPACK = ".unpack-"
README = "readme.html"
OFFICIAL = (*MD5, *META_MD5, README)
"""Files of the archive; nothing else in a data folder is written, replaced or removed."""


def check_torchvision() -> None:
    """Import torchvision, with a readable error where it does not match the installed torch.

    Raises:
        DataError: It cannot be imported; names the installed versions and the command that repairs them.
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
    """Install CIFAR-10 in `--data-dir` or the cache, unless it is complete there; return its folder.

    The official archive is unpacked where it is already in a searched folder, else downloaded.

    Args:
        machine: Target folder, offline setting and address of a mirror.
        on_download: Callback that receives the progress.
        patience: Seconds for the whole download; None waits as long as bytes arrive.

    Raises:
        DataError: Offline, unreachable, too slow, or not the official archive; a partial download is kept.
    """
    status = cifar10.locate(machine)
    if status.complete and status.folder is not None:
        return status.folder
    archive = find_archive(machine)
    if archive is None and machine.offline:
        where = " or ".join(map(str, cifar10.roots(machine)))
        problem = f"CIFAR-10 is not whole in {where}, and nothing may be downloaded (--offline, or a dry run)"
        raise DataError(problem, WAYS_OUT)
    tell = on_download or (lambda _: None)
    root = _target(machine, archive)
    try:
        folder = batch_folder(root)
        with _locked(root, tell, patience):
            _remove_leftovers(root, folder)
            # Another process may have installed it in the meantime.
            if set(check(folder).values()) != {"ok"}:
                if archive is None:
                    archive = _download(machine, root, _Monitor(tell, patience))
                _unpack(archive, folder)
            with contextlib.suppress(OSError):
                (root / PART).unlink(missing_ok=True)
    except (OSError, RuntimeError, tarfile.TarError, EOFError) as error:  # RuntimeError: a loop of links
        raise DataError(f"CIFAR-10 cannot be put into {root}: {error}", WAYS_OUT) from error
    return folder


def _target(machine: MachineConfig, archive: Path | None) -> Path:
    """Return the root to install CIFAR-10 in: the explicit one, else the first usual one that is writable."""
    if machine.data_dir is not None:
        return machine.data_dir
    usual = [root for root in (cifar10.cache(), *cifar10.roots(machine)) if root is not None]
    beside = [archive.parent] if archive is not None and archive.parent in usual else []
    for root in (*beside, *usual):
        with contextlib.suppress(OSError):
            root.mkdir(parents=True, exist_ok=True)
            if os.access(root, os.W_OK | os.X_OK):
                return root
    raise DataError(f"none of {', '.join(map(str, usual)) or 'the usual folders'} can be written", WAYS_OUT)


@contextmanager
def _locked(root: Path, tell: OnDownload, patience: float | None) -> Iterator[None]:
    """Lock a root, and report the process that is waited for."""
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.callback(_lock(root, tell, patience).release)
        stack.enter_context(locking.named(root, HOLDER))
        yield


def _lock(root: Path, tell: OnDownload, patience: float | None) -> BaseFileLock:
    started = time.monotonic()
    reported = ""
    while True:
        try:
            return locking.acquire(root / LOCK, timeout=1.0, warn=lambda warning: tell(Progress(note=warning)))
        except Timeout as error:
            message = f"waiting for {locking.holder_of(root, HOLDER)}, which fetches CIFAR-10 into {root}"
            if message != reported:
                tell(Progress(note=message))
                reported = message
            if patience is not None and time.monotonic() - started > patience:
                raise DataError(f"{message}: timed out", WAYS_OUT) from error


def _remove_leftovers(root: Path, folder: Path) -> None:
    """Remove the unpacking folders that killed downloads left, if they hold nothing but batch files."""
    for parent in {root, folder}:
        for path in parent.glob(f"{UNPACK}*"):
            if kind_of(path) == A_FOLDER and {entry.name for entry in path.iterdir()} <= {FOLDER}:
                shutil.rmtree(path)


class _Monitor:
    """Monitor that reports the progress of a transfer and ends one that is too slow.

    Args:
        tell: Callback that receives the progress.
        patience: Seconds for the whole transfer; None for no limit while it is faster than `SLOWEST`.
        window: Seconds over which the lowest rate is measured.
    """

    def __init__(self, tell: OnDownload, patience: float | None, window: float = WINDOW) -> None:
        self.tell, self.patience, self.window = tell, patience, window
        self.started: tuple[float, int] | None = None
        self.looked = (0.0, 0)

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.started is None:
            self.started = self.looked = now, done
        since, had = self.started
        waited = now - since
        self.tell(Progress(done, total, (done - had) / waited if waited > 0 and done > had else None))
        self._check_rate(now, done)
        if self.patience is None or waited < self.patience / 20:
            return
        left = waited * (total - done) / max(1, done - had)
        if waited + left > self.patience:
            raise DataError(f"its host is slow, {left / 60:.0f} minutes to go; what has come is kept", WAYS_OUT)

    def _check_rate(self, now: float, done: int) -> None:
        since, had = self.looked
        if now - since < self.window:
            return
        if done - had < SLOWEST * self.window:
            raise DataError(
                f"its host is slow, {(done - had) / (now - since):,.0f} bytes a second; what has come is kept", WAYS_OUT
            )
        self.looked = now, done


def _download(machine: MachineConfig, root: Path, watch: _Monitor) -> Path:
    """Download the official archive into the partial file; return its path."""
    check_torchvision()
    from torchvision.datasets import CIFAR10

    address = machine.mirror or CIFAR10.url
    try:
        _transfer(address, root / PART, watch)
    except urllib.error.URLError as error:
        raise DataError(f"CIFAR-10 cannot be downloaded from {address}: {error.reason}", WAYS_OUT) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DataError(f"CIFAR-10 cannot be downloaded from {address} to {root}: {error}", WAYS_OUT) from error
    return root / PART


def _transfer(address: str, part: Path, watch: _Monitor) -> None:
    """Download the archive, resuming a partial file; never more bytes than the archive has."""
    size = cifar10.ARCHIVE_BYTES
    if kind_of(part) not in {None, REGULAR}:
        raise FileExistsError(f"{part} is {kind_of(part)}: move it away")
    have = part.stat().st_size if part.exists() else 0
    if have >= size:
        if is_archive(part):
            return
        part.unlink()
        have = 0
    try:
        _receive(address, part, have, watch)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing is left to send: the MD5 decides if it is the archive
            raise
    if not is_archive(part):
        with part.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        part.unlink()
        raise DataError(
            f"what {address} gave is not CIFAR-10: its MD5 is {found}, not {cifar10.ARCHIVE_MD5}; deleted", WAYS_OUT
        )


def _receive(address: str, part: Path, have: int, watch: _Monitor) -> None:
    size = cifar10.ARCHIVE_BYTES
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with _responding(request) as chunks:
        headers = next(chunks)
        resumes = have > 0 and headers["status"] == 206
        done = have if resumes else 0
        offered = None if headers["length"] is None else done + headers["length"]
        if offered is not None and offered > size:
            raise DataError(f"what {address} offers is not CIFAR-10: {offered:,} bytes instead of {size:,}", WAYS_OUT)
        watch(done, size)
        with part.open("ab" if resumes else "wb") as file:
            for chunk in chunks:
                if done + len(chunk) > size:
                    file.close()
                    part.unlink()
                    raise DataError(f"what {address} sends is not CIFAR-10: it has more than {size:,} bytes", WAYS_OUT)
                done += file.write(chunk)
                watch(done, size)
    if done < (size if offered is None else offered) and _begins_as_archive(part):
        raise ConnectionError(f"the connection broke off at {done:,} of {size:,} bytes; they are kept")


def _begins_as_archive(part: Path) -> bool:
    """Test if a partial file is the start of the archive, rather than the login page of a network."""
    with part.open("rb") as file:
        return file.read(len(GZIP)) == GZIP


@contextmanager
def _responding(request: urllib.request.Request) -> Iterator[Iterator[Any]]:
    """Yield the headers of a response and then its chunks, received in a thread.

    A host that sends its headers byte by byte resets the time-out of the socket each time, but not that of the queue.
    """
    arrived: queue.Queue[Any] = queue.Queue(maxsize=4)
    stopped = threading.Event()

    def put(item: object) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                arrived.put(item, timeout=0.2)
                return

    def receive() -> None:
        try:
            with urllib.request.urlopen(request, timeout=SILENCE) as response:
                length = response.headers.get("Content-Length")
                put({"status": getattr(response, "status", None), "length": int(length) if length else None})
                read = getattr(response, "read1", response.read)  # whatever has arrived
                while not stopped.is_set() and (chunk := read(CHUNK)):
                    put(chunk)
            put(None)
        except Exception as error:  # noqa: BLE001  # raised again in the consumer of the chunks
            put(error)

    def chunks() -> Iterator[Any]:
        wait = ANSWER
        while True:
            try:
                item = arrived.get(timeout=wait)
            except queue.Empty as error:
                raise TimeoutError(f"nothing came for {wait:.0f} seconds; what has come is kept") from error
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            wait = SILENCE
            yield item

    threading.Thread(target=receive, daemon=True, name="download").start()
    try:
        yield chunks()
    finally:
        stopped.set()


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the official files beside their target, verify them, and move each in place atomically.

    A new folder appears complete; other files in an existing folder are left alone.
    """
    folder = folder.resolve()  # the target of a link, so that files are moved within one file system
    exists = folder.is_dir()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder if exists else folder.parent, prefix=UNPACK) as temporary:
        new = Path(temporary) / FOLDER
        new.mkdir()
        _extract(archive, new)
        states = check(new)
        if wrong := {name: state for name, state in states.items() if state != "ok"}:
            name = next(iter(wrong))
            raise DataError(f"{archive} is damaged: {name} {wrong[name]}", WAYS_OUT)
        if not exists:
            new.replace(folder)
            return
        right = {name for name, state in check(folder).items() if state == "ok"}
        for path in sorted(new.iterdir()):
            if path.name not in right and not (path.name == README and (folder / README).exists()):
                path.replace(folder / path.name)


def _extract(archive: Path, folder: Path) -> None:
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            name = member.name.removeprefix(f"{FOLDER}/")
            if member.isreg() and name in OFFICIAL and (file := tar.extractfile(member)) is not None:
                with file, (folder / name).open("wb") as target:
                    shutil.copyfileobj(file, target)
