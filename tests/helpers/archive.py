"""A small CIFAR-10: files and an archive of their own, whose MD5 takes the place of the official one's."""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from normbench.data import cifar10, download

FILES = (*cifar10.MD5, *cifar10.META_MD5, download.README)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def batch(name: str) -> bytes:
    """The pickle of a batch file with ten images, one of each class."""
    import pickle

    chance = np.random.default_rng(len(name) + ord(name[-1]))
    images = chance.integers(0, 256, (10, 3072), dtype=np.uint8)
    return pickle.dumps({b"data": images, b"labels": list(range(10))})


def packed(files: dict[str, bytes]) -> bytes:
    """An archive of these files, in the folder that the official one has them in."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", compresslevel=1) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{cifar10.FOLDER}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


def make_official(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, bytes], bytes]:
    """Let small files count as the official ones; returns them, and their archive."""
    files = {name: batch(name) for name in FILES}
    archive = packed(files)
    for table in (cifar10.MD5, cifar10.TRAIN_MD5, cifar10.TEST_MD5, cifar10.META_MD5):
        for name in table:
            monkeypatch.setitem(table, name, md5(files[name]))
    monkeypatch.setattr(cifar10, "ARCHIVE_MD5", md5(archive))
    monkeypatch.setattr(cifar10, "ARCHIVE_BYTES", len(archive))
    return files, archive


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def lying_in(folder: Path) -> dict[str, bytes]:
    """The files of a folder, without locks."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and "lock" not in path.name}
