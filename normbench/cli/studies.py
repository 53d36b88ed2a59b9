"""One command per study, made from its record: flags -> settings -> run -> keep, report and print the result."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from normbench.cli import completion, flags
from normbench.cli.command import make_command
from normbench.cli.flags import Parameter, parameters
from normbench.cli.options import Options, PlanOptions, SelectionOptions, is_typed
from normbench.cli.plan import announce, claim_experiment, part_of, question_of, stop_after_part
from normbench.cli.settled import stop_after_config
from normbench.config.recipes import COMMAND_LINE, DEFAULT_RECIPE
from normbench.config.validation import validated
from normbench.errors import UsageError
from normbench.studies import Flag as FieldFlag
from normbench.studies import Study, StudyContext

if TYPE_CHECKING:
    from normbench.analysis import StudyResult
    from normbench.config import MachineConfig, Recipe, RunConfig
    from normbench.data import OnDownload
    from normbench.engine import Plan
    from normbench.runs import RunResult


@dataclass(frozen=True, kw_only=True)
class StudyOptions(SelectionOptions, PlanOptions):
    """Flags that studies share; each has some of them."""

    norm: flags.Norm = None
    lr: flags.LearningRate = None
    weight_decay: flags.WeightDecay = None
    margin: flags.Margin = None
    show: flags.Show = False


SHARED = parameters(StudyOptions)
SELECTION = ("norms", "all", "every")
"""Flags of a field `norms`."""
NAMING_A_RESULT = frozenset({"out", "name", "config", "json", "quiet", "show"})
"""Flags that go with --show: they say where a result is, or how to print it."""


def study_command(study: Study[Any]) -> Callable[..., None]:
    """Make the command of a study."""

    def run(values: dict[str, Any]) -> None:
        shared = (*study.flags, *parameters(Options), "every", "print_config", "show")
        options = StudyOptions(**{name: values[name] for name in shared if name in values})
        settings = _settings(study, values)
        if options.show:
            _check_show(study, settings, values)
            _show(CommandContext(study, options, settings))
        else:
            _run(study, options, settings)

    return make_command(run, _study_parameters(study), study.help)


def _study_parameters(study: Study[Any]) -> dict[str, Parameter]:
    """Flags of a study's settings, then the shared ones."""
    of_settings: dict[str, Parameter] = {}
    for name, field in _fields(study).items():
        if name == "norms":
            of_settings |= {shared: SHARED[shared] for shared in SELECTION}
        of_settings[name] = Parameter(_kind(field.annotation), _flag(name, field))
    shared = {name: SHARED[name] for name in (*study.flags, *parameters(Options), "show")}
    for name, default in (("config", study.recipe or DEFAULT_RECIPE), ("name", study.name)):
        if name in shared:
            shared[name] = shared[name].with_default(default)
    if "config" in shared:
        shared["print_config"] = SHARED["print_config"]
    return of_settings | shared


def _fields(study: Study[Any]) -> dict[str, FieldInfo]:
    """Fields of a study's settings that are flags, by the flag's name."""
    fields = {name: (_field_flag(field), field) for name, field in study.settings.model_fields.items()}
    return {flag.name or name: field for name, (flag, field) in fields.items() if not flag.hidden}


def _field_flag(field: FieldInfo) -> FieldFlag:
    return next((item for item in field.metadata if isinstance(item, FieldFlag)), FieldFlag())


def _flag(name: str, field: FieldInfo) -> flags.Flag:
    """Flag of a field: with the field's description, or that of the shared flag of this name."""
    shown = _field_flag(field)
    complete = completion.networks if name == "networks" else None
    flag = (
        flags.Flag(field.description, shown.panel, shown.metavar, complete=complete)
        if field.description
        else SHARED[name].presentation
    )
    assert isinstance(flag, flags.Flag), f"{name} is a flag that studies share"
    return flag.of_field(field)


