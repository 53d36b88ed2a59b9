"""The user's own pictures: read as they are meant to be seen, labelled by their folders, and skipped by name."""

import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import SMALL, normbench, refused
from PIL import Image

from normbench.errors import USAGE
from normbench.runs.pictures import UnreadablePictureError, read_picture

CORNERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a run on the digits."""
    options = ("--dataset", "digits", "--epochs", 1, "--batch-size", 32, "--set", SMALL)
    out = tmp_path_factory.mktemp("runs")
    return normbench("train", "--norm", "gn", *options, "--out", out, "--json").document["run"]["folder"]


def classified(run: str, folder: Path) -> dict:
    return normbench("evaluate", run, "--images", folder, "--json").document


def noise(seed: int = 0, size: tuple[int, ...] = (40, 64, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def patches() -> Image.Image:
    """A picture with another colour in each corner."""
    pixels = np.zeros((16, 16, 3), dtype=np.uint8)
    for index, colour in enumerate(CORNERS):
        pixels[8 * (index // 2) : 8 * (index // 2) + 8, 8 * (index % 2) : 8 * (index % 2) + 8] = colour
    return Image.fromarray(pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_data_say(orientation: int, tmp_path: Path) -> None:
    """The stored pixels are turned back by the inverse of what a viewer does, so that what is seen is always one."""
    back = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}
    stored = patches()
    for method in back.get(orientation, []):
        stored = stored.transpose(Image.Transpose(method))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(np.asarray(read_picture(tmp_path / "turned.png")), np.asarray(patches()))


def png(width: int, height: int, depth: int, colour: int, rows: list[bytes]) -> bytes:
    """A PNG file, written by hand: Pillow writes few kinds of 16 bits."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


LEVELS = (0, 128, 255)


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_are_scaled_to_eight(colour: int, channels: int, tmp_path: Path) -> None:
    """Grey, RGB, grey with alpha and RGB with alpha; 257 times a level of 8 bits is the same level of 16."""
    alpha = [65535] * (channels % 2 == 0)
    values = [value for level in LEVELS for value in [level * 257] * (channels - len(alpha)) + alpha]
    row = struct.pack(f">{len(values)}H", *values)
    (tmp_path / "deep.png").write_bytes(png(3, 1, 16, colour, [row]))
    assert np.asarray(read_picture(tmp_path / "deep.png"))[0].tolist() == [[level] * 3 for level in LEVELS]


@pytest.mark.parametrize("name", ["deep.tif", "deep.pgm.png"])
def test_sixteen_bits_of_grey_in_other_files(name: str, tmp_path: Path) -> None:
    pixels = np.array([[level * 257 for level in LEVELS]], dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / name, format="TIFF" if name.endswith("tif") else "PPM")
    assert np.asarray(read_picture(tmp_path / name))[0].tolist() == [[level] * 3 for level in LEVELS]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_range_that_nobody_knows_is_not_guessed(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / "wide.tif")
    with pytest.raises(UnreadablePictureError, match="8 or 16 bits"):
        read_picture(tmp_path / "wide.tif")


@pytest.mark.parametrize("kind", ["RGBA", "LA", "palette", "colour key"])
def test_what_is_transparent_shows_white(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    if kind == "palette":
        image = Image.new("P", (4, 4), 0)
        image.putpalette([0, 0, 0, 255, 0, 0])
        image.save(path, transparency=0)
    elif kind == "colour key":
        Image.new("RGB", (4, 4), (1, 2, 3)).save(path, transparency=(1, 2, 3))
    else:
        Image.new(kind, (4, 4), (0,) * len(kind)).save(path)
    assert np.asarray(read_picture(path)).min() == 255


def test_half_transparent_is_half_way_to_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 128)).save(tmp_path / "half.png")
    assert np.unique(np.asarray(read_picture(tmp_path / "half.png"))).tolist() == [127]


