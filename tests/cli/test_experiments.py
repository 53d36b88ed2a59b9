"""Experiments have names, and one name answers one question."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from helpers.cli import compare, normbench, refused, train
from hypothesis import given
from hypothesis import strategies as st

import normbench as nb
from normbench.config import Recipe
from normbench.config.validation import LONGEST_EXPERIMENT, check_name
from normbench.errors import UsageError
from normbench.runs import Question, claim, place

CHECKOUT = Path(__file__).resolve().parent.parent.parent
FILES = ("results.csv", "table.md", "table.tex")
QUESTION = Question.of(Recipe(), "compare")


def listed(folder: Path) -> list[tuple[str, str]]:
    """Norm and seed of each line of results.csv."""
    with (folder / "results.csv").open(newline="") as file:
        return sorted((row["norm"], row["seed"]) for row in csv.DictReader(file))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs after a comparison."""
    out = tmp_path_factory.mktemp("first")
    assert compare(out, "--norms", "bn,gn").code == 0
    return out


@pytest.fixture
def out(first: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(first, tmp_path / "runs"))


OTHER = [
    ("--subset", "128"),
    ("--epochs", "2"),
    ("--lr", "0.01"),
    ("--groups", "2"),
    ("--val-split", "0.2"),
    ("--batch-size", "32"),
    ("--set", "network.residual=false"),
    ("--set", "norm.gn.lr=0.01"),
    ("--lr", "0.01,0.02", "--val-split", "0.2"),
]


@pytest.mark.parametrize("other", OTHER, ids=" ".join)
def test_another_question_leaves_the_tables_of_the_first_and_says_so(other: tuple[str, ...], out: Path) -> None:
    before = {name: (out / "baseline" / name).read_bytes() for name in FILES}
    answer = compare(out, "--norms", "bn", *other, "--json")
    assert answer.code == 0
    assert {name: (out / "baseline" / name).read_bytes() for name in FILES} == before
    (folder,) = [path for path in out.iterdir() if path.name != "baseline"]
    assert folder.name.startswith("baseline-")
    assert {Path(run["folder"]).parent for run in answer.document["runs"]} == {folder}
    (warning,) = [warning for warning in answer.document["warnings"] if "--name" in warning]
    assert folder.name in warning
    again = compare(out, "--norms", "bn", *other, "--json")
    assert [run["folder"] for run in again.document["runs"]] == [run["folder"] for run in answer.document["runs"]]
    assert "already done" in again.stderr


def test_a_name_of_another_question_is_refused_before_anything_is_trained(out: Path) -> None:
    before = sorted(out.rglob("*"))
    answer = compare(out, "--norms", "bn", "--epochs", "2", "--name", "baseline")
    refused(answer, 2, "training.epochs is 1 there and 2 here", "--name NAME", "settings of baseline")
    assert sorted(out.rglob("*")) == before


def test_more_norms_and_more_seeds_extend_the_experiment_and_its_tables(out: Path) -> None:
    answer = compare(out, "--norms", "ln", "--seeds", "2", "--name", "baseline", "--json")
    assert answer.code == 0
    assert [(run["norm"], run["seed"]) for run in answer.document["runs"]] == [("ln", 0), ("ln", 1)]
    assert listed(out / "baseline") == [("bn", "0"), ("gn", "0"), ("ln", "0"), ("ln", "1")]
    table = (out / "baseline" / "table.md").read_text()
    assert [norm for norm in ("bn", "gn", "ln") if f"| {norm} " in table] == ["bn", "gn", "ln"]


def test_a_run_of_other_settings_beside_a_comparison_does_not_enter_its_tables(out: Path) -> None:
    assert train(out, "--norm", "ln", "--lr", "0.011").code == 0
    assert train(out, "--norm", "in").code == 0
    assert compare(out, "--norms", "bn").code == 0
    assert listed(out / "baseline") == [("bn", "0"), ("gn", "0"), ("in", "0")]


def test_names_are_taken_by_every_command_that_writes_an_experiment(tmp_path: Path) -> None:
    assert train(tmp_path, "--norm", "gn", "--name", "mine").code == 0
    assert normbench("depth", "--no-train", "--norms", "bn", "--depth", "2", "--out", tmp_path, "--name", "d").code == 0
    assert ([path.name for path in tmp_path.glob("mine/*")], (tmp_path / "d/finding.json").exists()) != ([], False)
    for command in ("compare", "batch-size", "cost", "verify", "mistakes"):
        refused(normbench(command, "--name", "a/b", "--out", tmp_path), 2, "'a/b'", "--name NAME")


DEPTH = ("depth", "--no-train", "--norms", "bn", "--width", 8)


def test_a_study_does_not_take_the_name_of_a_comparison(out: Path) -> None:
    before = sorted(out.rglob("*"))
    refused(normbench(*DEPTH, "--depth", 2, "--out", out, "--name", "baseline"), 2, "normbench compare", "--name")
    assert sorted(out.rglob("*")) == before


