"""Axes of a norm's statistics. They are data, cells of a cube, and a sentence."""

from dataclasses import dataclass
from typing import Literal

CHANNELS, POSITIONS, IMAGES = 8, 5, 4
"""Size of the cube in pictures: channels (C), positions (H*W) and images (N)."""

Channels = Literal["one", "window", "group", "all"]


@dataclass(frozen=True)
class Axes:
    """The extent of one statistic along each axis; by default that of a single value."""

    images: bool = False
    """True if it is taken over the batch (N)."""
    channels: Channels = "one"
    positions: bool = False
    """True if it is taken over H and W."""
    count: int = 1
    """Channels of a window, or groups that the channels are dealt into."""
    ghost: int = 0
    """Images of a ghost batch, where statistics over the batch are over a part of it; 0: over all of it."""

    @property
    def is_empty(self) -> bool:
        """True if it is of single values, so that there is no statistic."""
        return self == Axes()

    def is_single_value(self, channels: int) -> bool:
        """Test if a statistic on vectors, (N, C, 1, 1), is of a single value, so that it says nothing of the others."""
        if self.is_empty or self.images:
            return False
        return self.channels == "one" or (self.channels == "group" and channels <= self.count)

    @property
    def channels_of_cube(self) -> int:
        """Channels of the cube in one statistic."""
        sizes = {"one": 1, "window": min(self.count, CHANNELS), "group": max(1, CHANNELS // self.count)}
        return sizes.get(self.channels, CHANNELS)

    @property
    def images_of_cube(self) -> int:
        """Images of the cube in one statistic; half of them stand for a ghost batch."""
        return (IMAGES // 2 if self.ghost else IMAGES) if self.images else 1

    def covers(self, image: int, channel: int, position: int) -> bool:
        """Test if a cell is in one statistic with the cell of the cube where its three visible faces meet."""
        return (
            image < self.images_of_cube
            and channel >= CHANNELS - self.channels_of_cube
            and (self.positions or position == 0)
        )

    def group(self, image: int, channel: int, position: int) -> tuple[int, float] | None:
        """Group of a cell of the cube, as hue (0 to 7) and shade (0 to 1): cells of one statistic have the same.

        The hues tell groups apart along one axis, the shades along the others. None for a cell of no statistic; windows
        overlap, so that only one of them is shown.
        """
        if self.is_empty or (self.channels == "window" and not self.covers(image, channel, position)):
            return None
        if self.channels == "window":
            return 0, 0.0
        size = self.channels_of_cube
        indices = (
            ((CHANNELS - 1 - channel) // size, -(-CHANNELS // size)),
            (image // self.images_of_cube, IMAGES // self.images_of_cube),
            (0, 1) if self.positions else (position, POSITIONS),
        )
        (hue, _), *others = [pair for pair in indices if pair[1] > 1] or [(0, 1)]
        shade, shades = 0, 1
        for index, count in others:
            shade, shades = shade * count + index, shades * count
        return hue, shade / max(1, shades - 1)

    def sentence(self, statistic: str) -> str:
        """One sentence on it.

        Args:
            statistic: Its name, such as "mean and variance".
        """
        if self.is_empty:
            return "It averages over nothing."
        per, over = {
            "one": ("channel", ""),
            "window": ("channel", f"{self.count} neighbouring channels"),
            "group": ("group of channels", "its channels"),
            "all": ("", "all channels"),
        }[self.channels]
        each = [name for name in ("" if self.images else "image", "" if self.positions else "position", per) if name]
        images = f"the {self.ghost} images of a ghost batch" if self.ghost else "the images of the batch"
        taken_over = [images * self.images, over, "all positions" * self.positions]
        return f"One {statistic}{f' for each {_and(each)}' if each else ''}, over {_and(taken_over)}."

    def __str__(self) -> str:
        """The axes by their letters, as in "C/groups, H, W"."""
        channels = {"one": "", "window": f"{self.count} neighbouring C", "group": "C/groups", "all": "C"}
        images = f"{self.ghost} of N" if self.ghost else "N"
        letters = [images * self.images, channels[self.channels], "H, W" * self.positions]
        return ", ".join(filter(None, letters)) or "-"


def _and(items: list[str]) -> str:
    *first, last = [word for word in items if word]
    return f"{', '.join(first)} and {last}" if first else last
