"""Ctrl-C, SIGTERM and a reader that goes away, at any moment: words, the right exit code, and runs that go on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.cli import TINY, normbench, run_folders, without_settings

from normbench import interruption
from normbench.errors import INTERRUPTED
from normbench.studies import STUDIES

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to one process")

CHECKOUT = Path(__file__).resolve().parent.parent.parent
TWENTY = ("compare", "--norms", "bn,gn", *TINY, "--epochs", "20", "--jobs", "2")


@contextmanager
def process(*arguments: object, cwd: Path, options: tuple[str, ...] = (), **pipes: int) -> Iterator[subprocess.Popen]:
    """A command in the foreground of a shell, as far as signals go."""
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, *options, "-m", "normbench", *map(str, arguments)]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | pipes
    one = subprocess.Popen(command, cwd=cwd, env=without_settings() | {"PYTHONPATH": path}, text=True, **pipes)
    signal.signal(signal.SIGINT, before)
    try:
        yield one
    finally:
        one.kill()
        one.wait()
        for pipe in filter(None, (one.stdout, one.stderr)):
            pipe.close()


def wait_for(one: subprocess.Popen, words: str) -> None:
    assert one.stderr is not None
    assert any(words in line for line in iter(one.stderr.readline, ""))


def interrupted(one: subprocess.Popen) -> str:
    """Last message of an interrupted command."""
    stdout, stderr = one.communicate(timeout=60)
    assert one.returncode == INTERRUPTED
    assert (stdout, "Traceback" in stderr, "Error" in stderr) == ("", False, False)
    return stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["typer", "numpy._core", "torch._C", "torch.nn.modules", "torch.optim"])
def test_an_interruption_while_modules_are_imported(tmp_path: Path, module: str, number: signal.Signals) -> None:
    with process(*TWENTY, cwd=tmp_path, options=("-X", "importtime")) as one:
        wait_for(one, f" {module}")
        one.send_signal(number)
        last = interrupted(one).splitlines()[-2:]
    assert last[0] == "error: interrupted; finished epochs are kept"
    assert last[1].startswith("hint: Go on with: normbench compare --norms bn,gn ")


def test_an_interruption_while_modules_are_imported_is_a_document_with_json(tmp_path: Path) -> None:
    import json

    with process(*TWENTY, "--json", cwd=tmp_path, options=("-X", "importtime")) as one:
        wait_for(one, " torch._C")
        one.send_signal(signal.SIGINT)
        stdout, _ = one.communicate(timeout=60)
    assert (one.returncode, json.loads(stdout)["error"]["exit_code"]) == (INTERRUPTED, INTERRUPTED)


@pytest.mark.parametrize(("second", "gap"), [(signal.SIGTERM, 0.0), (signal.SIGINT, 0.05)])
def test_the_first_signal_wins(tmp_path: Path, second: signal.Signals, gap: float) -> None:
    with process(*TWENTY, cwd=tmp_path) as one:
        wait_for(one, "  epoch 1/20  ")
        one.send_signal(signal.SIGINT)
        time.sleep(gap)
        one.send_signal(second)
        assert "error: interrupted; finished epochs are kept" in interrupted(one)
    resumed = normbench(*TWENTY, "--out", tmp_path / "runs", "--json")
    assert (resumed.code, "resumed after epoch" in resumed.stderr) == (0, True)
    assert len(run_folders(tmp_path / "runs")) == 2


def test_an_interruption_inside_exec_ends_as_any_other(tmp_path: Path) -> None:
    """After a KeyboardInterrupt inside `exec` of a string Python ends the process by SIGINT, even if it was caught."""
    (tmp_path / "odd.py").write_text(
        "import signal\nfrom torch import nn\n\n"
        "def make(channels):\n"
        "    exec('signal.raise_signal(signal.SIGINT)')\n"
        "    return nn.BatchNorm2d(channels)\n"
    )
    with process("train", "--norm", "odd.py:make", *TINY, cwd=tmp_path) as one:
        assert "error: interrupted" in interrupted(one)


def test_every_command_that_keeps_its_runs_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(interruption.RESUMING) == {"train", "compare", *(s.name for s in STUDIES.values() if s.keeps_runs)}
    monkeypatch.setattr(sys, "argv", ["normbench", "tune", "--trials", "2"])
    assert interruption.words().hint == "Go on with: normbench tune --trials 2"
    monkeypatch.setattr(sys, "argv", ["normbench", "claims", "--notebook"])
    assert interruption.words().hint == "Start again with: normbench claims --notebook"


@pytest.mark.parametrize("mode", [(), ("--json",)])
def test_a_reader_that_goes_away_ends_a_comparison_quickly(tmp_path: Path, mode: tuple[str, ...]) -> None:
    with process(*TWENTY, *mode, cwd=tmp_path, stderr=subprocess.STDOUT) as one:
        assert one.stdout is not None
        assert any("  epoch 1/20  " in line for line in iter(one.stdout.readline, ""))
        one.stdout.close()
        assert one.wait(timeout=60) == 1
    assert not list(tmp_path.glob("runs/*/*/result.json")), "it did not train to the end for nobody"
    assert {path.name for path in run_folders(tmp_path / "runs")[0].iterdir()} >= {"state.pt", "config.json"}
    resumed = normbench(*TWENTY, "--out", tmp_path / "runs")
    assert (resumed.code, "resumed after epoch" in resumed.stderr) == (0, True)


@pytest.mark.parametrize("code", ["0", "'with words'"])
@pytest.mark.parametrize("place", ["import sys; sys.exit({})", "import sys\ndef Norm(channels): sys.exit({})"])
def test_a_norm_that_ends_the_program_before_a_run_is_named(tmp_path: Path, place: str, code: str) -> None:
    (tmp_path / "ends.py").write_text(place.format(code))
    answer = normbench("train", "--norm", f"{tmp_path}/ends.py:Norm", *TINY, "--out", tmp_path)
    assert (answer.code, answer.stdout, "SystemExit" in answer.stderr) == (2, "", True)
    assert f"{tmp_path}/ends.py:Norm" in answer.stderr
