"""Every `--json` document is of the schema that the models give; `Answer.document` checks those of all other tests."""

import shutil
from pathlib import Path

import pytest
from helpers.cli import command_parameters, compare, normbench, run_folders, train
from helpers.documents import FORMS, faults, kind_of
from PIL import Image

ROOT = Path(__file__).parent.parent
BASELINE = ("--config", "baseline", "--dataset", "cifar10", "--offline")
COMMANDS: dict[str, tuple[tuple[object, ...], ...]] = {
    "error": (("train", "--norm", "nonesuch"),),
    "plan": (("compare", *BASELINE, "--seeds", 5, "--dry-run"),),
    "train": (("train", *BASELINE, "--norm", "gn"),),
    "compare": (("compare", *BASELINE, "--seeds", 5),),
    "summary": (("summary",), ("summary", "--all"), ("summary", "--torchinfo")),
    "norms": (("norms",), ("norms", "gn"), ("norms", "frn"), ("norms", "bn", "--example")),
    "recipes": (("recipes",),),
    "recipes show": (("recipes", "show", "quick"),),
    "print-config": (("compare", "--config", "quick", "--print-config"),),
    "data": (("data",),),
    "env": (("env",),),
    "runs": (("runs",),),
    "runs show": (("runs", "show", "baseline/gn-s0"),),
    "runs diff": (("runs", "diff", "baseline/gn-s0", "baseline/bn-s0"),),
    "runs clean": (("runs", "clean"),),
    "advise": (
        ("advise", "--task", "vision"),
        ("advise", "--task", "sequence", "--needs", "fast"),
        ("advise", "--rules"),
    ),
    "cost": (("cost", "--norms", "bn", "--repeats", 1, "--batch-size", 4),),
    "depth": (("depth", "--no-train", "--norms", "none,bn", "--depth", 3, "--width", 8),),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the kept runs of the baseline in `runs`."""
    folder = tmp_path_factory.mktemp("documents")
    shutil.copytree(ROOT / "docs" / "results" / "baseline", folder / "runs" / "baseline")
    return folder


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_document_is_of_its_schema(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for command in COMMANDS[kind]:
        document = normbench(*command, "--json", HOME=str(folder), XDG_CACHE_HOME=str(folder / "cache")).document
        assert kind_of(document) == kind
        assert faults(document | {"unheard_of": 1}) != []
        for key in document.keys() - {"torchinfo", "command", "dry_run", "error"}:
            assert faults({name: value for name, value in document.items() if name != key}) != [], key
            assert faults(document | {key: object}) != [], key


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder with one trained run."""
    out = tmp_path_factory.mktemp("trained")
    assert train(out, "--norm", "gn", "--json").document["run"]["status"] == "done"
    return out


def test_the_documents_of_trained_runs_are_of_their_schemas(out: Path, digit: Path) -> None:
    run = run_folders(out)[0]
    keep = ("--out", out, "--json")
    assert normbench("evaluate", run, *keep).document["agrees"] is True
    assert normbench("evaluate", run, "--images", digit.parent, *keep).document["decisions"]
    assert normbench("report", run.parent.name, *keep).document["plots"]
    part = compare(out, "--norms", "bn,gn", "--name", "part", "--shard", "1/2", "--json").document
    assert kind_of(part) == "shard"
    search = compare(
        out, "--norms", "gn", "--lr", "0.01,1e6", "--val-split", "0.1", "--name", "search", "--json"
    ).document
    assert search["sensitivity"] and search["best"]
    assert {row["diverged"] for row in search["rows"]} == {0, 1}
    assert normbench("runs", "archive", "part", *keep).document["changed"]


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    """Grey picture."""
    path = tmp_path / "pictures" / "grey.png"
    path.parent.mkdir()
    Image.new("RGB", (32, 32), (128, 128, 128)).save(path)
    return path


def test_every_command_has_a_schema() -> None:
    commands = {" ".join(path) for path, parameters in command_parameters().items() if "json" in parameters}
    assert commands - FORMS.keys() == set()
    assert {"train", "compare", "runs show"} <= commands
