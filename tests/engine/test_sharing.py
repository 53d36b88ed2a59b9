"""Several processes on one plan: each run is trained once, and all processes end alike."""

import importlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from helpers.cli import TINY, compare, normbench, run_folders, train

from normbench.cli.main import main
from normbench.runs import catalog
from normbench.runs.lock import HeldError, held, holder_of

SPAWN = multiprocessing.get_context("forkserver")  # which imports torch once
SPAWN.set_forkserver_preload(["normbench.engine", "normbench.console", "normbench.analysis.comparison"])
SOME = ("--norms", "bn,gn,ln", "--seeds", "2", *TINY)


def command(arguments: list[str], folder: Path) -> None:
    """Code of the child, which saves the state of every epoch."""
    importlib.import_module("normbench.engine.execute").SAVE_EVERY = 0.0
    sys.argv = ["normbench", *arguments]
    with (
        (folder / "stdout").open("w") as out,
        (folder / "stderr").open("w", buffering=1) as err,
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        main()


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Process:
    """A command in a process of its own."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        folder.mkdir()
        self.folder = folder
        self.process: BaseProcess = SPAWN.Process(target=command, args=([*map(str, arguments)], folder))
        self.process.start()

    @property
    def stderr(self) -> str:
        path = self.folder / "stderr"
        return path.read_text() if path.exists() else ""

    def wait_for(self, words: str) -> None:
        wait(lambda: words in self.stderr or not self.process.is_alive())
        assert words in self.stderr

    def finish(self) -> dict[str, object]:
        """The document of a command that ends well."""
        self.process.join(300)
        assert self.process.exitcode == 0, self.stderr
        return json.loads((self.folder / "stdout").read_text())


@contextmanager
def processes(folder: Path, count: int, *arguments: object) -> Iterator[list[Process]]:
    started = [Process(folder / f"process-{index}", *arguments) for index in range(count)]
    try:
        yield started
    finally:
        for one in started:
            one.process.kill()
            one.process.join()


def started(process: Process) -> list[str]:
    """Runs of which this process has trained the last epoch."""
    return [line.split("  epoch")[0] for line in process.stderr.splitlines() if "  epoch 1/1  " in line]


@pytest.mark.parametrize("count", [2, 4])
def test_processes_on_one_plan_train_every_run_once_and_end_with_one_table(tmp_path: Path, count: int) -> None:
    out = tmp_path / "out"
    with processes(tmp_path, count, "compare", *SOME, "--out", out, "--json") as several:
        documents = [process.finish() for process in several]
        trained = [run for process in several for run in started(process)]
    assert sorted(trained) == sorted(f"{norm} seed {seed}" for norm in ("bn", "gn", "ln") for seed in (0, 1))
    assert [document["runs"] for document in documents] == [documents[0]["runs"]] * count
    assert [document["rows"] for document in documents] == [documents[0]["rows"]] * count
    assert {run["status"] for run in documents[0]["runs"]} == {"done"}


def without_times(document: dict[str, object]) -> list[dict[str, object]]:
    apart = {"seconds", "images_per_second", "evaluation_seconds", "folder"}
    return [{key: value for key, value in run.items() if key not in apart} for run in document["runs"]]


def weights(out: Path) -> dict[str, bytes]:
    return {path.name: (path / "model.safetensors").read_bytes() for path in run_folders(out)}


def test_a_process_waits_for_a_run_and_takes_it_over_when_its_process_is_killed(tmp_path: Path) -> None:
    options = ("compare", "--norms", "bn", *TINY, "--epochs", 20, "--json", "--out")
    with processes(tmp_path, 2, *options, tmp_path / "out") as several:
        wait(lambda: any("waiting for process" in process.stderr for process in several))
        second, first = sorted(several, key=lambda process: "waiting for process" not in process.stderr)
        first.wait_for("epoch 2/20")
        os.kill(first.process.pid, signal.SIGKILL)
        document = second.finish()
    assert f"bn seed 0: waiting for process {first.process.pid} on " in second.stderr
    assert "bn seed 0: resumed after epoch" in second.stderr
    alone = normbench(*options, tmp_path / "alone").document
    assert without_times(document) == without_times(alone)
    assert weights(tmp_path / "out") == weights(tmp_path / "alone")


def test_a_kill_among_several_processes_changes_no_number(tmp_path: Path) -> None:
    options = ("compare", *SOME, "--epochs", 3, "--json", "--out")
    with processes(tmp_path, 3, *options, tmp_path / "out") as several:
        wait(lambda: all("  epoch " in process.stderr for process in several))
        os.kill(several[1].process.pid, signal.SIGKILL)
        documents = [several[0].finish(), several[2].finish()]
    assert documents[0]["rows"] == documents[1]["rows"]
    alone = normbench(*options, tmp_path / "alone").document
    assert [without_times(document) for document in documents] == [without_times(alone)] * 2
    assert weights(tmp_path / "out") == weights(tmp_path / "alone")


def test_a_result_that_another_process_wrote_in_the_meantime_is_used(tmp_path: Path, monkeypatch) -> None:
    """While a plan trains bn, another command finishes gn."""
    files = ("result.json", "model.safetensors", "metrics.jsonl")
    seen: dict[str, tuple[int, int]] = {}
    from normbench.console import ProgressCallback

    plain = ProgressCallback.epoch_done

    def epoch_done(callback, config, row):
        if config.norm == "bn" and not seen:
            seen["nested"] = (0, 0)
            assert train(tmp_path, "--norm", "gn", "--epochs", 2).code == 0
            (folder,) = [path for path in run_folders(tmp_path) if path.name.startswith("gn-")]
            seen.clear()
            seen.update({name: ((folder / name).stat().st_ino, (folder / name).stat().st_mtime_ns) for name in files})
        plain(callback, config, row)

    monkeypatch.setattr(ProgressCallback, "epoch_done", epoch_done)
    answer = compare(tmp_path, "--norms", "bn,gn", "--epochs", 2, "--jobs", 1)
    assert (answer.code, "gn seed 0: already done" in answer.stderr) == (0, True)
    (folder,) = [path for path in run_folders(tmp_path) if path.name.startswith("gn-")]
    assert {name: ((folder / name).stat().st_ino, (folder / name).stat().st_mtime_ns) for name in files} == seen


@pytest.mark.parametrize("newer", [False, True])
def test_force_redoes_the_results_of_before_and_takes_those_made_since(tmp_path: Path, newer: bool) -> None:
    folder = Path(train(tmp_path, "--norm", "gn", "--json").document["run"]["folder"])
    (folder / "result.json").write_text((folder / "result.json").read_text().replace('"seconds"', ' "seconds"'))
    with ExitStack() as stack:
        stack.enter_context(held(folder))

        def release() -> None:
            if newer:
                content = (folder / "result.json").read_text()
                (folder / "new").write_text(content.replace(' "seconds"', '  "seconds"'))
                (folder / "new").replace(folder / "result.json")
            stack.close()

        timer = threading.Timer(1.5, release)
        timer.start()
        answer = train(tmp_path, "--norm", "gn", "--force")
        timer.join()
    assert (answer.code, f"waiting for process {os.getpid()} on " in answer.stderr) == (0, True)
    assert ("epoch 1/1" in answer.stderr) == (not newer)
    assert ('  "seconds"' in (folder / "result.json").read_text().replace("\n", "")) or not newer


def test_a_run_that_is_finished_while_it_is_to_be_cleaned_up_is_kept(tmp_path: Path, monkeypatch) -> None:
    folder = Path(train(tmp_path, "--norm", "gn", "--json").document["run"]["folder"])
    result = (folder / "result.json").read_text()
    (folder / "result.json").unlink()
    check = catalog._check_unfinished

    def finish(entry):
        check(entry)
        (folder / "result.json").write_text(result)

    monkeypatch.setattr(catalog, "_check_unfinished", finish)
    document = normbench("runs", "clean", "--yes", "--out", tmp_path, "--json").document
    assert (document["runs"], [kept["run"] for kept in document["kept"]]) == ([], [str(folder)])
    assert (folder / "result.json").read_text() == result


def test_the_holder_of_a_run_is_told_and_taken_only_while_there_is_one(tmp_path: Path) -> None:
    assert holder_of(tmp_path) is None
    with held(tmp_path):
        assert f"process {os.getpid()} on " in holder_of(tmp_path)
        with pytest.raises(HeldError) as raised, held(tmp_path):
            pass
        assert raised.value.holder == holder_of(tmp_path)
    assert holder_of(tmp_path) is None
