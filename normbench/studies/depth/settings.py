"""Settings of the study `depth`."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from normbench.config import DataConfig, TrainingConfig
from normbench.config.recipes import COMMAND_LINE
from normbench.config.settings import (
    Activation,
    BatchSize,
    DataName,
    Epochs,
    Frozen,
    Groups,
    Init,
    LearningRate,
    NormNames,
    Seed,
    Seeds,
    Switch,
    Whole,
)
from normbench.config.validation import validated
from normbench.studies.study import Flag

TRAINED_DEPTHS = (1, 5, 10, 20, 30)
MOST_WEIGHTS = 100_000_000
"""Largest number of weights of one stack: with gradients 800 MB."""


class DepthSettings(Frozen):
    """Norms, depth and width of the stacks, and settings of their training."""

    norms: NormNames = ("none", "bn", "ln")
    groups: Groups = 4
    width: Annotated[Whole, Flag()] = Field(512, ge=2, le=2048, description="Units per layer of the MLP.")
    depth: Annotated[Whole, Flag()] = Field(30, ge=1, le=200, description="Hidden layers of the deepest stack.")
    activation: Annotated[Activation, Flag(metavar="NAME")] = Field(
        "relu", description="Activation between the layers."
    )
    init: Annotated[Init, Flag(metavar="NAME")] = Field("torch", description="Initialization of the weights.")
    seed: Seed = 0
    seeds: Seeds = 1
    lrs: Annotated[tuple[LearningRate, ...], Flag(name="lr")] = Field((0.003, 0.03), min_length=1, max_length=100)
    epochs: Epochs = 6
    batch_size: Annotated[BatchSize, Flag(hidden=True)] = Field(128, ge=2)
    no_train: Annotated[Switch, Flag("Training")] = Field(False, description="Signal and gradient only, no training.")
    source: Annotated[Switch, Flag()] = Field(
        False, description="Repeat the source material's demonstration alone, in its own set-up."
    )
    dataset: DataName = "digits"
    subset: Annotated[Whole | None, Field(ge=1, le=1_000_000)] = None

    @model_validator(mode="after")
    def _fits_into_memory(self) -> "DepthSettings":
        if self.width**2 * self.depth > MOST_WEIGHTS:
            raise ValueError(
                f"a stack of {self.depth} layers of {self.width} units has over {MOST_WEIGHTS:,} weights, the most here"
            )
        return self

    @property
    def training(self) -> TrainingConfig:
        """Training settings that all stacks share, but for the learning rate."""
        return TrainingConfig(
            epochs=self.epochs, batch_size=self.batch_size, schedule="constant", weight_decay=0.0, precision="fp32"
        )

    @property
    def depths(self) -> tuple[int, ...]:
        """Depths that are trained: the default ones below the deepest, and the deepest."""
        return tuple(sorted({depth for depth in TRAINED_DEPTHS if depth < self.depth} | {self.depth}))

    @property
    def all_seeds(self) -> range:
        """Seeds of weights, noise and batches."""
        return range(self.seed, self.seed + self.seeds)

    @property
    def data(self) -> DataConfig:
        """All digits, or 5,000 images of CIFAR-10; a tenth or 1,000 are held out to choose the learning rate."""
        digits = self.dataset == "digits"
        images = 5000 if self.subset is None and not digits else self.subset
        settings = {"name": self.dataset, "subset": images, "val_split": 0.1 if digits else 0.02, "crop_padding": 0}
        return validated(DataConfig, settings, COMMAND_LINE)

    def values(self) -> dict[str, Any]:
        """Dump the settings of the stacks for JSON; the caption names the data set."""
        return self.model_dump(mode="json", exclude={"no_train", "source", "dataset", "subset"})
