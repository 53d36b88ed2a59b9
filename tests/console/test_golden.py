"""Screens as golden files, so that a change of a screen is seen in review.

    pytest tests/console/test_golden.py --update-golden

The runs are those of docs/results/baseline, so nothing is trained and every figure is the same on all machines. Paths,
versions and what depends on the machine are masked.
"""

import re
import shutil
from pathlib import Path

import pytest
from helpers.cli import normbench

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
STYLES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
FIGURE = re.compile(r"\d[\d.,]*(?: ?(?:s|min|h|days?|kB|MB|GB|TB|[KMGT]iB)\b)?(?: \d+ s\b)?")
"""Number with a unit of time or memory."""
COST = re.compile(r"(?m)^(?:\d+ runs?\b.*\babout|.*\bof disk\b).*$")
"""Line that states the cost of a plan."""
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-7]|4[0-7]|9[0-7]|38;|48;)")

BASELINE = ("--config", "baseline", "--dataset", "cifar10", "--offline")
SCREENS: dict[str, tuple[object, ...]] = {
    "help": ("--help",),
    "help-train": ("train", "--help"),
    "train": ("train", *BASELINE, "--norm", "gn"),
    "compare": ("compare", *BASELINE, "--seeds", 5),
    "compare-one-seed": ("compare", *BASELINE, "--seeds", 1),
    "dry-run": ("compare", *BASELINE, "--seeds", 5, "--dry-run"),
    "dry-run-new": ("compare", "--config", "digits", "--seeds", 2, "--dry-run"),
    "summary": ("summary", "--norm", "gn"),
    "summary-all": ("summary", "--all"),
    "norms": ("norms",),
    "norm": ("norms", "gn"),
    "example": ("norms", "bn", "--example"),
    "recipes": ("recipes",),
    "runs": ("runs",),
    "runs-show": ("runs", "show", "baseline/gn-s0"),
    "runs-diff": ("runs", "diff", "baseline/gn-s0", "baseline/bn-s0"),
    "advise": ("advise", "--task", "vision", "--batch-size", 4, "--devices", 8),
    "env": ("env",),
    "error-norm": ("train", "--norm", "grupnorm"),
    "error-flag": ("compare", "--epochs", 21),
    "error-data": ("train", *BASELINE, "--norm", "bn", "--seed", 99),
    "error-run": ("evaluate", "nothing-s0"),
}
TERMINALS = {"80 columns": "80", "120 columns": "120", "off a terminal": ""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the kept runs of the baseline in `runs`."""
    folder = tmp_path_factory.mktemp("golden")
    shutil.copytree(ROOT / "docs" / "results" / "baseline", folder / "runs" / "baseline")
    return folder


def screen(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a command prints, at every width, masked."""
    monkeypatch.chdir(folder)
    surroundings = {"NO_COLOR": "1", "HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache")}
    parts = []
    for title, width in TERMINALS.items():
        answer = normbench(*SCREENS[name], **surroundings, **({"COLUMNS": width, "FORCE_COLOR": "1"} if width else {}))
        assert not COLOUR.search(answer.stdout + answer.stderr)
        stderr = answer.stderr
        if width:  # what moves on a terminal is no part of the screen
            stderr = stderr[stderr.index("error:") :] if "error:" in stderr else ""
        lines = [line.rstrip() for line in STYLES.sub("", f"{answer.stdout}{stderr}").splitlines()]
        parts.append("\n".join([f"===== {title}, exit code {answer.code}", *lines]))
    text = masked("\n\n".join(parts) + "\n", folder)
    return names_alone(text) if name == "env" else text


def masked(text: str, folder: Path) -> str:
    """Mask paths, the version, and what was measured on this machine."""
    for path, name in ((folder, "FOLDER"), (ROOT, "PROJECT")):
        text = text.replace(str(path), name)
    text = re.sub(r"(normbench +)\d+\.\d+\.\S+", r"\1X.Y.Z", text)
    return COST.sub(lambda line: FIGURE.sub("#", line[0]), text)


def names_alone(text: str) -> str:
    """Keep the first words of the tables, and the states of the checks: versions and hardware differ."""
    rows = [line for line in text.splitlines() if line and not line.startswith((" ", "─"))]
    return (
        "\n".join(
            " ".join(line.split()[:2])
            if " ok " in line or line[:5] == "check"
            else line
            if line[0] == "="
            else line.split()[0]
            for line in rows
        )
        + "\n"
    )


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_is_that_of_its_golden_file(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    path = GOLDEN / f"{name}.txt"
    now = screen(name, folder, monkeypatch)
    if request.config.getoption("--update-golden"):
        path.write_text(now, encoding="utf-8")
    assert now == path.read_text(encoding="utf-8"), "a screen has changed; if meant so: pytest --update-golden"


def test_every_golden_file_has_its_screen() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(SCREENS)
