"""Studies as Python functions."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from normbench import engine, runs
from normbench.analysis import StudyResult, write_study_result
from normbench.api.settings import machine, nested
from normbench.config import MachineConfig, Recipe, RunConfig
from normbench.config.validation import check_name, validated
from normbench.data import OnDownload
from normbench.engine import Plan
from normbench.engine.callbacks import Callback
from normbench.errors import unknown
from normbench.report import write_tables
from normbench.report.write import write_report
from normbench.runs import Question, RunResult
from normbench.studies import STUDIES, StudyContext


class _Context(StudyContext):
    """Context of a study in Python: warnings go into its result, progress is ignored."""

    def __init__(self, study: str, named: bool, callback: Callback | None, **fields: Any) -> None:
        super().__init__(**fields)
        self.study, self.named, self.callback = study, named, callback
        self.warnings: list[str] = []

    def note(self, text: str) -> None:
        """Ignore progress."""

    def warn(self, text: str) -> None:
        """Keep a warning for the result."""
        self.warnings.append(text)

    @contextmanager
    def downloading(self) -> Iterator[OnDownload | None]:
        """Download without showing progress."""
        yield None

    def train(
        self, configs: Sequence[RunConfig], recipe: Recipe, *, finished: bool = False
    ) -> tuple[Plan, list[RunResult]]:
        """Plan and execute the runs of a recipe in the experiment of their question."""
        plan = engine.plan(configs, self.machine, self.experiment, leave_out_oversized=self.leave_out_oversized)
        question = Question.of(recipe.model_copy(update={"data": plan.configs[0].data}), self.study)
        plan = engine.claim_experiment(plan, question, named=self.named)
        self.experiment = plan.folders[0].path.parent.name
        self.warnings += plan.warnings
        return engine.finished_part(plan) if finished else (plan, engine.run_all(plan, self.callback))


def study(
    name: str,
    *,
    recipe: str | None = None,
    recipe_settings: Mapping[str, Any] | None = None,
    experiment: str | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str | None = None,
    engine: str | None = None,
    address: str | None = None,
    **settings: Any,
) -> StudyResult:
    """Run a study and keep its result, tables, plots and report in its folder, as its command does.

    Args:
        name: Name of the command, such as `batch-size` or `depth`.
        recipe: Name or TOML file, for a study that has one; its own by default.
        recipe_settings: Keys of the recipe to change, as `{"training.epochs": 2}`.
        experiment: Name of the folder; the study's by default.
        out: Folder of experiments; `runs` by default.
        data_dir: Folder with CIFAR-10.
        device: `auto`, `cuda`, `cuda:1`, `mps` or `cpu`.
        engine: `local`, or `ray` for a Ray cluster, where the study trains run folders.
        address: The Ray cluster, as `HOST:6379`.
        settings: Flags of the command, with `_` for `-`, as `norms=["bn"]` or `no_train=True`.

    Returns:
        Conclusions, tables and charts.

    Raises:
        UsageError: There is no such study or setting, or a value is not valid.
        RunFailedError: The folder cannot be written.
    """
    if name not in STUDIES:
        raise unknown("study", name, STUDIES)
    here = machine(out=out, data_dir=data_dir, device=device, engine=engine, address=address)
    return run_study(name, settings, here, recipe=recipe, recipe_settings=recipe_settings, experiment=experiment)


def run_study(
    name: str,
    settings: Mapping[str, Any],
    machine: MachineConfig,
    *,
    recipe: str | None = None,
    recipe_settings: Mapping[str, Any] | None = None,
    experiment: str | None = None,
    callback: Callback | None = None,
) -> StudyResult:
    """Run a study that exists, and keep its result, tables, plots and report.

    Raises:
        UsageError: A setting is not valid.
        RunFailedError: The folder cannot be written.
    """
    record = STUDIES[name]
    study_settings = validated(record.settings, dict(settings), f"study {name}")
    suffix = record.variant(study_settings)
    default = f"{name}-{suffix}" if suffix else name
    context = _Context(
        name,
        experiment is not None,
        callback,
        machine=machine,
        experiment=default if experiment is None else check_name(experiment, "the experiment"),
        recipe=recipe,
        overrides=nested(recipe_settings or {}),
    )
    if not record.keeps_runs:
        typed = {"recipe": recipe, "overrides": dict(context.overrides)}
        question = Question.of_study(name, study_settings.model_dump(mode="json") | typed)
        context.experiment, warning = runs.claim_name(machine.out, context.experiment, question, context.named)
        context.warnings += [warning] if warning else []
    result = record.run(study_settings, context)
    result = result.model_copy(update={"warnings": (*context.warnings, *result.warnings)})
    folder = context.machine.out / context.experiment
    write_study_result(folder, result)
    write_tables(folder, result)
    write_report(folder, context.machine)
    return result


def verify(
    norm: str | None = None,
    *,
    reference: str | None = None,
    network: str = "c10",
    out: str | Path | None = None,
) -> StudyResult:
    """Check norms against their float64 definitions, as `normbench verify`; `values["passed"]` is the verdict.

    Args:
        norm: One norm; None checks all.
        reference: For a custom norm: `file.py:function` of its definition in NumPy.
        network: Network whose layers' shapes are among the inputs.
        out: Folder of experiments.

    Raises:
        UsageError: No such norm, or one without a definition and without a `reference`.
    """
    return study("verify", out=out, norm=norm, reference=reference, network=network)
