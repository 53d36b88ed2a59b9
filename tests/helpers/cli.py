"""Run the command line in this process, as a user would: arguments in; exit code, stdout and stderr out."""

import contextlib
import io
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import typer

from helpers.documents import faults
from normbench.cli.flags import Parameter
from normbench.cli.main import app, main

# Few channels and few digits: a training of a fraction of a second.
SMALL = "network.widths=[8,8,8,8,8,8,8,8,8,8]"
TINY = ("--dataset", "digits", "--subset", "256", "--epochs", "1", "--batch-size", "64", "--set", SMALL)


COST = re.compile(r"\A[\d,]+ runs?\b.*, estimated from .*\n.* of disk .*\n")
"""Lines on the cost of a plan, which stand before the error of a run that fails once it has started."""
WIDE = {"COLUMNS": "140"}
"""Width at which no header of a table wraps; a pipe has 80 columns."""


@dataclass(frozen=True)
class Answer:
    """Exit code and output of a command."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """stdout as exactly one JSON document of its command's schema; anything beside it fails in `json.loads`."""
        content = json.loads(self.stdout)
        problems = faults(content)
        assert not problems, problems
        return content

    @property
    def words(self) -> str:
        """stdout with every run of white space as one blank: what it says, whatever the width."""
        return " ".join(self.stdout.split())


def without_settings() -> dict[str, str]:
    """The environment without the NORMBENCH_* variables of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("NORMBENCH_")}


def normbench(*arguments: object, **variables: str) -> Answer:
    """Run `normbench ARGUMENTS` with these environment variables; a traceback is never an answer."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["normbench", *map(str, arguments)]),
        patch.dict(os.environ, without_settings() | WIDE | variables, clear=True),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        pytest.raises(SystemExit) as left,
    ):
        main()
    answer = Answer(left.value.code or 0, stdout.getvalue(), stderr.getvalue())
    assert "Traceback" not in answer.stdout + answer.stderr
    return answer


def train(out: Path, *arguments: object, **variables: str) -> Answer:
    """Run `normbench train` on a few digits; later arguments win over those of `TINY`."""
    return normbench("train", *TINY, "--out", out, *arguments, **variables)


def compare(out: Path, *arguments: object, **variables: str) -> Answer:
    """Run `normbench compare` on a few digits."""
    return normbench("compare", *TINY, "--out", out, *arguments, **variables)


def run_folders(out: Path) -> list[Path]:
    """The run folders below an output folder."""
    return sorted(path for path in out.glob("*/*") if path.is_dir())


def refused(answer: Answer, code: int, *words: str) -> None:
    """Check that a command ended with this code, an error that says all these words, and nothing on stdout."""
    assert (answer.code, answer.stdout) == (code, "")
    assert COST.sub("", answer.stderr).startswith("error:")
    assert [word for word in words if word.lower() not in answer.stderr.lower()] == []


def command_parameters() -> dict[tuple[str, ...], dict[str, Parameter]]:
    """Flags and arguments of every command and sub-command, by name."""
    parameters = {}

    def walk(command: Any, path: tuple[str, ...]) -> None:
        if path:
            parameters[path] = command.callback.parameters
        for name, sub in getattr(command, "commands", {}).items():
            walk(sub, (*path, name))

    walk(typer.main.get_command(app), ())
    return parameters
