"""Every study has the same files, with the same entry points."""

import importlib
import inspect
from dataclasses import is_dataclass
from pathlib import Path

import pytest

from normbench.studies import STUDIES

FILES = ("measure", "sentences", "settings", "study", "tables")


def module(study: str, name: str):
    return importlib.import_module(f"normbench.studies.{study.replace('-', '_')}.{name}")


def parameters(function) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_made_of_the_same_files_and_functions(name):
    study, settings, measure, sentences, tables = (
        module(name, file) for file in ("study", "settings", "measure", "sentences", "tables")
    )
    assert study.STUDY is STUDIES[name]
    assert STUDIES[name].settings.__module__ == settings.__name__
    assert parameters(study.run) == parameters(measure.measure) == ["settings", "context"]
    assert is_dataclass(measure.Measurement) and measure.Measurement.__dataclass_params__.frozen
    assert parameters(sentences.conclusions) == parameters(sentences.caption) == ["measurement"]
    assert parameters(tables.study_result) == ["measurement"]
    files = {path.stem for path in Path(study.__file__).parent.glob("*.py")}
    assert files >= set(FILES)


def test_every_folder_is_a_study():
    package = Path(importlib.import_module("normbench.studies").__file__).parent
    assert {path.parent.name.replace("_", "-") for path in package.glob("*/__init__.py")} == set(STUDIES)
