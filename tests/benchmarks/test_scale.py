"""Commands over thousands of finished runs: time grows with the number of runs, and not faster."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from helpers.cli import normbench

import normbench as normbench_package
from benchmarks.scale import EXPERIMENT, make_folders, search
from normbench.config import RunConfig

SIZES = (8, 16, 24)
"""Learning rates of 3 norms with 2 seeds: 48, 96 and 144 runs."""
PACKAGE = str(Path(normbench_package.__file__).parent)


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[tuple[str, ...], Path]]:
    made = []
    for rates in SIZES:
        plan, out = search(3, 2, rates), tmp_path_factory.mktemp(f"of-{rates}-rates")
        listed = normbench(*plan, "--out", out, "--dry-run", "--json").document["runs"]
        make_folders([RunConfig.model_validate(run["config"]) for run in listed], out, weights=False)
        made.append((plan, out))
    return made


def instructions_of(work: Callable[[], object]) -> int:
    """Bytecode instructions of this package that some work executes: every turn of a loop counts."""
    instructions = 0

    def count(frame: FrameType, event: str, _argument: object) -> object:
        nonlocal instructions
        if event == "call":
            if not frame.f_code.co_filename.startswith(PACKAGE):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        instructions += event == "opcode"
        return count

    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(None)
    return instructions


@pytest.mark.parametrize("command", ["compare", "report", "runs", "archive"])
def test_the_work_of_a_command_grows_linearly_with_the_runs(
    command: str, experiments: list[tuple[tuple[str, ...], Path]]
) -> None:
    counts = []
    for plan, out in experiments:
        arguments = {
            "compare": plan,
            "report": ("report", EXPERIMENT),
            "runs": ("runs", "--name", EXPERIMENT),
            "archive": ("runs", "archive", EXPERIMENT),
        }[command]
        before = len(list(out.rglob("result.json")))

        def run(arguments=arguments, out=out) -> None:
            assert normbench(*arguments, "--out", out, "-q").code == 0

        if not counts and command != "archive":
            run()  # what is computed once in a process is not counted
        counts.append(instructions_of(run))
        assert len(list(out.rglob("result.json"))) == before > 0, "nothing is trained"
    first, second = counts[1] - counts[0], counts[2] - counts[1]
    assert 0 < second < 1.05 * first, counts
