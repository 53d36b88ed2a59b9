"""Execution of a plan on a Ray cluster. Tasks train the runs, and this process keeps their folders.

A run group is one task. It needs as many CPUs as a run has threads in process, so that the numbers are the same, or a
part of a GPU. This process holds the locks of the runs that are under way and writes their epochs, states and results
as they come in, so that nothing is lost with a worker, a node or this process: whoever goes on does so from the folder.
"""

import math
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import ray
import torch

from normbench.config import RunConfig
from normbench.config.norm_names import NormName
from normbench.data import DataSet
from normbench.engine import cluster
from normbench.engine.callbacks import Callback
from normbench.engine.concurrency import LARGEST_GROUP, run_groups
from normbench.engine.execute import ExecutionOptions, result_to_keep
from normbench.engine.plan import Plan
from normbench.engine.remote import (
    Arrays,
    CustomCode,
    EpochDone,
    Event,
    Failed,
    Finished,
    Job,
    Saved,
    Started,
    StepDone,
    Warned,
    train_job,
)
from normbench.engine.run import Outcomes
from normbench.errors import NormbenchError, RunFailedError, UsageError, in_one_line
from normbench.files import read_regular, replace_bytes
from normbench.networks import network_code
from normbench.norms import norm_code
from normbench.runs import RunFolder, RunResult
from normbench.runs.archive import CONFIG, ENVIRONMENT, METRICS
from normbench.runs.folder import STATE
from normbench.runs.kept_code import RunCode
from normbench.runs.lock import held

MOST_LOSSES = 3
"""Workers that a run may lose in one epoch before it counts as failed: its own code may be what ends them."""
POLL = 1.0
"""Seconds without news after which the cluster is looked at."""
AHEAD = 2
"""Tasks that are submitted, as a multiple of those that the cluster can run at once."""
CANCEL_PATIENCE = 3.0
"""Seconds that cancelled tasks have to end by themselves."""
SPARE_FILES = 128
"""Open files that are left for other uses than the locks of runs."""
SAVE_EVERY: float | None = None
"""Seconds between two states of a run that travel back; None for those of a run in process."""

LOSSES = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.ObjectLostError,
    ray.exceptions.RaySystemError,
    ray.exceptions.RpcError,
)
"""Errors of a task whose worker or node is gone."""


@dataclass
class _Task:
    """Run group on the cluster."""

    folders: list[RunFolder]
    losses: int = 0
    """Workers lost since an epoch was finished for the first time."""
    left: set[RunFolder] = field(default_factory=set)
    """Runs without an outcome."""
    advanced: bool = False
    """True once it has finished an epoch for the first time since it was submitted."""


def train_on_cluster(
    plan: Plan, waiting: Sequence[RunFolder], data: DataSet, callback: Callback, options: ExecutionOptions
) -> Outcomes:
    """Train runs on the cluster of the plan; gives each with its result, or with what it failed with.

    Raises:
        UsageError: No node has the CPUs that a run needs, or nodes differ in what is installed on them.
        RunFailedError: The cluster cannot be reached.
    """
    cluster.connect(plan.machine.address)
    try:
        driver = _Driver(plan, data, callback, options)
    except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError) as error:
        raise RunFailedError(
            "the data set does not fit into Ray's object store",
            "Start the node with more: ray start --object-store-memory BYTES",
        ) from error
    try:
        yield from driver.train(waiting)
    finally:
        driver.close()


