"""Code of custom norms and networks. It is found by reading import statements, hashed, and imported only when asked to.

`file.py:factory` and `package.module:factory` name a module. Its code is the module's file and every file that it
imports, directly or not, from its folder, from the current folder or from a folder of `PYTHONPATH`. Installed packages
are left out, except for the one that the factory itself lives in.
"""

import ast
import builtins
import hashlib
import importlib
import importlib.metadata
import importlib.util
import itertools
import re
import shlex
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, SourceFileLoader
from pathlib import Path, PurePosixPath
from types import CodeType, ModuleType
from typing import Any

from normbench.config.norm_names import NormName
from normbench.errors import UsageError, guess, nearest, shortened

NEVER_OWN = frozenset({"normbench", "numpy", "torch"})
"""Shared by custom code and normbench, as the standard library is: files of the same names do not replace them."""
ARGUMENTS_OF_NETWORK = "A network takes no arguments: write a factory (norm, classes) that sets them."
EXAMPLES = {"norm": "norms/my.py:MyNorm", "network": "networks/my.py:MyNetwork"}
MOST_SUGGESTED = 8
"""Factories of a file that a hint names."""
PACKAGE = Path(__file__).parent
LARGEST_PACKAGE = 300
"""Files. An installed package with more, such as torch, is known by its version instead of by its code."""


@dataclass(frozen=True)
class Module:
    """A module that was located and not imported."""

    name: str
    path: Path | None
    """Its file; None for a folder without `__init__.py`."""
    folder: Path | None = None
    """Folder of its submodules, if it is a package."""

    @property
    def is_source(self) -> bool:
        """True if it has statements to read."""
        return self.path is not None and self.path.suffix == ".py"

    @property
    def package(self) -> str:
        """The package that its relative imports start from."""
        return self.name if self.folder else self.name.rpartition(".")[0]

    @property
    def file_name(self) -> str:
        """Path in a folder that holds it alone with its packages."""
        assert self.path is not None, "a folder has no file"
        inside = f"{self.name.replace('.', '/')}/{self.path.name}" if self.folder else ""
        return inside or "/".join([*self.name.split(".")[:-1], self.path.name])


@dataclass(frozen=True)
class Location:
    """Location of a factory's module, and the folders in which the modules beside it are looked for."""

    main: Module
    attribute: str
    roots: tuple[Path, ...]
    installed: bool = False
    """True in an installed package: then only modules of that package are part of it."""

    def find(self, name: str) -> Module | None:
        """The module of a dotted name, if it lies under one of the roots."""
        top, *rest = name.split(".")
        if not all(part and not {"/", "\\"} & set(part) for part in (top, *rest)):
            return None
        is_own = top == self.main.name.partition(".")[0]
        if not is_own if self.installed else top in NEVER_OWN or (top in sys.stdlib_module_names and not is_own):
            return None
        module = find_in(self.roots, top)
        for part in rest:
            module = find_in([module.folder], part, module.name) if module and module.folder else None
        return module


@dataclass(frozen=True)
class Code:
    """All the code of a custom norm or network."""

    main: str
    """The file with the factory, among `files`."""
    files: dict[str, bytes] = field(hash=False)
    """Contents by path relative to a common folder, which need not exist."""
    releases: tuple[str, ...] = ()
    """Name and version of a package that is too large to be read."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of names and contents."""
        lines = [f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in sorted(self.files.items())]
        return hashlib.sha256("\n".join([self.main, *lines, *self.releases]).encode()).hexdigest()


def split_spec(spec: str, kind: str = "norm") -> tuple[str, str]:
    """Split `file.py:factory` or `package.module:factory` in two; arguments of a norm and `+ws` are dropped.

    Raises:
        UsageError: It has another form.
    """
    base = NormName.parse(spec).base if kind == "norm" else spec
    source, _, attribute = base.rpartition(":")
    if not source or not attribute.isidentifier():
        name = "function" if kind == "reference" else "factory"
        raise UsageError(
            f"{kind} '{shortened(spec)}' is not of the form file.py:{name} or package.module:{name}",
            ARGUMENTS_OF_NETWORK if kind == "network" and re.match(r"[^\W\d]\w*\(", attribute) else "",
        )
    return source, attribute


