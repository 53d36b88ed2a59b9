"""normbench, one run: the `RunGroup` of one that `normbench train` trains, its step captured where the device can."""

from benchmarks.job import Job
from benchmarks.measure import Clock
from normbench.data import DataSet
from normbench.training import DivergedError, RunGroup, Training, graphs_for


def train(job: Job, data: DataSet, clock: Clock) -> None:
    """Train one network, epoch by epoch; what is captured is captured in the first, which is the warm-up.

    Raises:
        DivergedError: There is no loss to compare.
    """
    network = job.network(data)
    clock.begin(network, data)
    group = RunGroup([Training(job.config, network, data)], graphs_for(job.device))
    for epoch in range(1, job.laps + 1):
        clock.start()
        (outcome,) = group.epoch(epoch)
        if isinstance(outcome, DivergedError):
            raise outcome
        clock.stop(outcome.train_running_loss)
