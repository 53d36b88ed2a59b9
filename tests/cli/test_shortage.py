"""Too enough memory, too few threads: said in words, and never blamed on a norm."""

import errno
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers.cli import TINY, normbench, without_settings

from normbench.console import Output, ProgressCallback
from normbench.errors import RUN_FAILED, UsageError
from normbench.shortage import shortage

CHECKOUT = Path(__file__).resolve().parent.parent.parent
MEMORY = [
    MemoryError(),
    RuntimeError("std::bad_alloc"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
    ),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]
THREADS = [RuntimeError("can't start new thread")]


@pytest.mark.parametrize(
    ("error", "words"), [*((error, "memory") for error in MEMORY), *((error, "threads") for error in THREADS)]
)
def test_a_shortage_is_told_also_from_behind_another_failure(error: Exception, words: str) -> None:
    failure = UsageError("norm 'gn' fails in the network")
    failure.__cause__ = error
    assert words in shortage(failure).message
    assert words in shortage(error).message


@pytest.mark.parametrize(
    "error", [ValueError("3"), OSError(errno.ENOENT, "No such file"), UsageError("no norm 'out of memory.py:N'")]
)
def test_another_failure_is_no_shortage(error: Exception) -> None:
    assert shortage(error) is None


@pytest.mark.parametrize("place", ["__init__", "forward"])
def test_a_shortage_where_a_norm_is_tried_out_is_not_blamed_on_the_norm(tmp_path, monkeypatch, place: str) -> None:
    def fail(*_arguments, **_named):
        raise RuntimeError("std::bad_alloc")

    monkeypatch.setattr(f"torch.nn.GroupNorm.{place}", fail)
    answer = normbench("train", "--norm", "gn", *TINY, "--out", tmp_path)
    assert (answer.code, "enough memory" in answer.stderr, "gn" in answer.stderr) == (RUN_FAILED, True, False)


def test_a_run_that_needs_more_memory_than_there_is_fails_in_words_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "large.py").write_text(
        "import torch\nclass Large(torch.nn.Module):\n"
        "    def __init__(self, channels):\n        super().__init__()\n"
        "    def forward(self, x):\n        return x + torch.empty(2**50).sum() if len(x) == 64 else x\n"
    )
    options = ("--norms", f"{tmp_path}/large.py:Large,gn", "--jobs", 2, "--out", tmp_path / "runs", "--json")
    answer = normbench("compare", *TINY, *options)
    assert [run["status"] for run in answer.document["runs"]] == ["failed", "done"]
    assert "not enough memory" in answer.document["runs"][0]["problem"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit of memory is another one, or none")
@pytest.mark.parametrize("megabytes", [200, 1500])
def test_a_process_without_the_memory_for_torch_says_so(tmp_path: Path, megabytes: int) -> None:
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

    command = [sys.executable, "-m", "normbench", "train", "--norm", "gn", *TINY, "--out", str(tmp_path)]
    environment = without_settings() | {"PYTHONPATH": str(CHECKOUT)}
    left = subprocess.run(
        command, env=environment, preexec_fn=limit, capture_output=True, text=True, timeout=200, check=False
    )
    assert (left.returncode, left.stdout) == (RUN_FAILED, "")
    assert left.stderr.splitlines()[-2] == "error: there is not enough memory for this"


def test_progress_without_a_thread_for_its_bars_is_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    output = Output()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setenv("FORCE_COLOR", "1")
    listener = ProgressCallback(output)
    listener.live, listener.progress.disable = True, False
    with listener:
        assert not listener.live