def locate(spec: str, kind: str = "norm") -> Location | None:
    """Find the module of a factory without importing it; None if Python itself knows more than a path, as of a zip.

    Raises:
        UsageError: The name has another form, or the file does not exist.
    """
    source, attribute = split_spec(spec, kind)
    if stored := STORED.get((source, kind)):
        return locate_in_folder(*stored, attribute)
    if source.endswith(".py"):
        return locate_file(Path(source), attribute, kind)
    roots = _unique([*_current(), *_own_paths()])
    for installed, folders in ((False, roots), (True, [path for path in _searched() if holds_packages(path)])):
        top = source.partition(".")[0]
        candidate = Location(Module(top, None), attribute, tuple(folders), installed)
        if (main := candidate.find(source)) and main.path:
            return Location(main, attribute, tuple(folders), installed)
    return None


STORED: dict[tuple[str, str], tuple[Path, str]] = {}
"""Folder and file of code from another machine, by the file or module that it has there, and its kind; see `store`."""


def store(spec: str, kind: str, code: Code, folder: Path) -> None:
    """Write code from another machine into a folder, where its factory is found from now on.

    Code of a large installed package, which is known by its version alone, is looked for in this environment.

    Args:
        spec: Name of the factory on the other machine.
        kind: `norm` or `network`.
        code: All of its code; the files are written below the folder.
        folder: New for this code, and left alone as long as the process lives.

    Raises:
        UsageError: A file of it would lie outside the folder.
        OSError: It cannot be written.
    """
    for name, content in code.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{kind} '{shortened(spec)}': its file {shortened(name)} lies outside of its folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if code.files:
        STORED[split_spec(spec, kind)[0], kind] = folder, code.main


def locate_in_folder(folder: Path, main: str, attribute: str) -> Location:
    """Location of a factory in a folder with all its code: `main` is the path of its file there."""
    path = PurePosixPath(main)
    names = path.parts[:-1] if path.name == "__init__.py" else (*path.parts[:-1], path.stem)
    alone = Module(path.stem.replace(".", "_"), (folder / main).resolve())
    location = Location(alone, attribute, (folder.resolve(),))
    return location if len(path.parts) == 1 else replace(location, main=location.find(".".join(names)) or alone)


def _without_path(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def locate_file(path: Path, attribute: str, kind: str = "norm") -> Location:
    """Location of `file.py:attribute`.

    A file with relative imports is a module of the package that its folder is.

    Raises:
        UsageError: The file does not exist.
    """
    try:
        path = path.expanduser().resolve()
        if not path.is_file():
            beside = guess(path.name, sorted(file.name for file in path.parent.glob("*.py")))
            raise UsageError(
                f"{kind} file {shortened(str(path))} does not exist",
                (f"Did you mean {beside}? " if beside else "")
                + f"Give the path to a .py file, as in {EXAMPLES.get(kind, 'norms/my.py:function')}.",
            )
        levels = max((level for level, _ in _imports(path.read_bytes())), default=0)
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{kind} file {shortened(str(path))} cannot be read: {_without_path(error)}") from error
    names, root = [path.stem], path.parent
    while levels and (len(names) <= levels or (root / "__init__.py").is_file()):
        names.insert(0, root.name)
        root = root.parent
    return Location(
        Module(".".join(names) if levels else path.stem.replace(".", "_"), path),
        attribute,
        tuple(_unique([path.parent, root, _above_package(path.parent), *_current(), *_own_paths()])),
    )


def no_factory(file: str, kind: str) -> UsageError:
    """Make the error for a file without a factory; the classes and functions in it are read, not imported.

    Raises:
        UsageError: There is no such file.
    """
    location = locate_file(Path(file), "", kind)
    names = [name for name in _factories(location.main) if not name.startswith("_")][:MOST_SUGGESTED]
    example = EXAMPLES[kind].rpartition(":")[2]
    specs = (
        ", ".join(f"{file}:{name}" for name in names) or f"{file}:{example}, if it had a class or function {example}"
    )
    return UsageError(f"{kind} '{shortened(file)}' names no factory in the file", f"Write file.py:factory: {specs}.")


def check_defined(spec: str, kind: str = "norm") -> None:
    """Check that a factory is where its name says, as far as its code tells without being imported.

    Raises:
        UsageError: There is no such file or module, or nothing of that name at its top level.
    """
    if spec in PROVIDED:
        return
    location, (source, attribute) = locate(spec, kind), split_spec(spec, kind)
    if location is None:
        _check_package(spec, source, kind)
        return
    names = _defined_names(location.main)
    if names is not None and attribute not in names:
        raise UsageError(
            f"{kind} '{shortened(spec)}': nothing called '{attribute}' in {location.main.path}",
            nearest(attribute, {name for name in names if not name.startswith("_")}),
        )


def _check_package(spec: str, source: str, kind: str) -> None:
    """Check that there is a package of a dotted name that is not among the files; Python may know more than these."""
    top = source.partition(".")[0]
    own = find_in(_unique([*_current(), *_own_paths()]), top)
    try:
        exists = own is None and importlib.util.find_spec(top) is not None
    except (ImportError, ValueError, AttributeError):
        exists = False
    if not exists:
        raise UsageError(
            f"{kind} '{shortened(spec)}': there is no module {shortened(source)}",
            "Is the package in the current folder, or installed in this environment?",
        )


def _factories(module: Module) -> list[str]:
    """Classes and functions at the top level of a file, in the order of the code; none where it cannot be parsed."""
    try:
        tree = ast.parse(module.path.read_bytes()) if module.path else ast.Module([], [])
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]


