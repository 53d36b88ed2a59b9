"""Runs of `claims`: a grid of learning rates, a grid of initialisations, and networks with other regularizers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from normbench.config import NetworkConfig, Recipe, RunConfig, TrainingConfig
from normbench.config.recipes import COMMAND_LINE, check_count
from normbench.config.settings import Init
from normbench.config.validation import validated
from normbench.runs import RunResult

CONTROL = "none"
INITS: tuple[Init, ...] = get_args(Init)
VALIDATION_SPLIT = 0.04
"""Share of the training images that runs are scored on, unless the recipe holds some out."""


@dataclass(frozen=True)
class Regularizer:
    """A regularizer beside the norms, on the network without one."""

    label: str
    network: Mapping[str, Any]
    training: Mapping[str, Any]


REGULARIZERS = (
    Regularizer("dropout 0.2", {"dropout": 0.2}, {}),
    Regularizer("L1 1e-4", {}, {"l1": 1e-4}),
    Regularizer("L2 5e-4", {}, {"weight_decay": 5e-4}),
)


@dataclass(frozen=True)
class Run:
    """A run with what sets it apart: its label, and the setting that is varied."""

    label: str
    """Norm, or regularizer."""
    setting: tuple[str, float]
    """Initialisation and gain, or `rate` and the learning rate."""
    config: RunConfig
    result: RunResult


def undecayed(recipe: Recipe) -> Recipe:
    """Return the recipe without other regularizers, and with images held out."""
    split = recipe.data.val_split or VALIDATION_SPLIT
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update={"val_split": split}),
            "network": recipe.network.model_copy(update={"dropout": 0.0, "hidden_dropout": (0.0, 0.0)}),
            "training": recipe.training.model_copy(update={"weight_decay": 0.0, "l1": 0.0}),
            "norm": {
                norm: settings.model_copy(update={"weight_decay": None}) for norm, settings in recipe.norm.items()
            },
        }
    )


@dataclass(frozen=True)
class Trial:
    """Settings that are laid over those of the recipe for one norm."""

    label: str
    norm: str
    setting: tuple[str, float]
    network: Mapping[str, Any]
    training: Mapping[str, Any]


def rate_trials(norms: Sequence[str], rates: Sequence[float]) -> list[Trial]:
    """Return every norm at every learning rate."""
    return [Trial(norm, norm, ("rate", lr), {}, {"lr": lr}) for norm in norms for lr in sorted(set(rates))]


def init_trials(best: Mapping[str, float], gains: Sequence[float]) -> list[Trial]:
    """Return every norm at its best rate from every initialisation, scaled by every gain."""
    return [
        Trial(norm, norm, (init, gain), {"init": init, "init_gain": gain}, {"lr": lr})
        for norm, lr in best.items()
        for init in INITS
        for gain in sorted(set(gains))
    ]


def regularizer_trials(lr: float) -> list[Trial]:
    """Return the network without a norm, at its best rate, with each of the other regularizers."""
    return [Trial(r.label, CONTROL, ("rate", lr), r.network, {"lr": lr} | dict(r.training)) for r in REGULARIZERS]


def configs(trials: Sequence[Trial], recipe: Recipe, max_params: int) -> list[RunConfig]:
    """Return the runs of trials with every seed of the recipe, test images unread."""
    check_count(len(trials) * recipe.seeds)
    seeds = range(recipe.seed, recipe.seed + recipe.seeds)
    return [_config(trial, seed, recipe, max_params) for trial in trials for seed in seeds]


def _config(trial: Trial, seed: int, recipe: Recipe, max_params: int) -> RunConfig:
    config = recipe.run(trial.norm, seed, max_params=max_params, read_test=False, tuned=None)
    network = validated(NetworkConfig, config.network.model_dump() | dict(trial.network), COMMAND_LINE)
    training = validated(TrainingConfig, config.training.model_dump() | dict(trial.training), COMMAND_LINE)
    return config.model_copy(update={"network": network, "training": training})
