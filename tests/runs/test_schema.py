"""Formats on disk say their version; what a newer normbench made is called that, and is never removed."""

import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.cli import normbench, refused, run_folders, train

from normbench.analysis import read_study_result
from normbench.errors import RUN_FAILED, USAGE
from normbench.runs import NewerFormatError, read_rows
from normbench.runs.folder import read_state

NEWER = "made by a newer normbench"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with one run that is done, and whose last state is still there."""
    out = tmp_path_factory.mktemp("made")
    unlink = Path.unlink
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", lambda path, **how: None if path.name == "state.pt" else unlink(path, **how))
        assert train(out, "--norm", "gn").code == 0
    assert (run_folders(out)[0] / "state.pt").exists()
    return out


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    """A copy of it, without the state."""
    out = shutil.copytree(made, tmp_path / "runs")
    for path in out.glob("*/*/state.pt"):
        path.rename(tmp_path / "state.pt")
    return out


@pytest.fixture
def folder(out: Path) -> Path:
    return run_folders(out)[0]


def edit(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock"}


def save_state(folder: Path, **fields: object) -> None:
    """Make of a run that is done one that was interrupted."""
    (folder / "result.json").unlink()
    state = torch.load(folder.parents[2] / "state.pt", weights_only=True)
    torch.save(state | fields, folder / "state.pt")


def test_every_file_says_its_version(folder: Path) -> None:
    for name in ("config.json", "env.json", "result.json"):
        assert json.loads((folder / name).read_text())["schema_version"] == 1
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        assert json.loads(line)["schema_version"] == 1


def test_the_state_and_a_study_say_their_version(folder: Path, tmp_path: Path) -> None:
    save_state(folder)
    assert torch.load(folder / "state.pt", weights_only=True)["schema_version"] == 1
    assert normbench("verify", "--norm", "rms", "--cases", 1, "--out", tmp_path).code == 0
    assert json.loads((tmp_path / "verify-rms" / "finding.json").read_text())["schema_version"] == 1


@pytest.mark.parametrize("name", ["result.json", "config.json"])
@pytest.mark.parametrize("fields", [{"schema_version": 2}, {"a_field_of_tomorrow": 1}])
def test_a_newer_file_is_called_newer_and_its_run_is_never_removed(
    name: str, fields: dict[str, object], folder: Path, out: Path
) -> None:
    edit(folder / name, **fields)
    before = files(folder)
    (listed,) = normbench("runs", "--out", out, "--json").document["runs"]
    assert (listed["state"], NEWER in listed["problem"]) == ("newer", True)
    cleaned = normbench("runs", "clean", "--yes", "--out", out, "--json").document
    assert cleaned["runs"] == []
    assert [(kept["state"], NEWER in kept["reason"]) for kept in cleaned["kept"]] == [("newer", True)]
    refused(normbench("evaluate", str(folder)), RUN_FAILED, NEWER)
    assert files(folder) == before


def test_a_newer_result_is_not_trained_over(folder: Path, out: Path) -> None:
    edit(folder / "result.json", schema_version=2)
    before = files(folder)
    refused(train(out, "--norm", "gn"), RUN_FAILED, NEWER, "--out")
    assert files(folder) == before


@pytest.mark.parametrize("name", ["env.json", "metrics.jsonl", "state.pt"])
def test_an_unfinished_run_of_a_newer_normbench_is_not_removed(name: str, folder: Path, out: Path) -> None:
    save_state(folder, **({"schema_version": 2} if name == "state.pt" else {}))
    if name == "env.json":
        edit(folder / name, schema_version=2)
    if name == "metrics.jsonl":
        edit(folder / name, schema_version=2)  # of one epoch, and so of one line
    before = files(folder)
    (kept,) = normbench("runs", "clean", "--yes", "--out", out, "--json").document["kept"]
    assert NEWER in kept["reason"]
    assert files(folder) == before


def damage_state(folder: Path) -> None:
    save_state(folder)
    (folder / "state.pt").write_bytes(b"half a file")


def cut_result(folder: Path) -> None:
    (folder / "result.json").write_text('{"status": "do')


def cut_config(folder: Path) -> None:
    (folder / "result.json").unlink()
    (folder / "config.json").write_text('{"norm": "g')


def no_version(folder: Path) -> None:
    edit(folder / "result.json", schema_version="one")


@pytest.mark.parametrize("damage", [damage_state, cut_result, cut_config, no_version])
def test_what_cannot_be_read_is_not_removed(damage: Callable[[Path], None], folder: Path, out: Path) -> None:
    damage(folder)
    before = files(folder)
    cleaned = normbench("runs", "clean", "--yes", "--out", out, "--json").document
    assert (cleaned["runs"], [kept["run"] for kept in cleaned["kept"]]) == ([], [str(folder)])
    assert files(folder) == before


def test_an_unfinished_run_is_removed_but_not_what_lies_beside_its_files(folder: Path, out: Path) -> None:
    save_state(folder)
    (folder / "notes.txt").write_text("mine")
    (folder / "old").mkdir()
    (folder / "old" / "result.json").write_text("mine, too")
    cleaned = normbench("runs", "clean", "--yes", "--out", out, "--json").document
    assert cleaned["runs"] == [str(folder)]
    assert [("notes.txt" in kept["reason"], "old" in kept["reason"]) for kept in cleaned["kept"]] == [(True, True)]
    assert {path.name for path in folder.iterdir()} - {".lock"} == {"notes.txt", "old"}
    assert (folder / "old" / "result.json").read_text() == "mine, too"
    assert normbench("runs", "--out", out, "--json").document["runs"] == []


def test_an_unfinished_run_is_removed_with_its_folder(folder: Path, out: Path) -> None:
    save_state(folder)
    assert normbench("runs", "clean", "--yes", "--out", out, "--json").document["runs"] == [str(folder)]
    assert not folder.exists()


def test_an_unfinished_run_is_removed_with_the_code_of_its_norm_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("GROUPS = 1\n")
    norm = "import torch\nfrom helper import GROUPS\ndef make(channels): return torch.nn.GroupNorm(GROUPS, channels)\n"
    (tmp_path / "mine.py").write_text(norm)
    for name in ("whole", "mixed"):
        assert train(tmp_path / name, "--norm", f"{tmp_path}/mine.py:make").code == 0
        (folder,) = run_folders(tmp_path / name)
        assert (folder / "code.json").is_file()
        (folder / "result.json").unlink()
        if name == "mixed":
            (folder / "code" / "mine.txt").write_text("mine")
        assert normbench("runs", "clean", "--yes", "--out", tmp_path / name, "--json").document["runs"] == [str(folder)]
        left = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
        assert left == ([Path("code/mine.txt")] if name == "mixed" else [])
        assert folder.exists() == (name == "mixed")


def test_files_without_a_version_are_read_as_before(folder: Path, out: Path) -> None:
    for name in ("config.json", "env.json", "result.json", "metrics.jsonl"):
        content = json.loads((folder / name).read_text())
        del content["schema_version"]
        (folder / name).write_text(json.dumps(content))
    (listed,) = normbench("runs", "--out", out, "--json").document["runs"]
    assert (listed["state"], len(read_rows(folder / "metrics.jsonl"))) == ("done", 1)


def test_readers_of_the_library_say_newer(folder: Path) -> None:
    edit(folder / "metrics.jsonl", tomorrow=0.5)
    with pytest.raises(NewerFormatError, match="tomorrow"):
        read_rows(folder / "metrics.jsonl")
    save_state(folder, schema_version=3)
    with pytest.raises(NewerFormatError, match="version 3"):
        read_state(folder / "state.pt")
    (folder / "finding.json").write_text('{"schema_version": 2}')
    with pytest.raises(NewerFormatError, match="version 2"):
        read_study_result(folder)


# What can lie in the place of a file.


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def a_socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the path of a socket has at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(before)


STATES = ("result.json", "state.pt", "metrics.jsonl", "config.json", "env.json", "model.safetensors")
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither pipes nor sockets in folders")


@posix
@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [a_folder, a_pipe, a_link_to_nothing, a_socket])
@pytest.mark.parametrize("name", STATES)
def test_what_lies_in_the_place_of_a_file_is_named_and_is_no_dead_end(
    name: str, make: Callable[[Path], None], folder: Path, out: Path
) -> None:
    """`--force` works, except that a folder is not ours to remove: it is named, and without it all goes on."""
    save_state(folder)
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    for arguments in (("runs", "clean", "--yes"), ("evaluate", folder)):
        assert "not expected" not in normbench(*arguments, "--out", out).stderr
    assert (folder / name).is_symlink() or (folder / name).exists(), "it was not removed"
    assert "not expected" not in train(out, "--norm", "gn").stderr
    answer = train(out, "--norm", "gn", "--force")
    if make is a_folder:
        assert answer.code in {RUN_FAILED, USAGE}
        assert f"Move it away, and try again: {folder / name}" in answer.stderr
        (folder / name).rmdir()
        answer = train(out, "--norm", "gn", "--force")
    assert answer.code == 0
    assert (folder / "result.json").is_file()
