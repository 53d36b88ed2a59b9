"""Execution of a plan, run by run.

Runs that are done are shown, the others trained; a run that fails stops only itself.

Several processes may run plans with runs in common: each trains what is free, waits for what another one holds, takes
the result of that, and takes over what a process that died has left.
"""

import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from dataclasses import replace

import torch

from normbench import data as datasets
from normbench import interruption
from normbench.config import RunConfig
from normbench.data import DataSet, OnDownload
from normbench.device import describe, resolve_precision
from normbench.engine.callbacks import Callback, CallbackError, PlanCallback
from normbench.engine.concurrency import fitting, run_groups
from normbench.engine.execute import ExecutionOptions, execute
from normbench.engine.plan import Plan
from normbench.engine.threads import Stopped, Threads, threads_each
from normbench.errors import NormbenchError, RunFailedError, UsageError, in_one_line
from normbench.randomness import deterministic
from normbench.runs import HeldError, RunFolder, RunResult, holder_of
from normbench.runs.environment import package_versions
from normbench.shortage import shortage
from normbench.training import graphs_for

Outcomes = Generator[tuple[RunFolder, RunResult | Exception], None, None]
"""Runs with their results, or with what they failed with, in the order in which they end."""

POLL = 0.2
"""Seconds between two looks at a run that another process holds."""


def run_all(plan: Plan, callback: Callback | None = None, on_download: OnDownload | None = None) -> list[RunResult]:
    """Execute every run of a plan; in a plan of several, one that fails does not stop the others.

    Returns:
        The results in the order of the plan.

    Raises:
        DataError: The data set is missing, damaged or cannot be fetched.
        UsageError: A setting does not fit the data, or the output folder cannot be written.
        Exception: Whatever the only run of the plan failed with.
    """
    serial = PlanCallback(callback or Callback())
    try:
        return _run_all(plan, serial, on_download)
    except CallbackError as error:
        with suppress(CallbackError):
            serial.close("interrupted")
        raise error.error from error
    except Exception as error:
        serial.close(_problem(error))
        raise
    except BaseException:
        serial.close("interrupted")
        raise


def _run_all(plan: Plan, callback: PlanCallback, on_download: OnDownload | None) -> list[RunResult]:
    options = _execution_options(plan)  # first of all: with --force, results from now on are not redone
    outcome_of: dict[RunFolder, RunResult | Exception] = {}
    for folder in plan.folders:
        result = None if plan.machine.force else _result(folder)
        if isinstance(result, RunResult):
            callback.run_finished(folder.config, result, already_done=True)
        if result is not None:
            _stop_if_hopeless(plan, result, outcome_of)
            outcome_of[folder] = result
    waiting = [folder for folder in plan.folders if folder not in outcome_of]
    failed = any(isinstance(result, Exception) for result in outcome_of.values())
    data = _load(plan, on_download) if waiting or failed else None
    if data is not None:
        repeatable = any(config.deterministic for config in plan.configs)
        outcomes = _train_or_wait(plan, waiting, data, callback, options)
        # Left early, it stops its threads. torch's flags are set before anything computes on the device.
        with deterministic(repeatable), closing(outcomes):
            for folder, outcome in outcomes:
                if isinstance(outcome, Exception):
                    callback.run_failed(folder.config, _problem(outcome))
                _stop_if_hopeless(plan, outcome, outcome_of)
                outcome_of[folder] = outcome
    return [_row(folder, outcome_of[folder], data, plan, callback) for folder in plan.folders]


def _load(plan: Plan, on_download: OnDownload | None) -> DataSet:
    """Load the images, and meanwhile what a run needs besides: its slow imports, and the versions of packages."""
    preparation = threading.Thread(target=_prepare, name=f"{interruption.OURS}preparation", daemon=True)
    with suppress(RuntimeError):  # where the system grants no thread, the first run does it
        preparation.start()
    data = datasets.load(plan.configs[0].data, plan.machine, plan.host, on_download)
    if preparation.is_alive():
        preparation.join()
    return data


