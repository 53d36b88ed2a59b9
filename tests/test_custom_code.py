"""The code of a custom norm: found without importing it, covered by its digest, and nothing else is run."""

import sys
from pathlib import Path

import pytest

from normbench.custom_code import uncovered_files
from normbench.errors import UsageError
from normbench.norms import Norm, norm_code, source_digest

MAIN = """
from torch import nn
import helper

def make(channels):
    return nn.GroupNorm(helper.GROUPS, channels)
"""


def write(folder: Path, **files: str) -> None:
    """Write modules: `parts_deep` is the file parts/deep.py."""
    for name, content in files.items():
        path = folder / f"{name.replace('_', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a norm that imports its neighbour; the current folder is another one."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    write(tmp_path / "mine", norm=MAIN, helper="GROUPS = 2\n")
    return tmp_path / "mine"


def groups(spec: str) -> int:
    return Norm.parse(spec).make(8).num_groups


def test_a_neighbour_can_be_imported_and_is_covered_by_the_digest(folder: Path) -> None:
    spec = f"{folder}/norm.py:make"
    before = source_digest(spec)
    assert groups(spec) == 2
    write(folder, helper="GROUPS = 4\n")  # as long as before, and within the same second
    assert source_digest(spec) != before
    assert groups(spec) == 4


STATEMENTS = {
    "import": "import parts.deep\nGROUPS = parts.deep.GROUPS",
    "from": "from parts.deep import GROUPS",
    "from package": "from parts import deep\nGROUPS = deep.GROUPS",
    "star": "from parts.deep import *",
    "call": "from importlib import import_module\nGROUPS = import_module('parts.deep').GROUPS",
    "in a function": "def groups():\n    from parts.deep import GROUPS\n    return GROUPS\nGROUPS = groups()",
}


@pytest.mark.parametrize("package", [False, True], ids=["folder", "package"])
@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_every_way_of_importing_is_covered_through_another_module(folder: Path, statement: str, package: bool) -> None:
    write(folder, helper=statement + "\n", parts_deep="GROUPS = 8\n")
    if package:
        (folder / "parts" / "__init__.py").write_text("")
    spec = f"{folder}/norm.py:make"
    before = source_digest(spec)
    assert groups(spec) == 8
    write(folder, parts_deep="GROUPS = 1\n")
    assert source_digest(spec) != before
    assert groups(spec) == 1


def test_relative_imports_are_of_the_folder(folder: Path) -> None:
    write(folder, norm=MAIN.replace("import helper", "from . import helper"))
    spec = f"{folder}/norm.py:make"
    assert groups(spec) == 2
    assert set(norm_code(spec).files) == {"mine/norm.py", "mine/helper.py"}


def test_a_package_of_the_current_folder_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    write(folder, pkg_norms=MAIN.replace("import helper", "from pkg import helper"), pkg_helper="GROUPS = 4\n")
    (folder / "pkg" / "__init__.py").write_text("")
    spec = "pkg.norms:make"
    before = source_digest(spec)
    assert groups(spec) == 4
    assert set(norm_code(spec).files) == {"pkg/__init__.py", "pkg/norms.py", "pkg/helper.py"}
    (folder / "pkg" / "__init__.py").write_text("X = 1\n")
    assert source_digest(spec) != before


def test_norms_with_neighbours_of_the_same_name_do_not_mix(folder: Path) -> None:
    other = folder.parent / "other"
    write(other, norm=MAIN, helper="GROUPS = 8\n")
    late = (
        "from torch import nn\n\ndef make(channels):\n"
        "    import helper\n    return nn.GroupNorm(helper.GROUPS, channels)\n"
    )
    write(folder, late=late)
    write(other, late=late)
    specs = [f"{where}/{name}.py:make" for where in (folder, other) for name in ("norm", "late")]
    norms = [Norm.parse(spec) for spec in specs]
    assert [norm.make(8).num_groups for norm in norms] == [2, 2, 8, 8]
    assert [norm.make(8).num_groups for norm in reversed(norms)] == [8, 8, 2, 2]


def test_a_module_imported_while_the_norm_runs_is_found(folder: Path) -> None:
    write(
        folder,
        norm="from torch import nn\n\nclass Make(nn.Identity):\n"
        "    def forward(self, x):\n        import helper\n        return x * helper.GROUPS\n",
    )
    assert Norm.parse(f"{folder}/norm.py:Make").make(8)(3.0) == 6.0


def test_importing_leaves_path_and_modules_as_they_were(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = type(sys)("helper")
    monkeypatch.setitem(sys.modules, "helper", stranger)
    path, finders = list(sys.path), list(sys.meta_path)
    assert groups(f"{folder}/norm.py:make") == 2
    assert sys.modules["helper"] is stranger
    assert (sys.path, sys.meta_path) == (path, finders)


def test_a_digest_is_taken_without_importing(folder: Path) -> None:
    write(folder, helper="raise SystemExit('imported')\n")
    assert len(source_digest(f"{folder}/norm.py:make")) == 64


@pytest.mark.parametrize("what", ["raise SystemExit(3)", "import no_such_module_anywhere", "1 / 0", "def"])
def test_a_module_that_ends_the_process_is_refused_in_words(folder: Path, what: str) -> None:
    write(folder, helper=what + "\n")
    with pytest.raises(UsageError, match="cannot import"):
        Norm.parse(f"{folder}/norm.py:make")


def test_modules_that_only_running_the_norm_tells_are_named(folder: Path) -> None:
    write(folder, norm=MAIN + "\nimport importlib\nimportlib.import_module('computed'[:8])\n", computed="")
    assert uncovered_files(f"{folder}/norm.py:make") == (str(folder / "computed.py"),)
    write(folder.parent / "far", distant="")
    write(folder, norm=f"import sys\nsys.path.insert(0, {str(folder.parent / 'far')!r})\nimport distant\n{MAIN}")
    try:
        assert uncovered_files(f"{folder}/norm.py:make") == (str(folder.parent / "far" / "distant.py"),)
    finally:
        sys.path.remove(str(folder.parent / "far"))
        del sys.modules["distant"]


def test_an_installed_package_is_its_version() -> None:
    code = norm_code("torch.nn:BatchNorm2d")
    assert code.files == {}
    assert code.releases[0].startswith("torch 2.")
