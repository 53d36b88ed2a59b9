"""Progress of runs on stderr. Bars on a terminal, one line an epoch elsewhere, nothing with `-q`."""

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
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


class NameColumn(ProgressColumn):
    """Name of the run, never truncated."""

    def render(self, task: Task) -> Text:
        """Render norm, settings and seed."""
        return Text(task.description, no_wrap=True)


class EpochColumn(ProgressColumn):
    """Figures of the last epoch, truncated to the width."""

    def render(self, task: Task) -> Text:
        """Render time left, loss, accuracy and speed."""
        return Text(task.fields["epoch"], no_wrap=True, overflow="ellipsis")


class ProgressCallback(Callback):
    """Progress of runs; a context manager, which removes the bars before the result is printed."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.live = output.mode != "quiet" and output.stderr.is_terminal
        self.runs, self.ended, self.concurrent_runs = 0, 0, 1
        self.left: dict[str, int] = {}
        """Remaining epochs, by the fingerprint of the run."""
        self.varied: list[str] = []
        """Settings in which runs of the same norm and seed differ."""
        bar = 24 if output.stderr.width >= WIDE else 12
        self.progress = Progress(
            NameColumn(Column(no_wrap=True)),
            BarColumn(bar_width=bar, table_column=Column(no_wrap=True)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            EpochColumn(),  # truncated first
            console=output.stderr,
            transient=True,
            disable=not self.live,
        )
        self.tasks: dict[str, TaskID] = {}
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
        self.progress.stop()
        if self.download is not None:
            self.download.stop()

    def expect(self, plan: Plan) -> None:
        """Set the runs to come, to count them and estimate the time left."""
        self.runs = len(plan.configs)
        self.concurrent_runs = plan.concurrency.runs
        self.left = {config.fingerprint: config.training.epochs for config in plan.configs}
        self.varied = _varied(plan.configs)

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """Show a new bar, and note the epoch at which a run is resumed."""
        self.left[config.fingerprint] = config.training.epochs - first_epoch + 1
        if first_epoch > 1:
            self.output.note(f"{self._name(config)}: resumed after epoch {first_epoch - 1} from {folder}")
        if self.live:
            self._remove(config)  # a run group that was halved starts its runs again
            self.tasks[config.fingerprint] = self.progress.add_task(
                self._short_name(config),
                total=config.training.epochs,
                completed=first_epoch - 1,
                epoch="first epoch ...",
            )

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """Move the run's bar, or print the epoch's line."""
        self.left[config.fingerprint] -= 1
        left = f"{_duration(self._seconds_left(row))} left"
        if self.live and config.fingerprint in self.tasks:
            text = f"{left}  {_epoch_text(row)}"
            self.progress.update(self.tasks[config.fingerprint], completed=row.epoch, epoch=text)
        else:
            self.output.note(
                f"{self._name(config)}  epoch {row.epoch}/{config.training.epochs}  {_epoch_text(row)}  {left}"
            )

    def _seconds_left(self, row: EpochRow) -> float:
        """Estimate the time left for the whole plan, from the duration of this epoch."""
        waiting = [epochs for epochs in self.left.values() if epochs]
        return sum(waiting) * row.seconds / max(1, min(self.concurrent_runs, len(waiting)))

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """Remove the bar, and note the end of a run."""
        self.ended += 1
        self.left[config.fingerprint] = 0
        self._remove(config)
        if already_done:
            self.output.note(f"{self._name(config)}: already done, in {result.folder} (--force redoes it)")
        elif result.status == "done":
            count = f" ({self.ended} of {self.runs} runs)" if self.runs > 1 else ""
            self.output.note(f"{self._name(config)}: done in {_duration(result.seconds)}, in {result.folder}{count}")
        if result.status != "done":
            self.output.warning(f"{self._name(config)} {result.status}: {result.problem}")

    def run_waiting(self, config: RunConfig, holder: str) -> None:
        """Note the process that a run waits for."""
        self.output.note(f"{self._name(config)}: waiting for {holder}, which is training it")

    def run_failed(self, config: RunConfig, problem: str) -> None:  # noqa: ARG002
        """Remove the run's bar; its result, or the error of the command, states the problem."""
        self.left[config.fingerprint] = 0
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


def _epoch_text(row: EpochRow) -> str:
    validation = f"  validation {row.validation_accuracy:.1%}" if row.validation_accuracy is not None else ""
    return (
        f"lr {row.lr:.3g}  running loss {row.train_running_loss:.3f} accuracy {row.train_running_accuracy:.1%}"
        f"{validation}  {row.images_per_second:,.0f} images/s  {row.seconds:.1f} s"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
