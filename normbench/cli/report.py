"""`normbench report`: an experiment as one HTML page."""

from dataclasses import dataclass

from normbench.cli import flags
from normbench.cli.command import command
from normbench.cli.options import ReferenceOptions


@dataclass(frozen=True, kw_only=True)
class ReportOptions(ReferenceOptions):
    """Options of `report`."""

    experiment: flags.Experiment
    data_dir: flags.DataDir = None
    device: flags.Device = None
    out: flags.Out = None


@command
def report(options: ReportOptions) -> None:
    """Write EXPERIMENT/report.html: which norm leads, tables, curves, confusions, settings, how to do it again.

    It opens without a network, and its plots lie in EXPERIMENT/plots as SVG and PNG. Accuracy by class is what a run
    kept when it ended; of runs that kept none the saved weights are scored again, where the data set is at hand.
    Nothing is downloaded.
    """
    from normbench import runs
    from normbench.console.text import Text
    from normbench.report.write import write_report

    output, machine = options.output(), options.machine()
    folder = runs.find_experiment(options.experiment, machine.out)
    written = write_report(folder, machine, options.control_norm(), options.margin_fraction())
    for reason in written.left_out:
        output.note(f"left out: {reason}")
    document = {
        "command": "report",
        "experiment": folder.resolve().name,
        "report": str(written.report),
        "plots": [str(path) for path in written.plots],
        "answer": list(written.conclusions),
        "left_out": list(written.left_out),
    }
    said = Text("\n".join([*written.conclusions, f"\n{written.report}"]))
    output.result(said, document, quiet=str(written.report))
