"""Execute one run and keep what it leaves: its folder, its environment, its result."""

from normbench.runs.execute import execute
from normbench.runs.folder import RunFolder
from normbench.runs.metrics import read_rows
from normbench.runs.preflight import check
from normbench.runs.result import SCHEMA_VERSION, Listener, RunResult

__all__ = ["SCHEMA_VERSION", "Listener", "RunFolder", "RunResult", "check", "execute", "read_rows"]
