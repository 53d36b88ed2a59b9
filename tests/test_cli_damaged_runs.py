"""Run folders that are damaged or held by another process: said in words, and --force is the way out."""

import pickle
from pathlib import Path

import pytest
from cli import refused, run_folders, train
from filelock import FileLock

from normbench.errors import RUN_FAILED, USAGE


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


def test_a_run_that_another_process_holds_is_left_alone(folder: Path, tmp_path: Path) -> None:
    with FileLock(folder / ".lock"):
        refused(train(tmp_path, "--norm", "gn", "--force"), USAGE, "another process", str(folder), "--out")
    assert train(tmp_path, "--norm", "gn", "--force").code == 0
