"""Reading back what each epoch of a run measured."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from normbench.errors import RunFailedError
from normbench.training import EpochRow

_ROW = TypeAdapter(EpochRow)
REDO = "Redo the run with --force."


def read_rows(path: Path) -> list[EpochRow]:
    """The epochs in a run's metrics.jsonl, first to last.

    Raises:
        RunFailedError: The file cannot be read, or a line is damaged or out of turn; says which and how.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RunFailedError(f"{path} cannot be read: {error}", REDO) from error
    return [_row(path, number, line) for number, line in enumerate(lines, 1)]


def _row(path: Path, number: int, line: str) -> EpochRow:
    try:
        row = _ROW.validate_json(line, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f" {part}:" for part in first["loc"])
        raise RunFailedError(f"{path}, line {number}:{where} {first['msg']}", REDO) from error
    if row.epoch != number:
        raise RunFailedError(f"{path}, line {number}: tells of epoch {row.epoch}, not of epoch {number}", REDO)
    return row
