"""Docstrings begin with an imperative or a noun, never with a question word."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
QUESTION = re.compile(r"\s*(What|Whether|How|Where|Which|Of|That|Who|When|Why)\b")


def docstrings(tree: ast.AST) -> list[tuple[int, str]]:
    """Line and text of every string that stands as a statement: of modules, classes, functions and attributes."""
    statements = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    return [(s.lineno, s.value) for s in statements if isinstance(s, ast.Constant) and isinstance(s.value, str)]


def test_no_docstring_begins_with_a_question_word():
    files = [path for folder in ("normbench", "tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
    texts = {file: docstrings(ast.parse(file.read_text(encoding="utf-8"))) for file in files}
    assert sum(map(len, texts.values())) > 1000
    questions = [
        f"{file.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for file, of_file in texts.items()
        for line, text in of_file
        if QUESTION.match(text)
    ]
    assert questions == []
