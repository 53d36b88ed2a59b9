"""Concurrency of the runs of a plan: run groups on CUDA, threads on a CPU, or one run after another."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

import torch

from normbench.config import MachineConfig, RunConfig
from normbench.data import DataSet
from normbench.networks import build_for
from normbench.runs import RunFolder
from normbench.training import Training

LARGEST_GROUP = 31
"""On CUDA: torch has a pool of 32 streams, and the capture needs one itself."""
SHARE_OF_MEMORY = 0.7
"""Share of the free memory to fill: norms keep different amounts for the backward pass, and scoring needs room."""


@dataclass(frozen=True)
class Concurrency:
    """Number of concurrent runs, and on the CPU the threads of each."""

    runs: int
    threads: int | None = None
    """None leaves torch's number."""


def plan_concurrency(device: torch.device, machine: MachineConfig, runs: int, random: bool) -> Concurrency:
    """Decide it from the plan and the machine alone, so that a comparison that goes on does so with equal numbers.

    Args:
        device: Where they train.
        machine: With `jobs`, where the user decides.
        runs: Of the plan, those that are done included: the number of threads moves the last digits.
        random: Whether a network draws random numbers while it trains. Those come from one generator for the whole
            process, so such runs train alone: their numbers must not depend on their neighbours.
    """
    if random or runs == 1:
        return Concurrency(1)
    if device.type == "cpu":
        jobs = min(runs, machine.jobs or evenly(runs, cores()))
        return Concurrency(jobs, max(1, cores() // jobs)) if jobs > 1 else Concurrency(1)
    if device.type == "cuda":
        return Concurrency(min(runs, machine.jobs or LARGEST_GROUP))
    return Concurrency(1)


def cores() -> int:
    """Number of threads that torch would use: `OMP_NUM_THREADS`, or the cores of the machine."""
    return torch.get_num_threads()


def evenly(runs: int, cpus: int) -> int:
    """Runs at once so that no core idles at the end: 3 runs on 2 cores share these from first to last.

    Twice the cores is never reached: threads that take turns cost little, but each run takes longer by as much.
    """
    return -(-runs // max(1, runs // cpus))


def run_groups(
    folders: Sequence[RunFolder], size: int, uncaptured: Container[str] = frozenset()
) -> list[list[RunFolder]]:
    """Put runs that can train in lockstep together, at most `size` of them: equal data, batch size and epochs.

    Runs of different networks keep apart as well, as the steps of the smaller ones would wait for the larger ones.
    Runs of norms whose steps cannot be captured keep to themselves.
    """
    alike: dict[object, list[RunFolder]] = {}
    for folder in folders:
        training = folder.config.training
        captured = folder.config.norm not in uncaptured
        key = (training.epochs, training.batch_size, folder.config.data, folder.config.network, captured)
        alike.setdefault(key, []).append(folder)
    return [group[first : first + size] for group in alike.values() for first in range(0, len(group), size)]


def fitting(config: RunConfig, data: DataSet, device: torch.device) -> int:
    """Number of such runs that fit into the free memory of a CUDA device, measured on one step."""
    network = build_for(config, len(data.classes))
    free, _ = torch.cuda.mem_get_info(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    training = Training(config, network, data)
    training.batches.start(1)
    training.step(*training.batches.next())
    needed = torch.cuda.max_memory_allocated(device) - before
    del training, network
    torch.cuda.empty_cache()
    return max(1, int(SHARE_OF_MEMORY * free / needed))
