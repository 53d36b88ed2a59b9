"""What every study's command ends with: the finding is kept, drawn, reported and shown."""

from typing import TYPE_CHECKING

from normbench.cli.options import Options

if TYPE_CHECKING:
    from normbench.analysis import StudyResult


def conclude(given: Options, finding: "StudyResult", experiment: str | None = None) -> None:
    """Write finding, tables, plots and report into the folder of the study's experiment, then print the finding.

    Args:
        given: The flags.
        finding: The finding.
        experiment: Name of the folder, where a study has settled it, as one that keeps several apart.

    Raises:
        RunFailedError: The folder cannot be written.
    """
    from normbench import runs
    from normbench.analysis import write_study_result
    from normbench.console.study import finding_document, finding_values, study_result_text
    from normbench.report import write_tables
    from normbench.report.write import write_report

    output, machine = given.output(), given.machine()
    folder = machine.out / (experiment or given.study_experiment(finding.study))
    if runs.belongs_to_another(folder, finding.study):
        beside = folder.with_name(f"{folder.name}-{finding.study}")
        output.warning(f"{folder} is no experiment of {finding.study}: this one is kept in {beside}")
        folder = beside
    written = [write_study_result(folder, finding), write_tables(folder, finding)]
    reported = write_report(folder, machine)
    files = [str(path) for path in (*written, reported.report, *reported.plots)]
    for warning in finding.warnings:
        output.warning(warning)
    output.result(study_result_text(finding), finding_document(finding, files), finding_values(finding))
    output.note(f"also in {folder}: finding.json, tables.md, report.html and plots/")
