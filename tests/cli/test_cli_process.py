"""Behaviour that only a separate process shows: speed of the help, what is imported, Ctrl-C, the environment."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.cli import TINY, normbench, run_folders, without_settings

from normbench.engine.threads import PATIENCE

COMMAND = [sys.executable, "-m", "normbench"]
CHECKOUT = Path(__file__).resolve().parent.parent.parent


def start(*arguments: object, cwd: Path, **variables: str) -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    environment = without_settings() | {"PYTHONPATH": path} | variables
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen([*COMMAND, *map(str, arguments)], cwd=cwd, env=environment, text=True, **pipes)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=120)
    return process.returncode, stdout, stderr


@pytest.mark.parametrize("command", [[], ["train"], ["compare"]])
def test_help_takes_less_than_a_second_of_computation(command: list[str], tmp_path: Path) -> None:
    seconds = []
    for _ in range(3):
        before = os.times()
        code, stdout, _ = finish(start(*command, "--help", cwd=tmp_path))
        after = os.times()  # of the processor, since other tests run beside this one
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
        assert (code, "Usage:" in stdout) == (0, True)
    assert 0 < min(seconds) < 1


def test_the_command_line_comes_up_without_torch(tmp_path: Path) -> None:
    code = "import normbench.cli.main, sys; print({'torch', 'torchvision', 'scipy'} & sys.modules.keys())"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert loaded.stdout == "set()\n"


def test_help_names_every_command_and_the_variables_behind_flags(tmp_path: Path) -> None:
    _, everything, _ = finish(start("--help", cwd=tmp_path))
    for command in ("train", "compare", "summary", "norms", "recipes", "data", "env"):
        assert f" {command} " in everything
    _, flags, _ = finish(start("train", "--help", cwd=tmp_path, COLUMNS="200"))
    for word in ("[env: NORMBENCH_DATA_DIR]", "[env: NORMBENCH_OUT; default: runs]", "[default: 50000]"):
        assert word in flags


def test_no_command_at_all_shows_the_help_and_no_error_without_words(tmp_path: Path) -> None:
    code, stdout, stderr = finish(start(cwd=tmp_path))
    assert (code, "Usage:" in stdout + stderr, "error:" in stderr) == (2, True, False)


def test_a_reader_that_closes_the_pipe_gets_no_traceback(tmp_path: Path) -> None:
    process = start("norms", cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.wait(timeout=60)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to one process")
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_by_the_command_it_prints_and_ends_as_if_nothing_had_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal_number: signal.Signals
) -> None:
    options = ["train", "--norm", "bn", *TINY, "--subset", 512, "--epochs", 12, "--force"]
    # A shell has its background jobs ignore SIGINT, and children inherit that; a handler of ours ends it for them.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = start(*options, "--out", "stopped here", cwd=tmp_path)
    signal.signal(signal.SIGINT, before)
    assert process.stderr is not None
    assert any("epoch 1/12" in line for line in iter(process.stderr.readline, ""))
    process.send_signal(signal_number)
    code, stdout, stderr = finish(process)
    assert (code, stdout, "Traceback" in stderr) == (130, "", False)
    assert "interrupted; finished epochs are kept" in stderr
    (folder,) = run_folders(tmp_path / "stopped here")
    assert (folder / "state.pt").exists()

    monkeypatch.chdir(tmp_path)
    command = shlex.split(stderr.split("Go on with: ")[1])
    assert command[0] == "normbench"
    resumed = normbench(*command[1:])
    assert (resumed.code, "resumed after epoch" in resumed.stderr, "epoch 1/12" in resumed.stderr) == (0, True, False)
    assert normbench(*options, "--out", "whole").code == 0
    (undisturbed,) = run_folders(tmp_path / "whole")
    for name in ("result.json", "metrics.jsonl"):
        assert without_times(folder / name) == without_times(undisturbed / name)
    assert (folder / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to one process")
def test_ctrl_c_stops_concurrent_runs_at_once_and_the_printed_command_goes_on_with_them(tmp_path: Path) -> None:
    options = ["compare", "--norms", "bn,gn", *TINY, "--epochs", 20, "--jobs", 2, "--out", "here"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = start(*options, cwd=tmp_path)
    signal.signal(signal.SIGINT, before)
    assert process.stderr is not None
    assert any("gn seed 0  epoch 2/20" in line for line in iter(process.stderr.readline, ""))
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    code, stdout, stderr = finish(process)
    assert time.monotonic() - began < PATIENCE
    assert (code, stdout) == (130, "")
    assert stderr.splitlines()[-2:] == [
        "error: interrupted; finished epochs are kept",
        f"hint: Go on with: normbench {shlex.join(map(str, options))}",
    ]
    resumed = normbench(*options, "--out", tmp_path / "here")
    assert (resumed.code, resumed.stderr.count("resumed after epoch")) == (0, 2)


def without_times(path: Path) -> list[dict[str, object]]:
    """The documents of a file, without what differs from try to try: times and the folder."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    apart = {"seconds", "images_per_second", "evaluation_seconds", "folder"}
    return [{key: value for key, value in json.loads(line).items() if key not in apart} for line in lines]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to one process")
def test_a_study_that_begins_anew_does_not_say_that_anything_is_kept(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = start("cost", "--norms", "bn,gn", "--repeats", 500, cwd=tmp_path)
    signal.signal(signal.SIGINT, before)
    assert process.stderr is not None
    assert any("round 1 of 500" in line for line in iter(process.stderr.readline, ""))
    process.send_signal(signal.SIGINT)
    code, stdout, stderr = finish(process)
    assert (code, stdout) == (130, "")
    hint = "hint: Start again with: normbench cost --norms bn,gn --repeats 500"
    assert stderr.splitlines()[-2:] == ["error: interrupted", hint]