def test_what_is_seen_decides_and_not_how_it_is_stored(run: str, tmp_path: Path) -> None:
    upright = Image.fromarray(noise(size=(64, 64, 3)))
    upright.save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "b.png", exif=exif)
    upright.convert("RGBA").save(tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes(
        png(64, 64, 16, 2, [(row.astype(">u2") * 257).tobytes() for row in np.asarray(upright)])
    )
    probabilities = {one["probability"] for one in classified(run, tmp_path)["decisions"]}
    assert len(probabilities) == 1


def test_sub_folders_are_labels_and_give_the_accuracy(run: str, tmp_path: Path) -> None:
    for label in ("3", "7"):
        for index in range(4):
            (tmp_path / label / "more").mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise(index)).save(tmp_path / label / ("more" if index > 2 else "") / f"{index}.png")
    Image.fromarray(noise(9)).save(tmp_path / "loose.png")
    document = classified(run, tmp_path)
    labelled = [one for one in document["decisions"] if one["label"] is not None]
    assert [one["label"] for one in labelled] == ["3"] * 4 + ["7"] * 4
    assert [one["label"] for one in document["decisions"] if one["file"] == "loose.png"] == [None]
    assert {one["file"] for one in labelled} >= {str(Path("3") / "0.png"), str(Path("7") / "more" / "3.png")}
    right = sum(one["decided"] == one["label"] for one in labelled)
    assert (document["labelled"], document["accuracy"]) == (8, right / 8)


def test_a_sub_folder_that_is_no_class_is_named_and_labels_nothing(run: str, tmp_path: Path) -> None:
    (tmp_path / "seven").mkdir()
    Image.fromarray(noise()).save(tmp_path / "seven" / "a.png")
    answer = normbench("evaluate", run, "--images", tmp_path, "--json")
    assert (answer.document["accuracy"], answer.document["decisions"][0]["label"]) == (None, None)
    assert [label.startswith("seven:") for label in answer.document["unknown_labels"]] == [True]
    assert "seven" in answer.stderr


def test_each_mistake_with_the_folder_has_its_own_words(run: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "text.png").write_text("not a picture")
    Image.fromarray(noise()).save(tmp_path / "file.png")
    for name, words in {
        "nowhere": "there is no folder",
        "file.png": "is a file, not a folder",
        "empty": "no pictures in",
        "broken": "none of the 1 pictures in",
    }.items():
        refused(normbench("evaluate", run, "--images", tmp_path / name), USAGE, str(tmp_path / name), words)


def broken_files(folder: Path) -> dict[str, str]:
    """Files that are no pictures, or none that can be read, with a word of the reason."""
    Image.fromarray(noise()).save(folder / "cut.png")
    content = (folder / "cut.png").read_bytes()
    (folder / "cut.png").write_bytes(content[: len(content) // 2])
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0half a picture")
    (folder / "sum.png").write_bytes(content[:29] + b"\0\0\0\0" + content[33:])
    (folder / "text.png").write_text("not a picture")
    (folder / "empty.gif").touch()
    (folder / "bomb.png").write_bytes(png(40_000, 40_000, 1, 0, [bytes(5000)]))
    (folder / "large.png").write_bytes(png(10_000, 10_000, 1, 0, [bytes(1250)]))
    (folder / "gone.png").symlink_to(folder / "nowhere")
    (folder / "round.png").symlink_to(folder / "round.png")
    os.mkfifo(folder / "pipe.png")
    return {
        "cut.png": "damaged", "cut.jpg": "damaged", "sum.png": "damaged", "text.png": "no picture",
        "empty.gif": "no picture", "bomb.png": "pixels", "large.png": "pixels", "gone.png": "link",
        "round.png": "link", "pipe.png": "pipe",
    }  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
def test_what_cannot_be_read_is_skipped_by_name_and_the_rest_classified(run: str, tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "good.png")
    expected = broken_files(tmp_path)
    answer = normbench("evaluate", run, "--images", tmp_path, "--json")
    assert (answer.code, [one["file"] for one in answer.document["decisions"]]) == (0, ["good.png"])
    skipped = {one["file"]: one["reason"] for one in answer.document["skipped"]}
    assert {name: expected[name] in reason for name, reason in skipped.items()} == dict.fromkeys(expected, True)
    assert [name for name in expected if f"skipped {name}: " not in answer.stderr] == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names of arbitrary bytes")
def test_a_name_that_is_no_utf8_is_shown_escaped(run: str, tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.png")
    os.rename(os.fsencode(tmp_path / "a.png"), os.fsencode(tmp_path) + b"/a\xff.png")  # noqa: PTH104  # bytes
    assert [one["file"] for one in classified(run, tmp_path)["decisions"]] == ["a\\udcff.png"]
    assert normbench("evaluate", run, "--images", tmp_path).code == 0
