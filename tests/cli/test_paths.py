"""Paths that users give: `~`, names that cannot be, recipes of any editor; and outputs that overwrite nothing else."""

import os
import sys
from pathlib import Path

import pytest
from helpers.cli import TINY, normbench, refused, run_folders, train

from normbench.config import MachineConfig, load_recipe
from normbench.errors import RUN_FAILED, USAGE, UsageError

RECIPE = 'norms = ["gn"]\n\n[training]\nlr = 0.0625\n'
BOM = b"\xef\xbb\xbf"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the user, and beside it the working folder."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_tilde_means_the_home_in_every_path(home: Path) -> None:
    (home / "x.toml").write_text(RECIPE)
    assert normbench("train", "--norm", "gn", *TINY, "--config", "~/x.toml", NORMBENCH_OUT="~/r").code == 0
    (folder,) = run_folders(home / "r")
    for where in (("--out", "~/r"), ()):
        listed = normbench("runs", *where, "--json", NORMBENCH_OUT="~/r").document["runs"]
        assert [run["folder"] for run in listed] == [str(folder)]
    assert normbench("runs", "show", f"~/r/x/{folder.name}").code == 0
    assert normbench("report", "~/r/x").code == 0
    assert normbench("norms", "gn", "--picture", "~/gn.svg").code == 0
    assert (home / "gn.svg").is_file()
    refused(normbench("evaluate", str(folder), "--images", "~/none"), USAGE, str(home / "none"))
    searched = normbench("data", "--data-dir", "~/d", "--json").document["searched"]
    assert searched == normbench("data", "--json", NORMBENCH_DATA_DIR="~/d").document["searched"] == [str(home / "d")]
    assert list(Path.cwd().iterdir()) == [], "no folder is called ~"


def test_a_home_that_is_not_known_is_said(home: Path) -> None:
    for arguments in (
        ("runs", "--out", "~nobody-of-this-name/r"),
        ("train", "--norm", "gn", "--config", "~nobody-x/y.toml"),
    ):
        refused(normbench(*arguments), USAGE, "there is no such user, or no home folder")
    with pytest.raises(UsageError, match="no such user"):
        MachineConfig(data_dir=Path("~nobody-of-this-name"))


@pytest.mark.parametrize("name", ["plain.toml", "LOUD.TOML", "Mixed.Toml"])
@pytest.mark.parametrize("mark", [b"", BOM], ids=["plain", "BOM"])
def test_a_recipe_of_any_editor_is_read(
    name: str, mark: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(mark + RECIPE.replace("\n", "\r\n").encode())
    assert load_recipe(name).training.lr == 0.0625
    assert load_recipe(str(tmp_path / name)).training.lr == 0.0625


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names of arbitrary bytes")
@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--norm", "gn", *TINY, "--out"),
        ("train", *TINY, "--norm"),
        ("train", "--norm", "gn", *TINY, "--config"),
        ("compare", *TINY, "--norms"),
        ("norms", "gn", "--picture"),
        ("report",),
        ("runs", "show"),
        ("evaluate", "x", "--images"),
        ("data", "--data-dir"),
    ],
)
def test_what_is_no_utf8_is_refused_before_anything_is_written(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(normbench(*arguments, "bad\udcff/runs"), USAGE, r"bad\udcff/runs", "not valid UTF-8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names of arbitrary bytes")
def test_a_variable_that_is_no_utf8_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(normbench("train", "--norm", "gn", *TINY, NORMBENCH_OUT="bad\udcff"), USAGE, "not valid UTF-8")
    assert list(tmp_path.iterdir()) == []


NORM = "import torch\ndef make(channels): return torch.nn.GroupNorm(1, channels)\n"


def test_a_norm_with_a_long_path_trains_and_is_found_again(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120) / ("e" * 120)
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text(NORM)
    out = tmp_path / "runs"
    assert train(out, "--norm", f"{folder}/mine.py:make").code == 0
    (run,) = normbench("runs", "--out", out, "--json").document["runs"]
    assert (run["state"], len(Path(run["folder"]).name) <= 255, "mine.py-make" in run["name"]) == ("done", True, True)
    again = train(out, "--norm", f"{folder}/mine.py:make", "--json")
    assert again.document["run"]["folder"] == run["folder"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs", "--out"), ("report",), ("runs", "show"), ("norms", "gn", "--picture"), ("data", "--data-dir"),
        ("train", "--norm", "gn", "--config"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["n" * 300, "n/" * 2500])
def test_a_name_that_is_too_long_is_refused_in_words(arguments: tuple[str, ...], path: str, tmp_path: Path) -> None:
    answer = normbench(*arguments, f"{tmp_path}/{path}")
    refused(answer, USAGE, "longer than a path can be")


# What outputs are written over.


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))  # as /dev/null is
    except PermissionError:
        pytest.skip("only root can make a device")


