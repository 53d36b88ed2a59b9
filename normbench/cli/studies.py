"""One command per study, made from its record: flags -> settings -> run -> keep, report and print the result."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import annotated_types
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from normbench.cli.flags import FLAGS, OUTPUT, command, option, switch
from normbench.cli.options import Options
from normbench.cli.plan import announce, claim_experiment, question_of, stop_after_part
from normbench.studies import STUDIES, Flag, Study, StudyContext

if TYPE_CHECKING:
    from normbench.analysis import StudyResult
    from normbench.config import Recipe, RunConfig
    from normbench.data import OnDownload
    from normbench.engine import Plan
    from normbench.runs import RunResult

SELECTION = ("norms", "all", "every")
"""Flags of a field `norms`."""


def study_command(study: Study[Any]) -> Callable[..., None]:
    """Make the command of a study."""

    def run(options: Options) -> None:
        _run(study, options)

    return command(run, _flags(study), study.help)


def _flags(study: Study[Any]) -> dict[str, Any]:
    """The flags of the settings, then the shared ones; as annotations for Typer, by name."""
    flags: dict[str, Any] = {}
    for name, field in _fields(study.settings).items():
        flags |= {shared: FLAGS[shared] for shared in (SELECTION if name == "norms" else (name,)) if shared in FLAGS}
        if field.description is not None:
            flags[name] = _own_flag(name, field)
    return flags | {name: FLAGS[name] for name in (*study.flags, *OUTPUT)}


def _fields(settings: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields that are flags, by the flag's name."""
    fields = {name: (_presentation(field), field) for name, field in settings.model_fields.items()}
    return {flag.name or name: field for name, (flag, field) in fields.items() if not flag.hidden}


def _presentation(field: FieldInfo) -> Flag:
    return next((item for item in field.metadata if isinstance(item, Flag)), Flag())


def _own_flag(name: str, field: FieldInfo) -> Any:
    """The flag of a field that no other command has, with the field's help and bounds."""
    flag, typed = _presentation(field), f"--{name.replace('_', '-')}"
    kind = _kind(field.annotation)
    if kind is bool:
        return switch(typed, text=field.description or "", panel=flag.panel)
    low, high = (
        next((getattr(item, end) for item in field.metadata if isinstance(item, bound)), None)
        for bound, end in ((annotated_types.Ge, "ge"), (annotated_types.Le, "le"))
    )
    bounds = None if low is None or high is None else (low, high)
    return option(kind, typed, text=field.description or "", panel=flag.panel, metavar=flag.metavar, bounds=bounds)


def _kind(annotation: Any) -> type:
    """The type that a flag is read as: of several values with commas, and of a choice, text."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) in (tuple, Literal):
        return str
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    return _kind(kinds[0]) if kinds else annotation


STUDY_FLAGS = {
    name: _own_flag(name, field)
    for study in STUDIES.values()
    for name, field in _fields(study.settings).items()
    if field.description is not None
}
"""Flags that studies alone have."""


def _settings(study: Study[Any], options: Options) -> Any:
    """The settings that were typed over the defaults.

    Raises:
        UsageError: A value does not fit.
    """
    from normbench.config.recipes import COMMAND_LINE
    from normbench.config.validation import validated

    settings: dict[str, Any] = {}
    for name, field in study.settings.model_fields.items():
        flag = _presentation(field)
        if flag.hidden:
            continue
        value = options.norms() or None if name == "norms" else _value(options, flag.name or name, field)
        if value is not None:
            settings[name] = value
    return validated(study.settings, settings, COMMAND_LINE)


def _value(options: Options, flag: str, field: FieldInfo) -> Any:
    """The value of a flag, None where it was not typed; a text with commas is split for a field of several values."""
    item = _item(field.annotation)
    if options[flag] is None or item is None:
        return options[flag]
    if item is int:
        return options.whole_numbers(flag)
    if item is float:
        return options.numbers(flag)
    return tuple(dict.fromkeys(part.strip() for part in options[flag].split(",") if part.strip()))


def _item(annotation: Any) -> type | None:
    """The type of the values of a tuple, None for any other field."""
    if get_origin(annotation) is tuple:
        return _kind(get_args(annotation)[0])
    return next((item for item in map(_item, get_args(annotation)) if item is not None), None)


class CommandContext(StudyContext):
    """A study's surroundings on the command line: messages on stderr, runs in an experiment of their own question."""

    def __init__(self, study: Study[Any], options: Options, settings: Any) -> None:
        suffix = study.variant(settings)
        name = f"{study.name}-{suffix}" if suffix and options["name"] is None else options.study_experiment(study.name)
        super().__init__(
            machine=options.machine(),
            experiment=name,
            recipe=options.get("config"),
            overrides=options.overrides() if "config" in study.flags else {},
            leave_out_oversized=bool(options.get("every")),
        )
        self.study, self.options, self.output = study, options, options.output()

    def note(self, text: str) -> None:
        """Print a line."""
        self.output.note(text)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.output.warning(text)

    @contextmanager
    def downloading(self) -> "Iterator[OnDownload | None]":
        """Show the progress of a download."""
        from normbench.console import ProgressCallback

        with ProgressCallback(self.output) as progress:
            yield progress.on_download

    def train(self, configs: "Sequence[RunConfig]", recipe: "Recipe") -> "tuple[Plan, list[RunResult]]":
        """Plan the runs, place them in the experiment of their question, and execute them.

        Raises:
            typer.Exit: The plan alone, or a part of it, was asked for, and is printed.
        """
        from normbench import engine
        from normbench.console import ProgressCallback

        with ProgressCallback(self.output) as progress:
            callback = self.options.callback(progress)
            plan = engine.plan(
                configs,
                self.options.planning_machine(),
                self.experiment,
                progress.on_download,
                leave_out_oversized=self.leave_out_oversized,
            )
            plan = claim_experiment(self.options, plan, question_of(plan, recipe, self.study.name))
            self.experiment = plan.folders[0].path.parent.name
            if not announce(self.options, plan, progress):
                raise typer.Exit
            results = engine.run_all(plan, callback, progress.on_download)
        stop_after_part(self.options, self.study.name, results)
        return plan, results


def _run(study: Study[Any], options: Options) -> None:
    """Run a study, keep its result and print it."""
    settings = _settings(study, options)
    context = CommandContext(study, options, settings)
    result = study.run(settings, context)
    _conclude(context, result)
    if code := study.exit_code(result):
        raise typer.Exit(code)


def _conclude(context: CommandContext, result: "StudyResult") -> None:
    """Write result, tables, plots and report into the experiment's folder, then print the result.

    Raises:
        RunFailedError: The folder cannot be written.
    """
    from normbench import runs
    from normbench.analysis import write_study_result
    from normbench.console.study import study_result_document, study_result_text, study_result_values
    from normbench.report import write_tables
    from normbench.report.write import write_report

    output, machine = context.output, context.machine
    folder = machine.out / context.experiment
    if runs.belongs_to_another(folder, result.study):
        beside = folder.with_name(f"{folder.name}-{result.study}")
        output.warning(f"{folder} is no experiment of {result.study}: this one is kept in {beside}")
        folder = beside
    written = [write_study_result(folder, result), write_tables(folder, result)]
    reported = write_report(folder, machine)
    files = [str(path) for path in (*written, reported.report, *reported.plots)]
    for warning in result.warnings:
        output.warning(warning)
    output.result(study_result_text(result), study_result_document(result, files), study_result_values(result))
    output.note(f"also in {folder}: finding.json, tables.md, report.html and plots/")
