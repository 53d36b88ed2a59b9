"""The benchmark: `make bench`, or `python benchmarks/run.py --help`.

The result goes to stdout as one table, and to --out as JSON, SVG and PNG; progress goes to stderr.
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

from benchmarks import growth, norms, plot, records, table
from benchmarks.bench import Bench
from benchmarks.breakdown import breakdown
from benchmarks.conditions import conditions, load_average
from benchmarks.contenders import CONTENDERS
from benchmarks.contest import contest
from normbench import data as datasets
from normbench.config import MAX_EPOCHS, MachineConfig, load_recipe
from normbench.data import DataSet
from normbench.device import describe, resolve_device
from normbench.errors import NormbenchError
from normbench.norms import NORMS

CURVES = ("batch-sizes", "run-counts", "norm-counts", "norm-costs", "breakdown")
WHOLE = 50_000
"""Training images of CIFAR-10."""
FULL = {"images": 8_000, "curve_images": 1_024, "epochs": 1, "repeats": 3, "counts": (1, 2, 3, 4, 6)}
QUICK = {"images": 1_024, "curve_images": 256, "epochs": 1, "repeats": 2, "counts": (1, 2, 4)}


def parser() -> argparse.ArgumentParser:
    """Every option, with what it means."""
    options = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    parts = [*CONTENDERS, *CURVES]
    options.add_argument("--only", type=_names, default=parts, metavar="PART,...", help=f"of: {', '.join(parts)}")
    options.add_argument("--quick", action="store_true", help=f"fewer of everything: {_words(QUICK)}")
    options.add_argument("--images", type=int, help=f"training images (default {FULL['images']:,})")
    options.add_argument(
        "--curve-images", type=int, help=f"of each point of a curve (default {FULL['curve_images']:,})"
    )
    options.add_argument(
        "--counts", type=_numbers, help=f"runs and norms of the curves (default {_list(FULL['counts'])})"
    )
    options.add_argument("--epochs", type=int, help=f"timed in each repeat (default {FULL['epochs']})")
    options.add_argument("--repeats", type=int, help=f"turns of each contender (default {FULL['repeats']})")
    options.add_argument(
        "--config", default="baseline", help="recipe: network, optimizer, augmentation (default baseline)"
    )
    options.add_argument("--batch-size", type=int, help="default: the recipe's")
    options.add_argument("--norm", default="bn", help="of all contenders but the fleet (default bn)")
    options.add_argument("--norms", type=_names, default=["bn", "gn", "ln"], help="of the fleet (default bn,gn,ln)")
    options.add_argument("--seeds", type=int, default=1, help="of each norm of the fleet (default 1)")
    options.add_argument("--threads", type=int, help="torch threads of a process (default: as torch chooses)")
    options.add_argument("--workers", type=_numbers, help="numbers of DataLoader workers to choose the fastest from")
    options.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    options.add_argument("--dataset", default="auto", help="auto, cifar10 or digits")
    options.add_argument("--data-dir", type=Path, help="folder that holds cifar-10-batches-py")
    options.add_argument("--out", type=Path, default=HERE / "results", help="folder of the JSON and the plot")
    options.add_argument(
        "--write-readme", action="store_true", help="measure nothing: fill README.md in from --out/*.json"
    )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for; returns the exit code."""
    options = parser()
    args = options.parse_args(arguments)
    if args.write_readme:
        tell(f"README.md: tables of {table.write_readme(HERE / 'README.md', args.out)} result files")
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
        tell(f"{error.message}. {error.hint}")
        return error.exit_code
    except KeyboardInterrupt:
        tell("interrupted; nothing was written")
        return 130
    print(table.report(records.read(path)))
    return 0


def measure(args: argparse.Namespace) -> Path:
    """Measure, and write what was found; returns the JSON's path."""
    load_before, started = load_average(), time.perf_counter()
    bench, data = prepare(args)
    contenders = contest(bench, [name for name in CONTENDERS if name in args.only], tell)
    loop = next((one.setup for one in contenders if one.name == "loop" and one.setup), bench.setup)
    few = datasets.load(bench.curve_job(loop, bench.batch_size).config.data, bench.machine, bench.device)
    wanted = {
        "batch_sizes": ("batch-sizes", lambda: growth.batch_sizes(bench, few, loop, tell)),
        "runs": ("run-counts", lambda: growth.run_counts(bench, few, tell)),
        "norms": ("norm-counts", lambda: growth.norm_counts(bench, few, tell)),
        "norm_costs": ("norm-costs", lambda: costs(bench)),
    }
    found: dict[str, Any] = {key: tuple(run()) for key, (part, run) in wanted.items() if part in args.only}
    if "breakdown" in args.only:
        found["breakdown"] = whole_command(bench, data, args.config)
    results = records.Results(
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        seconds=round(time.perf_counter() - started),
        conditions=conditions(bench.device, load_before),
        settings=bench.settings(data),
        contenders=tuple(contenders),
        **found,
    )
    path = args.out / f"{slug(describe(bench.device))}{'-quick' if args.quick else ''}.json"
    records.write(results, path)
    files = [path, *plot.draw(results, path.with_suffix(""))]
    tell(f"{results.seconds} s in all; wrote {', '.join(file.name for file in files)} to {args.out}")
    return path


def prepare(args: argparse.Namespace) -> tuple[Bench, DataSet]:
    """The settings as given, over those of the recipe; the data set is settled, and its images counted."""
    training = {"training": {"batch_size": args.batch_size}} if args.batch_size else {}
    recipe = load_recipe(args.config, training | {"data": {"name": args.dataset}})
    given = {"data_dir": args.data_dir, "device": args.device}
    machine = MachineConfig.resolve({name: value for name, value in given.items() if value is not None})
    device = resolve_device(machine.device)
    choice = datasets.settle(recipe.data, machine)
    if choice.reason:
        tell(choice.reason)
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
    return bench, datasets.load(bench.contender_job(fleet=False).config.data, machine, device)


def costs(bench: Bench) -> list[records.NormCost]:
    """Measure the cost of every built-in norm in the network of the recipe."""
    tell(f"cost of {', '.join(NORMS)}")
    torch.set_num_threads(bench.threads)
    config = bench.run(bench.norm, 0, 1, bench.images, bench.batch_size)
    return norms.norm_costs(config, list(NORMS), bench.device, bench.repeats)


def whole_command(bench: Bench, data: DataSet, recipe: str) -> records.Breakdown:
    """The comparison that the fleet is, as it is typed."""
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
    tell(f"normbench compare {' '.join(arguments)}")
    folder = [] if bench.machine.data_dir is None else ["--data-dir", str(bench.machine.data_dir)]
    found = breakdown([*arguments, *folder])
    return found.model_copy(update={"command": f"normbench compare {' '.join(arguments)}"})


def tell(message: str) -> None:
    """One line of progress."""
    print(message, file=sys.stderr, flush=True)


def slug(words: str) -> str:
    """A file name of the device's words."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _words(settings: dict[str, Any]) -> str:
    return ", ".join(f"--{name.replace('_', '-')} {_list(value)}" for name, value in settings.items())


def _list(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    sys.exit(main())
