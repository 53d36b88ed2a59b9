"""`normbench mistakes`: common mistakes with norms, made live, each with the accuracy it costs."""

from typing import TYPE_CHECKING

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.options import Options
from normbench.errors import INTERRUPTED, NormbenchError, unknown

if TYPE_CHECKING:
    from normbench.studies.mistakes import Mistake

RECIPE = "mistakes"


@flags(
    "only", "seeds", "config", "set", "groups", "epochs", "batch_size", "lr", "weight_decay", "seed",
    "deterministic", "dataset", "subset", "data_dir", "offline", "device", "out", "name", "jobs", *OUTPUT,
)  # fmt: skip
def command(given: Options) -> None:
    """Make common mistakes with norms on purpose, each beside the right way, and print what it costs.

    Takes a minute or two on the embedded digits (recipe `mistakes`); --dataset cifar10 --subset 2000 takes real images.
    A mistake that costs nothing that can be told is reported so.
    """
    from normbench import data as datasets
    from normbench.cli.study import conclude
    from normbench.console import ProgressCallback
    from normbench.device import resolve_device
    from normbench.randomness import deterministic
    from normbench.studies.mistakes import find

    output, machine = given.output(), given.machine()
    mistakes = _chosen(given)
    recipe = given.load_recipe(given.overrides(), RECIPE)
    with ProgressCallback(output) as progress:
        choice = datasets.settle(recipe.data, machine, progress.on_download)
        if choice.reason:
            output.warning(choice.reason)
        data = datasets.load(choice.config, machine, resolve_device(machine.device), progress.on_download)
    try:
        with deterministic(recipe.deterministic):
            finding = find(recipe, data, mistakes, machine, output.note)
    except KeyboardInterrupt as error:
        hint = "Fewer at a time: --only NAME, or --seeds 1."
        raise NormbenchError("interrupted; nothing is kept until every mistake is made", hint, INTERRUPTED) from error
    conclude(given, finding)


def _chosen(given: Options) -> "list[Mistake]":
    """The mistakes asked for, in their own order; all of them if none are.

    Raises:
        UsageError: There is none of that name.
    """
    from normbench.studies.mistakes import MISTAKES

    names = given.names("only", "--only names no mistake", f"Known: {', '.join(MISTAKES)}.")
    if not names:
        return list(MISTAKES.values())
    for name in names:
        if name not in MISTAKES:
            raise unknown("mistake", name, MISTAKES)
    return [one for one in MISTAKES.values() if one.name in names]
