"""Benchmark of training: `make bench`, or `python benchmarks/run.py --help`.

The result is printed on stdout as a table and written to --out as JSON, SVG and PNG; progress goes to stderr.
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)  # `benchmarks` is a package of the checkout, not of the wheel

import torch

from benchmarks import curves, goals, norms, plot, records, table
from benchmarks.bench import Bench
from benchmarks.breakdown import breakdown
from benchmarks.conditions import conditions, load_average
from benchmarks.contenders import CONTENDERS
from benchmarks.timing import time_contenders
from normbench import data as datasets
from normbench.config import MAX_EPOCHS, MachineConfig, load_recipe
from normbench.data import DataSet
from normbench.device import describe, resolve_device
from normbench.errors import NormbenchError
from normbench.norms import NORMS

CURVES = ("batch-sizes", "run-counts", "norm-counts", "norm-costs", "breakdown", "goals")
WHOLE = 50_000
"""Training images of CIFAR-10."""
FULL = {"images": 8_000, "curve_images": 1_024, "epochs": 1, "repeats": 3, "counts": (1, 2, 3, 4, 6)}
QUICK = {"images": 1_024, "curve_images": 256, "epochs": 1, "repeats": 2, "counts": (1, 2, 4)}


def parser() -> argparse.ArgumentParser:
    """Make the parser of the options."""
    options = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    parts = [*CONTENDERS, *CURVES]
    options.add_argument(
        "--only", type=_names, default=parts, metavar="PART,...", help=f"parts, of: {', '.join(parts)}"
    )
    options.add_argument("--quick", action="store_true", help=f"less of everything: {_listed(QUICK)}")
    options.add_argument("--images", type=int, help=f"training images (default {FULL['images']:,})")
    options.add_argument(
        "--curve-images", type=int, help=f"training images of each point of a curve (default {FULL['curve_images']:,})"
    )
    options.add_argument(
        "--counts", type=_numbers, help=f"numbers of runs and norms of the curves (default {_list(FULL['counts'])})"
    )
    options.add_argument("--epochs", type=int, help=f"epochs timed in each repeat (default {FULL['epochs']})")
    options.add_argument("--repeats", type=int, help=f"repeats of each contender (default {FULL['repeats']})")
    options.add_argument(
        "--config", default="baseline", help="recipe: network, optimizer, augmentation (default baseline)"
    )
    options.add_argument("--batch-size", type=int, help="default: the recipe's")
    options.add_argument("--norm", default="bn", help="norm of all contenders but the run group (default bn)")
    options.add_argument(
        "--norms", type=_names, default=["bn", "gn", "ln"], help="norms of the run group (default bn,gn,ln)"
    )
    options.add_argument("--seeds", type=int, default=1, help="seeds of each norm of the run group (default 1)")
    options.add_argument("--threads", type=int, help="torch threads per process (default: that of torch)")
    options.add_argument("--workers", type=_numbers, help="numbers of DataLoader workers to choose the fastest from")
    options.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    options.add_argument("--dataset", default="auto", help="auto, cifar10 or digits")
    options.add_argument("--data-dir", type=Path, help="folder that holds cifar-10-batches-py")
    options.add_argument("--out", type=Path, default=HERE / "results", help="folder of the JSON and the plot")
    options.add_argument(
        "--write-readme", action="store_true", help="measure nothing: update README.md from --out/*.json"
    )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the selected parts; return the exit code."""
    options = parser()
    args = options.parse_args(arguments)
    if args.write_readme:
        log(f"README.md: tables of {table.write_readme(HERE / 'README.md', args.out)} result files")
        return 0
    unknown = [part for part in args.only if part not in {*CONTENDERS, *CURVES}]
    if unknown:
        options.error(f"--only: no part {', '.join(unknown)}; there are {', '.join([*CONTENDERS, *CURVES])}")
    for name, default in (QUICK if args.quick else FULL).items():
        setattr(args, name, default if getattr(args, name) is None else getattr(args, name))
    if not 0 < args.repeats * args.epochs < MAX_EPOCHS:
        options.error(f"--repeats times --epochs must be 1 to {MAX_EPOCHS - 1}: one more epoch warms up")
    try:
        path = measure(args)
    except NormbenchError as error:
        log(f"{error.message}. {error.hint}")
        return error.exit_code
    except KeyboardInterrupt:
        log("interrupted; nothing was written")
        return 130
    print(table.report(records.read(path)))
    return 0