def _defined_names(module: Module) -> set[str] | None:
    """Names at the top level of a module; None if only importing it tells."""
    if not module.is_source or module.path is None:
        return None
    try:
        tree = ast.parse(module.path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # importing it says what is wrong
    names: set[str] = set()
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
                continue  # what is in it is not at the top level
            case ast.alias(name=name, asname=other):
                names.add(other or name.partition(".")[0])
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Name(id="globals" | "vars" | "exec" | "setattr"):
                return None
        waiting += ast.iter_child_nodes(node)
    return None if names & {"*", "__getattr__"} else names


def code_of(location: Location) -> Code:
    """Read all the code of a factory.

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
    """Find the module of one name in the first folder that has it, in Python's order; a bare folder comes last."""
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


def _searched() -> list[Path]:
    return [path for entry in sys.path if entry and (path := Path(entry)).is_dir()]


def holds_packages(path: Path) -> bool:
    """Test if a folder, or one that it lies in, holds installed packages or the standard library."""
    standard = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    folders = {path, *path.parents}
    return any(folder.name in {"site-packages", "dist-packages"} for folder in folders) or bool(folders & standard)


def failing_line(error: BaseException) -> str | None:
    """The innermost line of custom code that raised or passed on an exception, as file:line; None if there is none."""
    loaded = {str(loaded.location.main.path) for loaded in _LOADED.values()}  # of an installed package, too
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if frame.filename in loaded or (path.is_file() and _is_custom(path)):
            return f"{frame.filename}:{frame.lineno}"
    return None


def _is_installed(name: str) -> bool:
    """Test if a regular package or module of that name comes before a bare folder."""
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


_LOCK = threading.RLock()
_LOADED: dict[tuple[Location, str], "Loaded"] = {}


class _Loader(SourceFileLoader):
    """Runs the source that the digest covers, not a cached file that may be of an edit within the same second.

    Import statements in it find the modules beside it at any time, also inside a function that is called later.
    """

    def __init__(self, module: Module, loaded: "Loaded") -> None:
        super().__init__(module.name, str(module.path))
        self.content = loaded.code.files.get(module.file_name)
        self.loaded = loaded

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path) if self.content is None else self.content, path)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": self._import}
        super().exec_module(module)

    def _import(self, *arguments: Any, **more: Any) -> Any:
        with self.loaded.importable():
            return builtins.__import__(*arguments, **more)


