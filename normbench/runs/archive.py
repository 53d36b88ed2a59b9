"""Archive of finished runs, read like folders.

<out>/<experiment>/runs.zip holds archive.json and the files of the runs as <run folder>/<file>. A run folder on disk
comes before one of its name in the archive. Nothing in an archive is trusted: a file is read only if its name, kind and
size are those of a run's file, and nothing of it is imported or unpickled.
"""

import fnmatch
import json
import os
import stat
import struct
import tempfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from normbench.errors import UsageError
from normbench.files import check_regular, kind_of, read_regular

ARCHIVE, HEADER = "runs.zip", "archive.json"
ARCHIVE_VERSION = 1
CONFIG, ENVIRONMENT, METRICS = "config.json", "env.json", "metrics.jsonl"
MODEL, RESULT = "model.safetensors", "result.json"
CONFUSION = "confusion.json"
"""Test images by true class and decided class: written beside the result, from the same reading of the images."""
FILES = (CONFIG, ENVIRONMENT, METRICS, MODEL, CONFUSION, RESULT, "code.json", "network-code.json")
"""Files of a finished run; what a killed or running one has besides is not archived."""
FOLDERS = ("code", "network-code")
EVENTS = "events.out.tfevents.*"

LARGEST = 16 * 2**20
"""Bytes of the largest compressed file; weights are stored as they are, so that their size is on the disk, too."""
RATIO = 100
"""Bytes that one byte of an archive unpacks to at most, over all files; JSON and code are packed to a quarter or so."""
LONGEST = 255
"""Bytes of a name in a folder."""
MOST_OPEN = 8
"""Archives whose tables of contents are kept in memory."""

DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, ArithmeticError, LookupError, EOFError, NotImplementedError, OSError,
    RuntimeError, ValueError,
)  # fmt: skip
"""Errors of `zipfile` and of the readers of its content where an archive is damaged."""

Stamp = tuple[int, int, int]


class ArchiveError(UsageError):
    """Archive that cannot be read: damaged, not of normbench, or of a newer one.

    Args:
        message: Problem, with the path.
        hint: Way out.
        newer: True for an archive of a newer normbench.
    """

    def __init__(self, message: str, hint: str, *, newer: bool = False) -> None:
        super().__init__(message, hint)
        self.newer = newer


@dataclass(frozen=True)
class Archive:
    """Open archive whose table of contents was checked."""

    path: Path
    file: zipfile.ZipFile
    runs: Mapping[str, Mapping[str, zipfile.ZipInfo]]
    """Files of each run, by the name of its folder and by their names in it."""

    @classmethod
    def open(cls, path: Path) -> "Archive":
        """Open an archive, and check every entry of its table of contents.

        Raises:
            ArchiveError: It is damaged, holds what is no file of a run, or is of a newer normbench.
        """
        try:
            check_regular(path)
            file = zipfile.ZipFile(path)
            entries = file.infolist()
            runs: dict[str, dict[str, zipfile.ZipInfo]] = {}
            header = _header(path, file, entries)
            for entry in entries[1:]:
                run, name = _run_and_file(path, entry)
                files = runs.setdefault(run, {})
                if name in files:
                    raise _refused(path, f"it has two files of the name {entry.filename!r}")
                files[name] = entry
        except DAMAGE as error:
            raise _damaged(path, error) from error
        _check_complete(path, header, entries, runs)
        return cls(path, file, runs)

    def read(self, run: str, name: str) -> bytes:
        """Read a file of a run; its checksum is verified.

        Raises:
            ArchiveError: It is damaged.
        """
        entry = self.runs[run][name]
        try:
            with self.file.open(entry) as file:
                content = file.read(entry.file_size + 1)  # bounded, whatever the compressed data hold
        except DAMAGE as error:
            raise _damaged(self.path, error) from error
        if len(content) != entry.file_size:
            raise _damaged(self.path, ValueError(f"{entry.filename} is cut off"))
        return content


