"""`normbench runs`: what lies on disk, told apart, and cleaned up."""

import json
import shutil
from pathlib import Path

import pytest
from helpers.cli import TINY, normbench

from normbench.errors import RUN_FAILED, USAGE


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    for norm in ("bn", "gn"):
        assert normbench("train", "--norm", norm, *TINY, "--out", out).code == 0
    return out


def names(out: Path) -> list[str]:
    return [run["name"] for run in normbench("runs", "--out", out, "--json").document["runs"]]


def unfinished(out: Path) -> Path:
    """A run that was left after its first settings were written."""
    (done,) = out.glob("baseline/bn-*")
    folder = out / "other" / "ln-s0-00000000"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes((done / "config.json").read_bytes())
    return folder


def test_every_run_is_listed_with_state_and_accuracies(out: Path) -> None:
    runs = normbench("runs", "--out", out, "--json").document["runs"]
    assert [(run["state"], run["result"]["norm"]) for run in runs] == [("done", "bn"), ("done", "gn")]
    words = normbench("runs", "--out", out).words
    assert all(Path(run["folder"]).name in words for run in runs)


def test_an_empty_folder_has_no_runs(tmp_path: Path) -> None:
    assert f"There are no runs in {tmp_path}." in normbench("runs", "--out", tmp_path).words


def test_a_part_of_the_name_will_do_where_one_run_has_it(out: Path) -> None:
    shown = normbench("runs", "show", "gn-s0", "--out", out, "--json").document
    assert (shown["name"], shown["settings"]["norm"]) == (names(out)[1], "gn")
    ambiguous = normbench("runs", "show", "baseline", "--out", out)
    assert (ambiguous.code, "fits 2 runs" in ambiguous.stderr) == (USAGE, True)


def test_an_unknown_run_names_the_nearest(out: Path) -> None:
    answer = normbench("runs", "show", names(out)[0][:-1] + "x", "--out", out)
    assert (answer.code, f"Did you mean '{names(out)[0]}'" in answer.stderr) == (USAGE, True)


def test_the_difference_of_two_runs_is_what_was_set_differently(out: Path) -> None:
    found = normbench("runs", "diff", "bn-s0", "gn-s0", "--out", out, "--json").document["differences"]
    assert {one["key"]: one["values"] for one in found}["norm"] == ["bn", "gn"]
    assert {one["key"] for one in found} <= {"norm", "training.lr"}
    assert "Same settings" in normbench("runs", "diff", "bn-s0", "bn-s0", "--out", out).words


def test_clean_shows_what_it_would_remove_and_removes_it_when_told(out: Path) -> None:
    folder = unfinished(out)
    listed = normbench("runs", "clean", "--out", out, "--json").document
    assert (listed["removed"], listed["runs"], folder.exists()) == (False, [str(folder)], True)
    assert normbench("runs", "clean", "--yes", "--out", out).code == 0
    assert (folder.exists(), len(names(out))) == (False, 2)


def test_a_damaged_run_is_listed_as_damaged_and_cannot_be_evaluated(out: Path) -> None:
    folder = unfinished(out)
    (folder / "config.json").write_text(json.dumps({"norm": ["bn"]}))
    states = {run["name"]: run["state"] for run in normbench("runs", "--out", out, "--json").document["runs"]}
    assert states["other/ln-s0-00000000"] == "damaged"
    answer = normbench("evaluate", "ln-s0", "--out", out)
    assert (answer.code, "is damaged" in answer.stderr) == (RUN_FAILED, True)
    cleaned = normbench("runs", "clean", "--yes", "--out", out, "--json").document
    assert (cleaned["runs"], [kept["run"] for kept in cleaned["kept"]]) == ([], [str(folder)])
    assert (folder / "config.json").exists(), "what cannot be read is not removed"


def test_a_run_has_its_whole_name_also_from_a_relative_path(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = names(out)[0]
    monkeypatch.chdir((out / name).parent)
    assert normbench("evaluate", Path(name).name, "--json").document["run"] == name


def test_runs_are_listed_by_experiment_and_one_of_them_by_name(out: Path, tmp_path: Path) -> None:
    copied = tmp_path / "runs"
    for name in ("baseline", "other"):
        shutil.copytree(out / "baseline", copied / name)
    (copied / "a-study").mkdir()
    (copied / "a-study" / "finding.json").write_text('{"schema_version": 1, "study": "depth"}')
    document = normbench("runs", "--out", copied, "--json").document
    listed = [(entry["name"], entry["command"], entry["runs"], entry["done"]) for entry in document["experiments"]]
    assert listed == [("a-study", "depth", 0, 0), ("baseline", "compare", 2, 2), ("other", "compare", 2, 2)]
    one = normbench("runs", "--name", "other", "--out", copied, "--json").document
    assert {Path(run["folder"]).parent.name for run in one["runs"]} == {"other"}
    unknown = normbench("runs", "--name", "othr", "--out", copied)
    assert (unknown.code, "Did you mean 'other'" in unknown.stderr) == (USAGE, True)
    (copied / "other" / "ln-s0-00000000").mkdir()
    (copied / "other" / "ln-s0-00000000" / "config.json").write_bytes(
        next(copied.glob("baseline/bn-*/config.json")).read_bytes()
    )
    kept = normbench("runs", "clean", "--name", "baseline", "--out", copied, "--json").document
    assert kept["runs"] == []


def test_of_many_runs_the_experiments_are_listed(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normbench.console.runs.MOST_LISTED", 1)
    many = normbench("runs", "--out", out)
    assert ("bn-s0" in many.stdout, "--name EXPERIMENT" in many.words) == (False, True)
    assert "bn-s0" in normbench("runs", "--name", "baseline", "--out", out).stdout