class _Finder(MetaPathFinder):
    """Finds the modules beside one factory, and remembers which it was asked for."""

    def __init__(self, loaded: "Loaded") -> None:
        self.loaded = loaded
        self.found: set[str] = set()

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Locate a module as `code_of` does; None leaves it to Python."""
        module = self.loaded.location.find(fullname)
        if module is None:
            return None
        self.found.add(fullname)
        if module.path and module.file_name not in self.loaded.code.files:
            self.loaded.uncovered.add(str(module.path))
        return _spec(module, self.loaded)


@dataclass
class Loaded:
    """A factory's module, and those beside it, kept out of `sys.modules` while they are not in use."""

    location: Location
    code: Code
    module: ModuleType | None = None
    beside: dict[str, ModuleType] = field(default_factory=dict)
    uncovered: set[str] = field(default_factory=set)
    """Files that it has imported in a way that cannot be read off its code, so that the digest lacks them."""
    active: bool = False

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Let the modules beside the factory be imported, by one thread at a time."""
        with _LOCK:
            if self.active or self.location.installed:
                yield
                return
            finder = _Finder(self)
            hidden = {name: sys.modules.pop(name) for name in self._foreign()}
            sys.modules.update(self.beside)
            sys.meta_path.insert(0, finder)
            self.active = True
            try:
                yield
            finally:
                self.active = False
                sys.meta_path.remove(finder)
                for name in finder.found | self.beside.keys():
                    if name in sys.modules:
                        self.beside[name] = sys.modules.pop(name)
                sys.modules.update(hidden)

    def _foreign(self) -> list[str]:
        """Modules of other files by the names of those beside the factory."""
        tops = {Path(name).parts[0].partition(".")[0] for name in self.code.files}
        foreign = {name for name in tops if name in sys.modules and self._is_foreign(name)}
        return [name for name in sys.modules if name.partition(".")[0] in foreign]

    def _is_foreign(self, name: str) -> bool:
        module = self.location.find(name)
        if module is None:
            return False
        path = getattr(sys.modules[name], "__file__", None)
        return module.path is None or path is None or Path(path).resolve() != module.path


def load(location: Location) -> Loaded:
    """Import the module of a factory, unless this very code is imported already.

    Raises:
        UsageError: A file of it cannot be read.
        Exception: Whatever the module raises.
    """
    code = code_of(location)
    with _LOCK:
        loaded = _LOADED.get((location, code.digest))
        if loaded is None:
            loaded, before = Loaded(location, code), set(sys.modules)
            with loaded.importable():
                loaded.module = _imported(loaded)
            loaded.uncovered |= _strangers(set(sys.modules) - before - {loaded.module.__name__})
            _LOADED[location, code.digest] = loaded
    return loaded


def _imported(loaded: Loaded) -> ModuleType:
    main = loaded.location.main
    if "." in main.name or loaded.location.installed or main.folder:
        return importlib.import_module(main.name)
    # The name of a file need not be that of a module, and may be that of another one.
    spec = _spec(replace(main, name=f"normbench_norm_{loaded.code.digest[:16]}"), loaded)
    assert spec.loader is not None, "a file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _strangers(names: set[str]) -> set[str]:
    """Files of one's own that an import has brought in from elsewhere, as by a changed `sys.path`."""
    files = {getattr(sys.modules[name], "__file__", None) for name in names}
    return {file for file in files if file and _is_custom(Path(file))}


def _is_custom(path: Path) -> bool:
    """True for code of neither normbench, the standard library nor an installed package."""
    return PACKAGE not in path.parents and not holds_packages(path.resolve())


def _spec(module: Module, loaded: Loaded) -> ModuleSpec:
    folders = [str(module.folder)] if module.folder else None
    if module.path is None:
        spec = ModuleSpec(module.name, None, is_package=True)
        spec.submodule_search_locations = folders
        return spec
    found = importlib.util.spec_from_file_location(
        module.name,
        module.path,
        loader=_Loader(module, loaded) if module.is_source else None,
        submodule_search_locations=folders,
    )
    assert found is not None, "every kind of file that is found has a loader"
    return found


