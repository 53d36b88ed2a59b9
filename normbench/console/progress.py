"""Progress of runs on stderr. Bars on a terminal, one line an epoch elsewhere, nothing with `-q`."""

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.cells import cell_len
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from normbench.config import RunConfig
from normbench.console.output import Output
from normbench.console.text import Text
from normbench.data import Progress as Download
from normbench.engine import Callback, Plan
from normbench.runs import RunResult
from normbench.training import EpochRow

LINE_INTERVAL = 10.0
"""Seconds between two lines of a download, off a terminal."""
WIDE = 100
"""Width of a terminal from which the bar is long."""
LONGEST_NAME = 24
SETTLED = 2.0
"""Seconds of training after which their own speed tells the time left, and no longer an estimate."""


class NameColumn(ProgressColumn):
    """Name of the run, never truncated."""

    def render(self, task: Task) -> Text:
        """Render norm, settings and seed."""
        return Text(task.description, no_wrap=True)


class CountColumn(ProgressColumn):
    """Finished epochs of a run, or finished runs of all."""

    def render(self, task: Task) -> Text:
        """Render a number of a number."""
        return Text(task.fields["count"], no_wrap=True)


class FiguresColumn(ProgressColumn):
    """Time left, loss, accuracy and speed: as many of them as the line has room for, each whole."""

    def __init__(self, width: int, table_column: Column) -> None:
        super().__init__(table_column)
        self.width = width

    def render(self, task: Task) -> Text:
        """Render the figures that fit, the first of them first."""
        room = self.width - cell_len(task.description) - cell_len(task.fields["count"]) - 3
        text = ""
        for figure in task.fields["figures"]:
            longer = f"{text}  {figure}" if text else figure
            if cell_len(longer) > room:
                break
            text = longer
        return Text(text, no_wrap=True, overflow="ellipsis")


class Clock:
    """Time left for the runs of a plan, from the work that is done: epochs and their steps."""

    def __init__(self, work: dict[str, float], seconds: float | None) -> None:
        self.work = work
        """Epochs of each run, by its fingerprint."""
        self.seconds = seconds
        """Estimate of all of it before the first step."""
        self.done: dict[str, float] = {}
        """Epochs of each run that are done, those of earlier commands included."""
        self.before: dict[str, float] = {}
        """Epochs that were done before this command."""
        self.started: float | None = None

    def begin(self, run: str, epochs_done: float) -> None:
        """Count a run that starts, after the epochs that it has already."""
        self.before[run] = self.done[run] = epochs_done
        if self.started is None:
            self.started = time.monotonic()

    def end(self, run: str, already_done: bool) -> None:
        """Count all of a run."""
        self.done[run] = self.work.get(run, 0.0)
        if already_done:
            self.before[run] = self.done[run]

    @property
    def share(self) -> float:
        """Share of the work that is done, from 0 to 1."""
        total = sum(self.work.values())
        return min(1.0, sum(self.done.values()) / total) if total else 0.0

    @property
    def left(self) -> float | None:
        """Seconds left; None where nothing is known of them yet."""
        trained = sum(self.done.values()) - sum(self.before.values())
        waiting = sum(self.work.values()) - sum(self.done.values())
        elapsed = 0.0 if self.started is None else time.monotonic() - self.started
        if trained <= 0 or (elapsed < SETTLED and self.seconds is not None):
            return None if self.seconds is None else max(0.0, self.seconds - elapsed)
        return waiting * elapsed / trained


