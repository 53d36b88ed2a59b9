"""Hostile input: whatever is typed or found, the answer is words, a documented exit code, and one document."""

import csv
import re
from pathlib import Path

import pytest
from helpers.cli import TINY, normbench
from helpers.hostile import COMMANDS, NAMES, PATHS, command_line, faults, make_world, run, told

EACH, SLOW_EACH = 12, 100
EVIL = "=1+1 \x1b[31m<script>alert(1)<b>&[bold]$x^2_{y}|`a`\u202e"
SHOWN = r"=1+1 \x1b[31m"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("hostile"))


def failures(numbers: range, world: Path) -> list[str]:
    found = []
    for number in numbers:
        words = command_line(number, world)
        answer, outside = run(words, world)
        if wrong := faults(words, answer, outside):
            found.append(f"{number}: {told(words, answer, wrong)}")
    return found


def test_the_generator_knows_every_command_and_every_flag() -> None:
    assert {path[0] for path in COMMANDS} >= {"train", "compare", "runs", "export", "report", "data"}
    kinds = {name: parameter.kind for parameters in COMMANDS.values() for name, parameter in parameters.items()}
    assert kinds.keys() >= NAMES.keys() | PATHS.keys()
    assert {name for name, kind in kinds.items() if kind is Path} == PATHS.keys()


@pytest.mark.parametrize("part", range(10))
def test_hostile_command_lines_get_words(part: int, world: Path) -> None:
    assert failures(range(part * EACH, (part + 1) * EACH), world) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(40))
def test_four_thousand_hostile_command_lines_get_words(part: int, world: Path) -> None:
    assert failures(range(1000 + part * SLOW_EACH, 1000 + (part + 1) * SLOW_EACH), world) == []


@pytest.fixture(scope="module")
def injected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment with a norm whose name is an attack on every format, and all that can be made of it."""
    home = tmp_path_factory.mktemp("injected")
    (home / EVIL).mkdir()
    (home / EVIL / "mine.py").write_text(
        "from torch import nn\n\n\ndef Mine(channels):\n    return nn.BatchNorm2d(channels)\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        spec = f"{EVIL}/mine.py:Mine"
        compared = normbench("compare", "--norms", f"gn,{spec}", "--seeds", 2, *TINY, "--out", "runs")
        assert compared.code == 0, compared.stderr
        reported = normbench("report", "baseline", "--out", "runs")
        assert reported.code == 0, reported.stderr
        (home / "screens.txt").write_text(compared.stdout + compared.stderr + reported.stdout + reported.stderr)
    return home


def test_a_name_reaches_no_format_as_anything_but_a_name(injected: Path) -> None:
    kinds = ("*.csv", "*.md", "*.tex", "*.html", "*.svg", "screens.txt")
    files = [path for kind in kinds for path in injected.rglob(kind)]
    assert {path.suffix for path in files} == {".csv", ".md", ".tex", ".html", ".svg", ".txt"}
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not CONTROLS.search(text), path
        if path.suffix in (".html", ".svg"):
            assert "<script>alert" not in text
    for name in ("results.csv", "table.md", "report.html"):
        (path,) = injected.rglob(name)
        assert "x1b" in path.read_text(encoding="utf-8"), "the name is there, in another form"


def test_no_cell_of_a_csv_is_a_formula_and_numbers_stay_numbers(injected: Path) -> None:
    (path,) = injected.rglob("results.csv")
    lines = list(csv.DictReader(path.open(newline="", encoding="utf-8")))
    assert any(line["norm"].startswith("'=") for line in lines)
    for line in lines:
        assert 0 <= float(line["test_accuracy"]) <= 1
        assert [cell for cell in line.values() if cell.startswith(("=", "+", "-", "@"))] == []
