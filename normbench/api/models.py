"""Norms, networks and trained runs as objects."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from normbench import model_summary
from normbench.api.settings import (
    REGISTERED,
    NetworkLike,
    NormLike,
    changed_recipe,
    checked,
    machine,
    network_spec,
    norm_spec,
)
from normbench.config import RunConfig
from normbench.config.recipes import DEFAULT_RECIPE
from normbench.config.settings import Groups, Switch
from normbench.errors import RunFailedError, UsageError
from normbench.model_summary import ModelSummary
from normbench.norms import NORMS, Norm
from normbench.runs import Permission, RunResult, find_run, load_model, usable


def norm(name: NormLike, groups: int = 4) -> Norm:
    """Return a norm, whose `make(channels)` builds a layer for (N, channels, H, W).

    Args:
        name: Name as on the command line, such as `gn(groups=8)` or `file.py:factory`; or a class or factory.
        groups: Channel groups of GroupNorm.

    Raises:
        UsageError: No such norm.

    Example:
        >>> import normbench
        >>> normbench.norm("gn(groups=8)").make(32).num_groups
        8
    """
    return Norm.parse(norm_spec(name), checked(Groups, groups, "groups"))


def register_norm(name: str, factory: type[nn.Module] | Callable[[int], nn.Module]) -> None:
    """Register a short name for a class or factory in this process, so that `compare(["bn", "mine"])` accepts it.

    Runs keep the file that defines it, as for every custom norm.

    Args:
        name: Letters, digits, `-` and `_`.
        factory: Class or function of the number of channels, at the top level of a file.

    Raises:
        UsageError: The name is taken or invalid, or the factory has no file.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise UsageError(f"{name!r} is not a valid name of a norm", "Use letters, digits, - and _, as in my-norm.")
    if name in NORMS:
        raise UsageError(f"{name} is a built-in norm", "Choose another name.")
    REGISTERED[name] = norm_spec(factory)


def summary(norm: NormLike = "bn", *, recipe: str = DEFAULT_RECIPE, network: NetworkLike | None = None) -> ModelSummary:
    """Summarize a recipe's network with a norm: layers, parameters, MACs, receptive fields and budget.

    Raises:
        UsageError: No such norm, recipe or network.

    Example:
        >>> import normbench
        >>> normbench.summary("bn").parameters
        49306
    """
    changed = changed_recipe(recipe, None, network__name=network_spec(network))
    return model_summary.model_summary(changed.run(norm_spec(norm), changed.seed))


@dataclass(frozen=True)
class LoadedRun:
    """Finished run with its trained network."""

    config: RunConfig
    result: RunResult
    network: nn.Module
    """Network in eval mode on the CPU; takes images (N, 3, 32, 32) normalized with `mean` and `std`."""
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    """Mean per channel, of pixel values from 0 to 255."""
    std: tuple[float, ...]


def load(
    run: str | Path,
    *,
    norm: NormLike | None = None,
    network: NetworkLike | None = None,
    trust: bool = False,
    out: str | Path | None = None,
) -> LoadedRun:
    """Read a run's folder: settings, result and trained network.

    Nothing that a run folder names is imported. The code of a custom norm or network runs only where the caller names
    it, or trusts the code that the folder keeps.

    Args:
        run: Folder of a run, or a name that `normbench runs` lists.
        norm: The run's custom norm.
        network: The run's custom network.
        trust: Allow the code kept in the folder to run.
        out: Folder of experiments, where `run` is a name.

    Raises:
        UsageError: The run's norm or network is custom, and neither its name nor `trust` is given.
        RunFailedError: There is no finished run, or its files do not belong together.
    """
    entry = find_run(str(run), machine(out=out).out)
    config = usable(entry)
    if entry.result is None:
        raise RunFailedError(f"{entry.path} is not finished", "Run the same training again to resume it.")
    permission = Permission(
        None if norm is None else norm_spec(norm), checked(Switch, trust, "trust"), network_spec(network)
    )
    model = load_model(entry.path, config, permission)
    return LoadedRun(config, entry.result, model.network, model.classes, model.mean, model.std)
