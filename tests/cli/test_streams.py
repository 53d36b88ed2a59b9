"""Streams that are closed, full, or in another encoding: the work is done, and what went wrong is said in words."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.cli import TINY, run_folders, without_settings

from normbench.errors import RUN_FAILED, USAGE

CHECKOUT = Path(__file__).parent.parent.parent
COMMAND = shlex.join([sys.executable, "-m", "normbench"])
TRAIN = shlex.join(["train", "--norm", "gn", *map(str, TINY)])

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the redirections are those of a POSIX shell")


def shell(line: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of a shell in which NB stands for the program."""
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    environment = without_settings() | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"} | variables
    command = ["bash", "-c", line.replace("NB", COMMAND, 1)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, timeout=120, check=False)
    assert b"Traceback" not in done.stdout + done.stderr
    assert b"not expected" not in done.stdout + done.stderr
    assert b"Exception ignored" not in done.stderr
    return done


full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@full
def test_a_full_stdout_is_said_and_the_run_is_there(tmp_path: Path) -> None:
    done = shell(f"NB {TRAIN} --out runs > /dev/full", tmp_path)
    assert done.returncode == RUN_FAILED
    assert b"error: the result cannot be printed: No space left on device" in done.stderr
    (folder,) = run_folders(tmp_path / "runs")
    assert (folder / "result.json").exists()


@full
def test_a_full_stderr_stops_no_run(tmp_path: Path) -> None:
    done = shell(f"NB {TRAIN} --out runs 2> /dev/full", tmp_path)
    assert done.returncode == 0
    assert b"result of the run" in done.stdout


@full
@pytest.mark.parametrize("command", ["--help", "--version", "train --help", "recipes --json", "recipes -q"])
def test_a_full_stdout_is_said_whatever_was_to_be_printed(command: str, tmp_path: Path) -> None:
    done = shell(f"NB {command} > /dev/full", tmp_path)
    assert done.returncode == RUN_FAILED
    assert b"No space left on device" in done.stderr


def test_a_closed_stdout_is_said_and_takes_no_files_place(tmp_path: Path) -> None:
    done = shell(f"NB {TRAIN} --out runs >&-", tmp_path)
    assert done.returncode == RUN_FAILED
    assert b"stdout is closed" in done.stderr
    (folder,) = run_folders(tmp_path / "runs")
    assert (folder / "result.json").read_bytes().startswith(b"{")


def test_closed_stdin_and_stderr_stop_nothing(tmp_path: Path) -> None:
    done = shell(f"NB {TRAIN} --out runs <&- 2>&-", tmp_path)
    assert (done.returncode, b"result of the run" in done.stdout) == (0, True)


def test_advise_without_a_stdin_says_what_it_needs(tmp_path: Path) -> None:
    done = shell("NB advise <&-", tmp_path)
    assert (done.returncode, done.stdout) == (USAGE, b"")
    assert b"which task?" in done.stderr
    assert shell("NB advise --task vision <&-", tmp_path).returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_an_encoding_without_our_signs_gets_plain_ones_after_a_training(
    encoding: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.getbasetemp() / "encodings"  # the first one trains
    options = shlex.join(["compare", "--norms", "bn,gn", "--seeds", "3", *map(str, TINY)])
    done = shell(f"NB {options} --out {out}", tmp_path, PYTHONIOENCODING=encoding, FORCE_COLOR="1", COLUMNS="80")
    assert done.returncode == 0
    text = done.stdout.decode(encoding)
    sign = re.escape("±" if encoding != "ascii" else "+/-")
    assert len(re.findall(rf"\d\.\d\d {sign} \d", text)) >= 4
    assert "-----" in text


@pytest.mark.parametrize("command", ["--help", "norms gn", "train --help", "recipes"])
def test_what_is_only_shown_is_shown_in_ascii_too(command: str, tmp_path: Path) -> None:
    done = shell(f"NB {command}", tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()


@pytest.mark.parametrize("command", ["recipes", TRAIN])
def test_a_folder_that_was_deleted_under_the_command_is_said(command: str, tmp_path: Path) -> None:
    done = shell(f"mkdir gone && cd gone && rmdir ../gone && NB {command}", tmp_path)
    assert (done.returncode, done.stdout) == (USAGE, b"")
    assert done.stderr.startswith(b"error: the folder in which this was started does not exist any more")


def test_a_reader_that_has_seen_enough_ends_it_without_a_word(tmp_path: Path) -> None:
    done = shell("NB norms | head -1", tmp_path)
    assert done.stderr == b""
