"""`normbench norms NAME`: what it says of a norm, the picture in the terminal and as a file, and what was measured."""

import re
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from helpers.cli import Answer, compare, normbench, refused
from helpers.small import run_config

from normbench.analysis import norm_history
from normbench.console.norm_page import MARKED, OTHER, cube
from normbench.norms import NORMS, canonical_name, norm_info
from normbench.norms.axes import CHANNELS, IMAGES, POSITIONS, Axes
from normbench.report.gallery import FORMATS
from normbench.runs import Entry, RunResult


def page(*arguments: object) -> Answer:
    answer = normbench("norms", *arguments)
    assert answer.code == 0, answer.stderr
    return answer


@pytest.mark.parametrize("name", NORMS)
def test_a_page_says_all_that_the_registry_knows(name, tmp_path):
    said, info = page(name, "--out", tmp_path).words, NORMS[name]
    for text in (info.title, f"y = {info.formula}", info.when, info.avoid, *info.mistakes, info.paper.strip("-")):
        assert " ".join(text.split()) in said


def test_every_norm_has_a_reason_against_it_that_says_where_it_is_from():
    for info in NORMS.values():
        assert re.search(r"\(arXiv:\d{4}\.\d{4,5}|`normbench ", info.avoid), info.name


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("groups", [1, 4])
def test_the_cube_marks_as_many_cells_as_one_statistic_is_taken_over(name, groups):
    axes = norm_info(name, groups).axes  # of several statistics the first
    assert axes.is_empty == (name in {"none", "dyt", "derf"})
    if axes.is_empty:
        return
    cells = [line[7:] for line in cube(axes).plain.splitlines()[1 : POSITIONS + 1]]
    marked = sum(line.count(MARKED[0]) for line in cells)
    channels = 1 if name in {"bn", "brn", "gbn", "ebn", "sn", "bin", "in", "frn"} else CHANNELS
    channels = {"lrn": 5, "gn": CHANNELS // groups, "evonorm-s0": CHANNELS // groups}.get(name, channels)
    images = (dict.fromkeys(("bn", "brn", "ebn", "sn", "bin"), IMAGES) | {"gbn": IMAGES // 2}).get(name, 1)
    positions = 1 if name in {"lrn", "ln-c", "rms-c", "scale"} else POSITIONS
    assert marked == images * channels * positions
    assert marked + sum(line.count(OTHER[0]) for line in cells) == IMAGES * CHANNELS * POSITIONS


def test_a_norm_of_several_statistics_has_a_cube_for_each(tmp_path):
    answer = page("sn", "--out", tmp_path)
    lines = [line for line in answer.stdout.splitlines() if "in the statistic" in line]
    statistics = page("sn", "--out", tmp_path, "--json").document["norm"]["statistics"]
    assert len(lines) == len(statistics) == 3
    assert [one["axes"] for one in statistics] == ["N, H, W", "C, H, W", "H, W"]


def test_the_cube_fits_80_columns_and_is_legible_without_colour():
    lines = cube(Axes(images=True, positions=True)).plain.splitlines()
    assert max(map(len, lines)) <= 80
    assert MARKED[0] != OTHER[0]


def test_groups_change_picture_and_words(tmp_path):
    one, eight = (page("gn", "--groups", groups, "--out", tmp_path).stdout for groups in (1, 8))
    assert one.count(MARKED[0]) > eight.count(MARKED[0])


def test_weight_standardization_brings_its_formula_and_its_paper(tmp_path):
    answer = page("gn+ws", "--out", tmp_path)
    for words in ("with weight standardization", "of each kernel v", "arXiv:1903.10520", "--norms bn,gn+ws"):
        assert words in answer.words
    document = page("gn+ws", "--out", tmp_path, "--json").document
    assert (document["norm"]["name"], document["norm"]["weight_standardization"]) == ("gn+ws", True)


def test_a_norm_of_ones_own_has_a_page(tmp_path):
    (tmp_path / "mine.py").write_text("from torch.nn import Identity as Mine\n")
    answer = page(f"{tmp_path}/mine.py:Mine", "--out", tmp_path)
    assert "Mine (your own)" in answer.words
    assert "Only its own code says what it averages over." in answer.words
    refused(normbench("norms", f"{tmp_path}/mine.py:Yours"), 2, "nothing called 'Yours'")


def test_what_was_measured_is_shown_with_its_conditions(tmp_path):
    before = page("gn", "--out", tmp_path)
    assert "Not measured under" in before.words
    rows = compare(tmp_path, "--norms", "gn", "--seeds", 3, "--json").document["rows"]
    (measured,) = page("gn", "--out", tmp_path, "--json").document["measured"]
    assert measured["test_accuracy"] == rows[0]["test_accuracy"]
    assert (measured["experiment"], measured["norm"]) == ("baseline", "gn")
    said = page("gn", "--out", tmp_path).words
    mean, half = (100 * measured["test_accuracy"][key] for key in ("mean", "high95"))
    assert f"{mean:.2f} ± {half - mean:.2f} %" in said
    assert "baseline: the embedded digits, not CIFAR-10 (256 train" in said
    assert "3 seeds (0-2)" in said


def entry(folder: str, norm: str = "gn", seed: int = 0, accuracy: float | None = 0.5, device: str = "cpu", **training):
    config = run_config(norm, seed, **training)
    result = RunResult(
        status="done", norm=norm, seed=seed, dataset="digits", network="c10", parameters=1, epochs=1, batch_size=1,
        lr=config.training.lr, weight_decay=0.0, test_accuracy=accuracy, train_images=1, test_images=1, seconds=1.0,
        device=device, torch="2", fingerprint="f",
    )  # fmt: skip
    return Entry(Path("runs") / folder / f"{norm}-{seed}", "done", config, result)


def test_runs_are_averaged_over_seeds_and_nothing_else():
    found = norm_history(
        [
            entry("a", accuracy=0.4), entry("a", seed=1, accuracy=0.6), entry("a", device="other"),
            entry("a", lr=0.2), entry("a", momentum=0.8), entry("a", norm="bn"), entry("a", accuracy=None),
            entry("b"), Entry(Path("runs/a/x"), "damaged"),
        ],
        "gn",
    )  # fmt: skip
    figures = [(one.experiment, one.row.test_accuracy.n, one.row.test_accuracy.mean) for one in found]
    assert figures == [("a", 2, pytest.approx(0.5)), ("a", 1, 0.5), ("a", 1, 0.5), ("a", 1, 0.5), ("b", 1, 0.5)]


def test_quiet_is_the_formula(tmp_path):
    assert page("rms", "-q").stdout == "y = x / sqrt(mean_CHW(x^2) + eps) * gamma_c\n"


@pytest.mark.parametrize("ending", FORMATS)
def test_the_picture_as_a_file_stands_on_its_own(ending, tmp_path):
    file = tmp_path / f"gn{ending}"
    answer = page("gn", "--picture", file, "--out", tmp_path)
    assert f"picture in {file}" in " ".join(answer.stderr.split())
    assert FORMATS[ending][1](file.read_bytes()[:400])
    assert page("gn", "--picture", file, "--out", tmp_path).code == 0, "its own file is written over"
    if ending == ".svg":
        text = file.read_text()
        assert "var(" not in text
        drawn = ET.fromstring(text)
        assert {"gn", "C", "N", "H×W"} <= {word.strip() for word in drawn.itertext()}
    assert normbench("norms", "--gallery", tmp_path / f"all{ending}", "-q").code == 0
    assert FORMATS[ending][1]((tmp_path / f"all{ending}").read_bytes()[:400])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bnn",), "unknown norm 'bnn'"),
        (("none", "--picture", "x.svg"), "there is no picture of none"),
        (("gn", "--groups", "0"), "--groups 0: must be from 1 to 1,024"),
        (("--picture", "x.svg"), "--picture goes with the name of a norm"),
        (("gn", "--picture", "x.jpg"), "End it in .svg, .png, .pdf"),
        (("gn", "--gallery", "x.svg"), "--gallery is of all norms"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, words, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(normbench("norms", *arguments), 2, words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["gn(groups=8)", "gn(groups=8)+ws", "gn", "a b/mine.py:Mine", "a b/mine.py:Mine(k='x')"]
)
def test_the_command_of_a_page_can_be_typed_in_a_shell(name, tmp_path, monkeypatch):
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "mine.py").write_text("from torch import nn\ndef Mine(channels, k=''): return nn.Identity()\n")
    monkeypatch.chdir(tmp_path)
    command = page(name, "--out", tmp_path).words.partition(" yet: ")[2]
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)  # parentheses are what a shell takes them for
    lexer.whitespace_split = True
    assert list(lexer)[:4] == ["normbench", "compare", "--norms", f"bn,{canonical_name(name)}"]
