"""`normbench evaluate`: a finished run's test accuracy again, and where it errs."""

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.given import Given


@flags("run", "images", "out", "data_dir", "offline", "device", *OUTPUT)
def command(given: Given) -> None:
    """Read a run's weights again: test accuracy, per-class accuracy, confusions, calibration.

    With --images FOLDER it says what the network takes your own pictures for: turned as their EXIF data say,
    transparent ones on white, their centre scaled to 32x32. Sub-folders named after classes give the accuracy on them.
    """
    from normbench import runs
    from normbench.console import evaluation as console
    from normbench.studies.evaluate import evaluate_run
    from normbench.studies.pictures import classify

    machine = given.machine()
    entry = runs.find_run(given["run"], machine.out)
    if given["images"] is not None:
        console.show_decisions(given.output(), entry, given["images"], classify(entry, given["images"]))
    else:
        console.show_details(given.output(), entry, evaluate_run(entry, machine))
