"""--show of the studies: the kept result, else that of the documentation, and nothing measured."""

from pathlib import Path

import pytest
from helpers.cli import normbench, refused

from normbench.advice.published import of_study
from normbench.analysis import StudyResult, Table, write_study_result
from normbench.errors import USAGE


def result(study: str) -> StudyResult:
    table = Table(title="accuracy", columns=("mistake", "right"), rows=(("state", "12.5 %"),))
    return StudyResult(
        study=study, title="A question?", conclusions=("An answer.",), caption="Some data.", tables=(table,), charts=()
    )


@pytest.mark.parametrize("study", ["mistakes", "batch-size", "depth", "cost", "rank"])
def test_the_documented_figures_stand_in_for_a_study_that_was_not_run(study: str, tmp_path: Path) -> None:
    document = normbench(study, "--show", "--out", tmp_path, "--json").document
    assert (document["documented"], document["files"]) == (True, [])
    entries = of_study(study)
    assert {entry["part"] for entry in document["values"]["measurements"]} == {entry.part for entry in entries}
    text = " ".join(cell for table in document["tables"] for row in table["rows"] for cell in row)
    values = [value for entry in entries for value in entry.values.values() if value is not None]
    assert values
    for value in values:
        assert f"{100 * value.mean:.2f}" in text
    assert {table["note"] for table in document["tables"]} == {f"{entry.caption} ({entry.page})" for entry in entries}
    assert not list(tmp_path.iterdir()), "showing writes nothing"


def test_a_kept_result_comes_first(tmp_path: Path) -> None:
    kept = write_study_result(tmp_path / "mistakes", result("mistakes"))
    document = normbench("mistakes", "--show", "--out", tmp_path, "--json").document
    assert (document["documented"], document["files"]) == (False, [str(kept)])
    assert document["tables"][0]["rows"] == [["state", "12.5 %"]]
    assert list((tmp_path / "mistakes").iterdir()) == [kept]


def test_the_flag_that_names_another_folder_chooses_the_result(tmp_path: Path) -> None:
    write_study_result(tmp_path / "claims-notebook", result("claims"))
    document = normbench("claims", "--notebook", "--show", "--out", tmp_path, "--json").document
    assert document["conclusions"] == ["An answer."]
    write_study_result(tmp_path / "mine", result("rank"))
    named = normbench("rank", "--show", "--name", "mine", "--out", tmp_path, "--json").document
    assert named["conclusions"] == ["An answer."]


def test_no_result_and_flags_of_a_measurement_are_refused(tmp_path: Path) -> None:
    write_study_result(tmp_path / "mine", result("rank"))
    refused(normbench("claims", "--show", "--out", tmp_path), USAGE, "has no result of `claims`")
    refused(normbench("mistakes", "--show", "--name", "other", "--out", tmp_path), USAGE, "has no result")
    refused(
        normbench("cost", "--show", "--name", "mine", "--out", tmp_path), USAGE, "normbench rank --show --name mine"
    )
    refused(normbench("mistakes", "--show", "--only", "state"), USAGE, "--only has no meaning")
    refused(normbench("rank", "--show", "--seeds", "3"), USAGE, "--seeds has no meaning")
    refused(normbench("depth", "--show", "--source", "--seed", "1"), USAGE, "--seed has no meaning")
