"""Run folders that are damaged or held by another process: said in words, and --force is the way out."""

import io
import os
import pickle
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from helpers.cli import normbench, refused, run_folders, train

from normbench.errors import RUN_FAILED
from normbench.runs.lock import held


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run that is done."""
    assert train(tmp_path, "--norm", "gn").code == 0
    return run_folders(tmp_path)[0]


def interrupted(folder: Path, state: bytes) -> None:
    (folder / "result.json").unlink()
    (folder / "state.pt").write_bytes(state)


@pytest.mark.parametrize("content", ["", "{", '{"status": "done"}', "[]"])
def test_a_result_that_cannot_be_read_is_named_and_force_redoes_it(content: str, folder: Path, tmp_path: Path) -> None:
    (folder / "result.json").write_text(content)
    refused(train(tmp_path, "--norm", "gn"), RUN_FAILED, str(folder / "result.json"), "cannot be read", "--force")
    assert train(tmp_path, "--norm", "gn", "--force").code == 0


@pytest.mark.parametrize("state", [b"", b"half a file", pickle.dumps({"rows": []}, 2)], ids=["empty", "cut", "foreign"])
def test_a_state_that_cannot_be_read_is_named_and_force_starts_again(
    state: bytes, folder: Path, tmp_path: Path
) -> None:
    interrupted(folder, state)
    refused(train(tmp_path, "--norm", "gn"), RUN_FAILED, str(folder / "state.pt"), "damaged", "--force")
    assert train(tmp_path, "--norm", "gn", "--force").code == 0


class Malice:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.mkdir, (self.path,)


def test_a_state_with_code_in_it_is_not_run(folder: Path, tmp_path: Path) -> None:
    interrupted(folder, pickle.dumps(Malice(tmp_path / "hacked"), 2))
    refused(train(tmp_path, "--norm", "gn"), RUN_FAILED, "damaged")
    assert not (tmp_path / "hacked").exists()


def test_a_run_that_another_process_holds_is_not_removed_and_the_process_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "result.json").unlink()
    for lock, words in ((FileLock(folder / ".lock"), "another process"), (held(folder), f"process {os.getpid()} on ")):
        with lock:
            cleaned = normbench("runs", "clean", "--yes", "--out", tmp_path, "--json").document
        assert (cleaned["runs"], [kept["run"] for kept in cleaned["kept"]]) == ([], [str(folder)])
        assert words in cleaned["kept"][0]["reason"]
    assert (folder / "config.json").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size to stand for a full disk")
def test_a_full_disk_is_said_in_words_and_the_run_goes_on_when_there_is_room(tmp_path: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # room for settings, not for weights
    try:
        answer = train(tmp_path, "--norm", "gn")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (folder,) = (path.parent for path in tmp_path.glob("*/*/config.json"))
    refused(answer, RUN_FAILED, f"cannot write {folder / 'state.pt'}", "run the same command again")
    assert sorted(path.name for path in folder.glob(".writing-*")) == []
    assert train(tmp_path, "--norm", "gn").code == 0


def test_a_run_whose_settings_were_edited_does_not_go_on_with_others(folder: Path, tmp_path: Path) -> None:
    state = io.BytesIO()
    torch.save({"rows": [], "training": {}}, state)
    interrupted(folder, state.getvalue())
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"momentum": 0.9', '"momentum": 0.8'))
    refused(train(tmp_path, "--norm", "gn"), RUN_FAILED, f"{path} was edited", "--force")
    assert train(tmp_path, "--norm", "gn", "--force").code == 0