def _prepare() -> None:
    with suppress(Exception):  # the first run that needs it says what is wrong
        package_versions()
        torch.optim.SGD([torch.zeros(1)])  # the first optimizer of a process imports torch's compiler


def _result(folder: RunFolder) -> RunResult | Exception | None:
    try:
        return folder.result()
    except NormbenchError as error:
        return error


def _stop_if_hopeless(
    plan: Plan, outcome: RunResult | Exception, outcome_of: dict[RunFolder, RunResult | Exception]
) -> None:
    """Stop if the only run failed, or the first one by a setting, which is one of all runs."""
    first = not any(isinstance(result, RunResult) for result in outcome_of.values())
    if isinstance(outcome, Exception) and (len(plan.configs) == 1 or (isinstance(outcome, UsageError) and first)):
        raise _in_words(plan.configs[0], outcome)


def _in_words(config: RunConfig, error: Exception) -> Exception:
    """The failure of the only run of a plan; custom code that fails is no fault of normbench, and is named."""
    custom = [name for name in (config.norm, config.network.name) if ":" in name]
    if not custom or isinstance(error, NormbenchError) or shortage(error):
        return error
    failure = RunFailedError(
        f"{config.norm} seed {config.seed} failed: {in_one_line(error)}",
        f"It ran the code of {' and '.join(custom)}. NORMBENCH_DEBUG=1 shows where it failed.",
    )
    failure.__cause__ = error
    return failure


def _train_or_wait(
    plan: Plan, waiting: Sequence[RunFolder], data: DataSet, callback: Callback, options: ExecutionOptions
) -> Outcomes:
    """Train what is free; then wait for the runs that other processes hold, and try these again.

    Nothing is held while it waits, so two processes never wait for each other.
    """
    left = list(waiting)
    holders: dict[RunFolder, str] = {}
    while left:
        held = []
        with closing(_train(plan, left, data, callback, options)) as outcomes:
            for folder, outcome in outcomes:
                if isinstance(outcome, HeldError):
                    held.append(folder)
                else:
                    yield folder, outcome
        left = held
        _wait(left, callback, holders)


def _wait(held: Sequence[RunFolder], callback: Callback, holders: dict[RunFolder, str]) -> None:
    """Wait until one of these runs is free; tells whom it waits for, and of each change."""
    while held:
        for folder in held:
            if (holder := holder_of(folder.path)) is None:
                return
            if holders.get(folder) != holder:
                holders[folder] = holder
                callback.run_waiting(folder.config, holder)
        time.sleep(POLL)


def _train(
    plan: Plan, waiting: Sequence[RunFolder], data: DataSet, callback: Callback, options: ExecutionOptions
) -> Outcomes:
    """Train runs as the plan shares the device; gives each with its result, or with what it failed with."""
    if plan.machine.engine == "ray":
        from normbench.engine.ray_engine import train_on_cluster  # noqa: PLC0415  # needs Ray, which is an extra

        yield from train_on_cluster(plan, waiting, data, callback, options)
    elif plan.device.type == "cuda":
        yield from _as_run_groups(plan, waiting, data, callback, options)
    else:
        yield from _on_threads(plan, waiting, data, callback, options)


def _on_threads(
    plan: Plan, waiting: Sequence[RunFolder], data: DataSet, callback: Callback, options: ExecutionOptions
) -> Outcomes:
    if plan.concurrency.runs == 1:
        for folder in waiting:
            yield from run_group([folder], data, callback, options)
        return

    def work(folder: RunFolder) -> RunResult | HeldError:
        (result,) = _execute([folder], data, callback, replace(options, interrupted=threads.interrupted))
        return result

    threads = Threads(work, plan.concurrency.runs)
    with threads_each(plan.concurrency.threads):
        yield from threads.do(waiting)


