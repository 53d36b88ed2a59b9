"""The tree in docs/ARCHITECTURE.md is that of the package, and says of every file what its docstring begins with."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINE = re.compile(r"    (?P<indent> *)(?P<name>\S+)\s{2,}(?P<words>\S.*)")
MOST_WORDS = 8


def documented() -> dict[str, str]:
    """Paths of the documented tree, with the words behind each."""
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## The tree")[2]
    parents: list[str] = []
    tree = {}
    for line in filter(None, map(LINE.fullmatch, text.splitlines())):
        depth = len(line["indent"]) // 2
        path = "/".join([*parents[:depth], line["name"].rstrip("/")])
        parents[depth:] = [line["name"].rstrip("/")]
        tree[path] = line["words"]
    return tree


def files() -> set[str]:
    """Files and folders of the package; a folder stands for its `__init__.py`."""
    package = ROOT / "normbench"
    kept = [path for path in package.rglob("*") if path.suffix in {".py", ".j2", ".css", ".typed"}]
    paths = {path.relative_to(ROOT) for path in kept if path.name != "__init__.py"}
    folders = {parent for path in paths for parent in path.parents if parent != Path()}
    return {path.as_posix() for path in paths | folders}


def first_words(path: str) -> str | None:
    """First sentence of a module's docstring, or the part before its colon if it is long; None for other files."""
    file = ROOT / path / "__init__.py" if (ROOT / path).is_dir() else ROOT / path
    if file.suffix != ".py" or not file.exists():
        return None
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    sentence = re.split(r"\.(?:\s|$)", docstring, maxsplit=1)[0].replace("\n", " ").replace("`", "")
    return sentence if len(sentence.split()) <= MOST_WORDS else re.split(r"[:;] ", sentence, maxsplit=1)[0]


def test_the_documented_tree_is_the_one_of_the_files():
    assert set(documented()) == files()


def test_every_file_is_described_by_the_beginning_of_its_docstring():
    tree = documented()
    beginnings = {path: first_words(path) for path in sorted(files())}
    expected = {path: words for path, words in beginnings.items() if words is not None}
    assert {path: tree[path] for path in expected} == expected


def test_every_file_is_described_in_a_few_words():
    assert {path: words for path, words in documented().items() if not 3 <= len(words.split()) <= MOST_WORDS} == {}
