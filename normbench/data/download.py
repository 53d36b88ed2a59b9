"""Fetching CIFAR-10: under a lock, resumable, checked before it is unpacked; only the official files are replaced.

torchvision knows the address; the transfer is ours, since its own can neither go on where it broke off, nor give up on
a host that has gone silent or never ends, nor tell a progress bar how far it is.
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
    """How far a download is."""

    done: int = 0
    """Bytes that have arrived."""
    total: int | None = None
    rate: float | None = None
    """Bytes a second since it began."""
    note: str = ""
    """Something to be said beside, such as whom it waits for."""


OnDownload = Callable[[Progress], None]

SILENCE = 20.0
"""Seconds without a byte after which a host counts as gone."""
ANSWER = 60.0
"""Seconds that a host has for the head of its answer."""
SLOWEST = 4096
"""Bytes a second: a host that sends less for a whole `WINDOW` is given up."""
WINDOW = 60.0
CHUNK = 1 << 18
GZIP = b"\x1f\x8b"

LOCK, HOLDER, PART = ".cifar10.lock", ".cifar10.holder", ".cifar10.part"
UNPACK = ".unpack-"
README = "readme.html"
OFFICIAL = (*MD5, *META_MD5, README)
"""The files of the archive; nothing else in a data folder is written, replaced or removed."""


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
    """Put CIFAR-10 into `--data-dir`, or the cache, unless it is there and whole; returns its folder.

    The official archive is unpacked where it already lies in a place that is looked at, and else downloaded.

    Args:
        machine: Where to, whether the network may be touched, and the address of a mirror.
        on_download: Told how far it is, and whom it waits for.
        patience: Seconds the whole may take; None waits as long as bytes come.

    Raises:
        DataError: Offline, unreachable, too slow, or not the official archive; a broken transfer is kept.
    """
    found = cifar10.locate(machine)
    if found.complete and found.folder is not None:
        return found.folder
    archive = find_archive(machine)
    if archive is None and machine.offline:
        where = " or ".join(map(str, cifar10.roots(machine)))
        problem = f"CIFAR-10 is not whole in {where}, and nothing may be downloaded (--offline, or a dry run)"
        raise DataError(problem, WAYS_OUT)
    tell = on_download or (lambda _: None)
    root = _target(machine, archive)
    try:
        folder = batch_folder(root)
        with _held(root, tell, patience):
            _remove_leftovers(root, folder)
            if not _whole(folder):  # another process may have fetched it while this one waited
                if archive is None:
                    archive = _download(machine, root, _Watch(tell, patience))
                _unpack(archive, folder)
            with contextlib.suppress(OSError):
                (root / PART).unlink(missing_ok=True)
    except (OSError, RuntimeError, tarfile.TarError, EOFError) as error:  # RuntimeError: links that go round
        raise DataError(f"CIFAR-10 cannot be put into {root}: {error}", WAYS_OUT) from error
    return folder


def _target(machine: MachineConfig, archive: Path | None) -> Path:
    """The root that CIFAR-10 is put into: the one that was given, else the first usual one that can be written."""
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
def _held(root: Path, tell: OnDownload, patience: float | None) -> Iterator[None]:
    """Hold a root, and say whom it waits for meanwhile."""
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.callback(_lock(root, tell, patience).release)
        stack.enter_context(locking.named(root, HOLDER))
        yield


def _lock(root: Path, tell: OnDownload, patience: float | None) -> BaseFileLock:
    began = time.monotonic()
    said = ""
    while True:
        try:
            return locking.acquire(root / LOCK, timeout=1.0, warn=lambda words: tell(Progress(note=words)))
        except Timeout as error:
            words = f"waiting for {locking.holder_of(root, HOLDER)}, which fetches CIFAR-10 into {root}"
            if words != said:
                tell(Progress(note=words))
                said = words
            if patience is not None and time.monotonic() - began > patience:
                raise DataError(f"{words}: not any longer", WAYS_OUT) from error


def _remove_leftovers(root: Path, folder: Path) -> None:
    """Remove what killed fetches were unpacking: folders with batch files, or nothing, in them."""
    for place in {root, folder}:
        for path in place.glob(f"{UNPACK}*"):
            if kind_of(path) == A_FOLDER and {entry.name for entry in path.iterdir()} <= {FOLDER}:
                shutil.rmtree(path)


class _Watch:
    """Passes progress on, and gives up on a transfer that is too slow.

    Args:
        tell: Told how far it is.
        patience: Seconds that the whole transfer may take; None for as long as it is faster than `SLOWEST`.
        window: Seconds over which the slowest rate is taken.
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