class ProgressCallback(Callback):
    """Progress of runs; a context manager, which removes the bars before the result is printed."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.live = output.mode != "quiet" and output.stderr.is_terminal
        self.runs, self.ended = 0, 0
        self.clock = Clock({}, None)
        self.cost: tuple[str, ...] = ()
        """Lines to print when the first run starts."""
        self.varied: list[str] = []
        """Settings in which runs of the same norm and seed differ."""
        width = output.stderr.width
        bar = 24 if width >= WIDE else 12
        self.progress = Progress(
            NameColumn(Column(no_wrap=True)),
            BarColumn(bar_width=bar, table_column=Column(no_wrap=True)),
            CountColumn(Column(no_wrap=True)),
            FiguresColumn(width - bar, Column(no_wrap=True)),
            console=output.stderr,
            transient=True,
            disable=not self.live,
        )
        self.tasks: dict[str, TaskID] = {}
        self.figures: dict[str, tuple[str, ...]] = {}
        """Figures of the last epoch of each run."""
        self.total: TaskID | None = None
        """Bar of the whole plan, or of what precedes its first run."""
        self.download: Progress | None = None
        self.next_line = 0.0
        """Time of the next line of a download, off a terminal."""

    def __enter__(self) -> "ProgressCallback":
        try:
            self.progress.start()
        except RuntimeError:  # no thread for the bars is available: print lines
            self.live, self.progress.disable = False, True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bars."""
        self.progress.stop()
        if self.download is not None:
            self.download.stop()

    def stage(self, text: str) -> None:
        """Show what is done before the first run starts, by a bar that moves."""
        if self.live:
            self._remove_total()
            self.total = self.progress.add_task(text, total=None, count="", figures=())

    def expect(self, plan: Plan, seconds: float | None = None, cost: Sequence[str] = ()) -> None:
        """Set the runs to come, to count them and estimate the time left.

        Args:
            plan: The runs.
            seconds: Estimate for all of them, until their own steps tell more.
            cost: Lines on what they cost, printed when the first of them starts: not where the images cannot be read.
        """
        self.cost = tuple(cost)
        self.runs = len(plan.configs)
        epochs = {config.fingerprint: float(config.training.epochs) for config in plan.configs}
        self.clock = Clock(epochs, seconds)
        self.varied = _varied(plan.configs)

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """Show a new bar, and note the epoch at which a run is resumed."""
        for line in self.cost:
            self.output.note(line)
        self.cost = ()
        self.clock.begin(config.fingerprint, first_epoch - 1.0)
        if first_epoch > 1:
            self.output.note(f"{self._name(config)}: resumed after epoch {first_epoch - 1} from {folder}")
        if self.live:
            if not self.tasks:
                self._show_total()
            self._remove(config)  # a run group that was halved starts its runs again
            self.tasks[config.fingerprint] = self.progress.add_task(
                self._short_name(config),
                total=config.training.epochs,
                completed=first_epoch - 1,
                count=f"{first_epoch - 1}/{config.training.epochs}",
                figures=("first steps",),
            )

    def step_done(self, config: RunConfig, epoch: int, step: int, steps: int) -> None:
        """Move the bars within an epoch."""
        done = epoch - 1 + step / steps
        self.clock.done[config.fingerprint] = done
        if config.fingerprint in self.tasks:
            figures = self.figures.get(config.fingerprint, (f"step {step:,} of {steps:,}",))
            self.progress.update(
                self.tasks[config.fingerprint], completed=done, figures=(*self._left_alone(), *figures)
            )
            self._move_total()

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """Move the run's bar, or print the epoch's line."""
        self.clock.done[config.fingerprint] = float(row.epoch)
        if self.live and config.fingerprint in self.tasks:
            self.figures[config.fingerprint] = _figures(row)
            scoring = ("scoring the images",) if row.epoch == config.training.epochs else self._left_alone()
            self.progress.update(
                self.tasks[config.fingerprint],
                completed=row.epoch,
                count=f"{row.epoch}/{config.training.epochs}",
                figures=(*scoring, *_figures(row)),
            )
            self._move_total()
        else:
            left = self.clock.left
            ending = "" if left is None else f"  {duration(left)} left"
            self.output.note(
                f"{self._name(config)}  epoch {row.epoch}/{config.training.epochs}  {_epoch_text(row)}{ending}"
            )

    def _left_alone(self) -> tuple[str, ...]:
        """Time left of a plan of one run, which has no bar of the whole."""
        left = self.clock.left
        return (f"about {duration(left)} left",) if self.runs <= 1 and left is not None else ()

    def _show_total(self) -> None:
        """Put the bar of the whole in the place of that of the preparations."""
        self._remove_total()
        if self.runs > 1:
            self.total = self.progress.add_task(f"{self.runs:,} runs", total=1.0, count="", figures=())
            self._move_total()

    def _move_total(self) -> None:
        if self.total is None:
            return
        left = self.clock.left
        figures = (f"{self.clock.share:.0%}", *((f"about {duration(left)} left",) if left is not None else ()))
        count = f"{self.ended:,}/{self.runs:,}"
        self.progress.update(self.total, completed=self.clock.share, count=count, figures=figures)

    def _remove_total(self) -> None:
        if self.total is not None:
            self.progress.remove_task(self.total)
            self.total = None

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """Remove the bar, and note the end of a run."""
        self.ended += 1
        self.clock.end(config.fingerprint, already_done)
        self._remove(config)
        self._move_total()
        if already_done:
            self.output.note(f"{self._name(config)}: already done, in {result.folder} (--force redoes it)")
        elif result.status == "done":
            count = f" ({self.ended} of {self.runs} runs)" if self.runs > 1 else ""
            self.output.note(f"{self._name(config)}: done in {duration(result.seconds)}, in {result.folder}{count}")
        if result.status != "done":
            self.output.warning(f"{self._name(config)} {result.status}: {result.problem}")

    def run_waiting(self, config: RunConfig, holder: str) -> None:
        """Note the process that a run waits for."""
        self.output.note(f"{self._name(config)}: waiting for {holder}, which is training it")

    def run_failed(self, config: RunConfig, problem: str) -> None:  # noqa: ARG002
        """Remove the run's bar; its result, or the error of the command, states the problem."""
        self.clock.end(config.fingerprint, already_done=False)
        self._remove(config)

    def _name(self, config: RunConfig) -> str:
        settings = _settings(config)
        return " ".join([config.norm, *(f"{name} {settings[name]}" for name in self.varied), f"seed {config.seed}"])

    def _short_name(self, config: RunConfig) -> str:
        """Name with a long norm shortened, for the line of the bar."""
        norm = config.norm if len(config.norm) <= LONGEST_NAME else f"...{config.norm[3 - LONGEST_NAME :]}"
        return norm + self._name(config).removeprefix(config.norm)

    def _remove(self, config: RunConfig) -> None:
        if (task := self.tasks.pop(config.fingerprint, None)) is not None:
            self.progress.remove_task(task)

    def warning(self, message: str) -> None:
        """Print a warning."""
        self.output.warning(message)

    def on_download(self, download: Download) -> None:
        """Show size and speed of a download: a bar on a terminal, lines elsewhere."""
        if download.note:
            self.output.note(download.note)
        if self.output.mode == "quiet" or download.total is None:
            return
        if not self.live:
            self._note_download(download)
            return
        if self.download is None:
            self.progress.stop()
            columns = (
                TextColumn("downloading CIFAR-10", markup=False),
                BarColumn(bar_width=20),
                DownloadColumn(),
                TransferSpeedColumn(),
            )
            self.download = Progress(*columns, console=self.output.stderr, transient=True)
            self.download.add_task("", total=download.total)
            self.download.start()
        self.download.update(self.download.task_ids[0], completed=download.done, total=download.total)
        if download.done == download.total:
            self.download.stop()
            self.download = None
            self.progress.start()

    def _note_download(self, download: Download) -> None:
        now = time.monotonic()
        if download.rate is not None and download.done != download.total and now < self.next_line:
            return
        self.next_line = now + LINE_INTERVAL
        speed = "" if download.rate is None else f", {_speed(download.rate)}"
        done, total = download.done / 1e6, (download.total or 0) / 1e6
        self.output.note(f"downloading CIFAR-10: {done:.0f} of {total:.0f} MB{speed}")


