"""Atomic writing and careful reading of files. A reader finds the old content or the new one, never a part of it.

What is written over is a regular file of the same kind or a link, which is replaced and not followed; a folder, a
device, a pipe or a file of another kind is left as it is. What is read is a regular file: a pipe would be waited for.
"""

import contextlib
import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from normbench.errors import RunFailedError, UsageError

TEMPORARY = ".writing-"
"""Prefix of the names of unfinished files; a killed process can leave one behind."""

NAME = 40
"""Characters of a target's name in that of its unfinished file: it may be as long as the file system allows."""

HEAD = 4096
"""Bytes of a file that show of what kind it is."""

Kind = Callable[[bytes], bool]
"""Predicate on the first bytes of a file: True for a kind that may be overwritten."""


def replace(path: Path, write: Callable[[Path], object], kind: Kind | None = None) -> None:
    """Write beside the target, force it to the disk, then put it in place in one step.

    Args:
        path: The target; its folder exists.
        write: Writes the content to the path it is given.
        kind: What an earlier file at the target must be to be replaced; None takes any regular file.

    Raises:
        RunFailedError: The disk is full, the folder cannot be written, or something that is not ours is in the way;
            the old content is untouched.
    """
    with in_words(path):
        check_replaceable(path, kind)
        temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name[-NAME:]}")
        try:
            write(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):  # why the folder cannot be written is told by what failed before
                temporary.unlink(missing_ok=True)


def replace_bytes(path: Path, content: bytes, kind: Kind | None = None) -> None:
    """`replace` with bytes: what torch and safetensors write themselves fails without an OSError on a full disk."""
    replace(path, lambda temporary: temporary.write_bytes(content), kind)


def replace_text(path: Path, text: str, kind: Kind | None = None) -> None:
    """`replace` with a text, in UTF-8 with the line ends as they stand in it."""
    replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline=""), kind)


def output_file(path: Path, what: str, kind: Kind) -> Path:
    """The file that a flag names as the place of an output; a link is followed, and what is there may be replaced.

    Args:
        path: As the user gave it.
        what: The kind of file, as in "an SVG picture".
        kind: What a file that is there already must be.

    Raises:
        UsageError: There is a folder, a device or a file of another kind, or no folder to write it to.
    """
    try:
        target = path.resolve()
        check_replaceable(target, kind, what)
        if not target.parent.is_dir():
            raise UsageError(f"cannot write {path}: there is no folder {target.parent}", "Make it, or name another.")
    except RunFailedError as error:
        raise UsageError(error.message, error.hint) from error
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}", "Give another name.") from error
    return target


def check_replaceable(path: Path, kind: Kind | None = None, what: str = "a file that normbench has written") -> None:
    """Check that nothing is lost where a file is written: there is none, a link, or a regular one of this kind.

    Raises:
        RunFailedError: Something else is there; says what.
        OSError: It cannot be looked at.
    """
    if (found := kind_of(path)) is None or found == LINK:
        return
    if found != REGULAR:
        raise RunFailedError(
            f"cannot write {path}: it is {found}, not a file",
            "Give the name of a file in it, or move it away." if found == FOLDER else "Give another name.",
        )
    if kind is not None and (head := _head(path)) and not kind(head):
        raise RunFailedError(
            f"cannot write {path}: it is there already and not {what}", "Give another name, or move it away."
        )


def is_png(head: bytes) -> bool:
    """Recognize a PNG picture by its first bytes."""
    return head.startswith(b"\x89PNG\r\n\x1a\n")


def is_pdf(head: bytes) -> bool:
    """Recognize a PDF document by its first bytes."""
    return head.startswith(b"%PDF-")


def is_svg(head: bytes) -> bool:
    """Recognize an SVG picture by its first bytes."""
    return head.lstrip().startswith((b"<?xml", b"<svg")) and b"<svg" in head


REGULAR, LINK, FOLDER = "a file", "a link", "a folder"
KINDS = {
    stat.S_IFREG: REGULAR,
    stat.S_IFLNK: LINK,
    stat.S_IFDIR: FOLDER,
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def kind_of(path: Path) -> str | None:
    """The kind of thing at a path, in words, links not followed; None if there is nothing."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    return KINDS.get(stat.S_IFMT(mode), "no regular file")


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file, or of one that a link leads to; nothing else is opened.

    Raises:
        RunFailedError: There is a folder, a pipe, a device or a link to nothing in its place; says what to remove.
        OSError: It cannot be read.
    """
    check_regular(path)
    return path.read_bytes()


def check_regular(path: Path) -> None:
    """Check that a path is a regular file, or a link to one.

    Raises:
        RunFailedError: Something else is in its place; says what to remove.
        OSError: There is nothing, or it cannot be looked at.
    """
    found = kind_of(path)
    if found == LINK:
        target = path.resolve()
        found = kind_of(target)
        if found is None:
            raise RunFailedError(f"{path} is a link to nothing", f"Remove it: {path}")
    if found not in {None, REGULAR}:
        raise RunFailedError(f"{path} is {found}, not a file", f"Move it away: {path}")


def append_text(path: Path, text: str) -> None:
    """Add to a file, which is made where it is missing; a link in its place is not followed.

    Raises:
        RunFailedError: It cannot be written.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with in_words(path):
        if (found := kind_of(path)) not in {None, REGULAR}:
            raise RunFailedError(f"cannot write {path}: it is {found}, not a file", f"Move it away: {path}")
        with os.fdopen(os.open(path, flags, 0o666), "a", encoding="utf-8") as file:
            file.write(text)


def discard(folder: Path, names: tuple[str, ...]) -> None:
    """Remove files of a folder, and what is in their place but is no folder: that is not ours, and stays.

    Raises:
        RunFailedError: One is a folder, or cannot be removed; nothing was removed where one is a folder.
    """
    for name in names:
        if kind_of(folder / name) == FOLDER:
            raise RunFailedError(
                f"{folder / name} is a folder, where a file belongs", f"Move it away, and try again: {folder / name}"
            )
    for name in names:
        with in_words(folder / name):
            (folder / name).unlink(missing_ok=True)


def json_text(content: Any, indent: int | None = 2) -> str:
    """A value as JSON, which has neither NaN nor infinity.

    Raises:
        ValueError: There is one in it.
    """
    return json.dumps(content, indent=indent, allow_nan=False)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process was writing."""
    for path in folder.glob(f"{TEMPORARY}*"):
        if kind_of(path) != FOLDER:
            path.unlink(missing_ok=True)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


HINTS = {
    errno.EISDIR: "A folder is in its place: move it away.",
    errno.ENOTDIR: "A file is where its folder should be: move it away, or give another --out.",
    errno.ENAMETOOLONG: "Give a shorter name.",
    errno.ELOOP: "A link is in its place: remove it.",
}


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turn a failure to write a path into words; what was there before is still there."""
    try:
        yield
    except OSError as error:
        hint = "Nothing finished is lost: make room or give another --out, and run the same command again."
        raise RunFailedError(
            f"cannot write {path}: {error.strerror or error}", HINTS.get(error.errno or 0, hint)
        ) from error
