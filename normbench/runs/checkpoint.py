"""Using a finished run again: its network with the trained weights, on its own data set or on the user's pictures.

Nothing that a run folder names is imported. A custom norm's code runs again only where the user asks for it in the same
command, by naming the norm or with `--trust`.
"""

import hashlib
import json
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from normbench import networks
from normbench.config import RunConfig
from normbench.config.norm_names import NormName
from normbench.errors import NormbenchError, RunFailedError, UsageError
from normbench.files import check_regular, kind_of, read_regular
from normbench.norms import Code, Norm, canonical_name, is_custom, norm_code, norm_from_folder, norm_info
from normbench.norms.code import split_spec
from normbench.runs.folder import MODEL, read_result
from normbench.runs.kept_code import FOLDER, kept, kept_main
from normbench.runs.result import RunResult

REDO = "Train the run again: --force"


@dataclass(frozen=True)
class Permission:
    """The code that the user lets run in this command."""

    norm: str | None = None
    """The norm as it was typed."""
    trust: bool = False
    """Allow the code kept in a run folder to run."""


@dataclass(frozen=True)
class SavedModel:
    """A trained network in eval mode on the CPU, and what it needs to know of the images it takes."""

    network: nn.Module
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    """Per channel, in units of pixel values 0-255; of the images it was trained on."""
    std: tuple[float, ...]
    warnings: tuple[str, ...] = ()


def load_model(folder: Path, config: RunConfig, permission: Permission) -> SavedModel:
    """Build a run's network and give it the weights it ended with.

    Raises:
        UsageError: The run's norm is custom, and the user did not let its code run.
        RunFailedError: The weights are missing, damaged, or not those that the run ended with.
    """
    path = folder / MODEL
    if kind_of(path) is None:
        raise RunFailedError(f"{folder} has no weights", "Only runs that are done have them: see `normbench runs`.")
    if config.norm_revision != norm_info(config.norm).revision:
        raise RunFailedError(
            f"{folder} was trained with another revision of {config.norm} than this normbench has",
            "Train the run again, or use the normbench that trained it (env.json names its version).",
        )
    _check(folder, config, read_result(folder))
    norm, warnings = saved_norm(folder, config, permission)
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["images"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        network = networks.build_for(config, len(facts["classes"]), norm)
        network.load_state_dict(weights)
        classes, mean, std = (tuple(facts[name]) for name in ("classes", "mean", "std"))
    except (SafetensorError, TypeError, KeyError, ValueError, RuntimeError, OSError) as error:
        raise RunFailedError(f"{path} cannot be used: {error}", REDO) from error
    return SavedModel(network.eval(), classes, mean, std, warnings)


def _check(folder: Path, config: RunConfig, result: RunResult | None) -> None:
    """Settings, weights and result must be of one run."""
    if result is None:
        return
    if result.fingerprint != config.fingerprint:
        raise RunFailedError(
            f"{folder}: its settings are not those that its result was reached with (fingerprints "
            f"{config.fingerprint[:8]} and {result.fingerprint[:8]})",
            "config.json or result.json was edited: undo the edit, or train the run again.",
        )
    path = folder / MODEL
    try:
        digest = hashlib.sha256(read_regular(path)).hexdigest()
    except OSError as error:
        raise RunFailedError(f"{path} cannot be used: {error.strerror or error}", REDO) from error
    if result.model_sha256 not in (None, digest):
        raise RunFailedError(
            f"{path} cannot be used: its checksum is not the one in result.json, so it is damaged or of another run",
            REDO,
        )


def saved_norm(folder: Path, config: RunConfig, permission: Permission) -> tuple[Norm, tuple[str, ...]]:
    """The norm of a run, and warnings: the registered one, or custom code that the user lets run.

    Raises:
        UsageError: The norm is custom and the user did not let its code run, or named another norm.
    """
    typed = permission.norm
    if typed is not None and not _names(typed, config.norm):
        raise UsageError(f"--norm {typed}: this run was trained with {config.norm}", "Name that norm.")
    if not is_custom(config.norm):
        return Norm.parse(config.norm, config.groups), ()
    then = kept(folder, config.norm)
    if then is not None and then.digest != config.norm_source:
        then = None  # edited since, or no longer whole
    if typed is not None:
        spec = replace(NormName.parse(config.norm), base=NormName.parse(typed).base)
        norm = Norm.parse(str(spec), config.groups)
        same = norm.code is not None and norm.code.digest == config.norm_source
        return norm, () if same else (f"--norm {typed}: {_difference(norm.code, then)}",)
    today, problem = _today(config.norm)
    unchanged = today is not None and today.digest == config.norm_source
    state = "its code is unchanged" if unchanged else problem or _difference(today, then)
    if permission.trust and then is not None and (main := kept_main(folder)):
        return norm_from_folder(folder / FOLDER, main, config.norm, config.groups), () if unchanged else (
            f"norm '{config.norm}': {state}; the code kept in {folder / FOLDER} is used",
        )
    if permission.trust and today is not None:
        return Norm.parse(config.norm, config.groups), () if unchanged else (f"norm '{config.norm}': {state}",)
    raise UsageError(
        f"{folder} was trained with a custom norm, '{config.norm}', and no run folder decides which code runs; {state}",
        f"Name the norm to run today's code: --norm {shlex.quote(config.norm)}"
        + (", or run the code in the folder: --trust" if then is not None else ""),
    )


def _names(typed: str, norm: str) -> bool:
    """Test whether the user means a run's norm: the same one, or one of its name in a file that has moved.

    Arguments, and `+ws`, are the run's where the user leaves them out.
    """
    if not (is_custom(typed) and is_custom(norm)):
        return canonical_name(typed) == canonical_name(norm)
    arguments = NormName.parse(typed).arguments
    (source, attribute), (other, same) = split_spec(typed), split_spec(norm)
    return (
        attribute == same
        and Path(source).name == Path(other).name
        and (not arguments or arguments == NormName.parse(norm).arguments)
    )


def _today(norm: str) -> tuple[Code | None, str]:
    """The code of a norm as it is now, read without importing it, or why there is none."""
    try:
        return norm_code(norm), ""
    except NormbenchError as error:
        return None, error.message


def _difference(today: Code | None, then: Code | None) -> str:
    """The files of a norm that are not what they were when its run was trained."""
    if today is None:
        return "its code cannot be found"
    if then is None:
        return "its code is not what it was trained with"
    names = sorted(today.files.keys() | then.files.keys())
    changed = [name for name in names if today.files.get(name) != then.files.get(name)]
    listed = ", ".join(changed) or ", ".join(sorted({*today.releases, *then.releases}))
    return f"its code is not what it was trained with: {listed} changed since"


def as_channels(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Per-channel figures as a float32 tensor (C, 1, 1) that broadcasts over images."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)
