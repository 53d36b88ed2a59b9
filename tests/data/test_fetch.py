"""Fetching CIFAR-10 from its host to its folder: what can go wrong on the way, and putting it in place."""

import hashlib
import multiprocessing
import os
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.archive import lying_in, make_official, md5, packed, write
from helpers.cli import normbench, refused, train
from helpers.host import Host, serving

from normbench import data, locking
from normbench.config import DataConfig, MachineConfig
from normbench.console.output import Output
from normbench.console.progress import ProgressCallback
from normbench.data import cifar10, download
from normbench.data.cifar10 import ARCHIVE, FOLDER
from normbench.data.download import HOLDER, LOCK, PART, README, fetch
from normbench.errors import DATA_UNAVAILABLE, DataError

CLOSED = "http://127.0.0.1:9/cifar-10-python.tar.gz"  # the discard port, where nothing listens


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != LOCK]


def test_what_is_not_cifar10_is_named_by_its_md5_and_deleted(tmp_path: Path) -> None:
    page = b"<html>sign in to the hotel network</html>"
    with serving(Host(page)) as host:
        answer = normbench("data", "--fetch", "--data-dir", tmp_path, "-q", NORMBENCH_MIRROR=host.address)
    md5 = hashlib.md5(page).hexdigest()
    refused(answer, DATA_UNAVAILABLE, host.address, "is not CIFAR-10", f"its MD5 is {md5}", "deleted")
    assert left_in(tmp_path) == []


def test_a_broken_connection_says_how_far_it_came_and_keeps_the_part(tmp_path: Path) -> None:
    with serving(Host(b"\x1f\x8b" + bytes(4998), breaks_after=2000)) as host:
        answer = normbench("data", "--fetch", "--data-dir", tmp_path, "-q", NORMBENCH_MIRROR=host.address)
    refused(answer, DATA_UNAVAILABLE, host.address, "broke off at 2,000 of", "kept")
    assert left_in(tmp_path) == [PART]


@pytest.mark.parametrize(
    ("host", "words"), [(Host(b"", status=404), "Not Found"), (Host(b"", speaks_http=False), "smtp")]
)
def test_an_answer_that_is_no_file_is_said_with_the_address(host: Host, words: str, tmp_path: Path) -> None:
    with serving(host), pytest.raises(DataError, match=f"cannot be downloaded from {host.address}.*{words}"):
        fetch(MachineConfig(data_dir=tmp_path, mirror=host.address))


@pytest.mark.parametrize("address", ["nonsense", "http://localhost:port/x", "file:///nowhere/x.tar.gz", CLOSED])
def test_an_address_that_leads_nowhere_is_said_in_words(address: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"cannot be downloaded from {address}"):
        fetch(MachineConfig(data_dir=tmp_path, mirror=address))


def test_offline_asks_no_host(tmp_path: Path) -> None:
    with serving(Host(b"never sent")) as host:
        with pytest.raises(DataError, match="nothing may be downloaded"):
            fetch(MachineConfig(data_dir=tmp_path, mirror=host.address, offline=True))
        assert host.asked == []


def test_without_data_and_network_auto_takes_the_digits_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    empty = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "NORMBENCH_MIRROR": CLOSED}
    answer = train(tmp_path / "runs", "--norm", "gn", "--dataset", "auto", "--json", **empty)
    assert (answer.code, answer.document["run"]["dataset"]) == (0, "digits")
    assert "CIFAR-10 is not available: the recipe digits takes its place" in answer.document["warnings"]
    assert CLOSED in answer.stderr
    assert "refused" in answer.stderr


@pytest.mark.cifar10
def test_what_is_there_and_whole_is_not_fetched_again(cifar10_dir: Path) -> None:
    with serving(Host(b"never sent")) as host:
        assert fetch(MachineConfig(data_dir=cifar10_dir, mirror=host.address)) == cifar10_dir / FOLDER
        assert host.asked == []