def _as_run_groups(
    plan: Plan, waiting: Sequence[RunFolder], data: DataSet, callback: Callback, options: ExecutionOptions
) -> Outcomes:
    size = plan.concurrency.runs
    if size > 1 and plan.machine.jobs is None and waiting:
        per_network = {folder.config.network: folder.config for folder in reversed(waiting)}
        size = min(size, *(fitting(config, data, plan.device) for config in per_network.values()))
    for group in run_groups(waiting, size, plan.uncaptured):
        capturable = group[0].config.norm not in plan.uncaptured
        yield from run_group(group, data, callback, options if capturable else replace(options, graphs=None))


def _execution_options(plan: Plan) -> ExecutionOptions:
    return ExecutionOptions(
        force=plan.machine.force,
        superseded={folder.path: folder.stamp for folder in plan.folders} if plan.machine.force else None,
        graphs=graphs_for(plan.device) if plan.machine.capture else None,
        concurrent_runs=plan.concurrency.runs,
    )


def run_group(folders: Sequence[RunFolder], data: DataSet, callback: Callback, options: ExecutionOptions) -> Outcomes:
    """Train a run group; if it fails, continue with its halves, until the run that fails is alone."""
    group_options = replace(options, concurrent_runs=len(folders))
    try:
        results = _execute(folders, data, callback, group_options)
    except Exception as error:  # told in the row of its run, once that is alone
        if interruption.happened():  # and was taken for a failure on its way
            raise KeyboardInterrupt from error
        if len(folders) == 1:
            yield folders[0], error
            return
        if isinstance(error, torch.OutOfMemoryError):
            callback.warning(f"{len(folders)} runs at once need more memory than the device has: going on with half")
    else:
        yield from zip(folders, results, strict=True)
        return
    # Outside of the handler, whose traceback keeps the tensors of the failed group alive. After a capture that CUDA
    # itself gave up torch refuses; the halves may still find room.
    with suppress(RuntimeError):
        torch.cuda.empty_cache()
    middle = len(folders) // 2
    for half in (folders[:middle], folders[middle:]):
        yield from run_group(half, data, callback, replace(options, force=False))


def _execute(
    folders: Sequence[RunFolder], data: DataSet, callback: Callback, options: ExecutionOptions
) -> list[RunResult | HeldError]:
    """`execute`; a norm that ends the program, or raises what is no `Exception`, fails as any other does."""
    try:
        return execute(folders, data, callback, options)
    except (Exception, KeyboardInterrupt, GeneratorExit, Stopped, CallbackError):
        raise
    except SystemExit as error:
        raise RunFailedError(
            f"the code of the run ended the program: sys.exit({error.code!r})",
            "A norm says that it cannot go on by an exception, as ValueError.",
        ) from error
    except BaseException as error:
        raise RunFailedError(_problem(error)) from error


def _problem(error: BaseException) -> str:
    """An exception in one line; one of normbench's is in words already."""
    error = shortage(error) or error
    return error.message if isinstance(error, NormbenchError) else in_one_line(error)


def _row(
    folder: RunFolder, outcome: RunResult | Exception, data: DataSet | None, plan: Plan, callback: Callback
) -> RunResult:
    if isinstance(outcome, RunResult):
        return outcome
    assert data is not None, "it is loaded where a run fails"
    result = _failed(folder, data, plan, outcome)
    callback.run_finished(folder.config, result, already_done=False)
    return result


def _failed(folder: RunFolder, data: DataSet, plan: Plan, error: Exception) -> RunResult:
    """The row of a run that could not be finished; it is not written down, so the next try does it again."""
    config = folder.config
    return RunResult(
        status="failed",
        norm=config.norm,
        seed=config.seed,
        dataset=data.name,
        split_seed=config.data.split_seed,
        network=config.network.name,
        parameters=plan.parameters_of(config),
        epochs=0,
        batch_size=config.training.batch_size,
        lr=config.training.lr,
        weight_decay=config.training.weight_decay,
        train_images=len(data.train),
        test_images=len(data.test),
        seconds=0.0,
        device=describe(plan.host),
        torch=torch.__version__,
        precision=resolve_precision(config.training.precision, plan.host),
        problem=_problem(error),
        fingerprint=config.fingerprint,
        folder=str(folder.path),
    )
