"""Runs on a real Ray cluster of two nodes end as those in process do, whatever dies on the way."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.cli import TINY, normbench
from helpers.small import run_config, timeless

import normbench as package
from normbench import engine
from normbench.config import MachineConfig, RunConfig
from normbench.engine import Callback, Plan
from normbench.errors import UsageError
from normbench.runs import RunResult, read_rows

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'normbench[ray]'")
if sys.platform == "win32":
    pytest.skip("Windows has no SIGKILL", allow_module_level=True)

from normbench.engine import cluster, ray_engine  # noqa: E402  # which need Ray

ROOT = Path(package.__file__).parents[1]
EPOCHS = 5
NOTED = '''
import os, time
from pathlib import Path
from torch import nn

class Noted(nn.GroupNorm):
    """Group norm that writes down which process builds it from which file, and takes its time."""

    def __init__(self, channels):
        super().__init__(2, channels)
        Path({folder!r}, str(os.getpid())).write_text(__file__)

    def forward(self, images):
        time.sleep(0.004)
        return super().forward(images)
'''
FLEETING = {"seconds", "images_per_second", "evaluation_seconds", "folder"}


class Cluster:
    """Two nodes with one CPU each, and what is trained on them."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster as LocalCluster

        self.pids = folder / "pids"
        self.pids.mkdir()
        self.norm = folder / "noted.py"
        self.norm.write_text(NOTED.format(folder=str(self.pids)))
        node = {"num_cpus": 1, "object_store_memory": 200 * 2**20}
        self.nodes = LocalCluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        self.second = self.nodes.add_node(**node)

    @property
    def address(self) -> str:
        return str(self.nodes.address)

    def plan(self, out: Path, address: str | None = None, **machine: Any) -> Plan:
        """Plan of two runs, on the cluster unless it is to be in process."""
        return plan(out, self.norm, self.address if address is None else address, **machine)

    def workers(self) -> list[int]:
        """Processes that have built the norm, the latest first, and are still there."""
        paths = sorted(self.pids.iterdir(), key=lambda path: -path.stat().st_mtime)
        pids = [int(path.name) for path in paths]
        return [pid for pid in pids if pid != os.getpid() and Path(f"/proc/{pid}").exists()]


def plan(out: Path, norm: Path, address: str, **machine: Any) -> Plan:
    configs = [config(name) for name in ("bn", f"{norm}:Noted")]
    where = {"engine": "ray", "address": address} if address else {}
    return engine.plan(configs, MachineConfig(out=out, device="cpu", **where, **machine), "some")


def config(norm: str) -> RunConfig:
    settings = run_config(norm, epochs=EPOCHS)
    return settings.model_copy(update={"data": settings.data.model_copy(update={"subset": 256})})


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """The cluster; what it writes lies in a folder of its own, whose path must be short for the names of sockets."""
    with (
        tempfile.TemporaryDirectory(prefix="nb-", ignore_cleanup_errors=True) as name,
        pytest.MonkeyPatch.context() as m,
    ):
        folder = Path(name)
        (folder / "ray").mkdir()
        m.setenv("RAY_TMPDIR", name)
        m.setenv("RAY_USAGE_STATS_ENABLED", "0")
        m.setenv("PYTHONPATH", str(ROOT))
        m.setenv("OMP_NUM_THREADS", "1")
        m.delenv("RAY_ADDRESS", raising=False)
        m.setattr(ray_engine, "SAVE_EVERY", 0.0)
        cluster_of_two = Cluster(folder)
        try:
            yield cluster_of_two
        finally:
            ray.shutdown()
            cluster_of_two.nodes.shutdown()


@pytest.fixture(scope="module")
def finished(nodes: Cluster, tmp_path_factory: pytest.TempPathFactory) -> list[RunResult]:
    """Results of the two runs in this process."""
    torch.set_num_threads(1)
    return engine.run_all(nodes.plan(tmp_path_factory.mktemp("local"), address=""))


@pytest.fixture(scope="module")
def in_process(finished: list[RunResult]) -> list[object]:
    """Everything that the two runs end with in this process."""
    return everything(finished)


@pytest.fixture(autouse=True)
def one_thread(same_threads: None) -> None:
    """A run has as many threads as in process, and a node here one CPU."""
    torch.set_num_threads(1)


def everything(results: list[RunResult]) -> list[object]:
    """Results, epochs and weights, without times and places."""
    return [
        (
            {key: value for key, value in result.model_dump().items() if key not in FLEETING},
            [timeless(row) for row in read_rows(Path(result.folder or "") / "metrics.jsonl")],
            (Path(result.folder or "") / "model.safetensors").read_bytes(),
            (Path(result.folder or "") / "confusion.json").read_bytes(),
            sorted(path.name for path in Path(result.folder or "").iterdir()),
        )
        for result in results
    ]


class Acting(Callback):
    """Does something once, when the custom norm has trained two epochs; writes down what it is told."""

    def __init__(self, act: Callable[[], None] = lambda: None) -> None:
        self.act = act
        self.acted = False
        self.starts: list[tuple[str, int]] = []
        self.epochs: list[tuple[str, int]] = []
        self.ends: list[bool] = []
        self.warnings: list[str] = []

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        self.starts.append((config.norm, first_epoch))

    def epoch_done(self, config: RunConfig, row: Any) -> None:
        self.epochs.append((config.norm, row.epoch))
        if config.norm != "bn" and row.epoch == 2 and not self.acted:
            self.acted = True
            self.act()

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        self.ends.append(already_done)

    def warning(self, message: str) -> None:
        self.warnings.append(message)


