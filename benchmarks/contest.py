"""The contest: every contender warmed up, then timed in turns, in another order in every repeat."""

from collections.abc import Callable, Sequence

from benchmarks.bench import Bench
from benchmarks.contenders import ALONE, CONTENDERS, FLEET
from benchmarks.measure import Lap, spread
from benchmarks.process import Entrant, FailedError, Finished, Prepared
from benchmarks.records import Contender, Spread

Tell = Callable[[str], None]


def contest(bench: Bench, names: Sequence[str], tell: Tell) -> list[Contender]:
    """Measure the named contenders; one that is missing or fails has its reason instead of figures."""
    course = Contest(bench, tell)
    try:
        course.enter(names)
        course.warm_up()
        course.race()
    finally:
        course.close()
    return with_ratios([course.record(name) for name in names])


class Contest:
    """The processes of a contest, and what became of each."""

    def __init__(self, bench: Bench, tell: Tell) -> None:
        self.bench, self.tell = bench, tell
        self.entrants: dict[str, Entrant] = {}
        self.prepared: dict[str, Prepared] = {}
        self.finished: dict[str, Finished] = {}
        self.problems: dict[str, str] = {}

    def enter(self, names: Sequence[str]) -> None:
        """Start a process for each; they load side by side."""
        for name in names:
            entry = CONTENDERS[name]
            if reason := entry.missing():
                self.problems[name] = reason
                continue
            job = self.bench.contender_job(fleet=name == FLEET)
            self.entrants[name] = Entrant(entry, job, self.bench.choices(entry.has_workers))
        self._each(list(self.entrants), "loading", Entrant.loaded)

    def warm_up(self) -> None:
        """Let each rehearse and run one lap that no figure but the memory comes from."""

        def prepare(entrant: Entrant) -> None:
            self.prepared[entrant.entry.name] = entrant.prepare()
            entrant.lap()

        self._each(list(self.entrants), "warming up", prepare)

    def race(self) -> None:
        """Every repeat begins with another contender; after the last, hear what only the end tells."""
        names = list(self.entrants)
        for repeat in range(self.bench.repeats):
            first = repeat % len(names) if names else 0
            order = [name for name in names[first:] + names[:first] if name in self.entrants]
            self._each(order, f"repeat {repeat + 1} of {self.bench.repeats}", self._turn)

        def finish(entrant: Entrant) -> None:
            self.finished[entrant.entry.name] = entrant.finish()

        self._each(list(self.entrants), "finishing", finish)

    def _turn(self, entrant: Entrant) -> None:
        for _ in range(self._laps(entrant.entry.name)):
            entrant.lap()

    def _laps(self, name: str) -> int:
        return 1 if name == FLEET else self.bench.epochs

    def _each(self, names: Sequence[str], what: str, action: Callable[[Entrant], object]) -> None:
        for name in names:
            self.tell(f"{what}: {name}")
            try:
                action(self.entrants[name])
            except FailedError as error:
                self.problems[name] = f"failed: {error}"
                self.entrants.pop(name).close()

    def close(self) -> None:
        """End every process."""
        for entrant in self.entrants.values():
            entrant.dismiss()
        for entrant in self.entrants.values():
            entrant.close()

    def record(self, name: str) -> Contender:
        """Return the record of a contender."""
        title = CONTENDERS[name].title
        if name in self.problems:
            return Contender(name=name, title=title, skipped=self.problems[name])
        prepared, laps = self.prepared[name], self.entrants[name].laps
        runs = max(1, len(self.entrants[name].job.fleet))
        seconds = _seconds(laps[1:], self._laps(name))
        trained = runs * self.bench.epochs
        return Contender(
            name=name,
            title=title,
            setup=prepared.setup,
            tried=prepared.tried,
            runs=runs,
            images=prepared.images,
            images_per_second=spread([prepared.images * trained / one for one in seconds]),
            seconds_per_epoch=spread([one / trained for one in seconds]),
            memory=self.finished[name].memory,
            initial_loss=self.finished[name].initial_loss,
            losses=tuple(lap.loss for lap in laps),
        )


def _seconds(laps: Sequence[Lap], together: int) -> list[float]:
    """Seconds of each repeat."""
    return [sum(lap.seconds for lap in laps[start : start + together]) for start in range(0, len(laps), together)]


def with_ratios(contenders: list[Contender]) -> list[Contender]:
    """The same, each with its speed over that of normbench alone in the same repeat."""
    alone = next((one.images_per_second for one in contenders if one.name == ALONE), None)
    if alone is None:
        return contenders
    return [one.model_copy(update={"ratio": _ratio(one.images_per_second, alone)}) for one in contenders]


def _ratio(speed: Spread | None, alone: Spread) -> Spread | None:
    return speed and spread([one / other for one, other in zip(speed.values, alone.values, strict=True)])