# With a small archive in the place of the official one.


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, bytes], bytes]:
    """The files that count as CIFAR-10, and their archive."""
    return make_official(monkeypatch)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, a cache and a working folder, which are empty; returns the folder that they are in."""
    for name in ("home", "cache", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


OFFLINE = MachineConfig(offline=True)


def images(machine: MachineConfig) -> int:
    return len(data.load(DataConfig(), machine, torch.device("cpu")).train)


def test_the_archive_is_torchvisions() -> None:
    from torchvision.datasets import CIFAR10

    assert (CIFAR10.filename, CIFAR10.tgz_md5) == (ARCHIVE, cifar10.ARCHIVE_MD5)
    assert {CIFAR10.meta["filename"]: CIFAR10.meta["md5"]} == cifar10.META_MD5


def test_a_download_makes_a_folder_that_is_whole_and_leaves_nothing_else(official, tmp_path: Path) -> None:
    files, archive = official
    with serving(Host(archive)) as host:
        folder = fetch(MachineConfig(data_dir=tmp_path, mirror=host.address))
    assert (folder, lying_in(folder)) == (tmp_path / FOLDER, files)
    assert left_in(tmp_path) == [FOLDER]


MINE = {"data_batch_1": b"damaged", "notes.txt": b"mine", "data_batch_6": b"mine, too", README: b"my own words"}


@pytest.mark.parametrize("given", ["root", "folder", "link to the root", "link to the folder", "link in the root"])
def test_only_the_official_files_are_replaced_wherever_the_folder_is(given: str, official, tmp_path: Path) -> None:
    files, archive = official
    root = tmp_path / "root"
    folder = write(root / FOLDER, MINE)
    (folder / "own").mkdir()
    write(folder / "own", {"data_batch_1": b"older"})
    write(root, {ARCHIVE: b"my own archive", f"{ARCHIVE}.part": b"my own part", ".holder": b"mine"})
    if given == "link in the root":
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    if given.startswith("link to"):
        (tmp_path / "link").symlink_to(root if given.endswith("root") else folder)
    data_dir = {"root": root, "folder": folder, "link in the root": root}.get(given, tmp_path / "link")
    with serving(Host(archive)) as host:
        fetched = fetch(MachineConfig(data_dir=data_dir, mirror=host.address))
    assert fetched.resolve() == folder.resolve()
    assert lying_in(folder) == files | {name: MINE[name] for name in ("notes.txt", "data_batch_6", README)}
    assert lying_in(folder / "own") == {"data_batch_1": b"older"}
    assert lying_in(root) == {ARCHIVE: b"my own archive", f"{ARCHIVE}.part": b"my own part", ".holder": b"mine"}
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["own"], "no nested copy"
    assert images(MachineConfig(data_dir=data_dir, offline=True)) == 50


def test_a_renamed_folder_with_batch_files_is_one(official, tmp_path: Path) -> None:
    files, archive = official
    folder = write(tmp_path / "images", files | {"test_batch": b"damaged"})
    with serving(Host(archive)) as host:
        assert fetch(MachineConfig(data_dir=folder, mirror=host.address)) == folder
    assert (lying_in(folder), images(MachineConfig(data_dir=folder))) == (files, 50)


def test_a_link_in_the_place_of_a_batch_file_is_replaced_and_not_followed(official, tmp_path: Path) -> None:
    files, archive = official
    folder = write(tmp_path / FOLDER, files)
    (tmp_path / "mine").write_text("mine")
    (folder / "test_batch").unlink()
    (folder / "test_batch").symlink_to(tmp_path / "mine")
    with serving(Host(archive)) as host:
        fetch(MachineConfig(data_dir=tmp_path, mirror=host.address))
    assert ((tmp_path / "mine").read_text(), lying_in(folder)) == ("mine", files)


def test_a_folder_in_the_place_of_a_batch_file_is_named_and_left(official, tmp_path: Path) -> None:
    files, archive = official
    folder = write(tmp_path / FOLDER, {name: files[name] for name in files if name != "test_batch"})
    write(folder / "test_batch", {"mine": b"mine"})
    with serving(Host(archive)) as host, pytest.raises(DataError, match="test_batch"):
        fetch(MachineConfig(data_dir=tmp_path, mirror=host.address))
    assert (folder / "test_batch" / "mine").read_bytes() == b"mine"


@pytest.mark.parametrize("place", ["work/data", "home/data", "cache/normbench"])
def test_the_official_archive_in_a_usual_place_is_used_without_network(place: str, official, home: Path) -> None:
    files, archive = official
    root = write(home / place, {ARCHIVE: archive})
    assert data.settle(DataConfig(name="auto"), OFFLINE).config.name == "cifar10"
    assert images(OFFLINE) == 50
    assert lying_in(root) == {ARCHIVE: archive}, "it stays where it is"
    assert lying_in(root / FOLDER) == files


@pytest.mark.parametrize("inside", [False, True])
def test_the_official_archive_in_the_given_folder_heals_what_is_damaged(inside: bool, official, tmp_path: Path) -> None:
    files, archive = official
    folder = write(tmp_path / FOLDER, files | {"data_batch_3": b"damaged"})
    write(folder if inside else tmp_path, {ARCHIVE: archive})
    assert images(MachineConfig(data_dir=folder, offline=True)) == 50
    assert (folder / "data_batch_3").read_bytes() == files["data_batch_3"]


def test_an_archive_with_another_md5_is_not_opened(official, home: Path) -> None:
    _, archive = official
    write(home / "work" / "data", {ARCHIVE: archive[:-1] + b"x"})
    with pytest.raises(DataError, match="nothing may be downloaded"):
        images(OFFLINE)
    assert not (home / "work" / "data" / FOLDER).exists()


def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", fail)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)


def closed_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing below the home can be looked at: it is somebody else's, or a folder in it is closed."""
    look = Path.stat

    def stat(path: Path, **how: bool) -> os.stat_result:
        if "home" in path.parts or "cache" in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        return look(path, **how)

    monkeypatch.setattr(Path, "stat", stat)


