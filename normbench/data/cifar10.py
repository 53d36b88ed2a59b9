"""CIFAR-10 (Krizhevsky, 2009) on this machine: search, integrity check and reading.

The official files are pickles. A pickle can run code, so none is loaded before its MD5 is verified, and the loaded
bytes are the very bytes that were verified.
"""

import contextlib
import errno
import hashlib
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from normbench.config import MachineConfig
from normbench.errors import DataError, RunFailedError
from normbench.files import read_regular

if TYPE_CHECKING:
    from normbench.data.splits import Source, Split

FOLDER = "cifar-10-batches-py"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
}
TEST_MD5 = {"test_batch": "40351d587109b95175f43aff81a1287e"}
MD5 = TRAIN_MD5 | TEST_MD5
"""MD5 of the files that are read."""
META_MD5 = {"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"}
"""MD5 of the file that torchvision reads in addition."""
ARCHIVE, ARCHIVE_MD5, ARCHIVE_BYTES = "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a", 170_498_071
WAYS_OUT = (
    "`normbench data --fetch` downloads it (163 MiB); --data-dir FOLDER names a folder that has it; "
    "NORMBENCH_MIRROR names another address; --config digits needs no download."
)


@dataclass(frozen=True)
class Status:
    """Result of the search for CIFAR-10."""

    folder: Path | None
    """Folder of the batch files; None if there is none."""
    files: dict[str, str]
    """State of each file: `ok` or its fault."""
    searched: tuple[Path, ...]

    @property
    def complete(self) -> bool:
        """True if every file exists with the right MD5."""
        return all(state == "ok" for state in self.files.values())


def cache() -> Path | None:
    """Return the default download folder; None for a user without a home."""
    try:
        path = platformdirs.user_cache_path("normbench")
    except RuntimeError:
        return None
    return path if path.is_absolute() else None  # older platformdirs leave the ~ in it


def roots(machine: MachineConfig) -> tuple[Path, ...]:
    """List the folders to search for CIFAR-10, in order: the explicit one, or the usual ones that exist."""
    if machine.data_dir is not None:
        return (machine.data_dir,)
    return tuple(root for root in (_working_folder_data(), _home_data(), cache()) if root is not None)


def _working_folder_data() -> Path | None:
    try:
        return Path("data").absolute()
    except OSError:  # the working folder is gone
        return None


def _home_data() -> Path | None:
    try:
        return Path.home() / "data"
    except RuntimeError:
        return None


def batch_folder(root: Path) -> Path:
    """Return the folder of the batch files of a root, for reading and writing.

    A root may be that folder itself, by its name or its content, also through a link.
    """
    try:
        itself = FOLDER in (root.name, root.resolve().name) or any((root / name).is_file() for name in MD5)
    except (OSError, RuntimeError):  # reported when it is read; RuntimeError: a loop of links
        itself = False
    return root if itself else root / FOLDER


def present(machine: MachineConfig) -> list[Path]:
    """List the existing folders of batch files, complete or not; unreadable usual folders are skipped.

    Raises:
        DataError: The explicit folder cannot be read.
    """
    folders = []
    for root in roots(machine):
        try:
            if (folder := batch_folder(root)).is_dir() and os.access(folder, os.R_OK | os.X_OK):
                folders.append(folder)
            elif machine.data_dir is not None and folder.is_dir():
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            if machine.data_dir is not None:
                reason = getattr(error, "strerror", None) or error
                raise DataError(f"the data folder {root} cannot be read: {reason}", WAYS_OUT) from error
    return folders


def find_archive(machine: MachineConfig) -> Path | None:
    """Find the official archive, by its MD5, in or beside a root; other files of its name are ignored."""
    for root in roots(machine):
        for folder in dict.fromkeys((root, batch_folder(root).parent)):
            with contextlib.suppress(OSError):
                if is_archive(path := folder / ARCHIVE):
                    return path
    return None


def is_archive(path: Path) -> bool:
    """Test if a file is the official archive.

    Raises:
        OSError: It cannot be read.
    """
    if not path.is_file() or path.stat().st_size != ARCHIVE_BYTES:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == ARCHIVE_MD5


def locate(machine: MachineConfig) -> Status:
    """Search for CIFAR-10: the first complete folder, else the first incomplete one."""
    statuses = [Status(folder, check(folder), roots(machine)) for folder in present(machine)]
    missing = Status(None, dict.fromkeys(MD5, "missing"), roots(machine))
    return next((status for status in statuses if status.complete), statuses[0] if statuses else missing)


def check(folder: Path) -> dict[str, str]:
    """Return the state of every batch file of a folder: `ok` or its fault."""
    states = {}
    for name in MD5:
        try:
            _checked_bytes(folder / name)
            states[name] = "ok"
        except DataError as error:
            states[name] = error.message.removeprefix(f"{folder / name} ")
    return states


def read(machine: MachineConfig) -> "Source":
    """Read the 50,000 training and 10,000 test images from the first complete folder.

    Raises:
        DataError: No folder is complete; names the file and its fault.
    """
    from normbench.data.splits import Source

    problem: DataError | None = None
    for folder in present(machine):
        try:
            return Source("cifar10", CLASSES, _split(folder, TRAIN_MD5), _split(folder, TEST_MD5), flips=True)
        except DataError as error:
            problem = problem or error
    if problem is not None:
        raise problem
    where = " or ".join(str(batch_folder(root)) for root in roots(machine))
    raise DataError(f"CIFAR-10 is not at {where}", WAYS_OUT)


def _split(folder: Path, names: dict[str, str]) -> "Split":
    import numpy as np
    import torch

    from normbench.data.splits import Split

    contents = [pickle.loads(_checked_bytes(folder / name), encoding="bytes") for name in names]
    images = np.concatenate([content[b"data"] for content in contents]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([content[b"labels"] for content in contents])
    return Split(torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)))


def _checked_bytes(path: Path) -> bytes:
    """Read a batch file and verify its MD5."""
    try:
        content = read_regular(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing", WAYS_OUT) from error
    except RunFailedError as error:
        raise DataError(f"{path} cannot be read: {error.message}", WAYS_OUT) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", WAYS_OUT) from error
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != MD5[path.name]:
        raise DataError(f"{path} is damaged: its MD5 is {md5}, not {MD5[path.name]}; it was not opened", WAYS_OUT)
    return content
