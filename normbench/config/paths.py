"""Paths as users give them: `~` means a home, and what no file can be called is refused at once."""

from pathlib import Path

from normbench.errors import UsageError

LONGEST_NAME, LONGEST_PATH = 255, 4096
"""Bytes that Linux allows; other systems allow no more."""


def user_path(given: str | Path) -> Path:
    """A path with `~` and `~user` put in full.

    Raises:
        UsageError: Its home is not known, it is too long, or it is no text.
    """
    text = check_text(str(given), "the path")
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(f"the path {text}: there is no such home", "Write the path in full.") from error
    longest = max((len(part.encode()) for part in path.parts), default=0)
    if longest > LONGEST_NAME or len(str(path).encode()) > LONGEST_PATH:
        raise UsageError(
            f"the path {text[:40]}... is too long: {len(text):,} characters",
            f"A name has at most {LONGEST_NAME} bytes, and a path {LONGEST_PATH:,}.",
        )
    return path


def check_text(text: str, what: str) -> str:
    """Check that bytes of the command line or the environment were text: what is written down must be readable.

    Raises:
        UsageError: They are no UTF-8; says which they are.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raw = text.encode("utf-8", "backslashreplace").decode()
        raise UsageError(f"{what} {raw} is not valid UTF-8", "Rename it, or give another.") from error
    if "\0" in text:
        raise UsageError(f"{what} {text!r} has a null byte in it", "Give another.")
    return text