def import_attribute(spec: str, kind: str = "norm") -> Any:
    """Import the object that `file.py:attribute` or `package.module:attribute` names.

    Args:
        spec: Its name.
        kind: The word that errors use for it, such as "reference".

    Raises:
        UsageError: It cannot be imported, or there is nothing of that name.
    """
    return import_from(locate(spec, kind), spec, kind)[0]


def import_from(location: Location | None, spec: str, kind: str = "norm") -> tuple[Any, Loaded | None]:
    """Import an object from its location; Python finds the module by itself where there is none.

    Raises:
        UsageError: It cannot be imported, or there is nothing of that name.
    """
    source, attribute = split_spec(spec, kind)
    loaded = imported_from(location, spec, kind) if location else None
    if loaded:
        module = loaded.module
    else:
        with _import_errors(spec, kind):
            module = importlib.import_module(source)
    assert module is not None, "it was imported"
    value = getattr(module, attribute, None)
    if value is None:
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        alike = guess(attribute, sorted(public))
        raise UsageError(
            f"{kind} '{spec}': nothing called '{attribute}' in {getattr(module, '__file__', None) or module.__name__}",
            (f"Did you mean '{alike}'? " if alike else "") + f"Callables there: {', '.join(sorted(public)) or 'none'}.",
        )
    return value, loaded


def imported_from(location: Location, spec: str, kind: str = "norm") -> Loaded:
    """Import the module at a location.

    Raises:
        UsageError: It cannot be imported.
    """
    with _import_errors(spec, kind):
        return load(location)


@contextmanager
def _import_errors(spec: str, kind: str) -> Iterator[None]:
    """Turn any exception of an import into a `UsageError`."""
    try:
        yield
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        source = split_spec(spec, kind)[0]
        raise UsageError(
            f"{kind} '{spec}': cannot import {source}: {type(error).__name__}: {error}",
            f"Run `{shlex.join(['python', source])}` to see the failure on its own."
            if source.endswith(".py")
            else "Is the package in the current folder, or installed in this environment?",
        ) from error


PROVIDED: dict[str, Callable[..., Any]] = {}
"""Factories that Python has already imported, by `file.py:name`; see `provide`."""


def provide(spec: str, factory: Callable[..., Any]) -> None:
    """Build with a class or function that is there, instead of importing its file again.

    Args:
        spec: `file.py:name` of the file in which it stands: its code is hashed and kept as that of any factory.
        factory: Makes a norm layer or a network.
    """
    PROVIDED[spec] = factory


@dataclass(frozen=True)
class Factory:
    """An imported factory with the code it is made of."""

    call: Callable[..., Any]
    code: Code
    importable: Callable[[], AbstractContextManager[None]] = nullcontext
    """Context of a call: what the factory imports while it runs is found beside it."""


def import_factory(spec: str, kind: str, location: Location | None = None) -> Factory:
    """Import a factory from a location, or from the one that its name states.

    Raises:
        UsageError: It cannot be imported, or there is nothing of that name.
    """
    if location is None and spec in PROVIDED:
        return Factory(PROVIDED[spec], read_code(spec, kind))
    call, loaded = import_from(location or locate(spec, kind), spec, kind)
    return Factory(call, loaded.code, loaded.importable) if loaded else Factory(call, read_code(spec, kind))


def read_code(spec: str, kind: str = "norm") -> Code:
    """Read all the code of a factory without importing it.

    Raises:
        UsageError: It cannot be found or read.
    """
    location = locate(spec, kind)
    if location is None:
        source = split_spec(spec, kind)[0]
        return Code(source, {}, (release(source),))
    return code_of(location)


def read_folder(folder: Path, main: str, spec: str, kind: str = "norm") -> Code:
    """Read all the code of a factory in the folder where it was saved, without importing it.

    Raises:
        UsageError: It cannot be read.
    """
    return code_of(locate_in_folder(folder, main, split_spec(spec, kind)[1]))


def uncovered_files(spec: str, kind: str = "norm") -> tuple[str, ...]:
    """List files that a factory imports and its digest does not cover, since only running it tells which they are.

    Raises:
        UsageError: It cannot be imported.
    """
    location = None if spec in PROVIDED else locate(spec, kind)
    return tuple(sorted(imported_from(location, spec, kind).uncovered)) if location else ()
