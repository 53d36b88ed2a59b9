"""A comparison whose process is killed (SIGKILL) again and again ends as one that nothing disturbed, bit for bit."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from helpers.cli import SMALL

from normbench.cli.main import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

DIGITS = ("--dataset", "digits", "--subset", "256", "--batch-size", "64", "--set", SMALL)
CIFAR10 = ("--dataset", "cifar10", "--subset", "256", "--batch-size", "64", "--set", SMALL)
SPAWN = multiprocessing.get_context("forkserver")  # which imports torch once, and computes nothing before it forks
SPAWN.set_forkserver_preload(["normbench.engine", "normbench.console", "normbench.analysis.comparison"])


def command(arguments: list[str], kill_at_write: int | None = None) -> None:
    """Code of the child: the command, silently; it dies in the n-th write, once the bytes are down."""
    writes = 0
    write = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal writes
        writes += 1
        if writes == kill_at_write:
            os.kill(os.getpid(), signal.SIGKILL)
        write(descriptor)

    os.fsync = fsync
    sys.argv = ["normbench", *arguments, "-q"]
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        main()


def start(arguments: list[str], kill_at_write: int | None = None) -> BaseProcess:
    process = SPAWN.Process(target=command, args=(arguments, kill_at_write))
    process.start()
    return process


def finish(arguments: list[str]) -> None:
    process = start(arguments)
    process.join(300)
    assert process.exitcode == 0


def left_behind(out: Path) -> dict[str, object]:
    """Outcome of every run of a folder: weights as bytes, epochs and results without times and places."""
    files = [path for path in sorted(out.glob("*/*/*")) if path.is_file()]
    return {f"{path.parent.name}/{path.name}": content(path) for path in files}


def content(path: Path) -> object:
    if path.name not in {"metrics.jsonl", "result.json"}:
        return path.read_bytes() if path.name == "model.safetensors" else "there"
    documents = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    fleeting = {"seconds", "images_per_second", "evaluation_seconds", "folder"}
    return [{key: value for key, value in json.loads(one).items() if key not in fleeting} for one in documents]


def kill_at_random(arguments: list[str], kills: int, longest: float) -> int:
    """Kill the command at random moments until it gets through, at most `kills` times; returns how often it died."""
    moments = random.Random(7)
    for killed in range(kills):
        process = start(arguments)
        time.sleep(moments.uniform(0.0, longest))
        process.kill()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            return killed
    return kills


def assert_survives(out: Path, options: tuple[str, ...], seeds: int, kills: int, share: float) -> int:
    """Kill a comparison again and again, after at most this share of its time; returns how often it died."""
    arguments = ["compare", "--all", "--seeds", str(seeds), "--epochs", "3", *options]
    began = time.monotonic()
    finish([*arguments, "--out", str(out / "whole")])
    killed = [*arguments, "--out", str(out / "killed")]
    died = kill_at_random(killed, kills, share * (time.monotonic() - began))
    finish(killed)
    assert left_behind(out / "killed") == left_behind(out / "whole")
    return died


def test_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    assert assert_survives(tmp_path, DIGITS, seeds=1, kills=5, share=0.7) > 0


@pytest.mark.slow
def test_twenty_kills_change_nothing_on_the_digits(tmp_path: Path) -> None:
    assert assert_survives(tmp_path, DIGITS, seeds=3, kills=20, share=0.4) == 20


@pytest.mark.slow
@pytest.mark.cifar10
def test_twenty_kills_change_nothing_on_cifar10(tmp_path: Path, cifar10_dir: Path) -> None:
    options = (*CIFAR10, "--data-dir", str(cifar10_dir))
    assert assert_survives(tmp_path, options, seeds=3, kills=20, share=0.2) == 20


@pytest.mark.parametrize("norm", ["bn", pytest.param("gn+ws", marks=pytest.mark.slow)])
def test_a_kill_in_the_middle_of_any_write_changes_nothing(tmp_path: Path, norm: str) -> None:
    arguments = ["train", "--norm", norm, "--epochs", "2", *DIGITS]
    finish([*arguments, "--out", str(tmp_path / "whole")])
    killed = [*arguments, "--out", str(tmp_path / "killed")]
    kills = 0
    for write in range(1, 8):
        process = start(killed, kill_at_write=write)
        process.join(300)
        kills += process.exitcode == -signal.SIGKILL
    assert kills > 3
    finish(killed)
    assert left_behind(tmp_path / "killed") == left_behind(tmp_path / "whole")
