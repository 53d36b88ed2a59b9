"""Typer app, errors in words, exit codes."""

import os
import sys

import typer

from normbench import interruption
from normbench.cli import (
    advise,
    compare,
    data,
    evaluate,
    export,
    info,
    report,
    runs,
    summary,
    train,
)
from normbench.cli.command import Command, Group
from normbench.cli.studies import study_command
from normbench.errors import INTERRUPTED, USAGE, NormbenchError, RunFailedError, UsageError, shortened
from normbench.shortage import shortage
from normbench.studies import STUDIES
from normbench.text import PLAIN_SIGNS

MOST_COLUMNS = 1000
"""Columns or lines that the environment may claim for a terminal."""
TRACEBACK = "NORMBENCH_DEBUG=1 shows the traceback."

NAME = "normbench"
COMPLETING = "_NORMBENCH_COMPLETE"
"""Variable by which a shell asks for completions."""

app = typer.Typer(
    name=NAME,
    cls=Group,
    help="Small, honest, fast experiments on normalization layers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
TRAIN, STUDY, KEEP, LOOK_UP = "Train", "Study", "Keep", "Look up"
"""Panels of the list of commands, from top to bottom."""
app.command("train", cls=Command, rich_help_panel=TRAIN)(train.train)
app.command("compare", cls=Command, rich_help_panel=TRAIN)(compare.compare)
for _study in STUDIES.values():
    app.command(_study.name, cls=Command, rich_help_panel=STUDY)(study_command(_study))
app.command("report", cls=Command, rich_help_panel=KEEP)(report.report)
app.command("evaluate", cls=Command, rich_help_panel=KEEP)(evaluate.evaluate)
app.command("export", cls=Command, rich_help_panel=KEEP)(export.export)
app.add_typer(runs.app, name="runs", rich_help_panel=KEEP)
app.command("summary", cls=Command, rich_help_panel=LOOK_UP)(summary.summary)
app.command("norms", cls=Command, rich_help_panel=LOOK_UP)(info.norms)
app.command("advise", cls=Command, rich_help_panel=LOOK_UP)(advise.advise)
app.add_typer(info.recipes, name="recipes", rich_help_panel=LOOK_UP)
app.command("data", cls=Command, rich_help_panel=LOOK_UP)(data.data)
app.command("env", cls=Command, rich_help_panel=LOOK_UP)(info.env)


@app.callback(invoke_without_command=True)
def version(show: bool = typer.Option(False, "--version", help="Print the version and exit.", metavar="")) -> None:
    """Small, honest, fast experiments on normalization layers."""
    if show:
        from normbench import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line and exit with its code (see `normbench.errors`)."""
    _prepare_streams()
    with interruption.handled():
        code = _flush(_run())
        interruption.end(code)
    sys.exit(code)


def _run() -> int:
    """Run the command, print its error, and return the exit code."""
    code, failure, cause = 0, None, None
    try:
        _check_folder()
        code = app(prog_name=NAME, standalone_mode=False) or 0
    except BaseException as error:  # the place where every exception becomes a message; custom code may raise any
        if isinstance(error, SystemExit) and isinstance(error.__cause__, BrokenPipeError):
            raise  # the reader of the output is gone
        if COMPLETING in os.environ or _is_plain_exit(error):
            return _code_of(error)
        failure, cause = shortage(error) or _as_error(error), error
    interrupted = failure is not None and failure.exit_code == INTERRUPTED
    if code == INTERRUPTED or (interruption.happened() and not interrupted):
        failure = interruption.words()  # Typer caught it, or another failure hid it
    return code if failure is None else _fail(failure, cause)


def _is_plain_exit(error: BaseException) -> bool:
    """Test for the exit of Typer itself, after --show-completion, rather than of custom code."""
    from normbench.custom_code import failing_line

    return isinstance(error, SystemExit) and failing_line(error) is None


def _code_of(error: BaseException) -> int:
    """Exit code without a message: a shell shows what a completion prints on the line that is being typed."""
    return error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1


def _prepare_streams() -> None:
    """Let the streams accept any text, and keep files that are opened later off their descriptors."""
    _fill_closed()
    for stream, errors in ((sys.stdout, PLAIN_SIGNS), (sys.stderr, PLAIN_SIGNS), (sys.stdin, "backslashreplace")):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=errors)
    for name in ("COLUMNS", "LINES"):  # rich and Typer fail at a value that is no size
        size = os.environ.get(name, "")
        if not (size.isascii() and size.isdigit() and 0 < int(size[:9]) <= MOST_COLUMNS and len(size) <= 9):
            os.environ.pop(name, None)


def _fill_closed() -> None:
    """Open the null device on each closed descriptor 0 to 2: the next file opened would get its number, and output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


def _flush(code: int) -> int:
    """Flush stdout; return the exit code, or 1 in place of 0 where the output could not be written."""
    if sys.stdout is None:
        return code
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        from normbench.console.output import silence

        silence(sys.stdout)
        return code or 1
    return code


def _check_folder() -> None:
    """Check that the working folder still exists: MKL ends the process where it does not.

    Raises:
        UsageError: It does not exist.
    """
    try:
        os.getcwd()  # noqa: PTH109  # Path.cwd() does just this
    except OSError as error:
        hint = "Change to a folder that exists: cd"
        raise UsageError("the folder in which this was started does not exist any more", hint) from error


def _as_error(error: BaseException) -> NormbenchError:
    """Return an exception as an error with a message, which is empty if the help was shown instead."""
    if isinstance(error, NormbenchError):
        return error
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return interruption.words()
    if isinstance(error, typer.BadParameter.__base__):  # type: ignore[arg-type]  # every usage error of the parser
        message = error.format_message().rstrip(".")  # type: ignore[attr-defined]
        return UsageError(message, "See `normbench --help`.")
    if isinstance(error, BrokenPipeError):  # the reader of stdout has seen enough
        from normbench.console.output import silence

        silence(sys.stdout)
        return NormbenchError("")
    return _unforeseen(error)


def _unforeseen(error: BaseException) -> NormbenchError:
    """Name the line of custom code that an exception comes from, or say that it comes from normbench."""
    from normbench.custom_code import failing_line

    if line := failing_line(error):
        kind = f"sys.exit({error.code!r})" if isinstance(error, SystemExit) else type(error).__name__
        text = "" if isinstance(error, SystemExit) else shortened(" ".join(str(error).split()))
        return RunFailedError(f"custom code failed at {line}: {kind}{text and f': {text}'}", TRACEBACK)
    if isinstance(error, OSError):
        path = f"{error.filename}: " if error.filename is not None else ""
        return NormbenchError(f"{path}{error.strerror or error}")
    message = f"{type(error).__name__}: {error}"
    return NormbenchError(message, f"This was not expected. {TRACEBACK}")


def _fail(error: NormbenchError, cause: BaseException | None) -> int:
    """Print an error, and return its exit code."""
    if os.environ.get("NORMBENCH_DEBUG") == "1" and error.exit_code != INTERRUPTED:
        if cause is not error:
            error.__cause__ = cause
        raise error
    if not error.message:
        return error.exit_code
    try:
        from normbench.console.output import Output

        Output("json" if "--json" in sys.argv else "human").error(error)
    except Exception:  # noqa: BLE001  # what the console needs may be what is missing
        interruption.say(error)
    return error.exit_code


__all__ = ["USAGE", "app", "main"]
