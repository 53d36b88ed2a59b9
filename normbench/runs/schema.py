"""Versions of the formats on disk: every file says its own, and one of a newer normbench is called that.

A file without a version is of version 1, which was written before files said theirs.
"""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from normbench.errors import RunFailedError
from normbench.runs.archive import read_file

SCHEMA_VERSION = 1
VERSION = "schema_version"
REDO = "Redo the run with --force."

M = TypeVar("M", bound=BaseModel)


class NewerFormatError(RunFailedError):
    """A file that a newer normbench has made: it is whole, and not to be redone or removed."""


def versioned(content: dict[str, Any]) -> dict[str, Any]:
    """A document with the version of its format in front."""
    return {VERSION: SCHEMA_VERSION} | content


def unversioned(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """A document without its version.

    Raises:
        NewerFormatError: Its version is newer than this normbench.
        RunFailedError: Its version is none.
    """
    version = content.get(VERSION, 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise RunFailedError(f"{path} cannot be read: {VERSION} is {version!r}", REDO)
    if version > SCHEMA_VERSION:
        raise newer(path, f"its format is version {version}, and this normbench reads up to {SCHEMA_VERSION}")
    return {key: value for key, value in content.items() if key != VERSION}


def newer(path: Path, why: str) -> NewerFormatError:
    """The error for a file of a newer normbench."""
    return NewerFormatError(
        f"{path} was made by a newer normbench: {why}", "Use that one, or give another --out folder to this one."
    )


def read_document(path: Path) -> dict[str, Any]:
    """The JSON object in a file, without its version.

    Raises:
        NewerFormatError: It is of a newer normbench.
        RunFailedError: It is damaged or cannot be read.
    """
    try:
        content = json.loads(read_file(path))
    except (OSError, ValueError, RecursionError) as error:
        raise RunFailedError(f"{path} cannot be read: {error}", REDO) from error
    if not isinstance(content, dict):
        raise RunFailedError(f"{path} cannot be read: it holds no JSON object", REDO)
    return unversioned(content, path)


def read_model(model: type[M], path: Path) -> M:
    """The model in a JSON file; fields that it does not know can only come from a newer normbench.

    Raises:
        NewerFormatError: It is of a newer normbench.
        RunFailedError: It is damaged or cannot be read.
    """
    content = read_document(path)
    try:
        return model.model_validate(content)
    except (ValidationError, ValueError) as error:
        raise _unreadable(error, path) from error


def _unreadable(error: Exception, path: Path) -> RunFailedError:
    """The error for a document that does not fit its model: newer where all that is wrong are unknown fields."""
    if not isinstance(error, ValidationError):
        return RunFailedError(f"{path} cannot be read: {error}", REDO)
    problems = error.errors()
    fields = [".".join(map(str, problem["loc"])) for problem in problems]
    if all(problem["type"] == "extra_forbidden" for problem in problems):
        return newer(path, f"it has {', '.join(fields)}, which this normbench does not know")
    return RunFailedError(f"{path} cannot be read: {fields[0]}: {problems[0]['msg']}", REDO)