@pytest.mark.parametrize("trouble", [no_home, closed_home])
def test_a_usual_place_that_cannot_be_read_is_passed_over(
    trouble, official, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, _ = official
    write(home / "work" / "data" / FOLDER, files)
    trouble(monkeypatch)
    assert images(OFFLINE) == 50
    assert data.settle(DataConfig(name="auto"), OFFLINE).config.name == "cifar10"


@pytest.mark.parametrize("trouble", [no_home, closed_home])
def test_auto_falls_back_where_no_usual_place_can_be_read(
    trouble, official, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble(monkeypatch)
    choice = data.settle(DataConfig(name="auto"), OFFLINE)
    assert (choice.config.name, "on the embedded digits" in choice.reason) == ("digits", True)
    assert not (home / "work" / "~").exists()


def test_without_a_home_a_download_goes_where_one_can_write(
    official, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_home(monkeypatch)
    with serving(Host(official[1])) as host:
        assert fetch(MachineConfig(mirror=host.address)) == home / "work" / "data" / FOLDER


def test_a_given_folder_that_cannot_be_read_is_an_error(official, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / "work" / "data" / FOLDER, official[0])
    given = MachineConfig(data_dir=home / "home" / "data", offline=True)
    closed_home(monkeypatch)
    assert data.settle(DataConfig(name="auto"), given).config.name == "cifar10"
    with pytest.raises(DataError, match=f"{given.data_dir} cannot be read: Permission denied"):
        images(given)


def test_auto_does_not_take_a_damaged_copy_in_a_usual_place(official, home: Path) -> None:
    files, archive = official
    write(home / "work" / "data" / FOLDER, files | {"test_batch": b"damaged"})
    assert data.settle(DataConfig(name="auto"), OFFLINE).config.name == "digits"
    with pytest.raises(DataError, match=r"test_batch is damaged.*nothing may be downloaded"):
        images(OFFLINE)
    with serving(Host(archive)) as host:
        machine = MachineConfig(mirror=host.address)
        assert data.settle(DataConfig(name="auto"), machine).config.name == "cifar10"
        assert images(machine) == 50
    assert (home / "work" / "data" / FOLDER / "test_batch").read_bytes() == b"damaged", "the copy is the user's"


def test_what_killed_fetches_have_left_is_removed_and_nothing_like_it(official, tmp_path: Path) -> None:
    files, archive = official
    write(tmp_path / ".unpack-x1y2z3a4" / FOLDER, {"data_batch_1": b"half"})
    write(tmp_path / ".unpack-mine", {"mine": b"mine"})
    write(tmp_path / FOLDER / ".unpack-b5c6d7e8", {})
    write(tmp_path, {PART: archive[:100]})
    with serving(Host(archive)) as host:
        fetch(MachineConfig(data_dir=tmp_path, mirror=host.address))
        assert host.asked == ["bytes=100-"]
    assert sorted(left_in(tmp_path)) == [".unpack-mine", FOLDER]
    assert lying_in(tmp_path / FOLDER) == files
    assert [path for path in (tmp_path / FOLDER).iterdir() if path.is_dir()] == []


def _fetch_and_die(root: Path, address: str) -> None:
    extract = download._extract

    def die(archive: Path, folder: Path) -> None:
        extract(archive, folder)
        os._exit(9)

    download._extract = die
    fetch(MachineConfig(data_dir=root, mirror=address))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
def test_a_fetch_that_is_killed_while_unpacking_is_finished_by_the_next(official, tmp_path: Path) -> None:
    files, archive = official
    with serving(Host(archive)) as host:
        process = multiprocessing.get_context("fork").Process(target=_fetch_and_die, args=(tmp_path, host.address))
        process.start()
        process.join(60)
        assert process.exitcode == 9
        assert [name for name in left_in(tmp_path) if name.startswith(".unpack-")] != []
        fetch(MachineConfig(data_dir=tmp_path, mirror=host.address))
        assert host.asked == [None], "what it had downloaded is used"
    assert left_in(tmp_path) == [FOLDER]
    assert lying_in(tmp_path / FOLDER) == files


def test_an_archive_with_other_members_brings_the_official_files_only(
    official, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, _ = official
    content = packed(files | {"../evil": b"evil", "sub/evil": b"evil", "evil": b"evil"})
    monkeypatch.setattr(cifar10, "ARCHIVE_MD5", md5(content))
    monkeypatch.setattr(cifar10, "ARCHIVE_BYTES", len(content))
    write(tmp_path, {ARCHIVE: content})
    assert lying_in(fetch(MachineConfig(data_dir=tmp_path, offline=True))) == files
    assert sorted(left_in(tmp_path)) == sorted([ARCHIVE, FOLDER])


def test_an_archive_that_breaks_while_unpacking_leaves_the_folder_as_it_was(
    official, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, archive = official
    cut = archive[:-200]
    monkeypatch.setattr(cifar10, "ARCHIVE_MD5", md5(cut))
    monkeypatch.setattr(cifar10, "ARCHIVE_BYTES", len(cut))
    write(tmp_path, {ARCHIVE: cut})
    old = write(tmp_path / FOLDER, {"test_batch": b"old"})
    with pytest.raises(DataError, match=r"cannot be put into|is damaged"):
        fetch(MachineConfig(data_dir=tmp_path, offline=True))
    assert lying_in(old) == {"test_batch": b"old"}


def test_a_fetch_that_waits_for_another_says_for_whom_and_not_for_ever(official, tmp_path: Path) -> None:
    told: list[download.Progress] = []
    lock = locking.acquire(tmp_path / LOCK)
    try:
        with locking.named(tmp_path, HOLDER):
            began = time.monotonic()
            with pytest.raises(DataError, match=f"waiting for process {os.getpid()} on .*timed out"):
                fetch(MachineConfig(data_dir=tmp_path, mirror=CLOSED), told.append, patience=0.5)
            assert time.monotonic() - began < 30
    finally:
        lock.release()
    assert [f"process {os.getpid()} on " in one.note for one in told] == [True]


def test_the_rate_of_a_host_that_drips_is_in_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    progress = ProgressCallback(Output())
    progress.next_line = 0.0
    progress._note_download(download.Progress(2, 170_000_000, 2.04))
    assert ", 2 bytes/s" in capsys.readouterr().err


def test_the_console_says_the_rate_of_a_download(official, tmp_path: Path) -> None:
    with serving(Host(official[1])) as host:
        answer = normbench("data", "--fetch", "--data-dir", tmp_path, NORMBENCH_MIRROR=host.address)
    assert (answer.code, "MB/s" in answer.stderr) == (0, True)