def test_a_study_of_other_settings_leaves_the_result_of_the_first_and_says_so(tmp_path: Path) -> None:
    assert normbench(*DEPTH, "--depth", 2, "--out", tmp_path).code == 0
    first = (tmp_path / "depth" / "finding.json").read_bytes()
    other = normbench(*DEPTH, "--depth", 3, "--out", tmp_path)
    (folder,) = [path for path in tmp_path.iterdir() if path.name != "depth"]
    assert (other.code, folder.name in other.stderr, (folder / "finding.json").exists()) == (0, True, True)
    assert (tmp_path / "depth" / "finding.json").read_bytes() == first
    named = normbench(*DEPTH, "--depth", 3, "--out", tmp_path, "--name", "depth")
    refused(named, 2, "study.depth is 2 there and 3 here", "--name NAME")
    refused(compare(tmp_path, "--norms", "bn", "--name", "depth"), 2, "normbench depth", "--name")
    assert normbench(*DEPTH, "--depth", 2, "--out", tmp_path, "--name", "depth").code == 0


def test_a_recipe_whose_file_has_no_usable_name_writes_nowhere_else(tmp_path: Path) -> None:
    recipe = tmp_path / "...toml"
    shutil.copy(CHECKOUT / "configs" / "quick.toml", recipe)
    refused(compare(tmp_path / "runs" / "deep", "--config", recipe), 2, "'..'", "--name NAME")
    assert sorted(tmp_path.iterdir()) == [recipe]


NO_NAMES = [
    "", " ", ".", "..", ".hidden", "-x", "a/b", "a\\b", "/etc", "a\nb", "\x1b[1m", "a\x00", "con", "NUL.txt", "COM1",
    "a:b", "a ", " a", "a.", "x" * (LONGEST_EXPERIMENT + 1), "ü" * LONGEST_EXPERIMENT, "\udcff", "a\u202eb",
]  # fmt: skip


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_of_a_folder_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="gives the experiment the name"):
        check_name(name, "--name")


@given(st.text(max_size=120))
def test_a_name_that_is_taken_is_one_folder_below_the_output_folder(name: str) -> None:
    try:
        check_name(name, "--name")
    except UsageError:
        return
    out = Path("/out")
    assert (out / name).parent == out
    assert (out / name).resolve().parent == out
    assert len(name.encode()) <= LONGEST_EXPERIMENT


def test_the_question_of_an_interrupted_try_makes_room_for_another_one(tmp_path: Path) -> None:
    assert claim(tmp_path / "one", QUESTION)
    other = Question("compare", QUESTION.settings | {"groups": 2})
    assert place(tmp_path, "one", other, True, ()) == ("one", "")
    assert claim(tmp_path / "one", other)
    assert not list(tmp_path.rglob(".writing*"))


def test_an_experiment_from_before_questions_were_written_down_is_not_written_over(out: Path) -> None:
    (out / "baseline" / "experiment.json").unlink()
    refused(compare(out, "--norms", "bn", "--epochs", "2", "--name", "baseline"), 2, "results.csv", "--name NAME")
    assert compare(out, "--norms", "bn,ln", "--name", "baseline").code == 0
    assert listed(out / "baseline") == [("bn", "0"), ("gn", "0"), ("ln", "0")]


@pytest.mark.parametrize("content", ["", "[]", '{"schema_version": 99}', '{"command": "compare", "settings": 3}'])
def test_a_question_that_cannot_be_read_is_no_licence(content: str, out: Path) -> None:
    (out / "baseline" / "experiment.json").write_text(content)
    refused(compare(out, "--norms", "bn", "--name", "baseline"), 2, "experiment.json", "--name NAME")
    assert (out / "baseline" / "experiment.json").read_text() == content


def test_a_setting_that_was_added_later_had_its_default(out: Path) -> None:
    path = out / "baseline" / "experiment.json"
    document = json.loads(path.read_text())
    del document["settings"]["training"]["label_smoothing"]
    path.write_text(json.dumps(document))
    assert compare(out, "--norms", "bn", "--name", "baseline").code == 0


def test_a_single_run_of_another_question_goes_elsewhere_and_says_so(out: Path) -> None:
    other = train(out, "--norm", "ln", "--lr", "0.011", "--json")
    folder = Path(other.document["run"]["folder"]).parent
    assert (other.code, folder.name != "baseline", folder.name in " ".join(other.document["warnings"])) == (
        0,
        True,
        True,
    )
    same = train(out, "--norm", "in", "--json")
    assert Path(same.document["run"]["folder"]).parent.name == "baseline"


def test_a_single_run_does_not_take_the_name_of_another_question(out: Path) -> None:
    before = sorted(out.rglob("*"))
    answer = train(out, "--norm", "ln", "--epochs", "2", "--name", "baseline")
    refused(answer, 2, "training.epochs is 1 there and 2 here", "--name NAME")
    assert sorted(out.rglob("*")) == before
    with pytest.raises(UsageError, match="answers another question"):
        nb.train("ln", dataset="digits", epochs=2, batch_size=64, name="baseline", out=out)


def test_a_comparison_takes_up_a_single_run_of_its_settings(tmp_path: Path) -> None:
    trained = train(tmp_path, "--norm", "gn", "--name", "mine", "--json").document["run"]
    answer = compare(tmp_path, "--norms", "bn,gn", "--name", "mine", "--json")
    assert trained["folder"] in [run["folder"] for run in answer.document["runs"]]
    assert "already done" in answer.stderr
