"""Screens are whole: at 80 columns and fewer, in any encoding, whatever the user's names are made of."""

import io
import re
import sys
from pathlib import Path

import pytest
from helpers.cli import compare, normbench, train
from rich.cells import cell_len

from normbench.analysis import Chart, Line
from normbench.console.charts import chart_picture
from normbench.console.output import Output
from normbench.console.tables import plain_table
from normbench.errors import RunFailedError
from normbench.text import plain, visible

COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ROWS = [
    ("bn", "84.43 ± 12.31 %", "87.28 ± 11.03 %", "0.455", "0.612", "49,306", "0.08", "0.0005", "1,381.4"),
    ("gn", "82.27 ± 10.07 %", "85.59 ± 10.28 %", "0.512", "0.633", "49,306", "0.04", "0.0005", "1,501.2"),
]
COLUMNS = ("norm", "train accuracy", "test accuracy", "train loss", "test loss", "parameters", "lr", "decay", "seconds")
OWN = "[bold]/\x1b]0;owned\x07/\u202emine.py:Mine"
SHOWN = r"[bold]/\x1b]0;owned\x07/\u202emine.py:Mine"


def printed(part: object, width: int, encoding: str = "utf-8", monkeypatch: pytest.MonkeyPatch | None = None) -> str:
    """Text of a part of a result on a terminal of this width."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        patch.setenv("FORCE_COLOR", "1")
        patch.setenv("COLUMNS", str(width))
        Output().result([part], {}, "")
        stream.seek(0)
        return COLOURS.sub("", stream.read())


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "latin-1", "ascii"])
@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_table_is_whole_at_any_width_in_any_encoding(width: int, encoding: str) -> None:
    table = plain_table(*COLUMNS)
    for row in ROWS:
        table.add_row(*row)
    text = printed(table, width, encoding)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    for cell in (cell for row in ROWS for cell in row):
        assert plain(cell, encoding) in text
    assert all(word in text for column in COLUMNS[1:] for word in column.split())


def test_what_is_equal_in_every_row_moves_below_and_accuracies_stay() -> None:
    table = plain_table("norm", "test accuracy", "parameters", "lr", "a rather longer column", "decay")
    for norm in ("bn", "gn"):
        table.add_row(norm, "84.43 ± 1.31 %", "49,306", "0.04", "x" * 15, "0.0005")
    text = printed(table, 50)
    assert "In every row: " in text
    assert "decay 0.0005" in text.split("In every row: ")[1]
    assert text.split("In every row: ")[0].count("84.43 ± 1.31 %") == 2


def test_a_name_that_is_longer_than_the_line_stands_in_one_piece() -> None:
    name = "experiment-" + "x" * 150 + "/gn-s0-1a2b3c4d"
    table = plain_table("run", "state", "test accuracy")
    table.add_row(name, "done", "84.43 %")
    lines = printed(table, 80).splitlines()
    assert name in lines
    assert "  test accuracy: 84.43 %" in [line.rstrip() for line in lines]


def test_sentences_wrap_between_words_and_code_in_them_stays_whole() -> None:
    table = plain_table("mistake", "wrong", "look for", wraps=[1, 2])
    code = "network.load_state_dict(parameters)"
    table.add_row("state", f"only the parameters are loaded\n  {code}", "an average of weights needs more " * 4)
    text = printed(table, 80)
    assert f"  {code}" in text
    assert all(cell_len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("kind", ["bars", "lines"])
def test_a_chart_fits_and_shows_names_as_they_are(kind: str, encoding: str) -> None:
    line = Line(label=OWN, x=(0.0, 1.0), y=(0.1, 0.9))
    chart = Chart(name="c", title="A chart", x_label="x", y_label="y", lines=(line, line), ticks=(OWN, "bn"), kind=kind)
    text = printed(chart_picture(chart), 80, encoding)
    assert SHOWN in text
    assert max(cell_len(one) for one in text.splitlines() if SHOWN not in one) <= 80


@pytest.mark.parametrize("width", ["0", "7", "²", "-1", "", "many", "9" * 30])
def test_a_strange_width_is_no_failure(width: str) -> None:
    answer = normbench("recipes", COLUMNS=width, FORCE_COLOR="1")
    assert answer.code == 0
    assert max(map(len, answer.stdout.splitlines())) < 1000


def test_control_characters_of_any_kind_are_shown() -> None:
    assert visible("a\x00\x1b[2J\x7f\x9b\u202e\u2066\ud800\ufeff\nb\t") == (
        r"a\x00\x1b[2J\x7f\x9b\u202e\u2066\ud800\ufeff" + "\nb\t"
    )
    assert visible("a\nb\t", lines=False) == r"a\nb\t"


def test_text_of_the_user_is_neither_markup_nor_control_in_any_part_of_the_screen() -> None:
    table = plain_table("norm", OWN, title=OWN)
    table.add_row(OWN, OWN)
    text = printed(table, 200)
    assert text.count(SHOWN) == 4
    assert printed(OWN, 80).strip() == SHOWN


def test_words_on_stderr_are_neither_markup_nor_control(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.note(OWN)
    output.warning(OWN)
    output.error(RunFailedError(OWN, OWN))
    assert capsys.readouterr().err.splitlines() == [SHOWN, f"warning: {SHOWN}", f"error: {SHOWN}", f"hint: {SHOWN}"]


@pytest.mark.parametrize("mode", ["json", "quiet"])
def test_programs_get_no_control_characters_either(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    Output(mode).result("", {"name": OWN + "\x7f"}, OWN)  # type: ignore[arg-type]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", capsys.readouterr().out)


@pytest.mark.parametrize("folder", ["d[/x]", "c[bold]", "e\x1b[31m", "f\nnewline"])
def test_a_norm_in_a_folder_of_any_name_is_trained_and_listed(folder: str, tmp_path: Path) -> None:
    home = tmp_path / folder
    home.mkdir(parents=True)
    (home / "mine.py").write_text("from torch import nn\n\n\nclass Mine(nn.Identity):\n    pass\n")
    spec = f"{home}/mine.py:Mine"
    trained = train(tmp_path / "runs", "--norm", spec)
    assert trained.code == 0
    listed = normbench("runs", "--out", tmp_path / "runs")
    for answer in (trained, listed):
        assert visible(spec, lines=False) in answer.stdout
        assert "\x1b" not in answer.stdout + answer.stderr


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compared")
    assert compare(out, "--norms", "bn,gn", "--seeds", 2).code == 0
    return out


SCREENS = {
    "compare": ("compare", "--norms", "bn,gn", "--seeds", 2),
    "dry-run": ("compare", "--norms", "bn,gn", "--seeds", 3, "--dry-run"),
    "runs": ("runs",),
    "show": ("runs", "show", "bn-s0"),
    "diff": ("runs", "diff", "bn-s0", "gn-s0"),
    "evaluate": ("evaluate", "gn-s1"),
    "summary": ("summary", "--norm", "gn"),
    "norms": ("norms",),
    "norm": ("norms", "gn"),
    "recipes": ("recipes",),
    "advise": ("advise", "--task", "vision"),
    "rules": ("advise", "--rules"),
    "cost": ("cost", "--norms", "bn", "--repeats", 1, "--batch-size", 4),
    "depth": ("depth", "--no-train", "--norms", "none,bn", "--depth", 3, "--width", 8),
    "verify": ("verify", "--norm", "ln-c", "--cases", 1),
}


@pytest.mark.parametrize("screen", SCREENS)
def test_every_screen_is_whole_at_80_columns_in_plain_signs(screen: str, compared: Path, tmp_path: Path) -> None:
    from helpers.cli import TINY

    command = [*SCREENS[screen], *(TINY if SCREENS[screen][0] == "compare" else ())]
    out = compared if screen not in ("cost", "depth", "verify") else tmp_path
    flags = () if screen in ("summary", "recipes", "norms") else ("--out", out)
    answer = normbench(*command, *flags, COLUMNS="80", FORCE_COLOR="1")
    assert answer.code in (0, 1)
    lines = COLOURS.sub("", answer.stdout).splitlines()
    too_long = [line for line in lines if cell_len(line) > 80 and str(out) not in line]
    assert too_long == []
    assert [line for line in lines if "…" in line] == []
    if screen in ("compare", "runs"):
        names = [path.name for path in compared.glob("*/*") if path.is_dir() and path.name[:2] in ("bn", "gn")]
        text = "\n".join(lines)
        whole = [name in text for name in names] if screen == "runs" else re.findall(r"(?m)^bn +\d+\.\d\d", text)
        assert whole
        assert all(whole)


@pytest.mark.parametrize("screen", ["compare", "runs", "dry-run"])
def test_a_pipe_has_80_columns(screen: str, compared: Path) -> None:
    from helpers.cli import TINY

    tiny = TINY if SCREENS[screen][0] == "compare" else ()
    answer = normbench(*SCREENS[screen], *tiny, "--out", compared, COLUMNS="")
    lines = answer.stdout.splitlines()
    assert [line for line in lines if cell_len(line) > 80 and str(compared) not in line] == []


def test_progress_shows_bar_seed_and_count_at_80_columns(tmp_path: Path) -> None:
    answer = train(tmp_path, "--norm", "gn", "--epochs", 2, COLUMNS="80", FORCE_COLOR="1")
    lines = COLOURS.sub("", answer.stderr).replace("\r", "\n").splitlines()
    shown = [line for line in lines if "━" in line and line.startswith("gn")]
    assert shown
    assert all(re.match(r"gn seed 0 [━╺╸]+ \d/2 ", line) for line in shown)
