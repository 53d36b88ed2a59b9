"""The user's pictures, classified by a network. They are read as they are meant to be seen."""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from normbench.data import normalize
from normbench.errors import UsageError, nearest
from normbench.files import FOLDER, REGULAR, kind_of
from normbench.runs import Entry, Permission, SavedModel, as_channels, load_model, usable

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
GROUND = "white"
"""Background of transparent pictures."""
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
WIDE_FORMATS = ("PNG", "PPM")
"""Formats whose pictures of 32-bit integers hold 16 bits; of a TIFF's nobody knows the range."""


@dataclass(frozen=True)
class Decision:
    """Class that a network decides for; its probability is as good as the network's calibration."""

    file: str
    """Its path in the folder."""
    decided: str
    probability: float
    label: str | None = None
    """Its true class, where it lies in a sub-folder of that name."""


@dataclass(frozen=True)
class Skipped:
    """A picture that could not be read, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Classified:
    """Decisions of a network on a folder of pictures."""

    decisions: tuple[Decision, ...]
    skipped: tuple[Skipped, ...]
    unknown_labels: tuple[str, ...]
    """Sub-folders that are named after no class, each with the nearest one."""
    warnings: tuple[str, ...] = ()
    """Warnings about the code that was run for the network."""

    @property
    def labelled(self) -> int:
        """Pictures whose class is known."""
        return sum(decision.label is not None for decision in self.decisions)

    @property
    def accuracy(self) -> float | None:
        """Share of the labelled pictures that are taken for what they are; None where none is labelled."""
        right = sum(decision.decided == decision.label for decision in self.decisions)
        return right / self.labelled if self.labelled else None


def classify(entry: Entry, folder: Path, permission: Permission) -> Classified:
    """Classify the pictures in a folder; sub-folders named after classes are labels.

    Each picture is turned as its EXIF data say, laid on white, cut to its largest centred square and averaged down to
    32x32. One that cannot be read is passed over, with the reason.

    Raises:
        UsageError: There is no such folder, it is none, or there is no picture in it that can be read.
    """
    check_folder(folder)
    model = load_model(entry.path, usable(entry), permission)
    names = {name.casefold(): name for name in model.classes}
    decisions, skipped = [], []
    unknown: dict[str, None] = {}
    for path, label in _pictures(folder):
        name = shown(path.relative_to(folder))
        if label is not None and label.casefold() not in names:
            unknown[f"{shown(label)}: {nearest(label, model.classes)}"] = None
        try:
            decided, probability = _decide(model, read_picture(path))
        except UnreadablePictureError as error:
            skipped.append(Skipped(name, str(error)))
        else:
            decisions.append(Decision(name, decided, probability, names.get((label or "").casefold())))
    if not decisions and skipped:
        raise UsageError(
            f"none of the {len(skipped)} pictures in {folder} can be read: {skipped[0].file}: {skipped[0].reason}"
        )
    if not decisions:
        raise UsageError(f"no pictures in {folder}", f"They end in {', '.join(PICTURES)}.")
    return Classified(tuple(decisions), tuple(skipped), tuple(unknown), model.warnings)


def check_folder(folder: Path) -> None:
    """Check that there is a folder that can be read.

    Raises:
        UsageError: There is not; says what there is.
    """
    try:
        found = kind_of(folder.resolve())
        if found == FOLDER:
            next(folder.iterdir(), None)
            return
    except (OSError, RuntimeError) as error:
        raise UsageError(f"{folder} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if found is None:
        raise UsageError(f"there is no folder {folder}", "Give --images a folder of pictures.")
    raise UsageError(f"{folder} is {found}, not a folder", "Give --images the folder that it lies in.")


def _pictures(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Every picture of a folder, and of its sub-folders with their name as label; hidden ones are left out."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            for below, folders, files in os.walk(path):  # follows no links, so that none leads round
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                yield from ((Path(below) / name, path.name) for name in sorted(files) if _is_picture(name))
        elif _is_picture(path.name):
            yield path, None


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in PICTURES


class UnreadablePictureError(Exception):
    """A file that cannot be read as a picture; its text is the reason."""


def read_picture(path: Path) -> Image.Image:
    """A picture in RGB, as it is meant to be seen.

    Raises:
        UnreadablePictureError: It is no regular file, damaged, too large, or of unknown range.
    """
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise UnreadablePictureError("it is a link to nothing") from error
    if (found := kind_of(target)) != REGULAR:
        raise UnreadablePictureError(f"it is {found}, not a file")  # reading a pipe would wait for ever
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(target) as file:
                return _seen(ImageOps.exif_transpose(file), file.format)
    except UnreadablePictureError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadablePictureError("it is no picture, or damaged") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = Image.MAX_IMAGE_PIXELS or 0
        raise UnreadablePictureError(f"it has more than {limit:,} pixels") from error
    except Exception as error:  # decoders raise anything on damaged files, SyntaxError included
        raise UnreadablePictureError(f"it is damaged: {error}") from error


def _seen(image: Image.Image, format_: str | None) -> Image.Image:
    """A picture in RGB, 8 bits a channel, on the ground."""
    if image.mode in SIXTEEN_BIT or (image.mode == "I" and format_ in WIDE_FORMATS):
        values = np.asarray(image, dtype=np.float64)
        return Image.fromarray(np.rint(values.clip(0, 65535) / 257).astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        raise UnreadablePictureError("the range of its 32-bit values is not known: save it with 8 or 16 bits")
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, GROUND)
        return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _small(image: Image.Image) -> torch.Tensor:
    """The largest centred square of a picture, averaged down to uint8 (1, 3, 32, 32)."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    small = image.resize((32, 32), Image.Resampling.BOX, box=(left, top, left + side, top + side))
    return torch.from_numpy(np.array(small)).permute(2, 0, 1).unsqueeze(0)


@torch.no_grad()
def _decide(model: SavedModel, image: Image.Image) -> tuple[str, float]:
    cpu = torch.device("cpu")
    pixels = normalize(_small(image), as_channels(model.mean, cpu), as_channels(model.std, cpu))
    probabilities = torch.softmax(model.network(pixels)[0], 0)
    return model.classes[int(probabilities.argmax())], float(probabilities.max())


def shown(name: Path | str) -> str:
    """A file's name as text, whatever its bytes."""
    return str(name).encode("utf-8", "backslashreplace").decode()
