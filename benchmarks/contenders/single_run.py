"""normbench, one run: a `RunGroup` of one, as in `normbench train`, its step captured on CUDA."""

from benchmarks.job import Job
from benchmarks.measure import Clock
from normbench.data import DataSet
from normbench.training import DivergedError, RunGroup, Training, graphs_for


def train(job: Job, data: DataSet, clock: Clock) -> None:
    """Train one network, epoch by epoch; the step is captured in the first one, the warm-up.

    Raises:
        DivergedError: The loss became non-finite.
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
