"""Time and memory of commands over thousands of finished runs: `python benchmarks/scale.py --help`.

`--part folders` writes the folders of a search as training leaves them, with made-up results, and then times the same
`compare`, `report` and `runs`, which train nothing. `--part files` counts what one training asks of the file system.
The table is printed on stdout, progress on stderr.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)  # `benchmarks` is a package of the checkout, not of the wheel

import numpy as np
import torch

import normbench
from normbench import files
from normbench.config import RunConfig
from normbench.engine.plan import one_per_model
from normbench.networks import build_for, count_parameters
from normbench.runs import RunFolder, RunResult, model_bytes
from normbench.runs.environment import environment
from normbench.training import EpochRow

NORMS = ("bn", "gn", "ln", "in", "ln-c", "rms", "lrn", "none", "dyt", "bn+ws")
SEEDS, RATES = 30, 36
EPOCHS, IMAGES, HELD_OUT = 5, 1_024, 102
EXPERIMENT = "scale"
KEEPING_PEAK = """
import atexit, re, resource, sys

def keep(path=sys.argv.pop(1)):
    usage = resource.getrusage(resource.RUSAGE_SELF)
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]
    open(path, "w").write(f"{usage.ru_utime + usage.ru_stime} {peak}")

atexit.register(keep)
sys.argv[0] = "normbench"
from normbench.cli.main import main
main()
"""
"""Program of a command that leaves its CPU time and its peak memory (Linux) in a file; that of `getrusage` begins with
the memory of the process that started it."""


Row = dict[str, str | int | float]
"""Figures of one command, by the name of their column."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the part that was asked for."""
    options = argparse.ArgumentParser(prog="benchmarks/scale.py", description=__doc__)
    options.add_argument("--part", choices=PARTS, required=True, help="part to measure")
    options.add_argument("--seeds", type=int, default=SEEDS, help=f"seeds per norm and rate (default {SEEDS})")
    options.add_argument("--rates", type=int, default=RATES, help=f"learning rates (default {RATES})")
    options.add_argument("--norms", type=int, default=len(NORMS), help=f"norms (default {len(NORMS)})")
    options.add_argument("--out", type=Path, help="folder of the runs, kept and used again (default: a temporary one)")
    options.add_argument("--only", help="commands to time, separated by commas (default: all)")
    options.add_argument("--no-weights", action="store_true", help="write no weights, which these commands never read")
    options.add_argument("--json", type=Path, help="file for the figures")
    chosen = options.parse_args(arguments)
    with _folder(chosen.out) as out:
        measured = PARTS[chosen.part](chosen, out)
    print(f"| {' | '.join(measured[0])} |\n|---{'|---:' * (len(measured[0]) - 1)}|")
    for row in measured:
        print(f"| {' | '.join(map(_cell, row.values()))} |")
    if chosen.json:
        chosen.json.write_text(json.dumps(measured, indent=2) + "\n")


def _cell(value: object) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="normbench-scale-") as folder:
        yield Path(folder)


def folders(options: argparse.Namespace, out: Path) -> list[Row]:
    """Make finished runs, and time the commands that read them."""
    plan = search(options.norms, options.seeds, options.rates)
    make_folders(_configs(plan, out), out, weights=not options.no_weights)
    commands = {
        "compare": (*plan, "-q"),
        "compare --shard 1/1000": (*plan, "-q", "--shard", "1/1000"),
        "report": ("report", EXPERIMENT, "-q"),
        "runs": ("runs", "-q"),
        "archive": ("runs", "archive", EXPERIMENT, "--remove", "-q"),
        "compare archived": (*plan, "-q"),
        "report archived": ("report", EXPERIMENT, "-q"),
        "runs archived": ("runs", "-q"),
        "restore": ("runs", "archive", EXPERIMENT, "--restore", "--remove", "-q"),
    }
    chosen = options.only.split(",") if options.only else list(commands)
    runs = options.norms * options.seeds * options.rates
    return [timed(name, commands[name], out, runs) for name in chosen]


def search(norms: int, seeds: int, rates: int) -> tuple[str, ...]:
    """Return the command of a search over so many norms, seeds and learning rates."""
    values = ",".join(f"{rate:.4g}" for rate in np.geomspace(1e-3, 1.0, rates))
    return (
        "compare", "--norms", ",".join(NORMS[:norms]), "--seeds", str(seeds), "--lr", values, "--val-split", "0.1",
        "--dataset", "digits", "--subset", str(IMAGES), "--epochs", str(EPOCHS), "--name", EXPERIMENT,
    )  # fmt: skip


def _configs(plan: Sequence[str], out: Path) -> list[RunConfig]:
    listed = subprocess.run(
        [sys.executable, "-m", "normbench", *plan, "--out", out, "--dry-run", "--json"],
        check=True, capture_output=True, env=_environment(),
    )  # fmt: skip
    return [RunConfig.model_validate(run["config"]) for run in json.loads(listed.stdout)["runs"]]


