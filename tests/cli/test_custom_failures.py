"""Exceptions of custom code: named with their line, whatever their kind and whichever command meets them."""

from pathlib import Path

import pytest
from helpers.cli import TINY, normbench

from normbench.errors import RUN_FAILED, USAGE

NORM = """
import sys
from torch import nn


class Norm(nn.Module):
    def __init__(self, channels):
        super().__init__()

    def forward(self, x):
        if self.training:
            {raises}
        return x


def sound(channels):
    return nn.GroupNorm(1, channels)


def reference(x, parameters, training):
    {raises}
"""
RAISES = ("sys.exit()", "sys.exit(0)", "raise KeyError('x')", "raise GeneratorExit", "raise TypeError('x')")
COMMANDS = (
    ("train", "--norm", *TINY),
    ("depth", "--norms", "--no-train", "--depth", "2", "--width", "8"),
    ("cost", "--norms", "--repeats", "1"),
)


@pytest.mark.parametrize("raises", RAISES)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_an_exception_of_custom_code_is_a_failure_in_words(raises: str, command: tuple[str, ...], tmp_path: Path):
    (tmp_path / "fails.py").write_text(NORM.format(raises=raises))
    name, flag, *others = command
    answer = normbench(name, flag, tmp_path / "fails.py:Norm", *others, "--out", tmp_path / "runs", "--json")
    assert answer.code == RUN_FAILED
    error = answer.document["error"]
    assert "not expected" not in answer.stderr
    assert "sys.exit" in error["message"] or str(tmp_path / "fails.py") in error["message"]


@pytest.mark.parametrize("raises", RAISES[:3])
def test_a_reference_that_fails_is_named(raises: str, tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text(NORM.format(raises=raises))
    norm, reference = tmp_path / "fails.py:sound", tmp_path / "fails.py:reference"
    answer = normbench("verify", "--norm", norm, "--reference", reference, "--out", tmp_path / "runs", "--json")
    assert answer.code == USAGE
    assert f"reference '{reference}' failed" in answer.document["error"]["message"]


def test_debug_shows_the_line_of_the_exception(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text(NORM.format(raises=RAISES[2]))
    norm = tmp_path / "fails.py:Norm"
    with pytest.raises(Exception, match="KeyError") as failure:
        normbench(
            "depth", "--norms", norm, "--no-train", "--depth", "2", "--out", tmp_path / "runs", NORMBENCH_DEBUG="1"
        )
    cause = failure.value.__cause__
    assert isinstance(cause, KeyError)
    frames = [frame.path for frame in pytest.ExceptionInfo.from_exception(cause).traceback]
    assert tmp_path / "fails.py" in frames
