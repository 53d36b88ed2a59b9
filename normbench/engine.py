"""Repeat runs: check them all, load the data once, execute one after another, let a failure stop only itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from normbench import anatomy
from normbench import data as datasets
from normbench.config import MachineConfig, RunConfig
from normbench.device import describe, resolve_device
from normbench.errors import OverBudgetError, UsageError
from normbench.networks import build, count_parameters
from normbench.norms import resolve_norm, source_digest
from normbench.runs import Listener, RunFolder, RunResult, check, execute

OnDownload = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Plan:
    """Runs that passed every check, on one data set and one device."""

    configs: tuple[RunConfig, ...]
    folders: tuple[RunFolder, ...]
    machine: MachineConfig
    device: torch.device
    parameters: dict[str, int]
    """Trainable parameters of the network, by norm."""
    warnings: tuple[str, ...]


def plan(
    configs: Sequence[RunConfig],
    machine: MachineConfig,
    experiment: str,
    on_download: OnDownload | None = None,
    leave_out_oversized: bool = False,
) -> Plan:
    """Check every run before the first one starts, so that a bad setting costs no training time.

    All configs share their data settings. The data set `auto` is settled here; this may download it.
    With `leave_out_oversized` a norm that breaks the parameter budget is left out, with a warning.

    Raises:
        UsageError: A norm, network or device that cannot be, or a network over its parameter budget.
        DataError: The data set is asked for by name, and is not to be had.
    """
    device = resolve_device(machine.device)
    warnings = {warning: None for config in configs for warning in check(config)}
    parameters = {}
    for config in {c.norm: c for c in configs}.values():
        try:
            parameters[config.norm] = within_budget(config)
        except OverBudgetError as error:
            if not leave_out_oversized:
                raise
            warnings[f"left out: {error.message}"] = None
    choice = datasets.settle(configs[0].data, machine, on_download)
    if choice.reason:
        warnings[choice.reason] = None
    settled = tuple(
        config.model_copy(update={"data": choice.config, "norm_source": source_digest(config.norm)})
        for config in configs
        if config.norm in parameters
    )
    folders = tuple(RunFolder(machine.out, experiment, config) for config in settled)
    return Plan(settled, folders, machine, device, parameters, tuple(warnings))


def within_budget(config: RunConfig) -> int:
    """Trainable parameters of a run's network.

    Raises:
        OverBudgetError: They are not fewer than the budget; says by how much, why, and how to allow it.
    """
    network = build(config.network, resolve_norm(config.norm, config.groups))
    parameters = count_parameters(network)
    if parameters >= config.max_params:
        raise anatomy.budget_error(anatomy.anatomy(config))
    return parameters


def run_all(plan: Plan, listener: Listener, on_download: OnDownload | None = None) -> list[RunResult]:
    """Execute every run of a plan, in order; in a plan of several, one that fails does not stop the others.

    Raises:
        DataError: The data set is missing, damaged or cannot be fetched.
        UsageError: A setting does not fit the data, or the output folder cannot be written.
        Exception: Whatever the only run of the plan failed with.
    """
    data: datasets.DataSet | None = None
    results = []
    for config, folder in zip(plan.configs, plan.folders, strict=True):
        try:
            done = None if plan.machine.force else folder.result()
            if done is None:
                data = data or datasets.load(config.data, plan.machine, plan.device, on_download)
                results.append(execute(config, data, folder, listener, plan.machine.force))
            else:
                listener.run_finished(config, done, already_done=True)
                results.append(done)
        except Exception as error:
            stops_all = isinstance(error, UsageError) and not results  # a bad setting of the first run is one of all
            if len(plan.configs) == 1 or data is None or stops_all:
                raise
            results.append(_failed(config, folder, data, plan, error))
            listener.run_finished(config, results[-1], already_done=False)
    return results


def _failed(config: RunConfig, folder: RunFolder, data: datasets.DataSet, plan: Plan, error: Exception) -> RunResult:
    """The row of a run that could not be finished; it is not written down, so the next try does it again."""
    return RunResult(
        status="failed",
        norm=config.norm,
        seed=config.seed,
        dataset=data.name,
        network=config.network.name,
        parameters=plan.parameters[config.norm],
        epochs=0,
        batch_size=config.training.batch_size,
        lr=config.training.lr,
        weight_decay=config.training.weight_decay,
        train_images=len(data.train),
        test_images=len(data.test),
        seconds=0.0,
        device=describe(plan.device),
        torch=torch.__version__,
        problem=f"{type(error).__name__}: {error}",
        fingerprint=config.fingerprint,
        folder=str(folder.path),
    )