def make_folders(configs: Sequence[RunConfig], out: Path, *, weights: bool = True) -> None:
    """Write the folders that these runs would leave; those that are there stay."""
    networks = {config.norm: build_for(config) for config in one_per_model(configs)}
    parameters = {norm: count_parameters(network) for norm, network in networks.items()}
    metadata = {"images": json.dumps({"classes": tuple("0123456789"), "mean": [127.5] * 3, "std": [64.0] * 3})}
    contents = {norm: model_bytes(network, metadata) for norm, network in networks.items()} if weights else {}
    recorded = environment(torch.device("cpu"))
    rng = np.random.default_rng(0)
    with _without_sync():
        for number, config in enumerate(configs):
            folder = RunFolder(out, EXPERIMENT, config)
            accuracy = float(np.clip(0.6 - 0.2 * abs(np.log10(config.training.lr / 0.05)) + rng.normal(0, 0.02), 0, 1))
            if not (folder.path / "result.json").exists():
                _write(folder, recorded, parameters[config.norm], contents.get(config.norm), accuracy)
            if number % 1000 == 999:
                _say(f"{number + 1} of {len(configs)} folders")


def _write(folder: RunFolder, recorded: dict[str, object], parameters: int, weights: bytes | None, acc: float) -> None:
    config = folder.config
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.start(recorded)
    for name in (".lock",):
        (folder.path / name).touch()
    for epoch in range(1, EPOCHS + 1):
        folder.append(
            EpochRow(
                epoch=epoch, lr=config.training.lr, train_running_loss=2.0 / epoch,
                train_running_accuracy=acc * epoch / EPOCHS, validation_loss=1.5 / epoch,
                validation_accuracy=acc * epoch / EPOCHS, seconds=1.0, images_per_second=1000.0,
            )
        )  # fmt: skip
    if weights is not None:
        (folder.path / "model.safetensors").write_bytes(weights)
    folder.finish(
        RunResult(
            status="done", norm=config.norm, seed=config.seed, dataset="digits", network=config.network.name,
            parameters=parameters, epochs=EPOCHS, batch_size=config.training.batch_size, lr=config.training.lr,
            weight_decay=config.training.weight_decay, train_accuracy=acc, train_loss=1.0, validation_accuracy=acc,
            validation_loss=1.5 / EPOCHS, train_images=IMAGES - HELD_OUT, test_images=360, seconds=float(EPOCHS),
            images_per_second=1000.0, device="cpu, 1 thread", torch=torch.__version__, precision="fp32",
            fingerprint=config.fingerprint,
        )
    )  # fmt: skip


@contextmanager
def _without_sync() -> Iterator[None]:
    """Leave it to the system when files go to the disk: writing them is not what is measured."""
    with patch.object(files.os, "fsync", lambda _descriptor: None):
        yield


def timed(name: str, command: Sequence[str], out: Path, runs: int) -> Row:
    """Run a command in a process of its own, and return its time and peak memory.

    Raises:
        SystemExit: The command failed.
    """
    _say(f"{name} ...")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        peak = Path(scratch, "peak")
        process = subprocess.run(
            [sys.executable, "-c", KEEPING_PEAK, peak, *command, "--out", out],
            check=False, capture_output=True, text=True, env=_environment(),
        )  # fmt: skip
        seconds = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"{name} ended with {process.returncode}: {process.stderr[-2000:]}")
        cpu_seconds, peak_kib = map(float, peak.read_text().split())
    _say(f"{name}: {seconds:.1f} s, {cpu_seconds:.1f} s of CPU, {peak_kib / 1024:,.0f} MiB")
    return {"command": name, "runs": runs, "s": seconds, "CPU s": cpu_seconds, "peak MiB": round(peak_kib / 1024)}


def _environment() -> dict[str, str]:
    """Environment of the commands: this checkout, one thread, and none of the user's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NORMBENCH_")}
    return kept | {"PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def files_of_a_run(_options: argparse.Namespace, out: Path) -> list[Row]:
    """Train one run, and count the calls that change its experiment's folder, and the files that it leaves."""
    counted: Counter[str] = Counter()

    def count(event: str, arguments: tuple[object, ...]) -> None:
        name = {"os.rename": "rename", "os.remove": "remove", "os.mkdir": "make folder"}.get(event)
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            name = "open to write"
        if name and str(arguments[0]).startswith(str(out)):
            counted[name] += 1

    fsync = os.fsync

    def counting(descriptor: int) -> None:
        counted["force to the disk"] += 1
        fsync(descriptor)

    sys.addaudithook(count)
    settings = {"network.widths": [8] * 10}
    with patch.object(files.os, "fsync", counting):
        result = normbench.train("gn", dataset="digits", subset=256, epochs=EPOCHS, settings=settings, out=out)
    left = [path for path in Path(result.folder or "").iterdir() if path.is_file()]
    calls: list[Row] = [{"call": name, "times": times} for name, times in sorted(counted.items())]
    return [*calls, {"call": "files left", "times": len(left)}]


PARTS: dict[str, Callable[[argparse.Namespace, Path], list[Row]]] = {"folders": folders, "files": files_of_a_run}

if __name__ == "__main__":
    main()
