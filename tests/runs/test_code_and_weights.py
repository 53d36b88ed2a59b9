"""Code, weights, settings and recorded accuracy must agree, and no run folder decides which code runs."""

import json
import shutil
from pathlib import Path

import pytest
from helpers.cli import normbench, refused, run_folders, train

from normbench.errors import RUN_FAILED, USAGE

NORM = """
from pathlib import Path
from torch import nn
import helper

(Path(__file__).parent / "imported").touch()

def make(channels):
    return nn.GroupNorm(helper.GROUPS, channels)
"""
COMMANDS = ("evaluate", "export")
SPEC = "norm.py:make"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a norm that leaves a mark when it is imported, and a finished run of it."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "norm.py").write_text(NORM)
    (folder / "helper.py").write_text("GROUPS = 2\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert train(folder / "runs", "--norm", SPEC).code == 0
    (folder / "imported").unlink()
    return folder


@pytest.fixture
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the current folder."""
    folder = shutil.copytree(trained, tmp_path / "home")
    monkeypatch.chdir(folder)
    return folder


def run_of(home: Path) -> Path:
    (folder,) = run_folders(home / "runs")
    return folder


def edit(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_the_code_is_kept_as_source(home: Path) -> None:
    kept = run_of(home) / "code"
    assert {path.name: path.read_text() for path in kept.iterdir()} == {"norm.py": NORM, "helper.py": "GROUPS = 2\n"}


def test_another_helper_is_another_run(home: Path) -> None:
    again = train(home / "runs", "--norm", SPEC, "--json").document["run"]
    assert Path(again["folder"]) == run_of(home)
    (home / "helper.py").write_text("GROUPS = 4\n")
    other = train(home / "runs", "--norm", SPEC, "--json").document["run"]
    assert other["fingerprint"] != again["fingerprint"]
    assert other["train_loss"] != again["train_loss"]


@pytest.mark.parametrize("command", [*COMMANDS, "report", "runs", "runs show", "runs diff", "advise"])
def test_no_run_folder_decides_what_is_imported(home: Path, command: str) -> None:
    run = run_of(home)
    arguments = {"report": [run.parent.name], "runs diff": [run, run], "runs": [], "advise": ["--task", "vision"]}
    answer = normbench(*command.split(), *arguments.get(command, [run]), "--out", home / "runs")
    assert not (home / "imported").exists()
    if command in COMMANDS:
        refused(answer, USAGE, "custom norm", "unchanged", f"--norm {SPEC}", "--trust")
    else:
        assert answer.code == 0


def test_a_report_reads_weights_with_custom_code_only_if_it_is_trusted(home: Path) -> None:
    run = run_of(home)
    (run / "confusion.json").unlink()  # as of an earlier version: only the weights tell
    report = ("report", run.parent.name, "--out", home / "runs", "--json")
    (left_out,) = [text for text in normbench(*report).document["left_out"] if text.startswith("Accuracy by class")]
    assert "custom norm" in left_out and "report --trust" in left_out
    assert not (home / "imported").exists()
    assert not [text for text in normbench(*report, "--trust").document["left_out"] if "Accuracy" in text]
    assert (run / "code" / "imported").exists()


def test_a_forged_run_folder_runs_nothing(home: Path, tmp_path: Path) -> None:
    run = shutil.copytree(run_of(home), tmp_path / "copy" / "experiment" / "run")
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath(__file__).with_name('evil').touch()\n")
    edit(run / "config.json", norm=f"{tmp_path}/evil.py:N")
    edit(run / "result.json", norm=f"{tmp_path}/evil.py:N")
    for command in ("evaluate", "export", "report"):
        answer = normbench(command, run.parent if command == "report" else run)
        assert answer.code != 0 or command == "report"
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("permission", ["--norm", "--trust"])
def test_the_user_can_let_the_code_run(home: Path, permission: str) -> None:
    flags = ["--norm", SPEC] if permission == "--norm" else ["--trust"]
    found = normbench("evaluate", run_of(home), *flags, "--json").document
    assert found["agrees"] is True
    assert found["test_accuracy"] == found["recorded_test_accuracy"]
    assert found["warnings"] == []


def test_changed_code_is_told_and_its_other_accuracy_ends_with_a_failure(home: Path) -> None:
    (home / "helper.py").write_text("GROUPS = 8\n")
    refused(normbench("evaluate", run_of(home)), USAGE, "helper.py changed since")
    assert not (home / "imported").exists()
    answer = normbench("evaluate", run_of(home), "--norm", SPEC, "--json")
    assert (answer.code, answer.document["agrees"]) == (RUN_FAILED, False)
    assert "helper.py changed since" in " ".join(answer.document["warnings"])
    trusted = normbench("evaluate", run_of(home), "--trust", "--json")
    assert (trusted.code, trusted.document["agrees"]) == (0, True)
    assert "is used" in " ".join(trusted.document["warnings"])


def test_a_run_folder_is_enough_to_trust(home: Path) -> None:
    (home / "norm.py").unlink()
    (home / "helper.py").unlink()
    refused(normbench("evaluate", run_of(home)), USAGE, "does not exist", "--trust")
    assert normbench("evaluate", run_of(home), "--trust", "--json").document["agrees"] is True


def test_kept_code_that_was_edited_is_not_trusted_blindly(home: Path) -> None:
    (run_of(home) / "code" / "helper.py").write_text("GROUPS = 8\n")
    (home / "norm.py").unlink()
    refused(normbench("evaluate", run_of(home), "--trust"), USAGE, "does not exist")


def test_another_norm_than_that_of_the_run_is_refused(home: Path) -> None:
    refused(normbench("evaluate", run_of(home), "--norm", "gn"), USAGE, "this run was trained with", "norm.py:make")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    assert train(out, "--norm", "gn").code == 0
    return run_folders(out)[0]


@pytest.fixture
def run(plain: Path, tmp_path: Path) -> Path:
    return shutil.copytree(plain, tmp_path / "experiment" / "run")


@pytest.mark.parametrize("command", COMMANDS)
def test_weights_with_another_checksum_are_refused(run: Path, command: str) -> None:
    path = run / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-512:] = bytes(512)
    path.write_bytes(content)
    refused(normbench(command, run), RUN_FAILED, f"{path} cannot be used", "checksum", "--force")


@pytest.mark.parametrize("command", COMMANDS)
def test_settings_of_another_run_are_refused(run: Path, command: str) -> None:
    edit(run / "config.json", norm="ln")  # whose weights have the same names and shapes
    refused(normbench(command, run), RUN_FAILED, "fingerprint")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("score", ["test_accuracy", "test_loss"])
def test_another_score_than_the_recorded_one_ends_with_a_failure(run: Path, command: str, score: str) -> None:
    recorded = json.loads((run / "result.json").read_text())[score]
    edit(run / "result.json", **{score: recorded * 0.9})
    answer = normbench(command, run, "--json")
    assert answer.code == RUN_FAILED
    assert "this is not the network that it trained" in answer.stdout + answer.stderr
    assert not (run / "model.onnx").exists()


def test_a_result_of_an_earlier_version_has_no_checksum_and_is_read(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    assert len(result.pop("model_sha256")) == 64
    (run / "result.json").write_text(json.dumps(result))
    assert normbench("evaluate", run, "--json").document["agrees"] is True


def test_verify_says_what_is_missing_before_it_asks_for_a_reference(home: Path) -> None:
    answer = normbench("verify", "--norm", f"{home}/norm.py:Nope", "--out", home / "out")
    refused(answer, USAGE, "nothing called 'Nope'", "Callables there: Path, make")
