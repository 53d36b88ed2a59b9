"""Trained network of a finished run.

Nothing that a run folder names is imported. The code of a custom norm or network runs again only where the user asks
for it in the same command, by naming it or with `--trust`.
"""

import hashlib
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import nn

from normbench import networks
from normbench.config import RunConfig
from normbench.config.norm_names import NormName
from normbench.config.settings import is_custom_network
from normbench.custom_code import Code, read_code
from normbench.errors import NormbenchError, RunFailedError, UsageError
from normbench.networks import CustomNetwork, custom_network, network_from_folder
from normbench.norms import Norm, canonical_name, is_custom, norm_from_folder, norm_info
from normbench.runs.archive import MODEL, code_folder, kind_of_file, read_file
from normbench.runs.folder import read_result
from normbench.runs.kept_code import NETWORK, NORM, Store, kept, kept_main
from normbench.runs.result import RunResult

REDO = "Train the run again: --force"


class UntrustedCodeError(UsageError):
    """A run whose custom code the user did not let run."""


@dataclass(frozen=True)
class Permission:
    """The code that the user lets run in this command."""

    norm: str | None = None
    """The norm as it was typed."""
    trust: bool = False
    """Allow the code kept in a run folder to run."""
    network: str | None = None
    """The network as it was typed."""

    def typed(self, store: Store) -> str | None:
        """Name of the norm or network that the user typed."""
        return self.norm if store is NORM else self.network


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
        UsageError: The run's norm or network is custom, and the user did not let its code run.
        RunFailedError: The weights are missing, damaged, or not those that the run ended with.
    """
    path = folder / MODEL
    if kind_of_file(path) is None:
        raise RunFailedError(f"{folder} has no weights", "Only runs that are done have them: see `normbench runs`.")
    if config.norm_revision != norm_info(config.norm).revision:
        raise RunFailedError(
            f"{folder} was trained with another revision of {config.norm} than this normbench has",
            "Train the run again, or use the normbench that trained it (env.json names its version).",
        )
    content = _weights(path)
    _check(folder, config, read_result(folder), content)
    norm, warnings = _permitted_norm(folder, config, permission)
    network_code, more = _permitted_network(folder, config, permission)
    try:
        weights = load_tensors(content)
        facts = json.loads(_metadata(content)["images"])
        network = networks.build_for(config, len(facts["classes"]), norm, network_code)
        network.load_state_dict(weights)
        classes, mean, std = (tuple(facts[name]) for name in ("classes", "mean", "std"))
    except (SafetensorError, TypeError, KeyError, ValueError, RuntimeError, OSError) as error:
        raise RunFailedError(f"{path} cannot be used: {error}", REDO) from error
    return SavedModel(network.eval(), classes, mean, std, warnings + more)


def _weights(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise RunFailedError(f"{path} cannot be used: {error.strerror or error}", REDO) from error


def _metadata(content: bytes) -> dict[str, str]:
    """Read the metadata in front of tensors that could be loaded: a length of 8 bytes, then JSON."""
    length = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8 : 8 + length])["__metadata__"]
    return metadata


def _check(folder: Path, config: RunConfig, result: RunResult | None, weights: bytes) -> None:
    """Settings, weights and result must be of one run."""
    if result is None:
        return
    if result.fingerprint != config.fingerprint:
        raise RunFailedError(
            f"{folder}: its settings are not those that its result was reached with (fingerprints "
            f"{config.fingerprint[:8]} and {result.fingerprint[:8]})",
            "config.json or result.json was edited: undo the edit, or train the run again.",
        )
    if result.model_sha256 not in (None, hashlib.sha256(weights).hexdigest()):
        raise RunFailedError(
            f"{folder / MODEL} cannot be used: its checksum is not the one in result.json, so it is damaged or of "
            "another run",
            REDO,
        )


def _permitted_norm(folder: Path, config: RunConfig, permission: Permission) -> tuple[Norm, tuple[str, ...]]:
    """Load the norm of a run, and warnings: a built-in one, or custom code that the user lets run.

    Raises:
        UsageError: The norm is custom and the user did not let its code run, or named another norm.
    """
    typed = permission.norm
    if typed is not None and not _is_same_norm(typed, config.norm):
        raise UsageError(f"--norm {typed}: this run was trained with {config.norm}", "Name that norm.")
    if not is_custom(config.norm):
        return Norm.parse(config.norm, config.groups), ()

    def load(typed: str) -> Norm:
        spec = replace(NormName.parse(config.norm), base=NormName.parse(typed).base)
        return Norm.parse(str(spec), config.groups)

    def load_kept(code: Path, main: str) -> Norm:
        return norm_from_folder(code, main, config.norm, config.groups)

    return _permitted(folder, config, NORM, permission, load=load, load_kept=load_kept)


def _permitted_network(
    folder: Path, config: RunConfig, permission: Permission
) -> tuple[CustomNetwork | None, tuple[str, ...]]:
    """Load the custom network of a run, where the user lets its code run, and warnings; None for a built-in one.

    Raises:
        UsageError: The user did not let its code run, or named another network.
    """
    name, typed = config.network.name, permission.network
    if typed is not None and typed != name and not (is_custom_network(name) and _is_same_factory(typed, name)):
        raise UsageError(f"--network {typed}: this run is of the network {name}", "Name that network.")
    if not is_custom_network(name):
        return None, ()

    def load_kept(code: Path, main: str) -> CustomNetwork:
        return network_from_folder(code, main, name)

    return _permitted(folder, config, NETWORK, permission, load=custom_network, load_kept=load_kept)


class _Coded(Protocol):
    """Norm or network with the code it is made of."""

    @property
    def code(self) -> Code | None: ...


C = TypeVar("C", bound=_Coded)


def _permitted(
    folder: Path,
    config: RunConfig,
    store: Store,
    permission: Permission,
    *,
    load: Callable[[str], C],
    load_kept: Callable[[Path, str], C],
) -> tuple[C, tuple[str, ...]]:
    """Load the norm or network of a run from the code that the user lets run, and warnings.

    Args:
        folder: Of the run.
        config: Of the run.
        store: Place of its code in the folder: of a norm or of a network.
        permission: The code that may run.
        load: Imports the code of a name.
        load_kept: Imports the code in a folder, from the file of this name there.

    Raises:
        UsageError: None may run.
    """
    kind, spec, typed = store.kind, store.spec(config), permission.typed(store)
    digest = config.norm_source if store is NORM else config.network_source
    files = code_folder(folder)
    then = kept(files, store, spec)
    if then is not None and then.digest != digest:
        then = None  # edited since, or no longer whole
    if typed is not None:
        loaded = load(typed)
        same = loaded.code is not None and loaded.code.digest == digest
        return loaded, () if same else (f"--{kind} {typed}: {_difference(loaded.code, then)}",)
    today, problem = _today(spec, kind)
    unchanged = today is not None and today.digest == digest
    state = "its code is unchanged" if unchanged else problem or _difference(today, then)
    if permission.trust and then is not None and (main := kept_main(files, store)):
        return load_kept(store.path(files), main), () if unchanged else (
            f"{kind} '{spec}': {state}; the code kept in {store.path(folder)} is used",
        )
    if permission.trust:
        state += f"; the code kept in {store.path(folder)} is missing or was edited, so there is none to trust"
    raise UntrustedCodeError(
        f"{folder} was trained with a custom {kind}, '{spec}', and no run folder decides which code runs; {state}",
        f"Name the {kind} to run today's code: {_flags(config, permission)}"
        + (", or run the code in the folder: --trust" if then is not None else ""),
    )


def _flags(config: RunConfig, permission: Permission) -> str:
    """List the flags that let today's code of a run's norm and network run, without those that were typed."""
    custom = {NORM: is_custom(config.norm), NETWORK: is_custom_network(config.network.name)}
    missing = [store for store, is_needed in custom.items() if is_needed and permission.typed(store) is None]
    return " ".join(f"--{store.kind} {shlex.quote(store.spec(config))}" for store in missing)


def _is_same_norm(typed: str, norm: str) -> bool:
    """Test whether the user means a run's norm: the same one, or one of its name in a file that has moved.

    Arguments, and `+ws`, are the run's where the user leaves them out.
    """
    if not (is_custom(typed) and is_custom(norm)):
        return canonical_name(typed) == canonical_name(norm)
    arguments = NormName.parse(typed).arguments
    return _is_same_factory(NormName.parse(typed).base, NormName.parse(norm).base) and (
        not arguments or arguments == NormName.parse(norm).arguments
    )


def _is_same_factory(typed: str, spec: str) -> bool:
    """Test whether two names are of one factory, in a file of one name."""
    (file, _, factory), (other_file, _, other_factory) = typed.rpartition(":"), spec.rpartition(":")
    return factory == other_factory and Path(file).name == Path(other_file).name


def _today(spec: str, kind: str) -> tuple[Code | None, str]:
    """Read the present code of a norm or network without importing it, or say why there is none."""
    try:
        return read_code(spec, kind), ""
    except NormbenchError as error:
        return None, error.message


def _difference(today: Code | None, then: Code | None) -> str:
    """List the files of a norm or network that are not what they were when its run was trained."""
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