def _download(machine: MachineConfig, root: Path, watch: _Watch) -> Path:
    """Bring the official archive into a file of ours; returns its path."""
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


def _transfer(address: str, part: Path, watch: _Watch) -> None:
    """Bring the archive here, going on with what an earlier try has left; never more than the archive has bytes."""
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
        if error.code != 416:  # its file ends where ours does: the MD5 says whether it is the archive
            raise
    if not is_archive(part):
        with part.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        part.unlink()
        raise DataError(
            f"what {address} gave is not CIFAR-10: its MD5 is {found}, not {cifar10.ARCHIVE_MD5}; deleted", WAYS_OUT
        )


def _receive(address: str, part: Path, have: int, watch: _Watch) -> None:
    size = cifar10.ARCHIVE_BYTES
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with _arriving(request) as pieces:
        head = next(pieces)
        continues = have > 0 and head["status"] == 206
        done = have if continues else 0
        offered = None if head["length"] is None else done + head["length"]
        if offered is not None and offered > size:
            raise DataError(f"what {address} offers is not CIFAR-10: {offered:,} bytes instead of {size:,}", WAYS_OUT)
        watch(done, size)
        with part.open("ab" if continues else "wb") as file:
            for piece in pieces:
                if done + len(piece) > size:
                    file.close()
                    part.unlink()
                    raise DataError(f"what {address} sends is not CIFAR-10: it has more than {size:,} bytes", WAYS_OUT)
                done += file.write(piece)
                watch(done, size)
    if done < (size if offered is None else offered) and _begins_as_archive(part):
        raise ConnectionError(f"the connection broke off at {done:,} of {size:,} bytes; they are kept")


def _begins_as_archive(part: Path) -> bool:
    """Whether a part can be gone on with; a page that a network puts in the place of every file is none."""
    with part.open("rb") as file:
        return file.read(len(GZIP)) == GZIP


@contextmanager
def _arriving(request: urllib.request.Request) -> Iterator[Iterator[Any]]:
    """The head of an answer and then its pieces, from a thread of their own.

    A host that drips its head byte by byte resets the time-out of a socket again and again, but not that of the queue.
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
                read = getattr(response, "read1", response.read)  # what has come, however little
                while not stopped.is_set() and (piece := read(CHUNK)):
                    put(piece)
            put(None)
        except Exception as error:  # noqa: BLE001  # raised again by who waits for the pieces
            put(error)

    def pieces() -> Iterator[Any]:
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
        yield pieces()
    finally:
        stopped.set()


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the official files beside their target, check them, and put each in place in one step.

    A folder that is not there yet appears whole. What else is in one that is there stays as it is.
    """
    folder = folder.resolve()  # of a link, the folder it leads to, so that nothing is moved between file systems
    there = folder.is_dir()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder if there else folder.parent, prefix=UNPACK) as temporary:
        new = Path(temporary) / FOLDER
        new.mkdir()
        _extract(archive, new)
        states = check(new)
        if wrong := {name: state for name, state in states.items() if state != "ok"}:
            name = next(iter(wrong))
            raise DataError(f"{archive} is damaged: {name} {wrong[name]}", WAYS_OUT)
        if not there:
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


def _whole(folder: Path) -> bool:
    return all(state == "ok" for state in check(folder).values())
