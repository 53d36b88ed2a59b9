"""The settings of the study of depth."""

from pydantic import Field, model_validator

from normbench.config import DataConfig, TrainingConfig
from normbench.config.recipes import COMMAND_LINE
from normbench.config.settings import (
    Activation,
    BatchSize,
    Epochs,
    Frozen,
    Groups,
    Init,
    LearningRate,
    NormNames,
    Seed,
    Seeds,
    Whole,
)
from normbench.config.validation import validated

TRAINED_DEPTHS = (1, 5, 10, 20, 30)
MOST_WEIGHTS = 100_000_000
"""Of one stack: with gradients 800 MB."""


class DepthConfig(Frozen):
    """The question: which norms, how deep, how wide, and how the stacks are trained."""

    norms: NormNames = ("none", "bn", "ln")
    groups: Groups = 4
    width: Whole = Field(512, ge=2, le=2048)
    """Units of a layer of the MLP."""
    depth: Whole = Field(30, ge=1, le=200)
    activation: Activation = "relu"
    init: Init = "torch"
    seed: Seed = 0
    seeds: Seeds = 1
    lrs: tuple[LearningRate, ...] = Field((0.003, 0.03), min_length=1, max_length=100)
    epochs: Epochs = 6
    batch_size: BatchSize = Field(128, ge=2)

    @model_validator(mode="after")
    def _fits_into_memory(self) -> "DepthConfig":
        if self.width**2 * self.depth > MOST_WEIGHTS:
            raise ValueError(
                f"a stack of {self.depth} layers of {self.width} units has over {MOST_WEIGHTS:,} weights, the most here"
            )
        return self

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
    digits = name == "digits"
    images = 5000 if subset is None and not digits else subset
    settings = {"name": name, "subset": images, "val_split": 0.1 if digits else 0.02, "crop_padding": 0}
    return validated(DataConfig, settings, COMMAND_LINE)