def text(path: Path) -> None:
    path.write_text("127.0.0.1 localhost\n")


def link_to_text(path: Path) -> None:
    (path.parent / "hosts").write_text("127.0.0.1 localhost\n")
    path.symlink_to(path.parent / "hosts")


def look(path: Path) -> object:
    """Content at a path, without opening a pipe or a device."""
    status = path.lstat()
    content = path.read_bytes() if path.is_file() else sorted(path.iterdir()) if path.is_dir() else None
    return status.st_mode, status.st_ino, status.st_rdev, content


posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither pipes nor devices in folders")
OTHERS = [folder, pipe, device, text, link_to_text]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    assert train(out, "--norm", "gn").code == 0
    return run_folders(out)[0]


@posix
@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", OTHERS)
@pytest.mark.parametrize("command", ["norms", "export"])
def test_a_flag_that_names_a_file_overwrites_only_its_own_kind(make, command: str, run: Path, tmp_path: Path) -> None:
    if command == "export":
        pytest.importorskip("onnxruntime", reason="the extra normbench[onnx] is not installed")
    target = tmp_path / "target"
    make(target)
    before = look(target)
    arguments = ("norms", "gn", "--picture", target) if command == "norms" else ("export", run, "--file", target)
    refused(normbench(*arguments), USAGE, f"cannot write {target.resolve()}")
    assert look(target) == before
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".writing-")] == []


def test_a_picture_is_written_over_one_and_through_a_link_to_one(tmp_path: Path) -> None:
    real = tmp_path / "real.svg"
    (tmp_path / "link.svg").symlink_to(real)
    for _ in range(2):
        assert normbench("norms", "gn", "--picture", tmp_path / "link.svg").code == 0
    assert (tmp_path / "link.svg").is_symlink()
    assert "<svg" in real.read_text()
    refused(normbench("norms", "gn", "--picture", tmp_path / "no" / "gn.svg"), USAGE, "there is no folder")


def test_an_onnx_file_is_written_over_one(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra normbench[onnx] is not installed")
    for _ in range(2):
        assert normbench("export", run, "--file", tmp_path / "net.onnx").code == 0


@posix
@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [folder, pipe, device, text])
@pytest.mark.parametrize("name", ["report.html", "plots/curve-train-loss.svg"])
def test_a_report_overwrites_only_reports(make, name: str, run: Path, tmp_path: Path) -> None:
    import shutil

    experiment = shutil.copytree(run.parent, tmp_path / "experiment")
    (experiment / "plots").mkdir()
    written = normbench("report", experiment, "--json").document
    assert name in {str(Path(path).relative_to(experiment)) for path in [written["report"], *written["plots"]]}
    (experiment / name).unlink()
    make(experiment / name)
    before = look(experiment / name)
    refused(normbench("report", experiment), RUN_FAILED, "cannot write", name)
    assert look(experiment / name) == before


def test_a_report_removes_only_plots_of_its_own(run: Path, tmp_path: Path) -> None:
    import shutil

    experiment = shutil.copytree(run.parent, tmp_path / "experiment")
    assert normbench("report", experiment).code == 0
    plots = experiment / "plots"
    earlier = plots / "curve-of-an-earlier-report.svg"
    earlier.write_bytes(next(plots.glob("curve-*.svg")).read_bytes())
    earlier.with_suffix(".png").write_bytes(b"\x89PNG")
    (plots / "curve-mine.svg").write_text("<svg>mine</svg>")
    (plots / "curve-mine.png").write_bytes(b"\x89PNG mine")
    assert normbench("report", experiment).code == 0
    left = {path.name for path in plots.iterdir()}
    assert {"curve-mine.svg", "curve-mine.png"} <= left
    assert {earlier.name, earlier.with_suffix(".png").name} & left == set()


@pytest.mark.parametrize("name", ["results.csv", "table.md", "table.tex"])
def test_the_tables_of_a_comparison_overwrite_only_tables(name: str, tmp_path: Path) -> None:
    compared = ("compare", "--norms", "gn,ln", *TINY, "--out", tmp_path, "--json")
    for _ in range(2):
        assert any(Path(file).name == name for file in normbench(*compared).document["files"])
    (path,) = tmp_path.glob(f"*/{name}")
    path.write_text("my own notes")
    answer = normbench(*compared)
    assert (answer.code, path.read_text()) == (0, "my own notes")
    assert f"cannot write {path}" in answer.stderr
