"""Fetching CIFAR-10 from its host to its folder: what can go wrong on the way, and putting it in place."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from cli import normbench, refused, train
from host import Host, serving

from normbench.config import MachineConfig
from normbench.data.cifar10 import FOLDER, check
from normbench.data.download import _unpack, fetch
from normbench.errors import DATA_UNAVAILABLE, DataError

CLOSED = "http://127.0.0.1:9/cifar-10-python.tar.gz"  # the discard port, where nothing listens


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != ".cifar10.lock"]


def test_what_is_not_cifar10_is_named_by_its_md5_and_deleted(tmp_path: Path) -> None:
    page = b"<html>sign in to the hotel network</html>"
    with serving(Host(page)) as host:
        answer = normbench("data", "--fetch", "--data-dir", tmp_path, "-q", NORMBENCH_MIRROR=host.address)
    md5 = hashlib.md5(page).hexdigest()
    refused(answer, DATA_UNAVAILABLE, host.address, "is not CIFAR-10", f"its MD5 is {md5}", "deleted")
    assert left_in(tmp_path) == []


def test_a_broken_connection_says_how_far_it_came_and_keeps_the_part(tmp_path: Path) -> None:
    with serving(Host(bytes(5000), breaks_after=2000)) as host:
        answer = normbench("data", "--fetch", "--data-dir", tmp_path, "-q", NORMBENCH_MIRROR=host.address)
    refused(answer, DATA_UNAVAILABLE, host.address, "broke off at 2,000 of 5,000 bytes", "kept")
    assert left_in(tmp_path) == ["cifar-10-python.tar.gz.part"]


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


def test_without_data_and_network_auto_takes_the_digits_and_says_so_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    empty = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "NORMBENCH_MIRROR": CLOSED}
    answer = train(tmp_path / "runs", "--norm", "gn", "--dataset", "auto", "--json", **empty)
    assert (answer.code, answer.document["run"]["dataset"]) == (0, "digits")
    assert "TRAINING ON THE EMBEDDED DIGITS, NOT ON CIFAR-10" in answer.stderr
    assert CLOSED in answer.stderr
    assert "refused" in answer.stderr


def archive_of(files: dict[str, bytes], root: Path) -> Path:
    path = root / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_unpacking_replaces_a_damaged_folder_as_a_whole(tmp_path: Path) -> None:
    old = tmp_path / FOLDER
    old.mkdir()
    (old / "data_batch_1").write_bytes(b"damaged")
    (old / "leftover").write_bytes(b"")
    _unpack(archive_of({"data_batch_1": b"new", "test_batch": b"too"}, tmp_path), tmp_path)
    assert {path.name: path.read_bytes() for path in old.iterdir()} == {"data_batch_1": b"new", "test_batch": b"too"}
    assert left_in(tmp_path) == [FOLDER], "neither the archive nor a temporary folder stays"


def test_an_archive_that_breaks_while_unpacking_leaves_the_old_folder(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "test_batch").write_bytes(b"old")
    archive = archive_of({"test_batch": bytes(range(256)) * 1000}, tmp_path)
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(EOFError):
        _unpack(archive, tmp_path)
    assert (tmp_path / FOLDER / "test_batch").read_bytes() == b"old"


@pytest.mark.cifar10
def test_a_real_batch_file_comes_out_of_an_archive_as_it_went_in(cifar10_dir: Path, tmp_path: Path) -> None:
    content = (cifar10_dir / FOLDER / "test_batch").read_bytes()
    _unpack(archive_of({"test_batch": content}, tmp_path), tmp_path)
    states = check(tmp_path / FOLDER)
    assert (states.pop("test_batch"), set(states.values())) == ("ok", {"is missing"})


@pytest.mark.cifar10
def test_what_is_there_and_whole_is_not_fetched_again(cifar10_dir: Path) -> None:
    with serving(Host(b"never sent")) as host:
        assert fetch(MachineConfig(data_dir=cifar10_dir, mirror=host.address)) == cifar10_dir / FOLDER
        assert host.asked == []
