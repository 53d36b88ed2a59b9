"""Speed of training steps on a CUDA device: single runs and run groups, by norm, precision and batch size.

    python -m benchmarks.gpu                  everything, about two minutes; results/<device>-gpu.json and a table
    python -m benchmarks.gpu --only bn,gn     some rows by name

Images are noise on the device. A row is a step of the training (batch, forward, backward, update), captured as in every
run. On other devices the rows are timed uncaptured, to test the script.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.conditions import conditions, load_average
from normbench import data as datasets
from normbench import engine
from normbench.config import DataConfig, MachineConfig, NetworkConfig, RunConfig, TrainingConfig
from normbench.data import Batches, DataSet, Split
from normbench.device import describe, resolve_device, resolve_precision, synchronize
from normbench.errors import NormbenchError
from normbench.evaluation import evaluate
from normbench.networks import build, build_for
from normbench.norms import Norm
from normbench.randomness import deterministic
from normbench.studies.cost.measure import noise
from normbench.training import RunGroup, Training, graphs_for
from normbench.training.group import WARM_UP

HERE = Path(__file__).resolve().parent
KIND = "gpu"
"""Tag that distinguishes these files from the other results."""
ASSIGNMENT = ("bn", "gn", "ln")
WHOLE, EPOCHS = 50_000, 20
"""Images and epochs of a run whose seconds are given."""
PROFILED = 3
"""Number of steps in which kernels are counted."""


@dataclass(frozen=True)
class Row:
    """Row of the table: runs trained concurrently."""

    name: str
    norms: tuple[str, ...]
    seeds: int = 1
    batch_size: int = 64
    precision: str = "auto"
    capture: bool = True
    schedule: str = "step"
    widths: tuple[int, ...] | None = None

    def configs(self) -> list[RunConfig]:
        """Return one config per run."""
        return [
            RunConfig(
                norm=norm,
                seed=seed,
                network=NetworkConfig(activation="silu", widths=self.widths),
                data=DataConfig(name="cifar10"),
                training=TrainingConfig.model_validate(
                    {"batch_size": self.batch_size, "precision": self.precision, "schedule": self.schedule, "lr": 1e-3}
                ),
            )
            for norm in self.norms
            for seed in range(self.seeds)
        ]


@dataclass(frozen=True)
class RowResult:
    """Measurements of a row; times in milliseconds unless named otherwise."""

    name: str
    runs: int
    batch_size: int
    precision: str
    captured: bool
    step: float
    """Median over windows of the mean step of all runs together."""
    steps: tuple[float, ...]
    """Mean step of each window."""
    images_per_second: float
    seconds_per_run: float
    """Training time of 20 epochs over 50,000 images, with the runs of the row sharing the device."""
    first_step_seconds: float
    capture_seconds: float
    kernels_per_step: float | None
    """Kernels, copies and fills of the device in a step of all runs; CUDA only."""
    peak_mib: float | None
    """Peak growth of the allocated memory; CUDA only."""


ROWS = (
    *(Row(norm, (norm,)) for norm in (*ASSIGNMENT, "none")),
    *(
        Row(f"{norm} {precision}", (norm,), precision=precision)
        for precision in ("fp32", "bf16")
        for norm in ASSIGNMENT
    ),
    *(Row(f"{norm} batch 512", (norm,), batch_size=512) for norm in ("bn", "gn")),
    Row("bn onecycle", ("bn",), schedule="onecycle"),
    Row("bn widths of 8", ("bn",), widths=(16, 32, 16, 24, 24, 24, 24, 32, 32, 32)),
    Row("bn uncaptured", ("bn",), capture=False),
    Row("3 runs", ASSIGNMENT),
    Row("15 runs", ASSIGNMENT, seeds=5),
    Row("15 runs bf16", ASSIGNMENT, seeds=5, precision="bf16"),
    Row("15 runs batch 512", ASSIGNMENT, seeds=5, batch_size=512),
    Row("15 bn", ("bn",), seeds=15),
    Row("30 runs", ASSIGNMENT, seeds=10),
    Row("in", ("in",)),
    Row("ln-c", ("ln-c",)),
    Row("rms", ("rms",)),
)
COMMAND = "command"
"""Name of the part that runs a whole comparison."""


@dataclass
class Command:
    """Time of a comparison by phase: 3 norms x 5 seeds through the engine, without start and loading."""

    runs: int
    epochs: int
    images: int
    seconds: float
    phases: dict[str, float] = field(default_factory=dict)


def measure_row(row: Row, data: DataSet, windows: int) -> RowResult:
    """Time a row: a few warm-up steps, the capture, then windows of steps within an epoch."""
    device = data.train.images.device
    before = _start_memory(device)
    members = _trainings(row.configs(), data)
    group = RunGroup(members, graphs_for(device) if row.capture else None)
    started = time.perf_counter()
    steps = _begin(members)
    group._advance()
    synchronize(device)
    first_step = time.perf_counter() - started
    for _ in range(WARM_UP):
        _rewind(members)
        group._advance()
    times = [_window(group, members, min(steps, 100)) for _ in range(windows)]
    kernels = _kernels(group, members) if device.type == "cuda" else None
    peak = (torch.cuda.max_memory_allocated(device) - before) / 2**20 if device.type == "cuda" else None
    step = statistics.median(times)
    images = row.batch_size * len(members) / step
    return RowResult(
        name=row.name,
        runs=len(members),
        batch_size=row.batch_size,
        precision=resolve_precision(row.precision, device),
        captured=group.capture_seconds > 0,
        step=1000 * step,
        steps=tuple(1000 * window for window in times),
        images_per_second=images,
        seconds_per_run=EPOCHS * (WHOLE // row.batch_size) * step / len(members),
        first_step_seconds=first_step,
        capture_seconds=group.capture_seconds,
        kernels_per_step=kernels,
        peak_mib=peak,
    )


def _start_memory(device: torch.device) -> int:
    if device.type != "cuda":
        return 0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.memory_allocated(device)


def _trainings(configs: Sequence[RunConfig], data: DataSet) -> list[Training]:
    batches: dict[int, Batches] = {}
    trainings = []
    for config in configs:
        network = build_for(config, len(data.classes))
        trainings.append(Training(config, network, data, batches.get(config.seed)))
        batches[config.seed] = trainings[-1].batches
    return trainings


def _begin(members: Sequence[Training]) -> int:
    """Prepare the first epoch, and return its number of steps."""
    for batches in {id(member.batches): member.batches for member in members}.values():
        batches.start(1)
    for member in members:
        member.begin(1)
    return len(members[0].batches)


def _window(group: RunGroup, members: Sequence[Training], steps: int) -> float:
    """Return seconds per step, from the first batch of the epoch on."""
    _rewind(members)
    synchronize(members[0].device)
    started = time.perf_counter()
    for _ in range(steps):
        group._advance()
    synchronize(members[0].device)
    return (time.perf_counter() - started) / steps


def _rewind(members: Sequence[Training]) -> None:
    for member in members:
        member.batches.index.zero_()
        if member.rates:
            member.rates.begin(0)


def _kernels(group: RunGroup, members: Sequence[Training]) -> float:
    _rewind(members)
    synchronize(members[0].device)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        for _ in range(PROFILED):
            group._advance()
        synchronize(members[0].device)
    return sum("CUDA" in str(event.device_type) for event in profiled.events() or ()) / PROFILED


def measure_command(data: DataSet, device: torch.device, epochs: int) -> Command:
    """Run the comparison, and time its parts."""
    row = Row(COMMAND, ASSIGNMENT, seeds=5)
    training = row.configs()[0].training.model_copy(update={"epochs": epochs})
    configs = [config.model_copy(update={"training": training}) for config in row.configs()]
    phases: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as out, Clocks(phases, data):
        plan = engine.plan(configs, MachineConfig(out=Path(out), device=device.type, data_dir=Path(out)), "gpu")  # type: ignore[arg-type]
        started = time.perf_counter()
        engine.run_all(plan, _Quiet())
        seconds = time.perf_counter() - started
    phases["the rest"] = seconds - sum(phases.values())
    return Command(len(configs), epochs, len(data.train), seconds, phases)


class _Quiet(engine.Callback):
    """Callback that prints warnings only."""

    def warning(self, message: str) -> None:
        log(message)


class Clocks:
    """Context with timed parts of a comparison, and with the images of this benchmark for its data set."""

    def __init__(self, phases: dict[str, float], data: DataSet) -> None:
        execute = sys.modules["normbench.engine.execute"]
        self.patched: list[tuple[Any, str, Any]] = []
        choice = datasets.Choice(DataConfig(name="cifar10"))
        self._set(datasets, "load", lambda *_, **__: data)
        self._set(sys.modules["normbench.engine.plan"].datasets, "settle", lambda *_, **__: choice)
        for owner, name, phase in (
            (RunGroup, "epoch", "train"),
            (execute, "_scores", "score"),
            (execute.RunFolder, "save_state", "save states"),
            (execute.RunFolder, "save_model", "save weights"),
            (execute, "_trainings", "build networks"),
            (execute, "environment", "environment"),
        ):
            self._set(owner, name, _clocked(getattr(owner, name), phase, phases))

    def _set(self, owner: Any, name: str, value: Any) -> None:
        self.patched.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def __enter__(self) -> None:
        """Do nothing: the parts are replaced already."""

    def __exit__(self, *_: object) -> None:
        for owner, name, value in reversed(self.patched):
            setattr(owner, name, value)


def _clocked(function: Callable[..., Any], phase: str, phases: dict[str, float]) -> Callable[..., Any]:
    def clocked(*arguments: Any, **keywords: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments, **keywords)
        finally:
            phases[phase] = phases.get(phase, 0.0) + time.perf_counter() - started

    return clocked


def images(count: int, device: torch.device, tests: int) -> DataSet:
    """Make noise in place of CIFAR-10, with so many training and test images."""
    data = noise(count, device)
    test = Split(
        data.train.images[:1].expand(tests, -1, -1, -1).contiguous(), data.train.labels[:1].expand(tests).contiguous()
    )
    return DataSet("cifar10", data.classes, data.train, None, test, data.mean, data.std, flips=True)


def score_seconds(data: DataSet) -> float:
    """Time the scoring of the training images, after one warm-up."""
    network = build(NetworkConfig(), Norm.parse("bn")).to(data.train.images.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    seconds = 0.0
    for _ in range(2):
        synchronize(data.train.images.device)
        started = time.perf_counter()
        evaluate(network, data.train, data, "auto")
        seconds = time.perf_counter() - started
    return seconds


def table(results: dict[str, Any]) -> str:
    """Render the rows in Markdown, then the conditions."""
    head = (
        "| runs | batch | precision | ms per step | images/s | s per run | kernels per step | memory, MiB |\n"
        "|---|---:|---|---:|---:|---:|---:|---:|\n"
    )
    body = "".join(
        f"| {row['name']} | {row['batch_size']} | {row['precision']} | {row['step']:.3f} | "
        f"{row['images_per_second']:,.0f} | {row['seconds_per_run']:.2f} | {_number(row['kernels_per_step'])} | "
        f"{_number(row['peak_mib'])} |\n"
        for row in results["rows"]
    )
    env = results["conditions"]
    caption = (
        f"A step of all runs of the row together; s per run: 20 epochs of 50,000 images at that speed, training alone. "
        f"{env['device']}, driver {env.get('driver') or 'unknown'}, torch {env['packages']['torch']}, CUDA "
        f"{env['cuda']}, cuDNN {env['cudnn']}, Python {env['python']}; commit {(env['git_commit'] or 'unknown')[:7]}; "
        f"{results['date']}.{' ' + results['note'] if results.get('note') else ''}\n"
    )
    return f"{head}{body}\n{caption}{_command_sentence(results.get('command'))}"


def _command_sentence(command: dict[str, Any] | None) -> str:
    if command is None:
        return ""
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in command["phases"].items())
    return (
        f"\n{command['runs']} runs of {command['epochs']} epochs over {command['images']:,} images through the engine: "
        f"{command['seconds']:.2f} s, of these {parts}.\n"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def driver() -> str | None:
    """Return the version of the NVIDIA driver; None if it is not available."""
    path = Path("/proc/driver/nvidia/version")
    fields = path.read_text(encoding="utf-8").split() if path.is_file() else []
    return next((text for text in fields if text.count(".") >= 1 and text.replace(".", "").isdigit()), None)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Measure the selected parts; a row that fails has the reason in its place."""
    device = resolve_device(args.device)
    load, started = load_average(), time.perf_counter()
    rows, failed = [], {}
    with deterministic(False):
        few = images(args.images, device, 100)
        for row in (row for row in ROWS if row.name in args.only):
            try:
                rows.append(asdict(measure_row(row, few, args.windows)))
                log(f"{row.name}: {rows[-1]['step']:.3f} ms per step, {rows[-1]['images_per_second']:,.0f} images/s")
            except (NormbenchError, RuntimeError, ValueError) as error:
                failed[row.name] = f"{type(error).__name__}: {error}"
                log(f"{row.name}: {failed[row.name]}")
        scoring = score_seconds(few)
    command = None
    if COMMAND in args.only:
        del few
        command = measure_command(images(args.command_images, device, args.command_images // 5), device, args.epochs)
        log(f"command: {command.seconds:.1f} s")
    return {
        "benchmark": KIND,
        "schema_version": 1,
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "seconds": round(time.perf_counter() - started),
        "conditions": conditions(device, load)
        | {"driver": driver(), "max_connections": os.environ.get("CUDA_DEVICE_MAX_CONNECTIONS")},
        "rows": rows,
        "failed": failed,
        "scoring_images_per_second": args.images / scoring,
        "command": asdict(command) if command else None,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and print; return the exit code."""
    names = [*(row.name for row in ROWS), COMMAND]
    options = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    options.add_argument(
        "--only", type=lambda text: text.split(","), default=names, help=f"rows, of: {', '.join(names)}"
    )
    options.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    options.add_argument("--images", type=int, default=12_800, help="training images of a row")
    options.add_argument("--windows", type=int, default=5, help="timed windows of up to 100 steps")
    options.add_argument("--epochs", type=int, default=2, help="epochs of the comparison")
    options.add_argument("--command-images", type=int, default=WHOLE, help="training images of the comparison")
    options.add_argument("--out", type=Path, default=HERE / "results", help="folder of the JSON")
    args = options.parse_args(arguments)
    if unknown := set(args.only) - set(names):
        options.error(f"--only: no part {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    results = measure(args)
    args.out.mkdir(parents=True, exist_ok=True)
    name = "-".join("".join(c if c.isalnum() else " " for c in describe(resolve_device(args.device)).lower()).split())
    path = args.out / f"{name}-gpu.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    log(f"wrote {path}")
    print(table(results))
    return 1 if results["failed"] else 0


def log(message: str) -> None:
    """Print a line of progress."""
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
