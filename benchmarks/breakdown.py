"""Where the time of a whole command goes, from the shell prompt to the table.

The command runs in a process of its own; this module, run as a script, is that process: it takes the time around the
parts of `normbench compare` and leaves them in a file.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import normbench.console  # noqa: F401  # what the command imports before its work begins
from benchmarks.records import Breakdown, Phase
from normbench import data, engine
from normbench.cli.main import main as command

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
            phases=tuple(phases(json.loads(taken.read_text()), json.loads(done.stdout)["runs"], started, seconds)),
        )


def phases(taken: dict[str, float], runs: list[dict[str, Any]], started: float, seconds: float) -> list[Phase]:
    """The parts in their order; runs side by side overlap, so training and scoring share their time as they add up."""
    work = taken["run_all"] - taken["load"]
    train, score = (sum(run[name] or 0.0 for run in runs) for name in ("seconds", "evaluation_seconds"))
    capture = max(run["capture_seconds"] or 0.0 for run in runs)
    training = work * train / (train + score) - capture
    found = {
        "start Python, import torch and normbench": taken["ready"] - started,
        "load the images": taken["load"],
        "capture the step": capture,
        "train": training,
        "score train and test images": work - training - capture,
    }
    rest = seconds - sum(found.values())
    return [Phase(name=name, seconds=value) for name, value in {**found, "check, write files, print": rest}.items()]


def main(taken_file: str, *arguments: str) -> None:
    """Be the command, and write down how long its parts took."""
    taken: dict[str, float] = {"ready": time.time(), "load": 0.0}
    for module, name in ((data, "load"), (engine, "run_all")):
        setattr(module, name, _timed(getattr(module, name), name, taken))
    sys.argv = ["normbench", *arguments]
    try:
        command()
    finally:  # the command ends its process itself
        Path(taken_file).write_text(json.dumps(taken))


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
