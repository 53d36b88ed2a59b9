"""The pictures of what a norm averages over, counted against the norm's definition."""

import itertools
import math
import re
import xml.etree.ElementTree as ET
from collections import Counter

import pytest

from normbench.norms import NORMS, norm_info
from normbench.norms.axes import CHANNELS, IMAGES, POSITIONS
from normbench.report.axes import axes_svg, cells
from normbench.report.figure import SERIES
from normbench.report.gallery import FORMATS, gallery

SHARES = {
    "bn": (IMAGES, 1, POSITIONS),
    "gn": (1, CHANNELS // 4, POSITIONS),
    "ln": (1, CHANNELS, POSITIONS),
    "in": (1, 1, POSITIONS),
    "lrn": (1, 5, 1),
    "ln-chw": (1, CHANNELS, POSITIONS),
    "ln-c": (1, CHANNELS, 1),
    "rms": (1, CHANNELS, POSITIONS),
    "rms-c": (1, CHANNELS, 1),
    "scale": (1, CHANNELS, 1),
    "frn": (1, 1, POSITIONS),
    "evonorm-s0": (1, CHANNELS // 4, POSITIONS),
    "brn": (IMAGES, 1, POSITIONS),
    "gbn": (IMAGES // 2, 1, POSITIONS),
    "ebn": (IMAGES, 1, POSITIONS),
    "sn": (IMAGES, 1, POSITIONS),
    "bin": (IMAGES, 1, POSITIONS),
}
"""Values of the first statistic of each norm."""
CUBES = {"ebn": 2, "sn": 3, "bin": 2}
"""Statistics of the norms that have more than one."""


def seen(images: int, channels: int, positions: int) -> int:
    """Marked cells on the three faces: front (first image), top (first position) and side (last channel)."""
    return channels * positions + channels * images + images * positions


@pytest.mark.parametrize("name", NORMS)
def test_as_many_cells_are_marked_as_one_statistic_is_taken_over(name):
    picture = axes_svg(NORMS[name])
    if name not in SHARES:
        assert NORMS[name].axes.is_empty
        assert picture is None
        return
    axes = NORMS[name].axes
    corner = axes.group(0, CHANNELS - 1, 0)
    assert [cell.group for cell in cells(axes)].count(corner) == seen(*SHARES[name])
    marked = [cell for _, axes in NORMS[name].statistics for cell in cells(axes) if cell.group is not None]
    assert len(re.findall(r"fill: var\(--series", picture)) == len(marked)
    assert len(re.findall("<polygon", picture)) == CUBES.get(name, 1) * seen(IMAGES, CHANNELS, POSITIONS)
    assert picture.count("role=") == picture.count("<title") == picture.count("<desc") == 1


@pytest.mark.parametrize("name", sorted(set(SHARES) - {"lrn"}))
def test_every_statistic_has_a_hue_and_a_shade_of_its_own(name):
    axes, shares = NORMS[name].axes, SHARES[name]
    cube = list(itertools.product(range(IMAGES), range(CHANNELS), range(POSITIONS)))
    groups = Counter(axes.group(*cell) for cell in cube)
    assert set(groups.values()) == {math.prod(shares)}
    assert len(groups) == math.prod((IMAGES, CHANNELS, POSITIONS)) // math.prod(shares)
    assert all(hue in range(len(SERIES)) and 0 <= shade <= 1 for hue, shade in groups)


def test_a_norm_that_subtracts_no_mean_is_hatched_as_rms_is_and_ln_is_not():
    assert cells(NORMS["rms"].axes) == cells(NORMS["ln"].axes)
    hatched = {name for name, info in NORMS.items() if "-hatch" in str(axes_svg(info))}
    assert hatched == {"lrn", "rms", "rms-c", "scale", "frn", "evonorm-s0"}


@pytest.mark.parametrize("ending", FORMATS)
def test_the_gallery_shows_every_norm_in_every_format(ending):
    picture = gallery(list(NORMS.values()), ending)
    assert FORMATS[ending][1](picture[:100] if ending != ".svg" else picture[:400])
    if ending == ".svg":
        texts = "".join(ET.fromstring(picture).itertext()).split()
        assert set(NORMS) <= set(texts)
    assert picture == gallery(list(NORMS.values()), ending), "the same every time"


@pytest.mark.parametrize(("groups", "channels"), [(1, 8), (2, 4), (8, 1), (64, 1)])
def test_the_groups_of_group_norm_share_the_channels(groups, channels):
    assert norm_info("gn", groups).axes.channels_of_cube == channels


def test_the_words_say_what_the_picture_shows():
    assert (
        NORMS["bn"].axes_sentence
        == "One mean and variance for each channel, over the images of the batch and all positions."
    )
    assert NORMS["ln"].axes_sentence == "One mean and variance for each image, over all channels and all positions."
    assert NORMS["ln-c"].axes_sentence == "One mean and variance for each image and position, over all channels."
    assert "group of channels, over its channels and all positions" in NORMS["gn"].axes_sentence
    rms, lrn = NORMS["rms"].axes_sentence, NORMS["lrn"].axes_sentence
    assert rms == "One mean square for each image, over all channels and all positions."
    assert lrn == "One sum of squares for each image, position and channel, over 5 neighbouring channels."
    ghosts = norm_info("gbn(size=8)")
    assert "over the 8 images of a ghost batch and all positions" in ghosts.axes_sentence
    assert ghosts.axes_text == "8 of N, H, W"
    extended = NORMS["ebn"]
    assert extended.axes_sentence.endswith(
        "One variance, over the images of the batch, all channels and all positions."
    )
    assert (extended.axes_text, NORMS["bin"].axes_text) == ("N, H, W; N, C, H, W", "N, H, W; H, W")
    assert NORMS["none"].axes_sentence == "It averages over nothing."


def test_a_norm_of_the_users_own_is_named_without_being_imported():
    info = norm_info("nowhere/x.py:<Mine>+ws")
    assert (info.title, axes_svg(info)) == ("<Mine> (your own)", None)


def test_names_in_the_picture_are_escaped():
    import dataclasses

    assert "<script" not in axes_svg(dataclasses.replace(NORMS["bn"], name="<script>"))
