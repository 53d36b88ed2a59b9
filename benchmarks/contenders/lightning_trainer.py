"""PyTorch Lightning: its Trainer in barebones mode, made for measuring speed, and the usual DataLoader."""

import logging
import warnings
from typing import Any

import lightning
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.contenders.pictures import Pictures, data_loader
from benchmarks.job import Job
from benchmarks.measure import Clock
from normbench.data import DataSet

ACCELERATORS = {"cuda": "gpu", "mps": "mps", "cpu": "cpu"}


class Module(lightning.LightningModule):
    """Network with loss and optimizer; the loss stays on the device until the end of the epoch."""

    def __init__(self, network: nn.Module, job: Job) -> None:
        super().__init__()
        self.network, self.job = network, job
        self.total: Tensor | float = 0.0

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        """Compute the loss of one batch."""
        images, labels = batch
        loss = F.cross_entropy(self.network(images), labels)
        self.total += loss.detach()
        return loss

    def configure_optimizers(self) -> dict[str, Any]:
        """Return optimizer and scheduler of the job; the latter advances every epoch."""
        optimizer, scheduler = self.job.optimizer(self.network)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


class Laps(lightning.Callback):
    """Starts and stops the clock with each epoch."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_epoch_start(self, _trainer: lightning.Trainer, module: Module) -> None:
        """Start the clock before the first batch."""
        self.clock.start()
        module.total = 0.0

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Module) -> None:
        """Stop the clock after the last step."""
        self.clock.stop(float(module.total) / trainer.num_training_batches)


def train(job: Job, data: DataSet, clock: Clock) -> None:
    """Fit the module for one epoch per lap."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    network = job.network(data)
    pictures = Pictures(data)
    clock.begin(network, data)
    trainer = lightning.Trainer(
        accelerator=ACCELERATORS[job.device.type],
        devices=1,
        max_epochs=job.laps,
        precision="bf16-mixed" if _is_bf16(job) else "32-true",
        barebones=True,
        callbacks=[Laps(clock)],
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # on workers and logging, both set on purpose
        trainer.fit(Module(network, job), data_loader(job, pictures, data))


def _is_bf16(job: Job) -> bool:
    precision = job.config.training.precision
    return precision == "bf16" or (precision == "auto" and job.device.type == "cuda")
