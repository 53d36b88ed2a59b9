"""Import a custom norm, so that exactly the code that its digest covers is run, and nothing of it stays behind.

While a norm is imported or built, the modules beside it can be imported. Afterwards `sys.modules` and `sys.meta_path`
are as they were, so that two norms may each have a `helper.py` of their own.
"""

import builtins
import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from normbench.norms.code import Code, Location, Module, code_of, holds_packages

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
    """Finds the modules beside one norm, and remembers which it was asked for."""

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
    """A custom norm's module, and those beside it, kept out of `sys.modules` while they are not in use."""

    location: Location
    code: Code
    module: ModuleType | None = None
    beside: dict[str, ModuleType] = field(default_factory=dict)
    uncovered: set[str] = field(default_factory=set)
    """Files that it has imported in a way that cannot be read off its code, so that the digest lacks them."""
    active: bool = False

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Let the modules beside the norm be imported, by one thread at a time."""
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
        """Modules of other files by the names of those beside the norm."""
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
    """Import the module of a custom norm, unless this very code is imported already.

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
    own = Path(__file__).parents[1]
    return {
        file for file in files if file and own not in Path(file).parents and not holds_packages(Path(file).resolve())
    }


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
