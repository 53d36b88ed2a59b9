"""Locks where the file system has none, and lock and holder files that someone has put links in place of."""

import errno
import importlib
import multiprocessing
import os
import sys
from pathlib import Path

import pytest
from helpers.cli import refused, run_folders, train

from normbench import locking
from normbench.errors import RUN_FAILED, USAGE
from normbench.runs.lock import HeldError, held, holder_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock and few symbolic links")


def refuse_locks(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Let every `flock` fail as on a file system that has no locks."""
    import fcntl

    def flock(_descriptor: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES])
def test_a_file_system_without_locks_gets_a_soft_one_and_a_warning(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_locks(monkeypatch, code)
    answer = train(tmp_path, "--norm", "gn", "--json")
    assert (answer.code, answer.document["run"]["status"]) == (0, "done")
    assert "has no locks" in answer.stderr
    (folder,) = run_folders(tmp_path)
    assert not (folder / ".lock.soft").exists(), "released, it is gone"


def test_a_soft_lock_keeps_a_second_process_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_locks(monkeypatch, errno.ENOLCK)
    with held(tmp_path):
        with pytest.raises(HeldError, match=f"process {os.getpid()} on "), held(tmp_path):
            pass
        assert f"process {os.getpid()} on " in str(holder_of(tmp_path))
    with held(tmp_path):
        pass


def test_a_lock_that_another_process_holds_is_not_refused_where_that_is_said_by_eacces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    flock = fcntl.flock

    def as_on_smb(descriptor: int, operation: int) -> None:
        try:
            flock(descriptor, operation)
        except BlockingIOError as error:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES)) from error

    monkeypatch.setattr(fcntl, "flock", as_on_smb)
    with held(tmp_path):
        with pytest.raises(HeldError), held(tmp_path):
            pass
        assert not (tmp_path / ".lock.soft").exists()
    with held(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {".lock", ".holder"}


def _die_holding(path: Path) -> None:
    lock = locking.SoftFileLock(f"{path}{locking.SOFT}")
    lock.acquire()
    os._exit(9)


def test_the_soft_lock_of_a_dead_process_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = multiprocessing.get_context("fork").Process(target=_die_holding, args=(tmp_path / ".lock",))
    process.start()
    process.join()
    assert (tmp_path / ".lock.soft").exists()
    refuse_locks(monkeypatch, errno.ENOTSUP)
    locking.acquire(tmp_path / ".lock", timeout=5.0).release()


def test_another_failure_to_lock_is_no_missing_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_locks(monkeypatch, errno.EIO)
    refused(train(tmp_path, "--norm", "gn"), USAGE, "cannot write to the output folder", os.strerror(errno.EIO))


@pytest.mark.parametrize("name", [".holder", ".lock"])
def test_a_link_in_a_run_folder_is_never_written_through(name: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("of the user")
    out = tmp_path / "runs"
    (folder,) = (Path(run["folder"]) for run in train(out, "--norm", "gn", "--dry-run", "--json").document["runs"])
    folder.mkdir(parents=True)
    (folder / name).symlink_to(target)
    train(out, "--norm", "gn")
    assert target.read_text() == "of the user"


@pytest.mark.parametrize("name", [".lock", ".holder"])
def test_what_is_in_the_place_of_a_lock_is_named_as_what_to_remove(name: str, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    (folder,) = (Path(run["folder"]) for run in train(out, "--norm", "gn", "--dry-run", "--json").document["runs"])
    (folder / name).mkdir(parents=True)
    refused(train(out, "--norm", "gn"), USAGE, f"{folder / name} is a folder", "Move it away")
    (folder / name).rmdir()
    if name == ".lock":
        (folder / name).symlink_to(tmp_path)
        refused(train(out, "--norm", "gn"), USAGE, f"{folder / name} is a", "Move it away")


def test_a_run_folder_that_can_no_longer_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = importlib.import_module("normbench.engine.execute")
    keep = running._keep

    def lose_the_folder(member, *rest):
        member.folder.path.rename(tmp_path / "moved")
        member.folder.path.write_text("a file where the folder was")
        keep(member, *rest)

    monkeypatch.setattr(running, "_keep", lose_the_folder)
    answer = train(tmp_path / "runs", "--norm", "gn")
    refused(answer, RUN_FAILED, "cannot write", "metrics.jsonl")
    assert "not expected" not in answer.stderr
