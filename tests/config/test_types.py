"""Types of settings: booleans and text are no numbers, numbers and text are no switches, wherever they come from."""

from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import torch
from helpers.cli import normbench, refused
from pydantic import BaseModel

import normbench as nb
from normbench.config import MachineConfig, Recipe, RunConfig
from normbench.config.recipes import NormSettings
from normbench.config.validation import validated
from normbench.errors import USAGE, UsageError
from normbench.norms import canonical_name
from normbench.studies import STUDIES

MODELS: list[type[BaseModel]] = [
    Recipe,
    RunConfig,
    NormSettings,
    MachineConfig,
    *(s.settings for s in STUDIES.values()),
]
IMPOSTORS = {
    int: (True, False, "1", 1.0, 1.5, "true"),
    float: (True, False, "1", "0.5", "true"),
    bool: (0, 1, 1.0, 0.5, "true", "1", "yes"),
}
"""Values that stand for no number or switch of a type."""


def kinds(annotation: Any) -> Iterator[tuple[type, bool]]:
    """Types of the numbers and switches in an annotation, with True for those in a list."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        for member in inner:
            yield from kinds(member)
    elif origin is Annotated:
        yield from kinds(inner[0])
    elif origin is tuple:
        yield from ((kind, True) for kind, _ in kinds(inner[0]))
    elif origin is not Literal and annotation in IMPOSTORS:
        yield annotation, False


def settings(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type, bool]]:
    """Path, type and whether it is a list, of every number and switch among the settings of a model."""
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if name != "search":  # dimensions, with a test of their own
                yield from settings(annotation, (*path, name))
            continue
        for kind, several in kinds(annotation):
            yield (*path, name), kind, several


CASES = [(model, *setting) for model in dict.fromkeys(MODELS) for setting in settings(model)]


def test_numbers_and_switches_of_every_kind_are_among_the_cases() -> None:
    paths = {".".join(path) for _, path, *_ in CASES}
    assert {"seeds", "training.decay_norms", "training.lr", "network.widths", "jobs", "force", "no_train"} <= paths
    assert {kind for *_, kind, _ in CASES} == set(IMPOSTORS)


@pytest.mark.parametrize(
    ("model", "path", "kind", "several"), CASES, ids=[f"{m.__name__}-{'.'.join(path)}" for m, path, *_ in CASES]
)
def test_no_setting_takes_a_value_of_another_type(
    model: type[BaseModel], path: tuple[str, ...], kind: type, several: bool
) -> None:
    for value in IMPOSTORS[kind]:
        nested: Any = [value] if several else value
        for name in reversed(path):
            nested = {name: nested}
        given = {"norm": "gn"} | nested if model is RunConfig else nested
        with pytest.raises(UsageError, match=r"x: .*(valid|should be|epochs)"):
            validated(model, given, "x")


@pytest.mark.parametrize(
    "setting",
    ["training.decay_norms=1", "training.decay_norms=0", "training.nesterov=yes", 'network.residual="true"',
     "deterministic=1", "data.flip=0.5", "training.lr=true", 'training.lr="0.1"', "training.epochs=true", "seeds=true",
     "network.widths=[true]", "norm.gn.lr=true", 'norm.gn.groups="4"', "search.lr=[true]"],
)  # fmt: skip
def test_set_and_recipes_take_no_value_of_another_type(setting: str, tmp_path: Path) -> None:
    out = ("--norms", "gn", "--dataset", "digits", "--dry-run", "--out", tmp_path / "runs")
    refused(normbench("compare", *out, "--set", setting), USAGE)
    key, value = setting.split("=")
    *sections, name = key.split(".")
    head = f"[{'.'.join(sections)}]\n" if sections else ""
    (tmp_path / "mine.toml").write_text(head + f"{name} = {value}\n".replace(" yes", " 'yes'"))
    refused(normbench("compare", *out, "--config", tmp_path / "mine.toml"), USAGE, "mine.toml")


@pytest.mark.parametrize("name", ["bn(momentum=true)", "gn(groups=true)", "gn(groups='4')", "ln(eps=true)"])
def test_arguments_of_norms_take_no_value_of_another_type(name: str) -> None:
    with pytest.raises(UsageError):
        canonical_name(name)


@pytest.mark.parametrize(
    ("name", "text"),
    [("JOBS", "true"), ("JOBS", "2.0"), ("JOBS", "1_0"), ("JOBS", "２"), ("OFFLINE", "2"), ("OFFLINE", "x")],
)
def test_variables_of_the_environment_are_read_as_what_they_stand_for(name: str, text: str, tmp_path: Path) -> None:
    plan = ("train", "--norm", "gn", "--dataset", "digits", "--dry-run", "--out", tmp_path)
    refused(normbench(*plan, **{f"NORMBENCH_{name}": text}), USAGE, f"NORMBENCH_{name} = {text}")


def test_the_environment_may_spell_a_switch_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, value in (("1", True), ("TRUE", True), ("on", True), ("0", False), ("no", False), ("", False)):
        monkeypatch.setenv("NORMBENCH_OFFLINE", text)
        assert MachineConfig.resolve({}).offline is value
    monkeypatch.setenv("NORMBENCH_JOBS", "3")
    assert MachineConfig.resolve({}).jobs == 3


TINY: dict[str, Any] = {"dataset": "digits", "subset": 64, "epochs": 1, "batch_size": 16}


@pytest.mark.parametrize(
    "given",
    [{"epochs": True}, {"epochs": "1"}, {"lr": True}, {"lr": "0.1"}, {"seed": True}, {"subset": "64"}, {"force": 1},
     {"force": "yes"}, {"out": 1}, {"out": True}, {"data_dir": 0}, {"settings": {"training.nesterov": 1}},
     {"settings": {"training.momentum": True}}],
)  # fmt: skip
def test_the_python_api_takes_no_value_of_another_type_for_a_run(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        nb.train("gn", **({"out": tmp_path / "runs"} | TINY | given))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("given", [{"margin": True}, {"margin": "0.5"}, {"margin": 50}, {"jobs": True}, {"jobs": "2"},
                                   {"seeds": True}, {"seeds": "3"}])  # fmt: skip
def test_the_python_api_takes_no_value_of_another_type_for_a_comparison(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        nb.compare(["gn"], **({"out": tmp_path / "runs"} | TINY | given))
    assert not (tmp_path / "runs").exists()


def test_the_python_api_takes_no_value_of_another_type_elsewhere(tmp_path: Path) -> None:
    for groups in (True, "4", 4.0, 0):
        with pytest.raises(UsageError, match="groups = "):
            nb.norm("gn", groups)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="groups = "):
            nb.swap(torch.nn.Sequential(torch.nn.BatchNorm2d(8)), "gn", groups)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        nb.study("depth", norms=["gn"], no_train=1, out=tmp_path)
    run = nb.train("gn", out=tmp_path, **TINY)
    with pytest.raises(UsageError, match="trust = "):
        nb.load(run.folder, trust="no")  # type: ignore[arg-type]


def test_none_is_no_number_where_a_number_is_needed() -> None:
    for model, path, _, _ in CASES:
        field = model.model_fields[path[0]]
        if len(path) == 1 and NoneType not in get_args(field.annotation) and model is not RunConfig:
            with pytest.raises(UsageError):
                validated(model, {path[0]: None}, "x")
