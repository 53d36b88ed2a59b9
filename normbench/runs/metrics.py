"""Reading back what each epoch of a run measured."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from normbench.errors import RunFailedError
from normbench.files import read_regular
from normbench.runs.schema import REDO, newer, unversioned
from normbench.training import EpochRow

_ROW = TypeAdapter(EpochRow)
FIELDS = {field.name for field in dataclasses.fields(EpochRow)}


def read_rows(path: Path) -> list[EpochRow]:
    """The epochs in a run's metrics.jsonl, first to last.

    Raises:
        NewerFormatError: A newer normbench has written it.
        RunFailedError: The file cannot be read, or a line is damaged or out of turn; says which and how.
    """
    try:
        lines = read_regular(path).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RunFailedError(f"{path} cannot be read: {error}", REDO) from error
    return [_row(path, number, line) for number, line in enumerate(lines, 1)]


def rows_of(content: Sequence[object], epochs: int) -> list[EpochRow]:
    """Epochs as a state carries them.

    Raises:
        ValueError: They are not the first ones of a run of so many epochs.
    """
    rows = [_ROW.validate_json(json.dumps(row), strict=True) for row in content]  # strict Python takes no mapping
    if [row.epoch for row in rows] != list(range(1, len(rows) + 1)) or len(rows) > epochs:
        raise ValueError(f"its epochs are {[row.epoch for row in rows]} of {epochs}")
    return rows


def _row(path: Path, number: int, line: str) -> EpochRow:
    where = f"{path}, line {number}"
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RunFailedError(f"{where}: Invalid JSON: {error}", REDO) from error
    if not isinstance(content, dict):
        raise RunFailedError(f"{where}: should be an object", REDO)
    content = unversioned(content, path)
    if unknown := sorted(content.keys() - FIELDS):
        raise newer(path, f"its line {number} has {', '.join(unknown)}, which this normbench does not know")
    try:
        row = _ROW.validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = "".join(f" {part}:" for part in first["loc"])
        raise RunFailedError(f"{where}:{field} {first['msg']}", REDO) from error
    if row.epoch != number:
        raise RunFailedError(f"{where}: tells of epoch {row.epoch}, not of epoch {number}", REDO)
    return row