def _kind(annotation: Any) -> Any:
    """Type as which a flag's text is parsed: the plain type of a setting, `str` for a choice."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return str
    if get_origin(annotation) is tuple:
        return tuple[_kind(get_args(annotation)[0]), ...]  # type: ignore[misc]
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    return _kind(kinds[0]) if kinds else annotation


def _settings(study: Study[Any], values: dict[str, Any]) -> Any:
    """Return the settings of a study: the values that were typed over the defaults.

    Raises:
        UsageError: A value does not fit.
    """
    settings: dict[str, Any] = {}
    for name, field in study.settings.model_fields.items():
        flag = _field_flag(field)
        if flag.hidden:
            continue
        if name == "norms":
            value: Any = SelectionOptions(**{shared: values[shared] for shared in SELECTION}).selected_norms() or None
        else:
            value = values[flag.name or name]
        if value is not None:
            settings[name] = value
    return validated(study.settings, settings, COMMAND_LINE)


class CommandContext(StudyContext):
    """Context of a study on the command line: messages on stderr, and runs in the experiment of their question."""

    def __init__(self, study: Study[Any], options: StudyOptions, settings: Any) -> None:
        super().__init__(
            machine=options.machine(),
            experiment=options.name or _experiment(study, options, settings),
            recipe=options.config,
            overrides=options.overrides(),
            leave_out_oversized=options.every,
        )
        self.study, self.options, self.output = study, options, options.output()
        self.part: list[RunResult] | None = None
        """Results of the --shard of the last step that was trained; None without --shard."""

    @property
    def planning_machine(self) -> "MachineConfig":
        """Machine of the options, which downloads nothing for --dry-run."""
        return self.options.planning_machine()

    def load_recipe(self, default: str | None, settings: "Mapping[str, Any] | None" = None) -> "Recipe":
        """Load the study's recipe; with --print-config print it and exit."""
        recipe = super().load_recipe(default, settings)
        stop_after_config(self.options, recipe)
        return recipe

    def claim(self, settings: Any) -> None:
        """Claim the experiment of a study that keeps no runs, so that no other settings replace its result.

        Raises:
            UsageError: --name is an experiment of another question, or the folder cannot be written.
        """
        from normbench import runs

        typed = {"recipe": self.recipe, "overrides": dict(self.overrides)}
        question = runs.Question.of_study(self.study.name, settings.model_dump(mode="json") | typed)
        named = self.options.name is not None
        self.experiment, warning = runs.claim_name(self.machine.out, self.experiment, question, named)
        if warning:
            self.warn(warning)

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

    def train(
        self, configs: "Sequence[RunConfig]", recipe: "Recipe", *, finished: bool = False
    ) -> "tuple[Plan, list[RunResult]]":
        """Plan the runs, place them in the experiment of their question, and execute them.

        Of a --shard only its part is trained. A study with several steps goes on to the next one where the other
        parts are finished, too.

        Raises:
            typer.Exit: The plan alone, or a part of it, was asked for, and is printed.
        """
        from normbench import engine
        from normbench.console import ProgressCallback

        with ProgressCallback(self.output) as progress:
            progress.stage("checking the plan")
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
            if finished:
                return engine.finished_part(plan)
            part = part_of(self.options, plan)
            if not announce(self.options, part, progress):
                raise typer.Exit
            results = engine.run_all(part, callback, progress.on_download)
        if self.options.shard is None:
            return plan, results
        self.part = results
        done, whole = engine.finished_part(plan)
        if len(whole) < len(plan.configs):
            stop_after_part(self.options, self.study.name, results)
        return done, whole


def _experiment(study: Study[Any], options: StudyOptions, settings: Any) -> str:
    """Name of a study's experiment: the study's, with the variant of the settings or the recipe that was typed."""
    if suffix := study.variant(settings):
        return f"{study.name}-{suffix}"
    if options.config is None:
        return study.name
    return options.experiment if options.experiment.startswith(study.name) else f"{study.name}-{options.experiment}"


def _run(study: Study[Any], options: StudyOptions, settings: Any) -> None:
    """Run a study, keep its result and print it."""
    context = CommandContext(study, options, settings)
    options.load_torch()
    if not study.keeps_runs and not options.print_config:
        context.claim(settings)
    result = study.run(settings, context)
    if context.part is not None:
        stop_after_part(options, study.name, context.part)
    _conclude(context, result)
    if code := study.exit_code(result):
        raise typer.Exit(code)


def _check_show(study: Study[Any], settings: Any, values: Mapping[str, Any]) -> None:
    """Refuse --show beside a flag that chooses what to measure, since a kept result has been measured already.

    Raises:
        UsageError: There is one.
    """
    names = {field: name for name, field in study.settings.model_fields.items()}
    for name, value in values.items():
        if not is_typed(value) or name in NAMING_A_RESULT:
            continue
        if (key := _fields(study).get(name)) is not None:
            default = key.get_default(call_default_factory=True)
            without = settings.model_copy(update={names[key]: default})
            if study.variant(without) != study.variant(settings):
                continue
        flag = f"--{name.replace('_', '-')}"
        raise UsageError(f"--show measures nothing, so {flag} has no meaning with it", f"Leave out --show or {flag}.")


def _show(context: CommandContext) -> None:
    """Print the result in the experiment's folder, else the documentation's.

    Raises:
        UsageError: There is neither.
        RunFailedError: The result cannot be read.
    """
    from normbench.advice.evidence import documented_result
    from normbench.analysis import read_study_result
    from normbench.console.study import study_result_document, study_result_text, study_result_values
    from normbench.runs import FINDING

    study, output = context.study, context.output
    folder = context.machine.out / context.experiment
    result = read_study_result(folder)
    if result is not None and result.study != study.name:
        raise UsageError(
            f"{folder} is a result of `{result.study}`", f"normbench {result.study} --show --name {folder.name}"
        )
    documented = result is None
    if result is None and context.experiment == study.name:
        result = documented_result(study.name, study.question)
    if result is None:
        raise UsageError(f"{folder} has no result of `{study.name}`", "Leave out --show to measure it.")
    files = [] if documented else [str(path) for path in (folder / FINDING, *sorted(folder.glob("plots/*")))]
    document = study_result_document(result, files, documented=documented)
    output.result(study_result_text(result), document, study_result_values(result))
    output.note(f"none in {folder}: measured for the documentation" if documented else f"from {folder}")


def _conclude(context: CommandContext, result: "StudyResult") -> None:
    """Write result, tables, plots and report into the experiment's folder, then print the result.

    Raises:
        RunFailedError: The folder cannot be written.
    """
    from normbench.analysis import write_study_result
    from normbench.console.study import study_result_document, study_result_text, study_result_values
    from normbench.report import write_tables
    from normbench.report.write import write_report

    output, machine = context.output, context.machine
    folder = machine.out / context.experiment
    written = [write_study_result(folder, result), write_tables(folder, result)]
    reported = write_report(folder, machine)
    files = [str(path) for path in (*written, reported.report, *reported.plots)]
    for warning in result.warnings:
        output.warning(warning)
    output.result(study_result_text(result), study_result_document(result, files), study_result_values(result))
    output.note(f"also in {folder}: finding.json, tables.md, report.html and plots/")
