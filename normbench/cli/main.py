"""The Typer app, and the one place where errors become words and exit codes."""

import os
import shlex
import signal
import sys
from types import FrameType

import typer

from normbench.cli import (
    advise,
    batch_size,
    compare,
    cost,
    data,
    depth,
    evaluate,
    export,
    inspect,
    mistakes,
    report,
    runs,
    summary,
    train,
    verify,
)
from normbench.errors import INTERRUPTED, USAGE, NormbenchError, UsageError

RESUMING = ("train", "compare", "batch-size")
"""Commands that go on where they were interrupted; the others are short, and begin anew."""

app = typer.Typer(
    name="normbench",
    help="Small, honest, fast experiments on normalization layers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train.command)
app.command("compare")(compare.command)
app.command("depth")(depth.command)
app.command("cost")(cost.command)
app.command("batch-size")(batch_size.command)
app.command("summary")(summary.command)
app.command("evaluate")(evaluate.command)
app.command("report")(report.command)
app.command("verify")(verify.command)
app.command("mistakes")(mistakes.command)
app.command("advise")(advise.command)
app.command("export")(export.command)
app.add_typer(runs.app, name="runs")
app.command("norms")(inspect.norms)
app.command("recipes")(inspect.recipes)
app.command("data")(data.command)
app.command("env")(inspect.env)


@app.callback(invoke_without_command=True)
def version(show: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """Small, honest, fast experiments on normalization layers."""
    if show:
        from normbench import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line and exit with its code (see `normbench.errors`)."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # Typer has caught the Ctrl-C and says nothing
            code = _fail(_interrupted())
    except NormbenchError as error:
        code = _fail(error)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail(_interrupted())
    except typer.BadParameter.__base__ as error:  # type: ignore[misc]  # every usage error of the vendored parser
        message = error.format_message().rstrip(".")  # empty where no command is given: the help was shown instead
        code = _fail(UsageError(message, "See `normbench --help`.")) if message else USAGE
    except Exception as error:  # noqa: BLE001  # the last resort: words instead of a traceback
        message = f"{type(error).__name__}: {error}"
        code = _fail(NormbenchError(message, "This was not expected. NORMBENCH_DEBUG=1 shows where it happened."))
    sys.exit(code)


def _interrupted() -> NormbenchError:
    words = [word for word in sys.argv[1:] if word != "--force"]  # which starts from scratch
    again = shlex.join(["normbench", *words])
    if sys.argv[1:2] and sys.argv[1] in RESUMING:
        return NormbenchError("interrupted; finished epochs are kept", f"Go on with: {again}", INTERRUPTED)
    return NormbenchError("interrupted", f"Start again with: {again}", INTERRUPTED)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """A batch system's SIGTERM ends a run as Ctrl-C does: what is finished is kept, and the way on is said."""
    raise KeyboardInterrupt


def _fail(error: NormbenchError) -> int:
    if os.environ.get("NORMBENCH_DEBUG") == "1":
        raise error
    from normbench.console.output import Output

    Output("json" if "--json" in sys.argv else "human").error(error)
    return error.exit_code


__all__ = ["USAGE", "app", "main"]
