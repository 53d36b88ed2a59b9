"""`normbench report`: an experiment as one HTML page."""

from dataclasses import dataclass

from normbench.cli import flags
from normbench.cli.command import command
from normbench.cli.options import ControlOptions


@dataclass(frozen=True, kw_only=True)
class ReportOptions(ControlOptions):
    """Options of `report`."""

    experiment: flags.Experiment
    data_dir: flags.DataDir = None
    device: flags.Device = None
    trust: flags.Trust = False
    out: flags.Out = None


@command
def report(options: ReportOptions) -> None:
    """Write an experiment as one HTML page.

    EXPERIMENT/report.html has leading norms, tables, curves, confusion matrices, settings and the command to repeat it.
    The page needs no internet access, and its plots are in EXPERIMENT/plots as SVG and PNG, too. Accuracy by class is
    the one recorded at the end of a run; for runs without it the saved weights are scored again if the data set is
    available (with --trust those of custom norms and networks, too). Nothing is downloaded.
    """
    from normbench import runs
    from normbench.console.text import Text
    from normbench.report.write import write_report

    output, machine = options.output(), options.machine()
    folder = runs.find_experiment(options.experiment, machine.out)
    written = write_report(folder, machine, options.control_norm(), options.margin_fraction(), trust=options.trust)
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
    conclusions = Text("\n".join([*written.conclusions, f"\n{written.report}"]))
    output.result(conclusions, document, quiet=str(written.report))
