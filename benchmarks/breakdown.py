"""Time of a whole command by phase, from the shell prompt to the table.

The command runs in a process of its own; this module, run as a script, is that process: it takes the time around the
parts of `normbench compare` and leaves them in a file.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import normbench.console  # noqa: F401  # what the command imports before its work begins
from benchmarks.records import Breakdown, Phase
from normbench import data, engine
from normbench.cli.main import main as command
from normbench.device import resolve_device

CHECKOUT = Path(__file__).resolve().parent.parent


def breakdown(arguments: list[str]) -> Breakdown:
    """Run `normbench compare ARGUMENTS` as a new process and say where its time went.

    Raises:
        RuntimeError: The command failed; with what it said.
    """
    with tempfile.TemporaryDirectory() as scratch:
        taken = Path(scratch) / "taken.json"
        line = [sys.executable, "-m", "benchmarks.breakdown", str(taken), "compare", *arguments]
        path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
        started = time.time()
        environment = {**os.environ, "PYTHONPATH": path}
        line += ["--json", "--out", scratch]
        done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
        seconds = time.time() - started
        if done.returncode:
            raise RuntimeError(done.stderr)
        return Breakdown(
            command=" ".join(["normbench", "compare", *arguments]),
            seconds=seconds,
            phases=phases(json.loads(taken.read_text()), json.loads(done.stdout)["runs"], started, seconds),
        )


def phases(taken: dict[str, float], runs: list[dict[str, Any]], started: float, seconds: float) -> tuple[Phase, ...]:
    """The parts in their order.

    In lockstep on CUDA the seconds of a group stand in each of its runs, and its runs are scored one after another:
    both are known. Threads of a CPU overlap in training and scoring, which share the time as they add up.
    """
    work = taken["run_all"] - taken["load"]
    train = sum(run["seconds"] / run["side_by_side"] for run in runs)
    score = sum(run["evaluation_seconds"] or 0.0 for run in runs)
    capture = sum((run["capture_seconds"] or 0.0) / run["side_by_side"] for run in runs)
    overhead = 0.0
    if taken["lockstep"]:
        training, overhead = train - capture, work - train - score
    else:
        score = sum((run["evaluation_seconds"] or 0.0) / run["side_by_side"] for run in runs)
        training = work * train / (train + score)
        score = work - training
    found = {
        "start Python, import torch and normbench": taken["ready"] - started,
        "load the images": taken["load"],
        "capture the step": capture,
        "train": training,
        "score train and test images": score,
        "build networks, write files": overhead,
    }
    rest = seconds - sum(found.values())
    return tuple(Phase(name=name, seconds=value) for name, value in {**found, "check, print": rest}.items())


def main(taken_file: str, *arguments: str) -> None:
    """Be the command, and write down how long its parts took."""
    taken: dict[str, float] = {"ready": time.time(), "load": 0.0, "lockstep": float(_lockstep(arguments))}
    for module, name in ((data, "load"), (engine, "run_all")):
        setattr(module, name, _timed(getattr(module, name), name, taken))
    sys.argv = ["normbench", *arguments]
    try:
        command()
    finally:  # the command ends its process itself
        Path(taken_file).write_text(json.dumps(taken))


def _lockstep(arguments: Sequence[str]) -> bool:
    """Test if runs of the command share each step, as they do on CUDA."""
    given = dict(pairwise(arguments)).get("--device", "auto")
    return resolve_device(given).type == "cuda"


def _timed(function: Any, name: str, taken: dict[str, float]) -> Any:
    def timed(*arguments: Any, **keywords: Any) -> Any:
        started = time.time()
        try:
            return function(*arguments, **keywords)
        finally:
            taken[name] = time.time() - started

    return timed


if __name__ == "__main__":
    main(*sys.argv[1:])
