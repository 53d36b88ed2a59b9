"""Damaged data, a norm file that does not work, a folder that cannot be written: words, not tracebacks."""

import os
import pickle
import socket
from pathlib import Path

import pytest
import torch
from helpers.cli import Answer, compare, normbench, refused, train

from normbench.errors import DATA_UNAVAILABLE, RUN_FAILED, USAGE, NormbenchError

FIRST = "data_batch_1"


def train_on_cifar10(folder: Path, *arguments: object, **variables: str) -> Answer:
    options = ("--norm", "gn", "--dataset", "cifar10", "--data-dir", folder)
    return train(folder.parent / "runs", *options, *arguments, **variables)


def batch_file(root: Path, content: bytes) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    (folder / FIRST).write_bytes(content)
    return folder / FIRST


@pytest.mark.parametrize("folder", ["nowhere", "file/below"])
def test_a_data_folder_that_is_not_there_is_named_with_the_ways_out(folder: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = train_on_cifar10(tmp_path / folder, "--out", tmp_path / "runs")
    refused(answer, DATA_UNAVAILABLE, str(tmp_path / folder), "data --fetch", "--data-dir", "--config digits")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_data_folder_without_permission_is_named(tmp_path: Path) -> None:
    root = tmp_path / "data"
    batch_file(root, b"")
    root.chmod(0)
    try:
        refused(train_on_cifar10(root), DATA_UNAVAILABLE, str(root), "permission denied")
    finally:
        root.chmod(0o755)


def test_a_batch_file_that_is_a_folder_cannot_be_read(tmp_path: Path) -> None:
    path = batch_file(tmp_path / "data", b"")
    path.unlink()
    path.mkdir()
    refused(train_on_cifar10(tmp_path / "data"), DATA_UNAVAILABLE, str(path), "cannot be read")


def test_a_missing_batch_file_is_named(tmp_path: Path) -> None:
    path = batch_file(tmp_path / "data", b"")
    path.unlink()
    refused(train_on_cifar10(tmp_path / "data"), DATA_UNAVAILABLE, str(path), "is missing")


class Malice:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.path), 0o755)


def test_a_file_of_the_wrong_md5_is_not_unpickled(tmp_path: Path) -> None:
    evil = pickle.dumps(Malice(tmp_path / "hacked"))
    path = batch_file(tmp_path / "data", evil)
    refused(train_on_cifar10(tmp_path / "data"), DATA_UNAVAILABLE, str(path), "damaged", "MD5", "not opened")
    assert not (tmp_path / "hacked").exists()
    pickle.loads(evil)
    assert (tmp_path / "hacked").exists(), "the file is as evil as the test needs it"


def test_offline_without_data_touches_no_network(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    options = ("--norm", "gn", "--dataset", "cifar10", "--offline", "--out", tmp_path / "runs")
    refused(normbench("train", *options, **home), DATA_UNAVAILABLE, "nothing may be downloaded", "--config digits")


def test_no_network_is_said_with_the_address(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        mirror = f"http://127.0.0.1:{unused.getsockname()[1]}/cifar-10-python.tar.gz"
    answer = normbench("data", "--fetch", "--data-dir", tmp_path, NORMBENCH_MIRROR=mirror)
    refused(answer, DATA_UNAVAILABLE, mirror, "refused", "NORMBENCH_MIRROR")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_thing", ["cannot import", "ModuleNotFoundError", "no_such_thing"]),
        ("make = 3", ["failed", "takes the number of channels"]),
        ("def other(channels): ...", ["nothing called 'make'", "other"]),
        ("def make(channels): return channels", ["returned int, not a module", "torch.nn.Module"]),
        ("def make(channels): raise KeyError('why')", ["KeyError", "why"]),
    ],
)
def test_a_norm_file_that_does_not_work_is_named_with_the_reason(code: str, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(code)
    refused(train(tmp_path, "--norm", f"{tmp_path}/mine.py:make"), USAGE, "mine.py", *words)


def test_a_norm_that_fails_only_while_training_fails_its_run_in_words(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "class Mine(torch.nn.Module):\n"
        "    def __init__(self, channels): super().__init__()\n"
        "    def forward(self, x): return 1 / 0 if self.training else x\n"
    )
    mine = f"{tmp_path}/mine.py:Mine"
    refused(train(tmp_path, "--norm", mine), RUN_FAILED, "ZeroDivisionError", "NORMBENCH_DEBUG=1")
    answer = compare(tmp_path, "--norms", f"{mine},gn", "--json")
    assert (answer.code, [run["status"] for run in answer.document["runs"]]) == (4, ["failed", "done"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused(train(tmp_path, "--norm", "gn", "--device", "cuda"), USAGE, "device cuda is not available", "--device auto")


@pytest.mark.parametrize(("command", "norms"), [(train, "--norm=gn"), (compare, "--all")])
def test_an_output_folder_that_cannot_be_written_is_refused(command, norms: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(command(tmp_path / "file" / "runs", norms), USAGE, "cannot write", "file/runs", "--out FOLDER")


def test_a_debugger_gets_the_exception_itself(tmp_path: Path) -> None:
    with pytest.raises(NormbenchError, match="unknown norm 'bnn'"):
        train(tmp_path, "--norm", "bnn", NORMBENCH_DEBUG="1")
