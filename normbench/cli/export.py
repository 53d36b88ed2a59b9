"""`normbench export`: a trained network as a file."""

import warnings
from dataclasses import dataclass

from normbench.cli import flags
from normbench.cli.command import command
from normbench.cli.options import SavedRunOptions
from normbench.errors import unknown

FORMATS = ("onnx",)


@dataclass(frozen=True, kw_only=True)
class ExportOptions(SavedRunOptions):
    """Options of `export`."""

    format: flags.Format = None
    file: flags.File = None


@command
def export(options: ExportOptions) -> None:
    """Write a run's network as ONNX, checked against torch.

    It takes pixel values 0-255. If the data set is available, a network that does not reproduce its run's recorded
    accuracy is refused.

    Needs: pip install 'normbench[onnx]'
    """
    from normbench import runs
    from normbench.runs.export import export_onnx

    if options.format not in (None, *FORMATS):
        raise unknown("format", str(options.format), FORMATS)
    output, machine = options.output(), options.machine()
    entry = runs.find_run(options.run, machine.out)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, on its internals
        exported = export_onnx(entry, options.file or entry.path / "model.onnx", machine, options.permission())
    for warning in exported.warnings:
        output.warning(warning)
    path, size = exported.path, exported.path.stat().st_size
    output.result(
        f"{path}: {size:,} bytes; logits differ from torch's by {exported.difference:.1e} of the largest one.",
        {"command": "export", "run": entry.name, "file": str(path), "relative_difference": exported.difference},
        quiet=str(path),
    )
