"""`normbench evaluate`: a finished run scored again."""

from dataclasses import dataclass

import typer

from normbench.cli import flags
from normbench.cli.command import command
from normbench.cli.options import SavedRunOptions
from normbench.errors import RUN_FAILED


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(SavedRunOptions):
    """Options of `evaluate`."""

    images: flags.Images = None
    offline: flags.Offline = False
    device: flags.Device = None


@command
def evaluate(options: EvaluateOptions) -> None:
    """Score a finished run again, in detail.

    Test accuracy, accuracy per class, confusion matrix and calibration. With --images FOLDER it classifies pictures:
    rotated as their EXIF data say, transparent ones on white, their centre scaled to 32x32. Sub-folders named after
    classes give the accuracy on them.

    Exit code 1 if the accuracy is not the one that the run recorded. The code of a custom norm or network runs only
    if you name it (--norm, --network) or trust what the run folder keeps of it (--trust).
    """
    from normbench import runs
    from normbench.console import evaluation as console
    from normbench.runs.evaluate import evaluate_run
    from normbench.runs.pictures import classify

    output, machine, permission = options.output(), options.machine(), options.permission()
    entry = runs.find_run(options.run, machine.out)
    if options.images is not None:
        console.show_decisions(output, entry, options.images, classify(entry, options.images, permission))
        return
    evaluation = evaluate_run(entry, machine, permission)
    for warning in (*evaluation.warnings, *filter(None, [evaluation.problem])):
        output.warning(warning)
    console.show_details(output, entry, evaluation)
    if evaluation.problem:
        raise typer.Exit(RUN_FAILED)
