"""Plan of runs, checked before the first starts. It states how many of them train at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from normbench import data as datasets
from normbench import runs
from normbench.config import MachineConfig, NetworkConfig, Recipe, RunConfig, TrainingConfig
from normbench.config.recipes import replaced_by
from normbench.data import OnDownload
from normbench.device import lacks_bf16, resolve_device
from normbench.engine.concurrency import Concurrency, plan_concurrency
from normbench.engine.trial import try_out
from normbench.errors import OverBudgetError, UnfitNormError, UsageError
from normbench.model_summary import budget_error, model_summary
from normbench.networks import IMAGE_SHAPE, build_for, count_parameters, draws_random_numbers, network_code
from normbench.norms import Norm, norm_info, source_digest
from normbench.runs import Question, RunFolder, RunResult
from normbench.training import uncaptured
from normbench.training.host_access import host_access

SMALL_BATCH = 8
"""Images per batch below which batch statistics are noisy."""


@dataclass(frozen=True)
class Plan:
    """Runs that passed every check, on one data set and one device."""

    configs: tuple[RunConfig, ...]
    folders: tuple[RunFolder, ...]
    machine: MachineConfig
    device: torch.device
    parameters: dict[tuple[str, NetworkConfig], int]
    """Trainable parameters, by norm and network."""
    warnings: tuple[str, ...]
    concurrency: Concurrency
    uncaptured: frozenset[str] = frozenset()
    """Norms, as they were typed, whose steps cannot be captured in a CUDA graph."""
    obstacle: str = ""
    """Obstacle to CIFAR-10, in words, where `auto` has fallen back to the digits."""

    @property
    def host(self) -> torch.device:
        """Device that this process loads the data onto: its CPU where a cluster trains."""
        return torch.device("cpu") if self.machine.engine == "ray" else self.device

    @property
    def norms(self) -> tuple[str, ...]:
        """Norms in the order in which they first appear."""
        return tuple(dict.fromkeys(config.norm for config in self.configs))

    def parameters_of(self, config: RunConfig) -> int:
        """Trainable parameters of the network of one run."""
        return self.parameters[model_of(config)]


def model_of(config: RunConfig) -> tuple[str, NetworkConfig]:
    """Norm and network of a run: runs that share both train the same model."""
    return config.norm, config.network


def one_per_model(configs: Sequence[RunConfig]) -> list[RunConfig]:
    """The last run of every model of a plan, in the order in which the models first appear."""
    return list({model_of(config): config for config in configs}.values())


def plan(
    configs: Sequence[RunConfig],
    machine: MachineConfig,
    experiment: str,
    on_download: OnDownload | None = None,
    leave_out_oversized: bool = False,
) -> Plan:
    """Check every run before the first one starts, so that a bad setting costs no training time.

    All configs share their data settings. The data set `auto` is settled here; this may download it.
    With `leave_out_oversized` a norm that breaks the parameter budget, or has no meaning in the network, is left out,
    with a warning; where that leaves none, the first one's error is raised.

    Raises:
        UsageError: A norm, network or device that cannot be, or a network over its parameter budget.
        DataError: The data set is asked for by name, and is not to be had.
    """
    device = _device(machine)
    warnings = {warning: None for config in configs for warning in _check_settings(config, device)}
    parameters = {}
    first: OverBudgetError | UnfitNormError | None = None
    for config in one_per_model(configs):
        try:
            parameters[model_of(config)] = within_budget(config)
        except (OverBudgetError, UnfitNormError) as error:
            if not leave_out_oversized:
                raise
            warnings[f"left out: {error.message}"] = None
            first = first or error
    if not parameters and first is not None:
        raise first  # with every norm left out there is nothing to plan
    choice = datasets.settle(configs[0].data, machine, on_download)
    if choice.reason:
        warnings[choice.reason] = None
    settled = tuple(
        config.model_copy(update={"data": choice.config} | _identity(config))
        for config in configs
        if model_of(config) in parameters
    )
    folders = tuple(RunFolder(machine.out, experiment, config) for config in settled)
    models = one_per_model(settled)
    trials = [(config.norm, try_out(config)) for config in models if config.has_custom_code]
    warnings |= {warning: None for _, trial in trials for warning in trial.warnings}
    random = any(draws_random_numbers(build_for(config)) for config in models)
    concurrency = plan_concurrency(device, machine, len(settled), random)
    capture = device.type == "cuda" and machine.capture
    host = {name: "a step of it depends on more than tensors" for name, trial in trials if not trial.captures}
    reasons = host | _uncaptured(models) if capture else {}
    warnings |= {uncaptured(norm, reason): None for norm, reason in reasons.items()}
    return Plan(
        settled, folders, machine, device, parameters, tuple(warnings), concurrency, frozenset(reasons), choice.cause
    )


def plan_recipe(
    recipe: Recipe,
    configs_of: Callable[[Recipe], Sequence[RunConfig]],
    machine: MachineConfig,
    experiment: str,
    on_download: OnDownload | None = None,
    *,
    named: bool = False,
    leave_out_oversized: bool = False,
) -> tuple[Recipe, Plan]:
    """Plan the runs of a recipe, or of its `fallback` where `auto` does not find CIFAR-10.

    Args:
        recipe: Settings of the runs.
        configs_of: Returns the runs of a recipe.
        machine: Folders, device and concurrency.
        experiment: Name of the experiment; the fallback's own unless the user chose it.
        on_download: Receives the progress of a download.
        named: True if the user chose the name.
        leave_out_oversized: As of `plan`.

    Returns:
        The recipe that is trained, and its plan.

    Raises:
        UsageError: As of `plan`, or an override does not fit the fallback.
        DataError: As of `plan`.
    """
    made = plan(configs_of(recipe), machine, experiment, on_download, leave_out_oversized)
    if not made.obstacle or recipe.fallback is None:
        return recipe, made
    fallback = recipe.replacement()
    name = experiment if named else recipe.fallback
    replaced = plan(configs_of(fallback), machine, name, on_download, leave_out_oversized)
    warnings = (replaced_by(recipe.fallback), *replaced.warnings)
    return fallback, replace(replaced, warnings=warnings, obstacle=made.obstacle)


def _device(machine: MachineConfig) -> torch.device:
    """Device that the runs train on, of this process or of the cluster.

    Raises:
        UsageError: It is not available, or Ray is asked for and not installed.
    """
    if machine.engine == "local":
        return resolve_device(machine.device)
    try:
        from normbench.engine import cluster  # noqa: PLC0415  # needs Ray, which is an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "ray":
            raise
        raise UsageError("--engine ray needs Ray", "pip install 'normbench[ray]'") from error
    return cluster.device(machine)


def in_experiment(plan: Plan, name: str, *warnings: str) -> Plan:
    """The same plan in an experiment of another name, with more warnings."""
    folders = tuple(RunFolder(plan.machine.out, name, config) for config in plan.configs)
    return replace(plan, folders=folders, warnings=(*plan.warnings, *warnings))


def part_of(plan: Plan, part: int, parts: int) -> Plan:
    """Every `parts`-th run of a plan from the `part`-th (1 to `parts`) on: together the parts make up the plan.

    Raises:
        UsageError: There are fewer runs than parts, so that this one has none.
    """
    if part > len(plan.configs):
        raise UsageError(f"part {part} of {parts} has no run: the plan has {len(plan.configs)}")
    chosen = slice(part - 1, None, parts)
    return replace(plan, configs=plan.configs[chosen], folders=plan.folders[chosen])


def claim_experiment(plan: Plan, question: Question, *, named: bool, dry_run: bool = False) -> Plan:
    """Move a plan into the experiment of its question, and claim that experiment unless nothing is to be run.

    Args:
        plan: Its runs lie in the experiment that was asked for, or in the recipe's.
        question: Of its runs.
        named: True if the user chose the name.
        dry_run: Write nothing.

    Raises:
        UsageError: The name that the user chose is that of another question.
    """
    name = plan.folders[0].path.parent.name
    fingerprints = {config.fingerprint for config in plan.configs}
    settle = runs.place if dry_run else runs.claim_name
    settled, warning = settle(plan.machine.out, name, question, named, fingerprints)
    return in_experiment(plan, settled, *([warning] if warning else []))


def finished_part(plan: Plan) -> tuple[Plan, list[RunResult]]:
    """Runs of a plan that are done or diverged already, with their results; nothing is trained.

    Raises:
        RunFailedError: A result is damaged.
    """
    results = [folder.result() for folder in plan.folders]
    done = [index for index, result in enumerate(results) if result is not None]
    configs = tuple(plan.configs[index] for index in done)
    folders = tuple(plan.folders[index] for index in done)
    return replace(plan, configs=configs, folders=folders), [result for result in results if result is not None]


def _identity(config: RunConfig) -> dict[str, object]:
    """Identity of norm and network beyond their names: the code of a custom one, the revision of a built-in norm."""
    network = network_code(config.network.name)
    return {
        "norm_source": source_digest(config.norm),
        "norm_revision": norm_info(config.norm).revision,
        "network_source": network.digest if network else None,
    }


def _uncaptured(configs: Sequence[RunConfig]) -> dict[str, str]:
    """Norms whose training steps cannot be captured in a CUDA graph, with the reason; without custom code all can."""
    networks = [(config.norm, build_for(config)) for config in configs if config.has_custom_code]
    reasons = [(norm, host_access(network, IMAGE_SHAPE)) for norm, network in networks]
    return {norm: reason for norm, reason in reasons if reason is not None}


def _check_settings(config: RunConfig, device: torch.device) -> list[str]:
    """Check settings that may not go together, or do not suit the device; returns warnings.

    Raises:
        UsageError: As of `_check_batch_size`.
    """
    return [*_check_batch_size(config), *_check_optimizer(config.training), *_check_precision(config.training, device)]


def _check_precision(training: TrainingConfig, device: torch.device) -> list[str]:
    if training.precision != "bf16" or not lacks_bf16(device):
        return []
    return ["this CPU has no instructions for bfloat16, so bf16 may be slower than fp32"]


def _check_optimizer(training: TrainingConfig) -> list[str]:
    """Warnings of settings of SGD that the optimizer does not read."""
    if training.optimizer == "sgd":
        return []
    default = TrainingConfig()
    unread = [name for name in ("momentum", "nesterov") if getattr(training, name) != getattr(default, name)]
    return [
        f"training.{name} = {str(getattr(training, name)).lower()} has no effect: it is SGD's, and "
        f"training.optimizer = {training.optimizer}"
        for name in unread
    ]


def _check_batch_size(config: RunConfig) -> list[str]:
    """Check that the norm can work with the batch size; returns warnings.

    Raises:
        UsageError: The norm is unknown, or a batch of one image has no batch statistics.
    """
    norm = Norm.parse(config.norm, config.groups)
    batch = config.training.batch_size
    if not norm.info.batch_statistics or batch >= SMALL_BATCH:
        return []
    if batch == 1:
        raise UsageError(
            f"{norm.name} takes its statistics over the batch, and a batch of 1 image has none to speak of",
            "Use --batch-size 8 or more, or a norm without batch statistics: --norm gn",
        )
    return [
        f"{norm.name} with batches of {batch} images: its statistics are noisy, and evaluation with running "
        "statistics suffers; --norm gn does not depend on the batch"
    ]


def check_model(config: RunConfig) -> int:
    """Check what `plan` checks of the model of a run; returns its trainable parameters.

    Raises:
        UsageError: Its norm, network or batch size cannot be, or it is over its parameter budget.
    """
    _check_batch_size(config)
    return within_budget(config)


def within_budget(config: RunConfig) -> int:
    """Trainable parameters of a run's network.

    Raises:
        OverBudgetError: They are not fewer than the budget; says by how much, why, and how to allow it.
        UnfitNormError: The norm has no meaning in the network.
    """
    network = build_for(config)
    parameters = count_parameters(network)
    if parameters >= config.max_params:
        raise budget_error(model_summary(config))
    return parameters
