"""Time of a whole command by phase, from the shell prompt to the table.

The command runs in a separate process, which this module becomes when run as a script: it times the parts of
`normbench compare` and writes the times to a file.
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
from benchmarks.measure import OtherWork
from benchmarks.records import Breakdown, Phase
from normbench import data, engine
from normbench.cli.main import main as command
from normbench.device import resolve_device

CHECKOUT = Path(__file__).resolve().parent.parent


def breakdown(arguments: list[str]) -> Breakdown:
    """Run `normbench compare ARGUMENTS` as a new process, and split its time by phase.

    Raises:
        RuntimeError: The command failed; with its messages.
    """
    with tempfile.TemporaryDirectory() as scratch:
        times = Path(scratch) / "times.json"
        line = [sys.executable, "-m", "benchmarks.breakdown", str(times), "compare", *arguments]
        path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
        started = time.time()
        environment = {**os.environ, "PYTHONPATH": path}
        line += ["--json", "--out", scratch]
        work = OtherWork()
        with work.watching():
            process = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
        seconds = time.time() - started
        if process.returncode:
            raise RuntimeError(process.stderr)
        return Breakdown(
            command=" ".join(["normbench", "compare", *arguments]),
            seconds=seconds,
            phases=phases(json.loads(times.read_text()), json.loads(process.stdout)["runs"], started, seconds),
            load=work.load,
        )


def phases(times: dict[str, float], runs: list[dict[str, Any]], started: float, seconds: float) -> tuple[Phase, ...]:
    """Split the time of a command into its phases, in order.

    In lockstep on CUDA each run records the seconds of its group, and runs are scored one after another: both times
    are known. Threads of a CPU overlap in training and scoring; their time is split in proportion to the sums.
    """
    work = times["run_all"] - times["load"]
    train = sum(run["seconds"] / run["side_by_side"] for run in runs)
    score = sum(run["evaluation_seconds"] or 0.0 for run in runs)
    capture = sum((run["capture_seconds"] or 0.0) / run["side_by_side"] for run in runs)
    overhead = 0.0
    if times["lockstep"]:
        training, overhead = train - capture, work - train - score
    else:
        score = sum((run["evaluation_seconds"] or 0.0) / run["side_by_side"] for run in runs)
        training = work * train / (train + score)
        score = work - training
    seconds_by_phase = {
        "start Python, import torch and normbench": times["ready"] - started,
        "load the images": times["load"],
        "capture the step": capture,
        "train": training,
        "score train and test images": score,
        "build networks, write files": overhead,
    }
    seconds_by_phase["check, print"] = seconds - sum(seconds_by_phase.values())
    return tuple(Phase(name=name, seconds=value) for name, value in seconds_by_phase.items())


def main(times_file: str, *arguments: str) -> None:
    """Run the command in this process, and write the times of its parts to a file."""
    times: dict[str, float] = {"ready": time.time(), "load": 0.0, "lockstep": float(_lockstep(arguments))}
    for module, name in ((data, "load"), (engine, "run_all")):
        setattr(module, name, _timed(getattr(module, name), name, times))
    sys.argv = ["normbench", *arguments]
    try:
        command()
    finally:  # the command exits the process
        Path(times_file).write_text(json.dumps(times))


def _lockstep(arguments: Sequence[str]) -> bool:
    """Test if runs of the command share each step, as they do on CUDA."""
    device = dict(pairwise(arguments)).get("--device", "auto")
    return resolve_device(device).type == "cuda"


def _timed(function: Any, name: str, times: dict[str, float]) -> Any:
    def timed(*arguments: Any, **keywords: Any) -> Any:
        started = time.time()
        try:
            return function(*arguments, **keywords)
        finally:
            times[name] = time.time() - started

    return timed


if __name__ == "__main__":
    main(*sys.argv[1:])
