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
    columns: flags.Columns = None
    trust: flags.Trust = False
    out: flags.Out = None


@command
def report(options: ReportOptions) -> None:
    """Write an experiment as one HTML page.

    EXPERIMENT/report.html has leading norms, tables, curves, confusion matrices, settings and the command to repeat it.
    The page needs no internet access, and its plots are in EXPERIMENT/plots as SVG, PNG and PDF. Accuracy by class is
    the one recorded at the end of a run. Misclassified images, and accuracy by class of runs without a record, need the
    saved weights and the data set (with --trust those of custom norms and networks, too). Nothing is downloaded.

    With --columns it also writes table.md and table.tex again, with these columns alone.
    """
    from normbench import runs
    from normbench.console.report import ReportProgress
    from normbench.console.text import Text
    from normbench.report.write import write_report

    output, machine = options.output(), options.machine()
    folder = runs.find_experiment(options.experiment, machine.out)
    with ReportProgress(output) as progress:
        written = write_report(
            folder,
            machine,
            options.control_norm(),
            options.margin_fraction(),
            columns=options.columns or (),
            trust=options.trust,
            progress=progress.step,
        )
    for reason in written.left_out:
        output.note(f"left out: {reason}")
    document = {
        "command": "report",
        "experiment": folder.resolve().name,
        "report": str(written.report),
        "tables": [str(path) for path in written.tables],
        "plots": [str(path) for path in written.plots],
        "answer": list(written.conclusions),
        "left_out": list(written.left_out),
    }
    conclusions = Text("\n".join([*written.conclusions, f"\n{written.report}"]))
    output.result(conclusions, document, quiet=str(written.report))
