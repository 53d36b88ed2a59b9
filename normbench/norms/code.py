"""The code that a custom norm is made of: found by reading import statements, without importing anything.

`file.py:factory` and `package.module:factory` name a module. Its code is the module's file and every file that it
imports, directly or not, from its folder, from the current folder or from a folder of `PYTHONPATH`. Installed packages
are left out, except for the one that the norm itself lives in.
"""

import ast
import hashlib
import importlib.metadata
import itertools
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path, PurePosixPath

from normbench.config.settings import WEIGHT_STANDARDIZATION
from normbench.errors import UsageError

NEVER_OWN = frozenset({"normbench", "numpy", "torch"})
"""Shared by a custom norm and normbench, as the standard library is: files of the same names do not replace them."""
LARGEST_PACKAGE = 300
"""Files. An installed package with more, such as torch, is known by its version instead of by its code."""


@dataclass(frozen=True)
class Module:
    """A module that was located and not imported."""

    name: str
    path: Path | None
    """Its file; None for a folder without `__init__.py`."""
    folder: Path | None = None
    """Of its submodules, if it is a package."""

    @property
    def is_source(self) -> bool:
        """Whether it has statements to read."""
        return self.path is not None and self.path.suffix == ".py"

    @property
    def package(self) -> str:
        """The package that its relative imports start from."""
        return self.name if self.folder else self.name.rpartition(".")[0]

    @property
    def file_name(self) -> str:
        """Where it lies in a folder that holds it alone with its packages."""
        assert self.path is not None, "a folder has no file"
        inside = f"{self.name.replace('.', '/')}/{self.path.name}" if self.folder else ""
        return inside or "/".join([*self.name.split(".")[:-1], self.path.name])


@dataclass(frozen=True)
class Location:
    """Where a custom norm's module is, and where the modules beside it are looked for."""

    main: Module
    attribute: str
    roots: tuple[Path, ...]
    installed: bool = False
    """Whether it belongs to an installed package: then only modules of that package are part of it."""

    def find(self, name: str) -> Module | None:
        """The module of a dotted name, if it lies under one of the roots."""
        top, *rest = name.split(".")
        if not all(part and not {"/", "\\"} & set(part) for part in (top, *rest)):
            return None
        own = top == self.main.name.partition(".")[0]
        if not own if self.installed else top in NEVER_OWN or (top in sys.stdlib_module_names and not own):
            return None
        module = find_in(self.roots, top)
        for part in rest:
            module = find_in([module.folder], part, module.name) if module and module.folder else None
        return module


@dataclass(frozen=True)
class Code:
    """All the code of a custom norm."""

    main: str
    """The file with the factory, among `files`."""
    files: dict[str, bytes]
    """Contents by path relative to a common folder, which need not exist."""
    releases: tuple[str, ...] = ()
    """Name and version of a package that is too large to be read."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of names and contents."""
        lines = [f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in sorted(self.files.items())]
        return hashlib.sha256("\n".join([self.main, *lines, *self.releases]).encode()).hexdigest()


def module_part(spec: str, kind: str = "norm") -> tuple[str, str]:
    """Split `file.py:factory` or `package.module:factory` in two; `+ws` is dropped.

    Raises:
        UsageError: It has another form.
    """
    source, _, attribute = spec.removesuffix(WEIGHT_STANDARDIZATION).rpartition(":")
    if not source or not attribute.isidentifier():
        what = "factory" if kind == "norm" else "function"
        raise UsageError(f"{kind} '{spec}' is not of the form file.py:{what} or package.module:{what}")
    return source, attribute


def locate(spec: str, kind: str = "norm") -> Location | None:
    """Find the module of a custom norm without importing it; None if Python itself knows more than a path, as of a zip.

    Raises:
        UsageError: The name has another form, or the file does not exist.
    """
    source, attribute = module_part(spec, kind)
    if source.endswith(".py"):
        return locate_file(Path(source), attribute, kind)
    roots = _unique([*_current(), *_own_paths()])
    for installed, folders in ((False, roots), (True, _installed_paths())):
        top = source.partition(".")[0]
        found = Location(Module(top, None), attribute, tuple(folders), installed)
        if (main := found.find(source)) and main.path:
            return Location(main, attribute, tuple(folders), installed)
    return None


def locate_kept(folder: Path, main: str, attribute: str) -> Location:
    """The location of a norm in a folder with all its code: `main` is the path of its file there."""
    path = PurePosixPath(main)
    names = path.parts[:-1] if path.name == "__init__.py" else (*path.parts[:-1], path.stem)
    alone = Module(path.stem.replace(".", "_"), (folder / main).resolve())
    location = Location(alone, attribute, (folder.resolve(),))
    return location if len(path.parts) == 1 else replace(location, main=location.find(".".join(names)) or alone)


