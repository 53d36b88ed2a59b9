"""Every number that a user can give has two bounds; one beyond them is refused at once, and says what is possible."""

import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import annotated_types
import pytest
from helpers.cli import command_parameters, normbench, refused
from pydantic import BaseModel

from normbench.config import MachineConfig, Recipe, RunConfig
from normbench.errors import RUN_FAILED, USAGE
from normbench.norms import NORMS
from normbench.studies import STUDIES

STUDY_SETTINGS = [study.settings for study in STUDIES.values()]
MODELS = (Recipe, RunConfig, MachineConfig, *STUDY_SETTINGS)
HUGE = 10**23


def numbers(model: type[BaseModel], seen: set[type] | None = None) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """Every number among the settings of a model and of its sections: its name, kind and constraints."""
    seen = set() if seen is None else seen
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        for kind, constraints in leaves(field.annotation, tuple(field.metadata)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from numbers(kind, seen)
            elif kind in (int, float):
                yield f"{model.__name__}.{name}", kind, constraints


def leaves(kind: Any, constraints: tuple[Any, ...]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The kinds that an annotation is made of, each with what constrains it."""
    if get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        flat = [one for extra in more for one in (getattr(extra, "metadata", None) or [extra])]
        yield from leaves(inner, (*constraints, *flat))
    elif get_origin(kind) in (Union, types.UnionType):
        for part in get_args(kind):
            yield from leaves(part, constraints)
    elif get_origin(kind) in (tuple, dict):
        for part in get_args(kind):
            yield from leaves(part, ())
    else:
        yield kind, constraints


def test_every_number_among_the_settings_has_two_bounds() -> None:
    found = [item for model in MODELS for item in numbers(model)]
    assert len({name for name, _, _ in found}) > 25
    low, high = (annotated_types.Ge, annotated_types.Gt), (annotated_types.Le, annotated_types.Lt)
    for name, _, constraints in found:
        assert any(isinstance(one, low) for one in constraints), f"{name} has no lower bound"
        assert any(isinstance(one, high) for one in constraints), f"{name} has no upper bound"


def test_every_list_among_the_settings_is_of_bounded_length() -> None:
    for model in (Recipe, RunConfig, *STUDY_SETTINGS):
        for name, field in model.model_fields.items():
            if get_origin(field.annotation) is tuple:
                assert any(isinstance(one, annotated_types.MaxLen) for one in field.metadata), f"{name} has no end"


NUMERIC = sorted(
    {
        name
        for parameters in command_parameters().values()
        for name, parameter in parameters.items()
        if (get_args(parameter.kind) or (parameter.kind,))[0] in (int, float)
    }
)
COMMANDS = {
    "cases": ["verify"],
    "devices": ["advise", "--task", "vision"],
    "width": ["depth", "--no-train"],
    "depth": ["depth", "--no-train"],
    "repeats": ["cost"],
    "sizes": ["batch-size", "--dry-run"],
    "rates": ["rank", "--dry-run"],
    "gains": ["claims", "--dry-run"],
    "trials": ["tune", "--dry-run"],
    "confirm": ["tune", "--dry-run"],
    "confirm_seeds": ["tune", "--dry-run"],
    "batch_sizes": ["rank", "--dry-run"],
}
"""Commands in which numeric flags are tried that `compare` does not take."""


@pytest.mark.parametrize("value", [HUGE, -HUGE, "１", "true", "0x10", "1_0", "9" * 5000])
@pytest.mark.parametrize("flag", NUMERIC)
def test_every_numeric_flag_refuses_what_is_out_of_bounds_or_no_number(
    flag: str, value: object, tmp_path: Path
) -> None:
    command = COMMANDS.get(flag, ["compare", "--all", "--dataset", "digits", "--dry-run"])
    assert flag in command_parameters()[(command[0],)]
    typed = f"--{flag.replace('_', '-')}={value}"
    if command[0] not in ("advise",):
        command = [*command, "--out", tmp_path]
    if flag in ("lr", "weight_decay") and value == HUGE and flag == "lr":
        value, typed = "1e31", "--lr=1e31"
    began = time.monotonic()
    answer = normbench(*command, typed)
    assert time.monotonic() - began < 10
    refused(answer, USAGE)
    assert list(tmp_path.iterdir()) == []
    assert max(map(len, answer.stderr.splitlines())) < 1000


@pytest.mark.parametrize("command", ["advise --task vision", "cost", "norms gn", "mistakes", "verify"])
@pytest.mark.parametrize("flag", ["batch_size", "seeds", "seed", "groups", "devices", "cases", "repeats", "epochs"])
def test_a_number_of_24_digits_is_refused_by_every_command(command: str, flag: str, tmp_path: Path) -> None:
    answer = normbench(*command.split(), "--out", tmp_path, f"--{flag.replace('_', '-')}", HUGE)
    refused(answer, USAGE)


@pytest.mark.parametrize(
    "text",
    [
        "seeds = true",
        'seeds = "3"',
        "seeds = 1.5",
        f"seeds = {HUGE}",
        "[training]\nlr = true",
        '[training]\nlr = "0.1"',
        "[training]\nlr = 1e308",
        "[training]\nlr = 2020-01-01",
        f"[training]\nbatch_size = {HUGE}",
        "[training]\nnesterov = 1",
        "[network]\nwidths = [-1]",
        f"[network]\nwidths = [{10**9}]",
        "[network]\nmultiplier = 100000",
        "[norm.bn]\nlr = true",
        "[norm.gn]\ngroups = 2.5",
        f"[norm.bn]\nlr = {HUGE**2}",
        "[sweep]\nbatch_sizes = [2, true]",
        "[sweep]\nbatch_sizes = []",
        f"norms = {[f'gn(groups={count})' for count in range(1, 101)]}",
        "seed = 0x" + "f" * 5000,
        "seed = " + "9" * 5000,
        "x = " + "[" * 1000 + "]" * 1000,
        "x = " + "{a = " * 1000 + "1" + "}" * 1000,
    ],
)
def test_a_recipe_with_an_impossible_value_is_refused_in_words(text: str, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)
    answer = normbench("compare", "--config", recipe, "--dataset", "digits", "--dry-run", "--out", tmp_path / "runs")
    refused(answer, USAGE, "mine.toml")
    assert max(map(len, answer.stderr.splitlines())) < 1000


@pytest.mark.parametrize(
    "arguments",
    [
        "advise --task vision --needs ,",
        "mistakes --only ,",
        "compare --norms ,",
        "compare --all --lr ,",
        "compare --all --lr １.5",
        "compare --all --lr 0.1,true",
        "depth --no-train --dataset nonsense",
        "depth --no-train --subset 0",
        "depth --no-train --width 2048 --depth 200",
        "compare --all --seeds 1000 --lr 0.1,0.2,0.3,0.4,0.5,0.6 --weight-decay 0,1,2,3,4,5 --val-split 0.1",
        "compare --all --set a.b.c.d.e.f.g.h.i.j.k=1",
        "compare --all --set a..b=1",
        "compare --all --set training=1=2",
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: str) -> None:
    refused(normbench(*arguments.split()), USAGE)


@pytest.mark.parametrize("flag", ["--format", "--file", "--out"])
def test_an_empty_text_is_no_value_of_export(flag: str) -> None:
    refused(normbench("export", "run", flag, ""), USAGE, flag)


@pytest.mark.parametrize(
    "flag", ["--norm", "--config", "--dataset", "--device", "--lr", "--network", "--data-dir", "--out"]
)
def test_an_empty_text_is_no_value_of_train(flag: str) -> None:
    refused(normbench("train", flag, ""), USAGE, flag)


@pytest.mark.parametrize("path", ["x" * 5000, "y" * 300, "~nouser/runs", "a\0b"])
@pytest.mark.parametrize("flag", ["--out", "--data-dir", "--config"])
def test_a_path_that_can_be_none_is_refused_in_words(flag: str, path: str) -> None:
    refused(normbench("train", "--norm", "bn", "--dataset", "digits", "--dry-run", flag, path), USAGE, flag)


@pytest.mark.parametrize("name", ["BN", "batchnorm", "BatchNorm2d", "Batch Normalization", "batch-norm"])
def test_the_names_that_others_have_for_a_norm_are_understood(name: str) -> None:
    for command in ("train", "verify", "summary"):
        refused(normbench(command, "--norm", name), USAGE, "Did you mean 'bn'?")


def test_verify_lists_the_norms_as_norms_and_what_else_it_verifies_after_them() -> None:
    listed = normbench("verify", "--norm", "xx").stderr.split("Known: ")[1]
    norms, besides = listed.split(" Besides norms: ")
    assert sorted(norms.rstrip(".").split(", ")) == sorted(NORMS)
    assert besides.strip(" .\n").split(", ") == ["+ws", "+wn", "+cwn", "dropout"]
    refused(normbench("verify", "--norm", "drop-out"), USAGE, "Did you mean 'dropout'?")


def test_a_bound_of_thirty_zeros_is_shown_as_it_is_typed() -> None:
    refused(normbench("train", "--norm", "gn", "--lr", "1e308"), USAGE, "less than or equal to 1e30\n")


@pytest.mark.parametrize(
    ("name", "norm"),
    [("GroupNorm", "gn"), ("layer_norm", "ln"), ("LayerNorm", "ln"), ("InstanceNorm2d", "in"), ("RMSNorm", "rms")],
)
def test_the_class_of_a_norm_leads_to_its_name(name: str, norm: str) -> None:
    refused(normbench("norms", name), USAGE, f"Did you mean '{norm}'?")


@pytest.mark.parametrize("command", ["train", "verify", "summary"])
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gn+WS", "gn+ws"),
        ("GN+ws", "gn+ws"),
        ("GN + Ws", "gn+ws"),
        ("groupnorm+ws", "gn+ws"),
        ("bn+CWN", "bn+cwn"),
        ("gn(groups=2)+WS", "gn(groups=2)+ws"),
        ("GN(groups=2)+ws", "gn(groups=2)+ws"),
        ("GN(groups=2)", "gn(groups=2)"),
    ],
)
def test_a_suggested_norm_keeps_the_switch_and_the_arguments(command: str, name: str, meant: str) -> None:
    refused(normbench(command, "--norm", name), USAGE, f"Did you mean '{meant}'?")


def test_a_file_without_its_factory_is_answered_with_those_in_it_unimported(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "raise SystemExit('imported')\nfrom torch import nn\n"
        "class Mine(nn.Module): ...\ndef make(channels): ...\ndef _no(): ...\n"
    )
    (tmp_path / "empty.py").write_text("")
    file = tmp_path / "mine.py"
    for command in ("train", "verify", "summary"):
        answer = normbench(command, "--norm", file)
        refused(answer, USAGE, "names no factory", f"{file}:Mine", f"{file}:make")
        assert ("_no" in answer.stderr, "nn" in answer.stderr.split("hint")[1]) == (False, False)
    refused(normbench("train", "--norm", tmp_path / "empty.py"), USAGE, "names no factory", "empty.py:MyNorm")
    refused(normbench("train", "--norm", tmp_path / "mien.py"), USAGE, "does not exist", "Did you mean mine.py?")


@pytest.mark.parametrize("kind", ["norm", "network"])
def test_a_path_that_no_file_can_have_is_shortened(kind: str) -> None:
    answer = normbench(
        "train", "--norm", "bn", "--dataset", "digits", "--dry-run", f"--{kind}", "x" * 5000 + ".py:Mine"
    )
    refused(answer, USAGE, f"{kind} file")
    assert len(answer.stderr) < 600


def test_segmentation_is_a_task() -> None:
    assert normbench("advise", "--task", "segmentation", "--json").code == 0


@pytest.mark.parametrize("recipe", ["quick", "compare"])
def test_the_digits_in_place_of_a_recipes_data_are_all_of_them(recipe: str, tmp_path: Path) -> None:
    answer = normbench("compare", "--config", recipe, "--dataset", "digits", "--dry-run", "--json", "--out", tmp_path)
    assert {run["config"]["data"]["subset"] for run in answer.document["runs"]} == {None}
    asked = normbench("compare", "--config", recipe, "--dataset", "digits", "--subset", 100, "--dry-run", "--json")
    assert {run["config"]["data"]["subset"] for run in asked.document["runs"]} == {100}


HELPED = [
    "train", "compare", "depth", "cost", "batch-size", "tune", "summary", "evaluate", "report", "verify", "mistakes",
    "advise",
    "export", "runs", "norms", "recipes", "data", "env",
]  # fmt: skip


@pytest.mark.parametrize("command", HELPED)
def test_help_shows_brackets_and_switches_as_they_are(command: str) -> None:
    text = normbench(command, "--help", COLUMNS="120").stdout
    assert "<bool>" not in text
    assert "\\[" not in text
    if command == "export":
        assert "normbench[onnx]" in text
    if command == "compare":
        assert "[default: the first]" in text
    if command == "train":
        assert "[env: NORMBENCH_DATA_DIR]" in text


@pytest.mark.parametrize("command", ["compare", "summary", "cost", "depth", "batch-size"])
def test_all_is_the_assignment_and_every_is_the_registry_in_each_command(command: str) -> None:
    text = " ".join(normbench(command, "--help", COLUMNS="160").stdout.split())
    assert "--all The norms of the assignment: bn, gn and ln." in text
    assert "--every Every built-in norm." in text


@pytest.mark.parametrize("failure", ["MemoryError()", 'RuntimeError("DefaultCPUAllocator: can\'t allocate memory")'])
def test_a_lack_of_memory_is_not_taken_for_a_fault_of_the_norm(failure: str, tmp_path: Path) -> None:
    body = (
        f"class Big(nn.Module):\n    def __init__(self, channels):\n        super().__init__()\n\n"
        f"    def forward(self, x):\n        raise {failure}\n"
    )
    (tmp_path / "big.py").write_text(f"from torch import nn\n\n\n{body}")
    answer = normbench("train", "--norm", f"{tmp_path}/big.py:Big", "--dataset", "digits", "--dry-run")
    refused(answer, RUN_FAILED, "not enough memory", "--batch-size")


def test_a_word_that_is_no_utf_8_does_not_stop_a_study(tmp_path: Path) -> None:
    study = ("depth", "--no-train", "--depth", 2, "--width", 4, "--norms", "none", "--out", tmp_path)
    assert normbench(*study, "--init=\udcff", "--init=torch").code == 0
