"""The code of a custom norm, kept as source beside the weights that it trained."""

import contextlib
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict

from normbench.errors import NormbenchError, RunFailedError
from normbench.files import in_words, json_text, replace_bytes, replace_text
from normbench.norms import Code, code_from_folder
from normbench.runs.schema import read_model, versioned

INDEX, FOLDER = "code.json", "code"


class Index(BaseModel):
    """Index of the kept code: the file with the factory, and packages that are not kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    main: str
    releases: tuple[str, ...] = ()
    """Name and version of an installed package that is too large to be kept."""


def keep_code(folder: Path, code: Code) -> None:
    """Write the code into a run's folder.

    Raises:
        RunFailedError: It cannot be written.
    """
    for name, content in code.files.items():
        path = folder / FOLDER / name
        with in_words(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(path, content)
    index = Index(main=code.main, releases=code.releases)
    replace_text(folder / INDEX, json_text(versioned(index.model_dump(mode="json"))) + "\n")


def kept_main(folder: Path) -> str | None:
    """The file with the factory, below the folder of the code; None if no usable code is kept there."""
    try:
        index = read_model(Index, folder / INDEX)
    except RunFailedError:
        return None
    path = PurePosixPath(index.main)
    inside = not path.is_absolute() and ".." not in path.parts
    return index.main if inside and path.suffix == ".py" and (folder / FOLDER / path).is_file() else None


def kept(folder: Path, norm: str) -> Code | None:
    """All the code that is kept in a run's folder, read without importing it; None if there is none to be read."""
    main = kept_main(folder)
    try:
        return code_from_folder(folder / FOLDER, main, norm) if main else None
    except NormbenchError:
        return None


def remove_code(folder: Path, norm: str) -> None:
    """Remove the code that is kept in a run's folder; what else lies beside it stays.

    Raises:
        OSError: It cannot be removed.
    """
    code = kept(folder, norm)
    if code is None:
        return
    paths = [folder / FOLDER / name for name in code.files]
    for path in paths:
        path.unlink(missing_ok=True)
    parents = {parent for path in paths for parent in path.parents if folder in parent.parents}
    for parent in sorted(parents, key=lambda parent: -len(parent.parts)):
        with contextlib.suppress(OSError):  # something else is in it
            parent.rmdir()
    (folder / INDEX).unlink(missing_ok=True)