def locate_file(path: Path, attribute: str, kind: str = "norm") -> Location:
    """The location of `file.py:attribute`.

    A file with relative imports is a module of the package that its folder is.

    Raises:
        UsageError: The file does not exist.
    """
    try:
        path = path.expanduser().resolve()
        if not path.is_file():
            raise UsageError(
                f"{kind} file {path} does not exist", "Give the path to a .py file, as in norms/my.py:MyNorm."
            )
        levels = max((level for level, _ in _imports(path.read_bytes())), default=0)
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{kind} file {path} cannot be read: {error}") from error
    names, root = [path.stem], path.parent
    while levels and (len(names) <= levels or (root / "__init__.py").is_file()):
        names.insert(0, root.name)
        root = root.parent
    return Location(
        Module(".".join(names) if levels else path.stem.replace(".", "_"), path),
        attribute,
        tuple(_unique([path.parent, root, _above_package(path.parent), *_current(), *_own_paths()])),
    )


def code_of(location: Location) -> Code:
    """Read a custom norm's code.

    Raises:
        UsageError: A file of it cannot be read.
    """
    main = location.main
    if location.installed and _is_large(location):
        return Code(main.file_name, {}, (release(main.name),))
    found: dict[Path, Module] = {}
    files: dict[str, bytes] = {}
    waiting = [main, *_parents(location, main.name)]
    while waiting:
        module = waiting.pop()
        if module.path is None or module.path in found:
            continue
        found[module.path] = module
        try:
            files[module.file_name] = module.path.read_bytes()
        except OSError as error:
            raise UsageError(f"{module.path} cannot be read: {error.strerror or error}") from error
        if module.is_source:
            waiting += _imported_by(module, files[module.file_name], location)
    return Code(main.file_name, files)


def find_in(folders: Sequence[Path], name: str, package: str = "") -> Module | None:
    """The module of one name in the first folder that has it, in Python's order; a bare folder comes last."""
    full = f"{package}.{name}" if package else name
    for folder in folders:
        if (init := folder / name / "__init__.py").is_file():
            return Module(full, init, folder / name)
        for suffix in (*EXTENSION_SUFFIXES, ".py"):
            if (file := folder / f"{name}{suffix}").is_file():
                return Module(full, file)
    bare = next((folder / name for folder in folders if name and (folder / name).is_dir()), None)
    if bare and (package or not _is_installed(name)):
        return Module(full, None, bare)
    return None


def _imported_by(module: Module, content: bytes, location: Location) -> Iterator[Module]:
    for level, name in _imports(content):
        base = module.package.split(".")
        parents = base[: len(base) - level + 1] if level else []
        full = ".".join(filter(None, [*parents, name]))
        if full and (found := location.find(full)):
            yield found
        yield from _parents(location, full)


def _parents(location: Location, name: str) -> Iterator[Module]:
    """The packages that importing a module imports first."""
    parts = name.split(".")
    for end in range(1, len(parts)):
        if found := location.find(".".join(parts[:end])):
            yield found


def _imports(content: bytes) -> Iterator[tuple[int, str]]:
    """Every name that a source imports, and how many dots it begins with; of `from a import b` both `a` and `a.b`."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # importing it says what is wrong
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((0, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                yield level, module or ""
                yield from ((level, f"{module}.{alias.name}" if module else alias.name) for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                dots = len(name) - len(name.lstrip("."))
                yield dots, name[dots:]


def _above_package(folder: Path) -> Path:
    """The folder that a package lies in; of any other folder itself."""
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _current() -> list[Path]:
    """The current folder, if there still is one."""
    try:
        return [Path.cwd()]
    except OSError:
        return []


def _own_paths() -> list[Path]:
    """Folders that Python searches, without those of installed packages and the standard library."""
    return [path for path in _searched() if not holds_packages(path)]


def _installed_paths() -> list[Path]:
    return [path for path in _searched() if holds_packages(path)]


def _searched() -> list[Path]:
    return [path for entry in sys.path if entry and (path := Path(entry)).is_dir()]


def holds_packages(path: Path) -> bool:
    """Whether a folder, or one that it lies in, holds installed packages or the standard library."""
    standard = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    folders = {path, *path.parents}
    return any(folder.name in {"site-packages", "dist-packages"} for folder in folders) or bool(folders & standard)


def _is_installed(name: str) -> bool:
    """Whether a regular package or module of that name comes before a bare folder."""
    folders = _searched()
    return any((f / name / "__init__.py").is_file() or (f / f"{name}.py").is_file() for f in folders)


def _is_large(location: Location) -> bool:
    top = location.find(location.main.name.partition(".")[0])
    files = top.folder.rglob("*.py") if top and top.folder else iter(())
    return next(itertools.islice(files, LARGEST_PACKAGE, None), None) is not None


def release(name: str) -> str:
    """Name and version of the installed package that a module belongs to."""
    top = name.partition(".")[0]
    try:
        return f"{top} {importlib.metadata.version(top)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{top} of unknown version"


def _unique(paths: Sequence[Path]) -> list[Path]:
    return list(dict.fromkeys(path.resolve() for path in paths))
