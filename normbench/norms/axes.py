"""What a norm averages over, on a cube of images (N), channels (C) and positions (H*W): as cells, and in words."""

import re
from dataclasses import dataclass

from normbench.norms.registry import NormInfo

CHANNELS, POSITIONS, IMAGES = 8, 5, 4
"""Of the cube that pictures show."""


@dataclass(frozen=True)
class Axes:
    """How far one statistic reaches along each axis of the cube."""

    images: bool
    channels: int
    """How many, of the cube's; the others have statistics of their own."""
    positions: bool

    def has(self, image: int, channel: int, position: int) -> bool:
        """Whether a cell goes into the statistic of the cell where the three visible faces meet."""
        return (self.images or image == 0) and channel >= CHANNELS - self.channels and (self.positions or position == 0)


def axes_of(info: NormInfo, groups: int = 4) -> Axes | None:
    """The axes of a norm as the registry spells them; None where nothing is averaged, or that is not known."""
    names = [name.strip() for name in info.axes.split(",")]
    if info.axes in {"-", "?"}:
        return None
    return Axes("N" in names, _channels(names, groups), "H" in names and "W" in names)


def _channels(names: list[str], groups: int) -> int:
    if "C" in names:
        return CHANNELS
    if "C/groups" in names:
        return max(1, CHANNELS // groups)
    window = re.search(r"(\d+) neighbouring C", ",".join(names))
    return int(window[1]) if window else 1


def axes_words(info: NormInfo, groups: int = 4) -> str:
    """The picture as a sentence."""
    axes = axes_of(info, groups)
    if axes is None:
        return "It averages over nothing." if info.axes == "-" else "Only its own code says what it averages over."
    each, over = _channel_words(info, axes)
    for_each = ["" if axes.images else "image", "" if axes.positions else "position", each]
    taken_over = ["the images of the batch" * axes.images, over, "all positions" * axes.positions]
    return f"One {info.statistic} for each {_and(for_each)}, over {_and(taken_over)}."


def _channel_words(info: NormInfo, axes: Axes) -> tuple[str, str]:
    """For each what of the channels there is a statistic, and over what of them; either may be nothing."""
    if "neighbouring" in info.axes:
        return "channel", f"{axes.channels} neighbouring channels"
    if "groups" in info.axes:
        return "group of channels", "its channels"
    return ("", "all channels") if axes.channels == CHANNELS else ("channel", "")


def _and(words: list[str]) -> str:
    *first, last = [word for word in words if word]
    return f"{', '.join(first)} and {last}" if first else last