class _Driver:
    """Submission of the tasks of a plan, and the files of their runs."""

    def __init__(self, plan: Plan, data: DataSet, callback: Callback, options: ExecutionOptions) -> None:
        self.plan, self.callback, self.options = plan, callback, options
        self.threads = plan.concurrency.threads or torch.get_num_threads()
        self.arrays = ray.put(Arrays.of(data))
        self.function = ray.remote(max_calls=0, max_retries=0)(train_job)  # else a GPU task ends its process
        self.queue: deque[_Task] = deque()
        self.tasks: dict[Any, _Task] = {}
        """Tasks by the generators of their events."""
        self.locks: dict[RunFolder, ExitStack] = {}
        self.started: set[RunFolder] = set()
        """Runs that were started by this command, or before it without --force: what is in their folders counts."""
        self.epochs: dict[RunFolder, int] = {}
        """Last epoch that was reported, by run."""
        self.repeatable = any(config.deterministic for config in plan.configs)
        self.slots, self.looked = 0, 0.0
        self.most_locks = most_open_files() - SPARE_FILES

    def train(self, waiting: Sequence[RunFolder]) -> Outcomes:
        """Yield runs with their outcomes, in the order in which they end."""
        self._count_slots()
        self.queue.extend(_Task(group) for group in self._groups(waiting))
        while self.queue or self.tasks:
            while self.queue and self._has_room():
                yield from self._submit(self.queue.popleft())
            if not self.tasks:
                continue
            generators = list(self.tasks)
            ready, _ = ray.wait(generators, num_returns=1, timeout=POLL, fetch_local=False)
            if ready:  # as many as have news: a look at all of them costs time
                ready, _ = ray.wait(generators, num_returns=len(generators), timeout=0, fetch_local=False)
            for generator in ready:
                yield from self._receive(generator)
            self._count_slots()

    def close(self) -> None:
        """Cancel what is under way, and release the locks."""
        try:
            generators = list(self.tasks)
            with suppress(ray.exceptions.RayError):  # there is no cluster left
                for generator in generators:
                    ray.cancel(generator, force=False)
                if generators:
                    self._end(generators)
        finally:
            for lock in self.locks.values():
                lock.close()

    def _end(self, generators: Sequence[Any]) -> None:
        """Wait a little for cancelled tasks, then end their processes."""
        references = {generator.completed(): generator for generator in generators}
        _, running = ray.wait(list(references), num_returns=len(references), timeout=CANCEL_PATIENCE, fetch_local=False)
        for reference in running:
            with suppress(ray.exceptions.RayError, ValueError):
                ray.cancel(references[reference], force=True)

    # What the cluster can take

    def _groups(self, waiting: Sequence[RunFolder]) -> list[list[RunFolder]]:
        if self.plan.device.type != "cuda":
            return [[folder] for folder in waiting]
        size = self.plan.concurrency.runs
        if self.plan.machine.jobs is None:  # no GPU stays idle for the sake of a full group
            gpus = sum(resources.get("GPU", 0.0) for resources in cluster.nodes())
            size = min(size, LARGEST_GROUP, max(1, math.ceil(len(waiting) / max(1.0, gpus))))
        return run_groups(waiting, size, self.plan.uncaptured)

    def _resources(self, runs: int) -> dict[str, float]:
        """Resources of a task with so many runs, as options of Ray."""
        if self.plan.device.type != "cuda":
            return {"num_cpus": float(self.threads)}
        jobs = self.plan.machine.jobs
        return {"num_cpus": 1.0, "num_gpus": round(runs / max(jobs, runs), 4) if jobs else 1.0}

    def _count_slots(self) -> None:
        """Count the tasks that the cluster can run at once, every few seconds.

        Raises:
            UsageError: At first, no node has the resources of a task.
        """
        if time.monotonic() - self.looked < 10 * POLL and self.slots:
            return
        first, self.looked = not self.looked, time.monotonic()
        needs = self._resources(1)
        cpus, gpus = needs["num_cpus"], needs.get("num_gpus", 0.0)
        nodes = cluster.nodes()
        self.slots = sum(
            int(min(node.get("CPU", 0.0) // cpus, node.get("GPU", 0.0) // gpus if gpus else math.inf)) for node in nodes
        )
        if self.slots:
            return
        largest = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
        problem = f"a run takes {cpus:g} CPUs, as it would in this process, and the largest node has {largest:g}"
        if first:
            raise UsageError(problem, "Give each run fewer threads: OMP_NUM_THREADS=1, or more --jobs.")
        self.callback.warning(f"no node can take a run any more, waiting for one: {problem}")

    def _has_room(self) -> bool:
        if not self.tasks:
            return True
        return len(self.tasks) < AHEAD * max(1, self.slots) and len(self.locks) < self.most_locks

    # From the folder to the cluster

    def _submit(self, task: _Task) -> Outcomes:
        """Submit a group; runs that need no training, or cannot be trained, are given at once."""
        files: dict[RunFolder, Mapping[str, bytes]] = {}
        for folder in task.folders:
            try:
                result = self._take(folder)
                if result is None:
                    files[folder] = self._files(folder)
                    continue
            except NormbenchError as error:
                yield from self._conclude(task, folder, error)
                continue
            self.callback.run_finished(folder.config, result, already_done=True)
            yield from self._conclude(task, folder, result)
        if not files:
            return
        task.folders, task.left, task.advanced = list(files), set(files), False
        try:
            job = self._job(list(files), tuple(files.values()))
        except NormbenchError as error:  # the code of a norm cannot be read any more
            for folder in files:
                yield from self._conclude(task, folder, error)
            return
        options = self._resources(len(files)) | {"num_returns": "streaming"}
        self.tasks[self.function.options(**options).remote(job, self.arrays)] = task

    def _take(self, folder: RunFolder) -> RunResult | None:
        """Lock a run, unless this process has it; returns the result that it has by then.

        Raises:
            HeldError: Another process holds it.
            NormbenchError: Its folder cannot be written, or its result cannot be read.
        """
        if folder not in self.locks:
            lock = ExitStack()
            lock.enter_context(held(folder.path, self.callback.warning))
            self.locks[folder] = lock
            if not self.options.force:
                self.started.add(folder)
        return result_to_keep(folder, self.options)

    def _files(self, folder: RunFolder) -> Mapping[str, bytes]:
        """Files to resume a run from; none for a run that is to start.

        Raises:
            RunFailedError: Its state is damaged.
        """
        if folder not in self.started or folder.load_state() is None:
            return {}
        names = [name for name in (CONFIG, ENVIRONMENT, METRICS, STATE) if (folder.path / name).exists()]
        try:
            return {name: read_regular(folder.path / name) for name in names}
        except OSError as error:
            raise RunFailedError(
                f"{folder.path} cannot be read: {error.strerror or error}", "Start the run again with --force."
            ) from error

    def _job(self, folders: Sequence[RunFolder], files: tuple[Mapping[str, bytes], ...]) -> Job:
        configs = tuple(folder.config for folder in folders)
        cuda = self.plan.device.type == "cuda"
        captured = configs[0].norm not in self.plan.uncaptured
        return Job(
            configs=configs,
            files=files,
            code=tuple(dict.fromkeys(custom for config in configs for custom in _custom_code(config))),
            device=self.plan.device.type,
            threads=self.threads,
            capture=self.plan.machine.capture and captured,
            deterministic=self.repeatable,
            concurrent_runs=len(folders) if cuda else self.plan.concurrency.runs,
            save_every=SAVE_EVERY,
            argv=tuple(sys.argv),
            data_key=self.arrays.hex(),
            versions=cluster.local_versions(),
        )

    # From the cluster to the folder

    def _receive(self, generator: Any) -> Outcomes:
        """Take the next event of a task."""
        task = self.tasks[generator]
        try:
            event = ray.get(next(generator))
        except StopIteration:
            del self.tasks[generator]
            if task.left:
                yield from self._lost(task, "it ended without a word")
        except ray.exceptions.LocalRayletDiedError as error:
            raise RunFailedError(
                "the Ray node of this machine died", "Finished epochs are kept: run the same command again."
            ) from error
        except LOSSES as error:
            del self.tasks[generator]
            with suppress(ray.exceptions.RayError):
                ray.cancel(generator, force=True)  # what was lost may be its answer alone
            yield from self._lost(task, _reason(error))
        except ray.exceptions.RayError as error:
            del self.tasks[generator]
            for folder in list(task.left):
                yield from self._conclude(task, folder, RunFailedError(f"Ray: {in_one_line(error)}"))
        else:
            yield from self._handle(task, event)
            if not task.left and not isinstance(event, Finished | Failed | Warned):  # no run of it can be written
                ray.cancel(generator)

    def _handle(self, task: _Task, event: Event) -> Outcomes:
        if isinstance(event, Warned):
            self.callback.warning(event.message)
            return
        folder = task.folders[event.index]
        if folder not in task.left:  # its folder could not be written
            return
        try:
            outcome = self._keep(task, folder, event)
        except NormbenchError as error:
            outcome = error
        if outcome is not None:
            yield from self._conclude(task, folder, outcome)

    def _keep(
        self, task: _Task, folder: RunFolder, event: Started | StepDone | EpochDone | Saved | Finished | Failed
    ) -> RunResult | Exception | None:
        """Write what an event brings into the run's folder; returns the outcome of a run that has ended.

        A result that is there by then wins, and nothing is written over it.
        """
        config = folder.config
        if (earlier := result_to_keep(folder, self.options)) is not None:
            self.callback.run_finished(config, earlier, already_done=True)
            return earlier
        match event:
            case Started(first_epoch=epoch, environment=environment):
                if environment is not None:
                    folder.start(dict(environment), _run_code(config))
                    self.started.add(folder)
                self.callback.run_started(config, folder.path, epoch)
            case StepDone(epoch=epoch, step=step, steps=steps):
                self.callback.step_done(config, epoch, step, steps)
            case EpochDone(row=row):
                folder.append(row)
                if row.epoch > self.epochs.get(folder, 0):
                    self.epochs[folder] = row.epoch
                    task.advanced = True
                    self.callback.epoch_done(config, row)
            case Saved(state=state):
                replace_bytes(folder.path / STATE, state)
            case Finished(result=result, files=files):
                return self._finish(folder, result, files)
            case Failed(error=error):
                return error
        return None

    def _finish(self, folder: RunFolder, result: RunResult, files: Mapping[str, bytes]) -> RunResult:
        """Write the files of a finished run, its result last."""
        for name, content in files.items():
            replace_bytes(folder.path / name, content)
        result = result.model_copy(update={"folder": str(folder.path)})
        folder.finish(result)
        self.callback.run_finished(folder.config, result, already_done=False)
        return result

    def _conclude(self, task: _Task, folder: RunFolder, outcome: RunResult | Exception) -> Outcomes:
        """Release a run and give its outcome."""
        task.left.discard(folder)
        if lock := self.locks.pop(folder, None):
            lock.close()
        yield folder, outcome

    def _lost(self, task: _Task, reason: str) -> Outcomes:
        """Submit the runs of a lost worker again; those that lose it time and again without a new epoch fail."""
        losses = 1 if task.advanced else task.losses + 1
        folders = [folder for folder in task.folders if folder in task.left]
        if not folders:
            return
        if losses >= MOST_LOSSES and len(folders) == 1:
            (folder,) = folders
            epoch = self.epochs.get(folder, 0) + 1
            error = RunFailedError(
                f"its worker was lost {losses} times in epoch {epoch}: {reason}",
                "The same command tries again, from the last saved state.",
            )
            yield from self._conclude(task, folder, error)
            return
        names = ", ".join(folder.path.name for folder in folders)
        self.callback.warning(f"a worker of the cluster was lost, {reason}: going on with {names} elsewhere")
        middle = len(folders) // 2 if losses > 1 else 0  # one of them may be what ends the workers
        for part in (folders[middle:], folders[:middle]):
            if part:
                self.queue.appendleft(_Task(part, losses))


def most_open_files() -> int:
    """Files that this process may have open at once, raised to what the system allows."""
    try:
        import resource  # noqa: PLC0415
    except ImportError:  # Windows has no limit of this kind
        return 8192
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return soft if soft != resource.RLIM_INFINITY else sys.maxsize


def _custom_code(config: RunConfig) -> Iterator[CustomCode]:
    """Code of the custom norm and the custom network of a run.

    Raises:
        UsageError: It cannot be read.
    """
    norm, network = norm_code(config.norm), network_code(config.network.name)
    if norm is not None:
        yield CustomCode(NormName.parse(config.norm).base, "norm", norm)
    if network is not None:
        yield CustomCode(config.network.name, "network", network)


def _run_code(config: RunConfig) -> RunCode:
    code = {custom.kind: custom.code for custom in _custom_code(config)}
    return RunCode(code.get("norm"), code.get("network"))


def _reason(error: Exception) -> str:
    """Loss of a worker in a few words; Ray's own fill a screen."""
    kinds = {
        ray.exceptions.NodeDiedError: "its node died",
        ray.exceptions.OutOfMemoryError: "its node ran out of memory",
        ray.exceptions.WorkerCrashedError: "its process died",
    }
    return next((words for kind, words in kinds.items() if isinstance(error, kind)), in_one_line(error))
