"""Custom code, kept in the run folder. It lies as source beside the weights that it trained."""

import contextlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict

from normbench.config import RunConfig
from normbench.custom_code import Code, read_folder
from normbench.errors import NormbenchError, RunFailedError
from normbench.files import in_words, json_text, replace_bytes, replace_text
from normbench.runs.schema import read_model, versioned


@dataclass(frozen=True)
class RunCode:
    """Custom code of a run: that of its norm and of its network, None where these are built-in."""

    norm: Code | None = None
    network: Code | None = None


@dataclass(frozen=True)
class Store:
    """Place of one of them in a run's folder."""

    kind: str
    folder: str
    """Name of the folder that holds the code; its index is beside it."""

    def path(self, run: Path) -> Path:
        """Folder of the code."""
        return run / self.folder

    def index(self, run: Path) -> Path:
        """File that says what the code is of."""
        return run / f"{self.folder}.json"

    def spec(self, config: RunConfig) -> str:
        """Name of the norm or network, as in the settings of its run."""
        return config.norm if self.kind == "norm" else config.network.name


NORM, NETWORK = Store("norm", "code"), Store("network", "network-code")


class Index(BaseModel):
    """Index of the kept code: the file with the factory, and packages that are not kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    main: str
    releases: tuple[str, ...] = ()
    """Name and version of an installed package that is too large to be kept."""


def keep_code(run: Path, code: RunCode) -> None:
    """Write the code into a run's folder.

    Raises:
        RunFailedError: It cannot be written.
    """
    for store, part in ((NORM, code.norm), (NETWORK, code.network)):
        if part is not None:
            _keep(run, store, part)


def _keep(run: Path, store: Store, code: Code) -> None:
    for name, content in code.files.items():
        path = store.path(run) / name
        with in_words(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(path, content)
    index = Index(main=code.main, releases=code.releases)
    replace_text(store.index(run), json_text(versioned(index.model_dump(mode="json"))) + "\n")


def kept_main(run: Path, store: Store) -> str | None:
    """Read which file below the folder of the code has the factory; None if no usable code is kept there."""
    try:
        index = read_model(Index, store.index(run))
    except RunFailedError:
        return None
    path = PurePosixPath(index.main)
    inside = not path.is_absolute() and ".." not in path.parts
    return index.main if inside and path.suffix == ".py" and (store.path(run) / path).is_file() else None


def kept(run: Path, store: Store, spec: str) -> Code | None:
    """Read all the code that is kept in a run's folder, without importing it; None if none can be read."""
    main = kept_main(run, store)
    try:
        return read_folder(store.path(run), main, spec, store.kind) if main else None
    except NormbenchError:
        return None


def remove_code(run: Path, config: RunConfig) -> None:
    """Remove the code that is kept in a run's folder; what else lies beside it stays.

    Raises:
        OSError: It cannot be removed.
    """
    for store in (NORM, NETWORK):
        code = kept(run, store, store.spec(config))
        if code is None:
            continue
        paths = [store.path(run) / name for name in code.files]
        for path in paths:
            path.unlink(missing_ok=True)
        parents = {parent for path in paths for parent in path.parents if run in parent.parents}
        for parent in sorted(parents, key=lambda parent: -len(parent.parts)):
            with contextlib.suppress(OSError):  # something else is in it
                parent.rmdir()
        store.index(run).unlink(missing_ok=True)
