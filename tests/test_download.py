"""The transfer against a real host on this machine: checked, resumed where it broke off, given up if slow."""

import hashlib
import random
import time
from pathlib import Path

import pytest
from host import Host, serving

from normbench.data.download import _transfer, _Watch
from normbench.errors import DataError

PAYLOAD = random.Random(0).randbytes(100_000)
PAYLOAD_MD5 = hashlib.md5(PAYLOAD).hexdigest()
NO_WATCH = _Watch(None, None)


def transfer(host: Host, archive: Path, watch: _Watch = NO_WATCH) -> None:
    _transfer(host.address, archive, PAYLOAD_MD5, watch)


def part(archive: Path) -> Path:
    return archive.with_name(archive.name + ".part")


def test_a_transfer_brings_every_byte_and_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with serving(Host(PAYLOAD)) as host:
        transfer(host, tmp_path / "a", _Watch(lambda done, total: told.append((done, total)), None))
    assert (tmp_path / "a").read_bytes() == PAYLOAD
    assert told == sorted(told)
    assert (told[0], told[-1]) == ((0, 100_000), (100_000, 100_000))
    assert not part(tmp_path / "a").exists()


def test_a_broken_transfer_is_kept_and_the_next_goes_on_from_there(tmp_path: Path) -> None:
    with serving(Host(PAYLOAD, breaks_after=30_000)) as host:
        with pytest.raises(ConnectionError, match=r"30,000 of 100,000 bytes; they are kept"):
            transfer(host, tmp_path / "a")
        assert part(tmp_path / "a").read_bytes() == PAYLOAD[:30_000]
        host.breaks_after = None
        transfer(host, tmp_path / "a")
        assert host.asked == [None, "bytes=30000-"]
    assert (tmp_path / "a").read_bytes() == PAYLOAD


def test_a_host_that_cannot_go_on_in_the_middle_starts_again(tmp_path: Path) -> None:
    part(tmp_path / "a").write_bytes(PAYLOAD[:30_000])
    with serving(Host(PAYLOAD, ranges=False)) as host:
        transfer(host, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == PAYLOAD


def test_a_part_that_is_whole_already_is_taken_as_it_is(tmp_path: Path) -> None:
    part(tmp_path / "a").write_bytes(PAYLOAD)
    with serving(Host(PAYLOAD)) as host:
        transfer(host, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == PAYLOAD


def test_a_slow_host_is_given_up_early_in_words_and_its_bytes_are_kept(tmp_path: Path) -> None:
    with serving(Host(PAYLOAD, pause=0.05)) as host:  # five seconds for the whole
        began = time.monotonic()
        with pytest.raises(DataError, match=r"slow.*what has come is kept"):
            transfer(host, tmp_path / "a", _Watch(None, patience=1.0))
        assert time.monotonic() - began < 1.0
        kept = part(tmp_path / "a").read_bytes()
        assert 0 < len(kept) < len(PAYLOAD)
        assert PAYLOAD.startswith(kept)
        host.pause = 0.0
        transfer(host, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == PAYLOAD