def measure(args: argparse.Namespace) -> Path:
    """Measure, and write the results; return the path of the JSON file."""
    load_before, started = load_average(), time.perf_counter()
    bench, data = prepare(args)
    contenders = time_contenders(bench, [name for name in CONTENDERS if name in args.only], log)
    setups = {contender.name: contender.setup for contender in contenders if contender.setup}
    loop = setups.get("loop", bench.setup)
    few = datasets.load(bench.curve_job(loop, bench.batch_size).config.data, bench.machine, bench.device)
    on_cpu = "goals" in args.only and bench.device.type == "cpu"
    if on_cpu:
        log("goals of training on a CPU")
    own_goals = tuple(goals.measured_goals(bench, few)) if on_cpu else ()
    measurements = {
        "batch_sizes": ("batch-sizes", lambda: curves.batch_sizes(bench, few, loop, log)),
        "runs": ("run-counts", lambda: curves.run_counts(bench, few, log)),
        "norms": ("norm-counts", lambda: curves.norm_counts(bench, few, log)),
        "norm_costs": ("norm-costs", lambda: costs(bench)),
    }
    measured: dict[str, Any] = {key: tuple(run()) for key, (part, run) in measurements.items() if part in args.only}
    if "breakdown" in args.only:
        measured["breakdown"] = whole_command(bench, data, args.config)
    if on_cpu:
        measured["goals"] = (*own_goals, *goals.derived_goals(contenders, measured.get("breakdown")))
    results = records.Results(
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        seconds=round(time.perf_counter() - started),
        conditions=conditions(bench.device, load_before),
        settings=bench.settings(data),
        contenders=tuple(contenders),
        **measured,
    )
    path = args.out / f"{slug(describe(bench.device))}{'-quick' if args.quick else ''}.json"
    records.write(results, path)
    files = [path, *plot.draw(results, path.with_suffix(""))]
    log(f"{results.seconds} s in all; wrote {', '.join(file.name for file in files)} to {args.out}")
    return path


def prepare(args: argparse.Namespace) -> tuple[Bench, DataSet]:
    """Resolve the settings of the options over those of the recipe, and load the data set."""
    training = {"training": {"batch_size": args.batch_size}} if args.batch_size else {}
    recipe = load_recipe(args.config, training | {"data": {"name": args.dataset}})
    settings = {"data_dir": args.data_dir, "device": args.device}
    machine = MachineConfig.resolve({name: value for name, value in settings.items() if value is not None})
    device = resolve_device(machine.device)
    choice = datasets.settle(recipe.data, machine)
    if choice.reason:
        log(choice.reason)
    torch.set_num_threads(args.threads or torch.get_num_threads())
    whole = datasets.load(choice.config.model_copy(update={"subset": None}), machine, torch.device("cpu"))
    images = min(args.images, len(whole.train))
    bench = Bench(
        recipe=recipe.model_copy(update={"data": choice.config}),
        machine=machine,
        device=device,
        norm=args.norm,
        norms=tuple(args.norms),
        seeds=args.seeds,
        counts=args.counts,
        epochs=args.epochs,
        repeats=args.repeats,
        images=images,
        curve_images=min(args.curve_images, images),
        threads=torch.get_num_threads(),
        workers=args.workers,
    )
    return bench, datasets.load(bench.contender_job(is_group=False).config.data, machine, device)


def costs(bench: Bench) -> list[records.NormCost]:
    """Measure the cost of every built-in norm in the network of the recipe."""
    log(f"cost of {', '.join(NORMS)}")
    torch.set_num_threads(bench.threads)
    config = bench.run(bench.norm, 0, 1, bench.images, bench.batch_size)
    return norms.norm_costs(config, list(NORMS), bench.device, bench.repeats)


def whole_command(bench: Bench, data: DataSet, recipe: str) -> records.Breakdown:
    """Time the comparison of the run group as a whole command."""
    subset = [] if len(data.train) == WHOLE else ["--subset", str(len(data.train))]
    arguments = [
        *(
            "--config",
            recipe,
            "--norms",
            ",".join(bench.norms),
            "--seeds",
            str(bench.seeds),
            "--epochs",
            str(bench.epochs),
        ),
        *("--batch-size", str(bench.batch_size), "--dataset", data.name, *subset, "--device", bench.device.type),
    ]
    log(f"normbench compare {' '.join(arguments)}")
    folder = [] if bench.machine.data_dir is None else ["--data-dir", str(bench.machine.data_dir)]
    measured = breakdown([*arguments, *folder])
    return measured.model_copy(update={"command": f"normbench compare {' '.join(arguments)}"})


def log(message: str) -> None:
    """Print a line of progress."""
    print(message, file=sys.stderr, flush=True)


def slug(text: str) -> str:
    """Make a file name of the description of a device."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"--{name.replace('_', '-')} {_list(value)}" for name, value in settings.items())


def _list(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    sys.exit(main())
