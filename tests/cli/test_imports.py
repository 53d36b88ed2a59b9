"""Commands that train nothing, and every --help, answer without the libraries that take seconds to import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.cli import TINY, normbench, without_settings
from typer.main import get_command

from normbench.cli.main import app

TORCH, NUMERIC = {"torch", "torchvision", "sklearn"}, {"numpy", "scipy", "matplotlib"}
SCRIPT = """
import contextlib, io, json, sys
from normbench.cli.main import main

lines, modules = json.loads(sys.argv[1])
outcomes = {}
for line in lines:
    sys.argv[1:] = line
    code = 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    outcomes[" ".join(line)] = [code, sorted(set(modules) & sys.modules.keys())]
print(json.dumps(outcomes))
"""

LISTS = (
    ["norms"], ["norms", "--json"], ["norms", "ln"], ["norms", "rms+ws"], ["recipes"], ["recipes", "--json"],
    ["recipes", "show", "quick"],
    ["data"], ["data", "--json"], ["runs"], ["runs", "--json"], ["runs", "clean"], ["runs", "clean", "--json"],
    ["runs", "diff", "bn-s0", "gn-s0"], ["runs", "show", "gn-s0"], ["--version"],
    ["advise", "--task", "segmentation", "--out", "nothing-there"], ["advise", "--rules"],
)  # fmt: skip
LOOKED_UP = (["norms", "gn"], ["norms", "gn(groups=8)"], ["advise", "--task", "vision", "--batch-size", "4"])
"""These quote means over the seeds of runs."""


def modules_after(lines: list[list[str]], modules: set[str], folder: Path) -> dict[str, tuple[int, list[str]]]:
    """Exit code of each command line, run one after the other, and which of the modules are imported by then."""
    command = [sys.executable, "-c", SCRIPT, json.dumps([lines, sorted(modules)])]
    environment = without_settings() | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return {line: (code, loaded) for line, (code, loaded) in json.loads(process.stdout).items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished runs in ./runs."""
    path = tmp_path_factory.mktemp("imports")
    assert normbench("compare", "--norms", "bn,gn", *TINY, "--out", path / "runs", "-q").code == 0
    return path


def test_lists_import_no_numeric_library(folder: Path) -> None:
    outcomes = modules_after([*LISTS], TORCH | NUMERIC, folder)
    # CIFAR-10 may be missing here.
    unexpected = {line: code for line, (code, _) in outcomes.items() if code and not line.startswith("data")}
    assert unexpected == {}
    assert {line: loaded for line, (_, loaded) in outcomes.items() if loaded} == {}


def test_what_quotes_runs_imports_no_torch(folder: Path) -> None:
    outcomes = modules_after([*LOOKED_UP], TORCH, folder)
    assert outcomes == {" ".join(line): (0, []) for line in LOOKED_UP}


def test_help_of_every_command_imports_no_numeric_library(tmp_path: Path) -> None:
    commands = [[], *([name] for name in get_command(app).commands), *(["runs", name] for name in ("show", "diff"))]
    outcomes = modules_after([[*command, "--help"] for command in commands], TORCH | NUMERIC, tmp_path)
    assert len(outcomes) > 18
    assert {line: outcome for line, outcome in outcomes.items() if outcome != (0, [])} == {}


def test_the_package_and_what_the_lists_stand_on_import_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys, normbench, normbench.norms, normbench.runs, normbench.data, normbench.analysis, normbench.advice, "
        "normbench.training, normbench.studies; print({'torch', 'numpy'} & sys.modules.keys())"
    )
    command = [sys.executable, "-c", script]
    environment = without_settings() | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert process.stdout == "set()\n"


def test_no_lazy_name_of_a_package_is_that_of_a_module_in_it() -> None:
    package = Path(__file__).parents[2] / "normbench"
    for initial in package.rglob("__init__.py"):
        if "lazy_names(" in initial.read_text(encoding="utf-8"):
            script = f"import {'.'.join(initial.parent.relative_to(package.parent).parts)} as package"
            names: dict[str, list[str]] = {}
            exec(script + "; names['all'] = package.__all__", {"names": names})
            assert set(names["all"]) & {path.stem for path in initial.parent.glob("*.py")} == set()