def _header(path: Path, file: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> dict[str, object]:
    """Read archive.json, the first file of every archive.

    Raises:
        ArchiveError: There is none, or it is of a newer normbench.
    """
    if not entries or entries[0].filename != HEADER or entries[0].file_size > LARGEST:
        raise _refused(path, f"it does not begin with {HEADER}, so normbench has not written it")
    with file.open(entries[0]) as member:
        header = json.loads(member.read(entries[0].file_size + 1))
    if not isinstance(header, dict):
        raise _refused(path, f"its {HEADER} holds no object")
    version = header.get("schema_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"schema_version is {version!r}")
    if version > ARCHIVE_VERSION:
        raise ArchiveError(
            f"{path} was made by a newer normbench: its format is version {version}, and this normbench reads up to "
            f"{ARCHIVE_VERSION}",
            "Use that normbench, or give another --out folder to this one.",
            newer=True,
        )
    return header


def _run_and_file(path: Path, entry: zipfile.ZipInfo) -> tuple[str, str]:
    """Split the name of an entry, once it is certain that it is a file of a run.

    Raises:
        ArchiveError: It is something else.
    """
    run, _, name = entry.filename.partition("/")
    if entry.filename != entry.orig_filename or not (_is_plain(run) and is_file_of_run(name)):
        raise _refused(path, f"it holds {entry.orig_filename!r}, which is no file of a run")
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG) or entry.is_dir():
        raise _refused(path, f"{entry.filename!r} in it is a link, folder or device")
    if entry.flag_bits & 0x1:
        raise _refused(path, f"{entry.filename!r} in it is encrypted")
    is_stored = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
    is_packed = entry.compress_type == zipfile.ZIP_DEFLATED and entry.file_size <= LARGEST and name != MODEL
    if not (is_stored or is_packed):
        raise _refused(path, f"{entry.filename!r} in it is packed in another way than normbench does, or too large")
    return run, name


def _is_plain(part: str) -> bool:
    return (
        part not in ("", ".", "..")
        and len(part.encode("utf-8", "surrogatepass")) <= LONGEST
        and part.isprintable()
        and not set(part) & set('/\\:*?"<>|')
    )


def is_file_of_run(name: str) -> bool:
    """Test whether a name is that of a file which a finished run leaves in its folder."""
    first, *rest = name.split("/")
    if rest:
        return first in FOLDERS and all(map(_is_plain, rest))
    return name in FILES or (_is_plain(name) and fnmatch.fnmatchcase(name, EVENTS))


def _check_complete(
    path: Path, header: dict[str, object], entries: list[zipfile.ZipInfo], runs: Mapping[str, Mapping[str, object]]
) -> None:
    """Check that nothing is missing, and that it does not unpack to far more than it is.

    Raises:
        ArchiveError: Something is wrong.
    """
    if header.get("files") != len(entries) - 1:
        raise _damaged(path, ValueError(f"it has {len(entries) - 1} files of {header.get('files')}"))
    for run, files in runs.items():
        if missing := {CONFIG, RESULT} - files.keys():
            raise _damaged(path, ValueError(f"{run} lacks {', '.join(sorted(missing))}"))
    if sum(entry.file_size for entry in entries) > RATIO * path.stat().st_size:
        raise _refused(path, f"it unpacks to more than {RATIO} times its size")


def _refused(path: Path, reason: str) -> ArchiveError:
    return ArchiveError(f"{path} is not read: {reason}", f"Move it away: {path}")


def _damaged(path: Path, error: Exception) -> ArchiveError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ArchiveError(f"{path} is damaged: {reason}", f"Put back a copy of it, or move it away: {path}")


_LOCK = threading.Lock()
_OPENED: OrderedDict[tuple[int, Path], tuple[Stamp, Archive]] = OrderedDict()
"""By process, since the children of one share the offset of its files, and by path."""


def archive_of(experiment: Path) -> Archive | None:
    """Open the archive in an experiment's folder, or return the one that is open; None if there is none.

    Raises:
        ArchiveError: It cannot be read.
    """
    path = experiment / ARCHIVE
    try:
        status = path.stat()
    except PermissionError as error:
        raise _damaged(path, error) from error
    except (OSError, ValueError):  # nothing is there, or can be: a loop of links, a name that is too long
        return None
    stamp, key = (status.st_ino, status.st_mtime_ns, status.st_size), (os.getpid(), path.absolute())
    with _LOCK:
        if key not in _OPENED or _OPENED[key][0] != stamp:
            _OPENED[key] = stamp, Archive.open(path)
            while len(_OPENED) > MOST_OPEN:
                _OPENED.popitem(last=False)
        _OPENED.move_to_end(key)
        return _OPENED[key][1]


def forget(experiment: Path) -> None:
    """Close the archive of an experiment, which is about to be replaced."""
    with _LOCK:
        if opened := _OPENED.pop((os.getpid(), (experiment / ARCHIVE).absolute()), None):
            opened[1].file.close()


def run_folders(experiment: Path) -> list[Path]:
    """List the folders of an experiment's runs by name, those in the archive included.

    Raises:
        ArchiveError: The archive cannot be read.
    """
    archive = archive_of(experiment)
    on_disk = {path.parent.name for path in experiment.glob(f"*/{CONFIG}")}
    return [experiment / name for name in sorted(on_disk | (archive.runs.keys() if archive else set()))]


def is_run(folder: Path) -> bool:
    """Test whether a run lies in a folder, or in the archive in its place.

    Raises:
        ArchiveError: The archive cannot be read.
    """
    return (folder / CONFIG).is_file() or _archived(folder) is not None


def is_archived(folder: Path) -> bool:
    """Test whether a run lies in the archive alone.

    Raises:
        ArchiveError: The archive cannot be read.
    """
    return _archived(folder) is not None


def _archived(folder: Path) -> Archive | None:
    """Return the archive that a run is read from; None if it lies on the disk, or nowhere."""
    try:
        if kind_of(folder / CONFIG) is not None:
            return None
    except (OSError, ValueError):  # what is there cannot be looked at
        return None
    archive = archive_of(folder.parent)
    return archive if archive is not None and folder.name in archive.runs else None


def kind_of_file(path: Path) -> str | None:
    """Return the kind of a run's file as `files.kind_of` does, on the disk or in the archive.

    Raises:
        ArchiveError: The archive cannot be read.
    """
    if (kind := kind_of(path)) is not None:
        return kind
    archive = _archived(path.parent)
    return "a file" if archive is not None and path.name in archive.runs[path.parent.name] else None


def read_file(path: Path) -> bytes:
    """Read a run's file, on the disk or in the archive.

    Raises:
        ArchiveError: The archive cannot be read.
        RunFailedError: A folder, pipe or device is in its place.
        OSError: It cannot be read.
    """
    try:
        return read_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        archive = _archived(path.parent)
        if archive is None or path.name not in archive.runs[path.parent.name]:
            raise
        return archive.read(path.parent.name, path.name)


_CODE: dict[tuple[Path, Stamp], tempfile.TemporaryDirectory[str]] = {}
"""Folders with the code of archived runs, which are removed when the process ends: code may import more of it later."""


def code_folder(folder: Path) -> Path:
    """Return the folder with the kept code of a run: its own, or a temporary one for a run in the archive.

    Raises:
        ArchiveError: The archive cannot be read.
        OSError: The temporary folder cannot be written.
    """
    archive = _archived(folder)
    if archive is None:
        return folder
    status = archive.path.stat()
    key = folder.absolute(), (status.st_ino, status.st_mtime_ns, status.st_size)
    if key not in _CODE:
        target = tempfile.TemporaryDirectory(prefix="normbench-code-")
        for name in archive.runs[folder.name]:
            if name.split("/")[0] in (*FOLDERS, *(f"{code}.json" for code in FOLDERS)):
                path = Path(target.name, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(folder.name, name))
        _CODE[key] = target
    return Path(_CODE[key].name)
