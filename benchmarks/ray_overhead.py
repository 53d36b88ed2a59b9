"""Overhead of the Ray engine: thousands of runs whose training does nothing.

    python -m benchmarks.ray_overhead --runs 10800 --nodes 2 --cpus 1

starts a local cluster, and sends every run through it as `normbench compare --engine ray` does: task, events, lock and
run folder are real, with weights of 200 kB; only the training takes no time. It prints JSON: milliseconds per run,
and the largest memory of this process.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import ray
import torch
from ray.cluster_utils import Cluster

from normbench import engine
from normbench.config import DataConfig, MachineConfig, NetworkConfig, RunConfig, TrainingConfig
from normbench.engine import ray_engine
from normbench.engine.remote import Arrays, EpochDone, Event, Finished, Job, Started
from normbench.runs import RunResult
from normbench.runs.folder import METRICS, MODEL
from normbench.training import EpochRow

NORMS = ("bn", "gn", "ln", "in", "ln-c", "rms", "dyt", "none", "bn+ws", "gn+ws")
SEEDS = 30
WEIGHTS = bytes(200_000)
"""As large as those of a network of 50,000 parameters."""


def no_training(job: Job, arrays: Arrays) -> Iterator[Event]:
    """Yield the events of a group whose training takes no time."""
    for index, config in enumerate(job.configs):
        row = EpochRow(
            epoch=1,
            lr=config.training.lr,
            train_running_loss=1.0,
            train_running_accuracy=0.5,
            validation_loss=None,
            validation_accuracy=None,
            seconds=1.0,
            images_per_second=1.0,
        )
        result = RunResult(
            status="done",
            norm=config.norm,
            seed=config.seed,
            dataset=arrays.name,
            network=config.network.name,
            parameters=49_000,
            epochs=1,
            batch_size=config.training.batch_size,
            lr=config.training.lr,
            weight_decay=config.training.weight_decay,
            train_accuracy=0.5,
            train_loss=1.0,
            test_accuracy=0.5,
            test_loss=1.0,
            train_images=len(arrays.splits["train"][1]),
            test_images=len(arrays.splits["test"][1]),
            seconds=1.0,
            device="none",
            torch=torch.__version__,
            fingerprint=config.fingerprint,
        )
        yield Started(index, 1, {"device": "none"})
        yield EpochDone(index, row)
        yield Finished(index, result, {METRICS: (row.model_dump_json() + "\n").encode(), MODEL: WEIGHTS})


def configs(runs: int) -> list[RunConfig]:
    """Runs over norms, seeds and as many learning rates as it takes."""
    rates = -(-runs // (len(NORMS) * SEEDS))
    every = [
        RunConfig(
            norm=norm,
            seed=seed,
            network=NetworkConfig(),
            data=DataConfig(name="digits"),
            training=TrainingConfig(epochs=1, lr=0.01 * (1 + rate)),
        )
        for rate in range(rates)
        for seed in range(SEEDS)
        for norm in NORMS
    ]
    return every[:runs]


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_800)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=1, help="CPUs of each node")
    options = parser.parse_args()
    torch.set_num_threads(1)
    ray_engine.train_job = no_training
    with tempfile.TemporaryDirectory(prefix="nb-", ignore_cleanup_errors=True) as name:
        os.environ |= {"RAY_TMPDIR": name, "RAY_USAGE_STATS_ENABLED": "0"}
        (Path(name) / "ray").mkdir()
        node = {"num_cpus": options.cpus, "object_store_memory": 200 * 2**20}
        cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        for _ in range(options.nodes - 1):
            cluster.add_node(**node)
        try:
            figures = measure(configs(options.runs), Path(name) / "runs", cluster.address)
        finally:
            ray.shutdown()
            cluster.shutdown()
    print(json.dumps({"nodes": options.nodes, "cpus": options.cpus, "ray": ray.__version__, **figures}, indent=2))


def measure(runs: list[RunConfig], out: Path, address: str) -> dict[str, float]:
    """Send the runs through the cluster; then read their folders, as the same command does again."""
    start = time.perf_counter()
    plan = engine.plan(runs, MachineConfig(out=out, device="cpu", engine="ray", address=address), "scale")
    planned = time.perf_counter()
    before = peak()
    results = engine.run_all(plan)
    trained = time.perf_counter()
    assert all(result.status == "done" for result in results)
    after = peak()
    engine.run_all(plan)
    again = time.perf_counter()
    return {
        "runs": len(runs),
        "plan_seconds": round(planned - start, 2),
        "run_seconds": round(trained - planned, 2),
        "milliseconds_per_run": round(1000 * (trained - planned) / len(runs), 2),
        "read_again_seconds": round(again - trained, 2),
        "driver_mib_before": round(before),
        "driver_mib": round(after),
        "files": sum(len(files) for _, _, files in os.walk(out)),
    }


def peak() -> float:
    """Largest resident memory of this process so far, in MiB."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
