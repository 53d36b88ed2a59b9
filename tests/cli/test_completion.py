"""Completion in a shell: names that there are, for the word that is being typed, without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.cli import normbench, without_settings
from typer.main import get_command

from normbench.advice import NEEDS
from normbench.cli import main
from normbench.cli.main import KEEP, LOOK_UP, STUDY, TRAIN, app
from normbench.config import recipe_names
from normbench.networks import NETWORKS
from normbench.norms import NORMS
from normbench.studies import STUDIES


def completed(line: str, **variables: str) -> list[str]:
    """Completions of the last word of a line, as bash asks for them."""
    words = line.split(" ")
    asked = {main.COMPLETING: "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    answer = normbench(**asked, **variables)
    assert (answer.code, answer.stderr) == (0, "")
    return answer.stdout.split()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("normbench train --norm ", NORMS),
        ("normbench norms ", NORMS),
        ("normbench compare --norms ", NORMS),
        ("normbench train --network ", NETWORKS),
        ("normbench rank --networks ", NETWORKS),
        ("normbench train --config ", recipe_names()),
        ("normbench advise --needs ", NEEDS),
        ("normbench train --dataset ", ["cifar10", "digits", "auto"]),
    ],
)
def test_a_flag_is_completed_with_every_name_that_there_is(line: str, names: list[str]) -> None:
    assert completed(line) == list(names)


def test_the_word_that_was_begun_chooses_among_the_names() -> None:
    assert completed("normbench tr") == ["train"]
    assert completed("normbench train --norm ln-") == ["ln-chw", "ln-c"]
    assert completed("normbench compare --norms bn,gn,ln-") == ["bn,gn,ln-chw", "bn,gn,ln-c"]
    assert completed("normbench compare --norms ln-c,ln-c") == ["ln-c,ln-chw"]  # one that is typed is not offered again
    assert completed("normbench rank --networks mlp,v") == ["mlp,vit"]
    assert completed("normbench train --set training.mom") == ["training.momentum="]
    assert completed("normbench advise --task vi") == ["vision", "video"]
    assert completed("normbench train --norm mine.py:") == []  # the shell completes files


def test_runs_and_experiments_are_those_of_the_output_folder(tmp_path: Path) -> None:
    for run in ("first/gn-s0-aa", "first/bn-s0-bb", "second/gn-s0-aa"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "config.json").write_text("damaged")
    (tmp_path / "verify").mkdir()
    (tmp_path / "verify" / "finding.json").write_text("{}")
    out = {"NORMBENCH_OUT": str(tmp_path)}
    assert completed("normbench runs show ", **out) == ["bn-s0-bb", "first/gn-s0-aa", "second/gn-s0-aa"]
    assert completed(f"normbench runs show --out {tmp_path} bn") == ["bn-s0-bb"]
    assert completed("normbench report ", **out) == ["first", "second", "verify"]
    assert completed("normbench runs show ", NORMBENCH_OUT=str(tmp_path / "nothing")) == []


def test_a_completion_never_prints_an_error_over_the_line() -> None:
    assert completed("normbench runs show ", NORMBENCH_OUT="~no-such-user/runs") == []
    answer = normbench(_NORMBENCH_COMPLETE="complete_bash")  # without the variables of bash
    assert (answer.code != 0, answer.stdout, answer.stderr) == (True, "", "")


def test_the_script_for_a_shell_asks_the_command_and_ends_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    answer = normbench("--show-completion")
    assert (answer.code, answer.stderr) == (0, "")
    assert "complete -o default -F _normbench_completion normbench" in answer.stdout
    assert f"{main.COMPLETING}=complete_bash" in answer.stdout


SCRIPT = """
import contextlib, io, json, os, sys
from normbench.cli.main import main

for line in json.loads(sys.argv.pop()):
    os.environ |= {"_NORMBENCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            main()
        except SystemExit as end:
            assert not end.code and out.getvalue().strip(), line
print(sorted({"torch", "numpy", "matplotlib"} & sys.modules.keys()))
"""


def test_a_completion_imports_no_numeric_library(tmp_path: Path) -> None:
    lines = [
        "normbench " + line for line in ("train --norm g", "rank --networks ", "train --config ", "advise --needs ")
    ]
    environment = without_settings() | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", SCRIPT, json.dumps(lines)]
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert process.stdout == "[]\n"


def test_every_command_is_in_one_of_four_panels() -> None:
    panels: dict[str, set[str]] = {}
    for name, command in get_command(app).commands.items():
        panels.setdefault(command.rich_help_panel, set()).add(name)
    assert list(panels) == [TRAIN, STUDY, KEEP, LOOK_UP]
    assert panels[STUDY] == set(STUDIES)


def test_the_help_names_each_command_in_one_line_at_80_columns_and_no_type_of_a_switch() -> None:
    lines = normbench("--help", COLUMNS="80").stdout.splitlines()
    for name in get_command(app).commands:
        assert len([line for line in lines if line.startswith(f"│ {name} ")]) == 1
        index = next(index for index, line in enumerate(lines) if line.startswith(f"│ {name} "))
        assert not lines[index + 1].startswith("│  "), f"{name} takes a second line"
    assert "bool" not in "".join(lines).lower()