def _speed(rate: float) -> str:
    """Bytes per second in words, of a host that drips in bytes."""
    return f"{rate / 1e6:.3g} MB/s" if rate >= 1000 else f"{rate:.0f} bytes/s"


def _settings(config: RunConfig) -> dict[str, str]:
    """Settings in which the runs of one norm may differ, besides the seed."""
    network, training = config.network, config.training
    return {
        "network": network.name,
        "batch": str(training.batch_size),
        "init": network.init,
        "dropout": f"{network.dropout:g}",
        "l1": f"{training.l1:g}",
        "lr": f"{training.lr:.3g}",
        "decay": f"{training.weight_decay:g}",
    }


FOLLOWING = ("lr", "decay")
"""Settings that may follow from network and batch size, and then need not be shown."""


def _varied(configs: Sequence[RunConfig]) -> list[str]:
    """Settings that tell apart the runs of one norm and seed."""
    first = configs[0]
    same = [_settings(config) for config in configs if (config.norm, config.seed) == (first.norm, first.seed)]
    at_first = [run for run in same if all(run[name] == same[0][name] for name in ("network", "batch"))]
    return [name for name in same[0] if len({run[name] for run in (at_first if name in FOLLOWING else same)}) > 1]


def _figures(row: EpochRow) -> tuple[str, ...]:
    """Figures of an epoch for the line of a bar, the most telling first."""
    validation = () if row.validation_accuracy is None else (f"validation {row.validation_accuracy:.1%}",)
    running = (f"loss {row.train_running_loss:.3f}", f"accuracy {row.train_running_accuracy:.1%}")
    return (*running, *validation, f"{row.images_per_second:,.0f} images/s")


def _epoch_text(row: EpochRow) -> str:
    validation = f"  validation {row.validation_accuracy:.1%}" if row.validation_accuracy is not None else ""
    return (
        f"lr {row.lr:.3g}  running loss {row.train_running_loss:.3f} accuracy {row.train_running_accuracy:.1%}"
        f"{validation}  {row.images_per_second:,.0f} images/s  {row.seconds:.1f} s"
    )


def duration(seconds: float) -> str:
    """Format a duration: 45 s, 3 min 20 s, 1 h 05 min, 3 days 4 h."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days {hours % 24} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