def test_runs_on_the_cluster_end_as_in_process_bit_for_bit(nodes, in_process, tmp_path):
    callback = Acting()
    results = engine.run_all(nodes.plan(tmp_path), callback)
    assert everything(results) == in_process
    names = [f"{nodes.norm}:Noted", "bn"]
    assert sorted(callback.starts) == [(name, 1) for name in names]
    assert sorted(callback.epochs) == [(name, epoch) for name in names for epoch in range(1, EPOCHS + 1)]
    assert callback.ends == [False, False]
    built_from = Path(nodes.pids, str(nodes.workers()[0])).read_text()
    assert Path(built_from).name == nodes.norm.name
    assert built_from != str(nodes.norm), "a worker imports the code that it was sent, not the path that it has here"
    again = Acting()
    assert everything(engine.run_all(nodes.plan(tmp_path), again)) == in_process
    assert (again.starts, again.ends) == ([], [True, True])


def test_the_command_prints_the_same_table(nodes, tmp_path):
    def table(*arguments: object) -> Any:
        document = normbench("compare", "--norms", "bn,gn", *TINY, "--device", "cpu", "--json", *arguments).document
        shown = [{key: value for key, value in row.items() if "seconds" not in key} for row in document["rows"]]
        return shown, [{key: run[key] for key in run if key not in FLEETING} for run in document["runs"]]

    here = table("--out", tmp_path / "here")
    assert table("--out", tmp_path / "there", "--engine", "ray", "--address", nodes.address) == here


def test_a_killed_worker_costs_the_epochs_since_its_last_state(nodes, in_process, tmp_path):
    callback = Acting(lambda: os.kill(nodes.workers()[0], signal.SIGKILL))
    assert everything(engine.run_all(nodes.plan(tmp_path), callback)) == in_process
    (again,) = [first for norm, first in callback.starts if first > 1]
    assert 2 <= again <= EPOCHS
    assert [epoch for norm, epoch in callback.epochs if norm != "bn"] == list(range(1, EPOCHS + 1))
    assert any("its process died" in warning for warning in callback.warnings)


def test_ctrl_c_leaves_no_task_and_the_next_command_goes_on(nodes, in_process, tmp_path):
    # A shell has its background jobs ignore SIGINT, and the tests inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            engine.run_all(nodes.plan(tmp_path), Acting(lambda: signal.raise_signal(signal.SIGINT)))
    finally:
        signal.signal(signal.SIGINT, before)
    end = time.monotonic() + 20
    while ray.available_resources().get("CPU") != 2.0:
        assert time.monotonic() < end, "a task goes on"
        time.sleep(0.1)
    callback = Acting()
    assert everything(engine.run_all(nodes.plan(tmp_path), callback)) == in_process
    assert min(first for norm, first in callback.starts if norm != "bn") > 1


def test_a_killed_driver_is_gone_on_with(nodes, in_process, tmp_path):
    script = f"import test_ray; test_ray.drive({str(tmp_path)!r}, {str(nodes.norm)!r}, {nodes.address!r})"
    paths = [ROOT, ROOT / "tests", Path(__file__).parent]
    process = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    )
    try:
        end = time.monotonic() + 180
        while not list(tmp_path.glob("some/*noted*/state.pt")):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    callback = Acting()
    assert everything(engine.run_all(nodes.plan(tmp_path), callback)) == in_process
    assert max(first for _, first in callback.starts) > 1


def drive(out: str, norm: str, address: str) -> None:
    """Code of the driver that is killed."""
    torch.set_num_threads(1)
    ray_engine.SAVE_EVERY = 0.0
    engine.run_all(plan(Path(out), Path(norm), address))


def test_a_result_that_is_there_by_then_wins(nodes, finished, in_process, tmp_path):
    class Racing(Acting):
        def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
            (source,) = [Path(run.folder or "") for run in finished if run.norm == config.norm]
            for path in source.glob("*.*"):
                shutil.copy(path, folder)

    callback = Racing()
    assert everything(engine.run_all(nodes.plan(tmp_path), callback)) == in_process
    assert callback.ends == [True, True]


def test_what_is_not_of_normbench_stays_in_place(nodes, in_process, tmp_path):
    planned = nodes.plan(tmp_path)
    foreign = planned.folders[0].path / "model.safetensors" / "mine.txt"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    failed, done = engine.run_all(planned)
    assert (failed.status, done.status) == ("failed", "done")
    assert "model.safetensors is a folder" in (failed.problem or "")
    assert foreign.read_text() == "mine"


def test_other_versions_are_named(nodes, monkeypatch):
    monkeypatch.setattr(cluster, "_CHECKED", set())
    local = cluster.local_versions()
    for name, wanted in (("normbench", "0.0.1"), ("torch", "1.13"), ("Python", "3.8.1")):
        monkeypatch.setattr(cluster, "local_versions", lambda other={name: wanted}: {**local, **other})
        with pytest.raises(UsageError, match=f"runs {name} .*this process {name} {wanted}") as caught:
            cluster.connect(nodes.address)
        assert "normbench[ray]" in caught.value.hint


def test_more_threads_than_a_node_has_are_refused_before_anything_waits(nodes, tmp_path):
    planned = nodes.plan(tmp_path)
    torch.set_num_threads(3)
    with pytest.raises(UsageError, match="a run takes 3 CPUs") as caught:
        engine.run_all(planned)
    assert "OMP_NUM_THREADS" in caught.value.hint


def test_a_killed_node_costs_the_epochs_since_the_last_state(nodes, in_process, tmp_path):
    callback = Acting(lambda: nodes.nodes.remove_node(nodes.second, allow_graceful=False))
    assert everything(engine.run_all(nodes.plan(tmp_path), callback)) == in_process
    (again,) = [first for norm, first in callback.starts if first > 1]
    assert 2 <= again <= EPOCHS
    assert any("its node died" in warning for warning in callback.warnings)
