"""Training of one run: network, optimizer, schedule and batches. `RunGroup` drives its epochs."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from normbench import randomness
from normbench.config import RunConfig
from normbench.data import Batches, DataSet
from normbench.device import autocast, float32_arithmetic, synchronize
from normbench.errors import RunFailedError
from normbench.evaluation import NonFiniteError, evaluate
from normbench.training.epoch import EpochRow
from normbench.training.optimizer import (
    RateTable,
    decayed,
    end_epoch,
    load_optimizer,
    make_optimizer,
    make_schedule,
)


class DivergedError(RunFailedError):
    """A run whose loss, weights or logits are no longer finite: it has no accuracy."""

    def __init__(self, epoch: int, lr: float, what: str = "the training loss is") -> None:
        super().__init__(
            f"{what} no longer finite in epoch {epoch} at learning rate {lr:g}",
            f"Try a smaller one: --lr {lr / 3:.2g}",
        )
        self.epoch = epoch
        self.lr = lr


class Training:
    """The training of one network with one norm and one seed on one device.

    Args:
        config: Every setting.
        network: As it was built; it is moved to the device of the data.
        data: The images, on the device.
        batches: Those of another run with this seed, data and batch size, to draw them once for both.
        capturable: Whether its step may be captured in a graph; by default on CUDA.
    """

    def __init__(
        self,
        config: RunConfig,
        network: nn.Module,
        data: DataSet,
        batches: Batches | None = None,
        capturable: bool | None = None,
    ) -> None:
        self.config = config
        self.data = data
        self.device = data.train.images.device
        # channels_last: half as fast again as the default on CPUs, and what tensor cores want on CUDA.
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.batches = batches or Batches(data, config.data, config.seed, config.training.batch_size)
        capturable = self.device.type == "cuda" if capturable is None else capturable
        self.penalized, _ = decayed(self.network, config.training)
        self.optimizer = make_optimizer(self.network, config.training, capturable)
        steps = len(self.batches)
        self.schedule, self.schedule_steps = make_schedule(self.optimizer, config.training, steps)
        in_step = capturable and self.schedule_steps
        self.rates = RateTable(self.optimizer, self.schedule, config.training, steps) if in_step else None
        self.totals = torch.zeros(2, device=self.device)
        # Of a norm of the user's own that counts from infinity, as a running minimum does.
        self.infinite_by_design = self._non_finite()

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        lr = self.optimizer.param_groups[0]["lr"]
        # Of a tensor: the digits that float32 has, so that 0.05 is not told as 0.05000000075.
        return float(f"{lr.item():.7g}") if isinstance(lr, Tensor) else lr

    def begin(self, epoch: int) -> None:
        """Make ready for an epoch."""
        with randomness.GLOBAL:
            randomness.seed_global(self.config.seed, "dropout", epoch, host=self.config.has_custom_code)
        self.network.train()
        self.totals.zero_()
        if self.rates:
            self.rates.begin((epoch - 1) * len(self.batches))

    def step(self, images: Tensor, labels: Tensor) -> None:
        """One optimizer step on images (B, C, H, W) float and labels (B,) int64: work of the device alone."""
        with float32_arithmetic(self.device, self.config.training.precision):
            self._step(images, labels)

    def _step(self, images: Tensor, labels: Tensor) -> None:
        training = self.config.training
        with autocast(self.device, training.precision):
            scores = self.network(images).float()
        loss = F.cross_entropy(scores, labels, label_smoothing=training.label_smoothing)
        penalty = self._l1() if training.l1 else 0.0
        self.optimizer.zero_grad(set_to_none=True)
        (loss + penalty).backward()
        self.optimizer.step()
        if self.rates:
            self.rates.advance()
        self.totals += torch.stack([loss.detach(), (scores.argmax(1) == labels).sum().float()])

    def after_step(self) -> None:
        """Do the host's work between two steps."""
        if self.schedule_steps and not self.rates:
            self.schedule.step()

    def finish(self, epoch: int, lr: float, loss: float, correct: float, seconds: float) -> EpochRow | DivergedError:
        """End an epoch whose totals have been read, and score the validation split where there is one."""
        if self.rates:
            self.rates.settle(epoch * len(self.batches))
        if not math.isfinite(loss):
            return DivergedError(epoch, lr)
        # The losses are those before each step: only the weights tell of a last step that went too far.
        if self._non_finite() - self.infinite_by_design:
            return DivergedError(epoch, lr, "the weights are")
        images = len(self.batches) * self.config.training.batch_size
        validation = self.data.validation
        try:
            score = validation and evaluate(self.network, validation, self.data, self.config.training.precision)
        except NonFiniteError:
            return DivergedError(epoch, lr, "the logits of the validation images are")
        synchronize(self.device)
        running_loss = loss / len(self.batches)
        if not self.schedule_steps:
            end_epoch(self.schedule, score.loss if score else running_loss)
        return EpochRow(
            epoch=epoch,
            lr=lr,
            train_running_loss=running_loss,
            train_running_accuracy=correct / images,
            validation_loss=score.loss if score else None,
            validation_accuracy=score.accuracy if score else None,
            seconds=seconds,
            images_per_second=images / seconds,
        )

    def _non_finite(self) -> set[str]:
        """Names of the weights and buffers that hold NaN or infinity; one transfer from the device."""
        state = {
            name: tensor
            for name, tensor in self.network.state_dict().items()
            if isinstance(tensor, Tensor) and tensor.is_floating_point() and not is_lazy(tensor)
        }
        finite = torch.stack([tensor.isfinite().all() for tensor in state.values()]).tolist() if state else []
        return {name for name, whole in zip(state, finite, strict=True) if not whole}

    def _l1(self) -> Tensor:
        absolute = torch.stack([p.abs().sum() for p in self.penalized])
        return self.config.training.l1 * absolute.sum()

    def state(self) -> dict[str, Any]:
        """State that a run needs besides its config to resume after the last finished epoch."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state()` gave, on this device or another.

        Raises:
            Exception: It is the state of another network, optimizer or schedule.
        """
        types, saved_types = (
            {name: type(value) for name, value in schedule.items()}
            for schedule in (self.schedule.state_dict(), state["schedule"])
        )
        if types != saved_types:
            raise ValueError("the schedule in it is another one")
        self.network.load_state_dict(state["network"])
        load_optimizer(self.optimizer, state["optimizer"])
        self.schedule.load_state_dict(dict(state["schedule"]))  # CyclicLR takes an entry out of it
