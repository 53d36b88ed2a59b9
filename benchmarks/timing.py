"""Timing of the contenders: each is warmed up, then all take turns, in another order in every repeat."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from benchmarks.bench import Bench
from benchmarks.contenders import CONTENDERS, RUN_GROUP, SINGLE_RUN
from benchmarks.measure import Lap, OtherWork, spread
from benchmarks.process import ContenderProcess, FailedError, Finished, Prepared
from benchmarks.records import Contender, Spread

Log = Callable[[str], None]


def time_contenders(bench: Bench, names: Sequence[str], log: Log) -> list[Contender]:
    """Measure the named contenders; one that is missing or fails has the reason in place of figures."""
    timing = Timing(bench, log)
    try:
        timing.start(names)
        timing.warm_up()
        timing.repeat()
    finally:
        timing.close()
    return with_ratios([timing.record(name) for name in names])


class Timing:
    """Processes of the contenders, and their measurements."""

    def __init__(self, bench: Bench, log: Log) -> None:
        self.bench, self.log = bench, log
        self.processes: dict[str, ContenderProcess] = {}
        self.prepared: dict[str, Prepared] = {}
        self.finished: dict[str, Finished] = {}
        self.problems: dict[str, str] = {}
        self.work: dict[str, OtherWork] = defaultdict(OtherWork)

    def start(self, names: Sequence[str]) -> None:
        """Start a process per contender; they load concurrently."""
        for name in names:
            entry = CONTENDERS[name]
            if reason := entry.missing(self.bench.device):
                self.problems[name] = reason
                continue
            job = self.bench.contender_job(is_group=name == RUN_GROUP)
            self.processes[name] = ContenderProcess(entry, job, self.bench.choices(entry.has_workers))
        self._each(list(self.processes), "loading", ContenderProcess.wait_until_loaded)

    def warm_up(self) -> None:
        """Let each rehearse and run one lap, from which only the memory is recorded."""

        def prepare(process: ContenderProcess) -> None:
            self.prepared[process.entry.name] = process.prepare()
            process.lap()

        self._each(list(self.processes), "warming up", prepare)

    def repeat(self) -> None:
        """Time all contenders in every repeat, each repeat beginning with another one."""

        def turn(process: ContenderProcess) -> None:
            with self.work[process.entry.name].watching():
                for _ in range(self._laps(process.entry.name)):
                    process.lap()

        def finish(process: ContenderProcess) -> None:
            self.finished[process.entry.name] = process.finish()

        names = list(self.processes)
        for repeat in range(self.bench.repeats):
            first = repeat % len(names) if names else 0
            order = [name for name in names[first:] + names[:first] if name in self.processes]
            self._each(order, f"repeat {repeat + 1} of {self.bench.repeats}", turn)
        self._each(list(self.processes), "finishing", finish)

    def _laps(self, name: str) -> int:
        return 1 if name == RUN_GROUP else self.bench.epochs

    def _each(self, names: Sequence[str], stage: str, action: Callable[[ContenderProcess], object]) -> None:
        for name in names:
            self.log(f"{stage}: {name}")
            try:
                action(self.processes[name])
            except FailedError as error:
                self.problems[name] = f"failed: {error}"
                self.processes.pop(name).close()

    def close(self) -> None:
        """End every process."""
        for process in self.processes.values():
            process.disconnect()
        for process in self.processes.values():
            process.close()

    def record(self, name: str) -> Contender:
        """Return the record of a contender."""
        title = CONTENDERS[name].title
        if name in self.problems:
            return Contender(name=name, title=title, skipped=self.problems[name])
        prepared, laps, per_repeat = self.prepared[name], self.processes[name].laps, self._laps(name)
        runs = max(1, len(self.processes[name].job.group))
        seconds = [_seconds(laps[start : start + per_repeat]) for start in range(1, len(laps), per_repeat)]
        epochs, load = runs * self.bench.epochs, self.work[name].load
        return Contender(
            name=name,
            title=title,
            setup=prepared.setup,
            tried=prepared.tried,
            runs=runs,
            images=prepared.images,
            images_per_second=spread([prepared.images * epochs / of_repeat for of_repeat in seconds], load),
            seconds_per_epoch=spread([of_repeat / epochs for of_repeat in seconds], load),
            memory=self.finished[name].memory,
            initial_loss=self.finished[name].initial_loss,
            losses=tuple(lap.loss for lap in laps),
        )


def _seconds(laps: Sequence[Lap]) -> float:
    return sum(lap.seconds for lap in laps)


def with_ratios(contenders: list[Contender]) -> list[Contender]:
    """Add to each contender its speed relative to that of a single run of normbench in the same repeat."""
    single = next((contender.images_per_second for contender in contenders if contender.name == SINGLE_RUN), None)
    if single is None:
        return contenders
    return [
        contender.model_copy(update={"ratio": _ratio(contender.images_per_second, single)}) for contender in contenders
    ]


def _ratio(speed: Spread | None, reference: Spread) -> Spread | None:
    return speed and spread([a / b for a, b in zip(speed.values, reference.values, strict=True)], speed.load)
