"""Archiving of finished runs, and their restoration.

The archive is written beside the last one, read back and compared file by file, forced to the disk and put in place;
only then may folders be removed, config.json first: without it a folder is no run, and the archive is read. A process
that is killed at any moment leaves every run in its folder or in an archive that was verified.
"""

import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from normbench import locking
from normbench.errors import NormbenchError, RunFailedError, UsageError
from normbench.files import (
    FOLDER,
    LINK,
    REGULAR,
    TEMPORARY,
    in_words,
    json_text,
    kind_of,
    read_regular,
    replace,
    replace_bytes,
)
from normbench.locking import SOFT, Warn
from normbench.runs.archive import (
    ARCHIVE,
    ARCHIVE_VERSION,
    CONFIG,
    FOLDERS,
    HEADER,
    LARGEST,
    MODEL,
    Archive,
    archive_of,
    forget,
    is_file_of_run,
)
from normbench.runs.catalog import Entry, is_ours, list_experiment
from normbench.runs.lock import LOCK, held, holder_of

ARCHIVE_LOCK, ARCHIVE_HOLDER = ".archive.lock", ".archive.holder"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date of every file in an archive, so that the same runs give the same bytes."""
UNFINISHED = {
    "interrupted": "it is not finished, and can be resumed",
    "new": "it has not finished an epoch",
}

Source = Callable[[], bytes]
Sources = Mapping[str, Mapping[str, Source]]
"""Readers of the files of runs, by run and name."""


@dataclass(frozen=True)
class Kept:
    """Run folder that was not archived, restored or removed."""

    run: str
    reason: str


@dataclass(frozen=True)
class Archived:
    """Outcome of archiving or restoring."""

    path: Path
    runs: tuple[str, ...]
    """Runs in the archive."""
    changed: tuple[str, ...]
    """Runs that were written into the archive, or restored from it."""
    removed: tuple[str, ...]
    """Runs whose folders were removed; of a restored archive that was removed, all of its runs."""
    kept: tuple[Kept, ...]
    size: int
    """Bytes of the archive; 0 if it was removed."""


def archive_experiment(
    folder: Path, *, weights: bool = True, remove: bool = False, warn: Warn | None = None
) -> Archived:
    """Write the finished runs of an experiment into its archive, beside those that are in it, and verify it.

    Args:
        folder: Of the experiment.
        weights: False leaves the weights out, without which a run cannot be evaluated or exported.
        remove: Remove the folders of the runs in the archive.
        warn: Called where the file system has no locks of its own.

    Raises:
        UsageError: No run is finished, another process archives, or the archive that is there cannot be read.
        RunFailedError: The archive cannot be written.
    """
    with _held(folder, warn):
        earlier = archive_of(folder)
        finished, kept = _finished(folder)
        if earlier is None and not finished:
            raise UsageError(f"no run in {folder} is finished", "See `normbench runs`.")
        sources: dict[str, dict[str, Source]] = {}
        for run in finished:
            names = _file_names(folder / run)
            if reason := _unfit(folder / run, names):
                kept.append(Kept(run, reason))
            else:
                sources[run] = _on_disk(folder / run, [name for name in names if weights or name != MODEL])
        changed = tuple(run for run in sources if not _is_in(earlier, run, sources[run]))
        if changed:
            before = _in_archive(earlier) if earlier else {}
            _write(folder, {**before, **{run: sources[run] for run in changed}})
        archive = archive_of(folder)
        assert archive is not None, "it was just written, or was there"
        removed: list[str] = []
        if remove:
            for run in sorted(archive.runs):
                if kind_of(folder / run) is not None:
                    reason = _remove(folder / run, archive)
                    removed += [] if reason else [run]
                    kept += [Kept(run, reason)] if reason else []
        size = archive.path.stat().st_size
        return Archived(archive.path, tuple(archive.runs), changed, tuple(removed), tuple(kept), size)


def restore_experiment(folder: Path, *, remove: bool = False, warn: Warn | None = None) -> Archived:
    """Write the runs of an experiment's archive back into their folders; those that have one keep it.

    Args:
        folder: Of the experiment.
        remove: Remove the archive, once every file in it lies in a folder.
        warn: Called where the file system has no locks of its own.

    Raises:
        UsageError: There is no archive, it cannot be read, or another process archives.
        RunFailedError: The disk has no room, or a folder cannot be written.
    """
    with _held(folder, warn):
        archive = archive_of(folder)
        if archive is None:
            raise UsageError(f"{folder} has no {ARCHIVE}", "See `normbench runs`.")
        missing = [run for run in sorted(archive.runs) if kind_of(folder / run / CONFIG) is None]
        _check_room(folder, archive, missing)
        restored, kept = [], []
        for run in missing:
            if reason := _restore(folder / run, archive):
                kept.append(Kept(run, reason))
            else:
                restored.append(run)
        runs, size = tuple(archive.runs), archive.path.stat().st_size
        removed: tuple[str, ...] = ()
        if remove:
            different = [
                Kept(run, "it has other files on disk than in the archive")
                for run in runs
                if run not in {left.run for left in kept} and not _is_same(folder / run, archive)
            ]
            kept += different
            if not kept:
                forget(folder)
                with in_words(folder / ARCHIVE):
                    (folder / ARCHIVE).unlink()
                removed, size = runs, 0
        return Archived(folder / ARCHIVE, runs, tuple(restored), removed, tuple(kept), size)


@contextmanager
def _held(folder: Path, warn: Warn | None) -> Iterator[None]:
    """Let one process at a time archive an experiment; what a killed one was writing is removed.

    Raises:
        UsageError: Another process does, or the folder cannot be written.
    """
    try:
        lock = locking.acquire(folder / ARCHIVE_LOCK, warn=warn)
    except Timeout as error:
        holder = locking.holder_of(folder, ARCHIVE_HOLDER)
        raise UsageError(f"{folder} is being archived by {holder}", "Wait until it is done.") from error
    except OSError as error:
        raise UsageError(
            f"cannot write to the output folder {folder}: {error.strerror or error}",
            "Give a folder that can be written.",
        ) from error
    try:
        with in_words(folder), locking.named(folder, ARCHIVE_HOLDER):
            for path in folder.glob(f"{TEMPORARY}*-{ARCHIVE}"):
                if kind_of(path) != FOLDER:
                    path.unlink(missing_ok=True)
            yield
    finally:
        lock.release()


def _finished(folder: Path) -> tuple[list[str], list[Kept]]:
    """List the finished runs that have folders, and the other folders with the reason why they stay."""
    finished, kept = [], []
    for entry in list_experiment(folder):
        if entry.archive is not None or entry.path.name == ARCHIVE:
            continue
        if reason := _reason_to_stay(entry):
            kept.append(Kept(entry.path.name, reason))
        else:
            finished.append(entry.path.name)
    return finished, kept


def _reason_to_stay(entry: Entry) -> str:
    if entry.state not in ("done", "diverged"):
        return UNFINISHED.get(entry.state, entry.problem)
    if kind_of(entry.path) == LINK:
        return "it is a link"
    holder = holder_of(entry.path)
    return f"it is being written by {holder}" if holder else ""


def _file_names(folder: Path) -> list[str]:
    """List the files of a finished run, those of its custom code included; config.json first."""
    names = [path.name for path in folder.iterdir() if kind_of(path) != FOLDER and is_file_of_run(path.name)]
    for code in FOLDERS:
        if kind_of(folder / code) == FOLDER:
            paths = [path for path in (folder / code).rglob("*") if kind_of(path) != FOLDER]
            names += [path.relative_to(folder).as_posix() for path in paths if path.suffix == ".py"]
    return sorted(names, key=lambda name: (name != CONFIG, name))


def _unfit(folder: Path, names: Sequence[str]) -> str:
    """Describe what of a run cannot be archived; empty if nothing."""
    for name in names:
        path = folder / name
        if not is_file_of_run(name):
            return f"its file {name!r} has a name that no archive takes"
        if (kind := kind_of(path)) != REGULAR:
            return f"its {name} is {kind}"
        if name != MODEL and path.stat().st_size > LARGEST:
            return f"its {name} is larger than {LARGEST // 2**20} MiB"
    return ""


def _on_disk(folder: Path, names: Sequence[str]) -> dict[str, Source]:
    def source(path: Path) -> Source:
        return lambda: read_regular(path)

    return {name: source(folder / name) for name in names}


def _in_archive(archive: Archive) -> dict[str, dict[str, Source]]:
    def source(run: str, name: str) -> Source:
        return lambda: archive.read(run, name)

    return {run: {name: source(run, name) for name in names} for run, names in archive.runs.items()}


def _is_in(archive: Archive | None, run: str, sources: Mapping[str, Source]) -> bool:
    """Test whether a run is in the archive as it lies on disk."""
    if archive is None or run not in archive.runs:
        return False
    return all(name in archive.runs[run] and archive.read(run, name) == read() for name, read in sources.items())


def _write(folder: Path, sources: Sources) -> None:
    """Write an archive, verify it, and put it in place.

    Raises:
        RunFailedError: It cannot be written, what was written is not what was read, or what is there is no archive.
    """

    def write(path: Path) -> None:
        _write_verified(path, sources)
        forget(folder)  # Windows replaces no file that is open

    replace(folder / ARCHIVE, write, _is_archive)
    if hasattr(os, "O_DIRECTORY"):  # the new name is on the disk before any folder is removed
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):  # some file systems force no folders to the disk
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_verified(path: Path, sources: Sources) -> None:
    files = sum(map(len, sources.values()))
    header = json_text({"schema_version": ARCHIVE_VERSION, "runs": len(sources), "files": files}) + "\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(_entry(HEADER), header)
        for run in sorted(sources):
            for name, read in sources[run].items():
                archive.writestr(_entry(f"{run}/{name}", stored=name == MODEL), read())
    written = Archive.open(path)
    try:
        for run, files_of_run in sources.items():
            for name, read in files_of_run.items():
                if written.read(run, name) != read():
                    raise RunFailedError(
                        f"{run}/{name} changed while it was archived: no archive is written", "Archive again."
                    )
    finally:
        written.file.close()


def _entry(name: str, *, stored: bool = False) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    entry.external_attr = 0o100644 << 16
    return entry


def _is_archive(head: bytes) -> bool:
    """Recognize an archive by its first bytes: those of a zip file, and the name of the first file in it."""
    return head.startswith(b"PK\x03\x04") and head[30:].startswith(HEADER.encode())


def _remove(folder: Path, archive: Archive) -> str:
    """Remove the folder of a run in the archive, and return the reason if it stays; empty if it is gone."""
    if kind_of(folder) != FOLDER:
        return f"it is {kind_of(folder)}"
    try:
        with held(folder), in_words(folder):
            partly = kind_of(folder / CONFIG) is None  # a process was killed while it removed the folder
            if not _is_same(folder, archive, partly=partly) or _has_more(folder, archive):
                return "it has other files on disk than in the archive"
            names = archive.runs[folder.name]
            # Without config.json it is no run: from then on the archive is read.
            (folder / CONFIG).unlink(missing_ok=True)
            ours = [path for path in folder.iterdir() if is_ours(path)]
            for path in [*ours, *(folder / name for name in names)]:
                path.unlink(missing_ok=True)
            for code in FOLDERS:
                _remove_empty(folder / code)
            locks = [folder / name for name in (LOCK, f"{LOCK}{SOFT}")]
            left = sorted(path.name for path in folder.iterdir() if path not in locks)
        if left:
            return f"its files are removed; not of normbench: {', '.join(left)}"
        with in_words(folder):
            for path in locks:
                path.unlink(missing_ok=True)
            folder.rmdir()
    except NormbenchError as error:
        return error.message
    return ""


def _remove_empty(folder: Path) -> None:
    """Remove a folder and those below it, as far as nothing is in them."""
    if kind_of(folder) == FOLDER:
        for path in sorted(folder.rglob("*"), key=lambda path: -len(path.parts)):
            with suppress(OSError):
                path.rmdir()
        with suppress(OSError):
            folder.rmdir()


def _is_same(folder: Path, archive: Archive, *, partly: bool = False) -> bool:
    """Test whether the files of a run on disk are those in the archive.

    Args:
        folder: Of the run.
        archive: Which has a run of this name.
        partly: Allow files to be missing on disk.
    """
    for name in archive.runs[folder.name]:
        kind = kind_of(folder / name)
        if kind is None and partly:
            continue
        if kind != REGULAR or read_regular(folder / name) != archive.read(folder.name, name):
            return False
    return True


def _has_more(folder: Path, archive: Archive) -> bool:
    """Test whether a run has files on disk that the archive lacks; weights may have been left out."""
    return bool(set(_file_names(folder)) - archive.runs[folder.name].keys() - {MODEL})


def _check_room(folder: Path, archive: Archive, runs: Sequence[str]) -> None:
    needed = sum(entry.file_size for run in runs for entry in archive.runs[run].values())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise RunFailedError(
            f"{archive.path} unpacks to {needed:,} bytes, and the disk has {free:,} left", "Make room; nothing is lost."
        )


def _restore(folder: Path, archive: Archive) -> str:
    """Write the files of a run, config.json last; returns the reason if something is in their place."""
    names = sorted(archive.runs[folder.name], key=lambda name: name == CONFIG)
    for parent in {path for name in names for path in (folder / name).parents if folder in (path, *path.parents)}:
        if kind_of(parent) not in (None, FOLDER):
            return f"{parent} is {kind_of(parent)}"
    try:
        with held(folder):
            for name in names:
                with in_words(folder / name):
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                replace_bytes(folder / name, archive.read(folder.name, name))
    except UsageError as error:
        return error.message
    return ""
