"""The settings of the study of depth."""

from pydantic import Field

from normbench.config import DataConfig, TrainingConfig
from normbench.config.settings import Activation, Frozen, Init

TRAINED_DEPTHS = (1, 5, 10, 20, 30)


class DepthConfig(Frozen):
    """The question: which norms, how deep, how wide, and how the stacks are trained."""

    norms: tuple[str, ...] = Field(("none", "bn", "ln"), min_length=1)
    groups: int = Field(4, ge=1)
    width: int = Field(512, ge=2)
    """Units of a layer of the MLP."""
    depth: int = Field(30, ge=1, le=200)
    activation: Activation = "relu"
    init: Init = "torch"
    seed: int = Field(0, ge=0)
    seeds: int = Field(1, ge=1)
    lrs: tuple[float, ...] = Field((0.003, 0.03), min_length=1)
    epochs: int = Field(6, ge=1, le=20)
    batch_size: int = Field(128, ge=2)

    @property
    def training(self) -> TrainingConfig:
        """Of every stack alike, at each of the learning rates."""
        return TrainingConfig(
            epochs=self.epochs, batch_size=self.batch_size, schedule="constant", weight_decay=0.0, precision="fp32"
        )

    @property
    def depths(self) -> tuple[int, ...]:
        """Depths that are trained: the usual ones up to the deepest, and the deepest."""
        return tuple(sorted({depth for depth in TRAINED_DEPTHS if depth < self.depth} | {self.depth}))

    @property
    def all_seeds(self) -> range:
        """Seeds of weights, noise and batches."""
        return range(self.seed, self.seed + self.seeds)


def data_settings(name: str, subset: int | None) -> DataConfig:
    """Images to train on: all digits, or 5,000 of CIFAR-10, with a tenth or 1,000 held out to choose the rate on."""
    if name == "digits":
        return DataConfig(name="digits", subset=subset, val_split=0.1, crop_padding=0)
    return DataConfig.model_validate({"name": name, "subset": subset or 5000, "val_split": 0.02, "crop_padding": 0})
