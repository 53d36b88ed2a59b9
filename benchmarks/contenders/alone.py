"""normbench, one run: the `Training` that `normbench train` uses."""

from benchmarks.job import Job
from benchmarks.measure import Clock
from normbench.data import DataSet
from normbench.training import Training


def train(job: Job, data: DataSet, clock: Clock) -> None:
    """Train one network, epoch by epoch."""
    network = job.network(data)
    clock.begin(network, data)
    training = Training(job.config, network, data)
    for epoch in range(1, job.laps + 1):
        clock.start()
        row = training.epoch(epoch)
        clock.stop(row.train_running_loss)
