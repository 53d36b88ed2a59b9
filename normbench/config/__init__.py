"""Configuration of runs, recipes and machine. Frozen settings, recipes that fix them, and the fingerprint of a run."""

from normbench.config.machine import MachineConfig
from normbench.config.recipes import Recipe, load_recipe, recipe_names, recipe_path
from normbench.config.settings import (
    MAX_EPOCHS,
    PARAMETER_BUDGET,
    DataConfig,
    NetworkConfig,
    RunConfig,
    SweepConfig,
    TrainingConfig,
)

__all__ = [
    "MAX_EPOCHS",
    "PARAMETER_BUDGET",
    "DataConfig",
    "MachineConfig",
    "NetworkConfig",
    "Recipe",
    "RunConfig",
    "SweepConfig",
    "TrainingConfig",
    "load_recipe",
    "recipe_names",
    "recipe_path",
]
