"""The transfer against a real host on this machine: checked, resumed, given up if it is slow or never ends."""

import random
import threading
import time
from pathlib import Path

import pytest
from helpers.archive import md5
from helpers.host import Host, serving

from normbench.data import cifar10, download
from normbench.data.download import Progress, _Monitor, _transfer
from normbench.errors import DataError

PAYLOAD = b"\x1f\x8b" + random.Random(0).randbytes(99_998)


@pytest.fixture(autouse=True)
def official(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "ARCHIVE_MD5", md5(PAYLOAD))
    monkeypatch.setattr(cifar10, "ARCHIVE_BYTES", len(PAYLOAD))


def monitor(told: list[Progress] | None = None, **limits: float) -> _Monitor:
    return _Monitor((told if told is not None else []).append, limits.pop("patience", None), **limits)


def test_a_transfer_brings_every_byte_and_tells_how_far_it_is_and_how_fast(tmp_path: Path) -> None:
    told: list[Progress] = []
    with serving(Host(PAYLOAD)) as host:
        _transfer(host.address, tmp_path / "part", monitor(told))
    assert (tmp_path / "part").read_bytes() == PAYLOAD
    assert (told[0].done, told[-1].done, {progress.total for progress in told}) == (0, 100_000, {100_000})
    assert [one.done for one in told] == sorted(one.done for one in told)
    assert told[-1].rate is not None
    assert told[-1].rate > 0


def test_a_broken_transfer_is_kept_and_the_next_goes_on_from_there(tmp_path: Path) -> None:
    with serving(Host(PAYLOAD, breaks_after=30_000)) as host:
        with pytest.raises(ConnectionError, match=r"30,000 of 100,000 bytes; they are kept"):
            _transfer(host.address, tmp_path / "part", monitor())
        assert (tmp_path / "part").read_bytes() == PAYLOAD[:30_000]
        host.breaks_after = None
        _transfer(host.address, tmp_path / "part", monitor())
        assert host.asked == [None, "bytes=30000-"]
    assert (tmp_path / "part").read_bytes() == PAYLOAD


def test_a_host_that_cannot_go_on_in_the_middle_starts_again(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(PAYLOAD[:30_000])
    with serving(Host(PAYLOAD, ranges=False)) as host:
        _transfer(host.address, tmp_path / "part", monitor())
    assert (tmp_path / "part").read_bytes() == PAYLOAD


def test_a_part_that_is_whole_already_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(PAYLOAD)
    with serving(Host(PAYLOAD)) as host:
        _transfer(host.address, tmp_path / "part", monitor())
        assert host.asked == []


@pytest.mark.parametrize("part", [PAYLOAD[::-1], PAYLOAD * 2], ids=["damaged", "too long"])
def test_a_part_that_cannot_become_the_archive_is_begun_anew(part: bytes, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(part)
    with serving(Host(PAYLOAD)) as host:
        _transfer(host.address, tmp_path / "part", monitor())
    assert (tmp_path / "part").read_bytes() == PAYLOAD


def test_a_slow_host_is_given_up_early_in_words_and_its_bytes_are_kept(tmp_path: Path) -> None:
    with serving(Host(PAYLOAD, pause=0.05)) as host:  # five seconds for the whole
        began = time.monotonic()
        with pytest.raises(DataError, match=r"slow.*what has come is kept"):
            _transfer(host.address, tmp_path / "part", monitor(patience=1.0))
        assert time.monotonic() - began < 3.0
        kept = (tmp_path / "part").read_bytes()
        assert 0 < len(kept) < len(PAYLOAD)
        assert PAYLOAD.startswith(kept)
        host.pause = 0.0
        _transfer(host.address, tmp_path / "part", monitor())
    assert (tmp_path / "part").read_bytes() == PAYLOAD


def test_a_mirror_that_drips_is_given_up_and_says_how_fast_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "SLOWEST", 1e6)
    with serving(Host(PAYLOAD, pause=0.05)) as host, pytest.raises(DataError, match=r"bytes a second.*is kept"):
        _transfer(host.address, tmp_path / "part", monitor(window=0.3))
    assert PAYLOAD.startswith((tmp_path / "part").read_bytes())


@pytest.mark.parametrize("length", ["none", "true"])
def test_a_mirror_that_never_ends_stops_at_the_known_size(length: str, tmp_path: Path) -> None:
    """It would send a thousand times the archive, with or without saying so."""
    with serving(Host(PAYLOAD * 1000, length=length, ranges=False)) as host:
        with pytest.raises(DataError, match="is not CIFAR-10"):
            _transfer(host.address, tmp_path / "part", monitor())
        assert host.sent < len(PAYLOAD) * 200, "it was left long before its end"
    assert not (tmp_path / "part").exists()


def test_a_mirror_that_says_less_than_it_sends_gives_no_more_than_it_says(tmp_path: Path) -> None:
    liar = Host(PAYLOAD * 10, length="1000", ranges=False)
    with serving(liar), pytest.raises(DataError, match=f"its MD5 is {md5(PAYLOAD[:1000])}"):
        _transfer(liar.address, tmp_path / "part", monitor())
    assert not (tmp_path / "part").exists()


def test_what_is_larger_than_the_archive_is_not_even_begun(tmp_path: Path) -> None:
    liar = Host(PAYLOAD, length="5000000000")
    with serving(liar), pytest.raises(DataError, match="5,000,000,000 bytes instead of 100,000"):
        _transfer(liar.address, tmp_path / "part", monitor())
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize("silent", ["head", "body"])
def test_a_mirror_that_goes_silent_is_given_up(silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ANSWER", 0.3)
    monkeypatch.setattr(download, "SILENCE", 0.3)
    released = threading.Event()
    with serving(Host(PAYLOAD, silent=silent, released=released)) as host:
        try:
            with pytest.raises(TimeoutError):
                _transfer(host.address, tmp_path / "part", monitor())
        finally:
            released.set()


def test_a_link_in_the_place_of_the_part_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "part").symlink_to(tmp_path / "mine")
    with serving(Host(PAYLOAD)) as host, pytest.raises(FileExistsError, match="a link"):
        _transfer(host.address, tmp_path / "part", monitor())
    assert (tmp_path / "mine").read_text() == "mine"
