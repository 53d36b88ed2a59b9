"""Commands over thousands of finished runs: time grows with the number of runs, and not faster."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.cli import normbench

from benchmarks.scale import EXPERIMENT, make_folders, search
from normbench.config import RunConfig

SIZES = (2, 4, 6)
"""Seeds of 3 norms at 6 learning rates: 36, 72 and 108 runs."""


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[tuple[str, ...], Path]]:
    made = []
    for seeds in SIZES:
        plan, out = search(3, seeds, 6), tmp_path_factory.mktemp(f"of-{seeds}-seeds")
        listed = normbench(*plan, "--out", out, "--dry-run", "--json").document["runs"]
        make_folders([RunConfig.model_validate(run["config"]) for run in listed], out, weights=False)
        made.append((plan, out))
    return made


def calls_of(work: Callable[[], object]) -> int:
    """Calls of Python and C functions during some work."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("command", ["compare", "report", "runs", "archive"])
def test_the_work_of_a_command_grows_linearly_with_the_runs(
    command: str, experiments: list[tuple[tuple[str, ...], Path]]
) -> None:
    counts = []
    for plan, out in experiments:
        arguments = {
            "compare": plan,
            "report": ("report", EXPERIMENT),
            "runs": ("runs",),
            "archive": ("runs", "archive", EXPERIMENT),
        }[command]
        before = len(list(out.rglob("result.json")))

        def run(arguments=arguments, out=out) -> None:
            assert normbench(*arguments, "--out", out, "-q").code == 0

        if not counts:
            run()  # what is computed once in a process is not counted
        counts.append(calls_of(run))
        assert len(list(out.rglob("result.json"))) == before > 0, "nothing is trained"
    first, second = counts[1] - counts[0], counts[2] - counts[1]
    assert 0 < second < 1.1 * first, counts
