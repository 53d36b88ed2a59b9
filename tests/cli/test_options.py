"""Options: each command has its flags as typed fields; help and defaults come from the settings they stand for."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from helpers.cli import command_parameters, normbench

from normbench.advice import NEEDS, TASKS, Situation
from normbench.analysis import MARGIN
from normbench.cli import flags
from normbench.cli.command import command
from normbench.cli.flags import Flag
from normbench.cli.options import NetworkOptions, Options, TrainingOptions
from normbench.config import PARAMETER_BUDGET, MachineConfig, Recipe
from normbench.config.machine import VARIABLES, variable
from normbench.studies import STUDIES
from normbench.tracking import TRACKERS

PARAMETERS = command_parameters()


VARIABLES_OF_OTHERS = {"address": "RAY_ADDRESS"}
"""Environment variables of other programs that a flag takes."""


@dataclass(frozen=True, kw_only=True)
class MadeUpOptions(Options):
    run: flags.Run
    epochs: flags.Epochs = None
    lr: flags.LearningRates = None
    seed: flags.Seed = None
    force: flags.Force = False
    set: flags.Set = None
    out: flags.Out = None


def options_of(*arguments: str) -> MadeUpOptions:
    received: list[MadeUpOptions] = []

    def made_up(options: MadeUpOptions) -> None:
        """Receive the options."""
        received.append(options)

    app = typer.Typer()
    app.command()(command(made_up))
    app([*arguments], standalone_mode=False)
    return received[0]


def test_a_command_receives_what_was_typed_and_none_of_the_rest():
    options = options_of("gn-s0", "--seed", "0", "--lr", "0.1,0.2,0.1", "--set", "a.b=1", "--set", "c=2", "--out", "x")
    assert options == MadeUpOptions(run="gn-s0", seed=0, lr=(0.1, 0.2), set=["a.b=1", "c=2"], out=Path("x"))
    assert options_of("gn-s0", "--force", "-q") == MadeUpOptions(run="gn-s0", force=True, quiet=True)


def test_a_name_that_is_no_flag_of_the_command_raises():
    options = MadeUpOptions(run="gn-s0")
    with pytest.raises(AttributeError, match="epoch"):
        _ = options.epoch  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="epoch"):
        MadeUpOptions(run="gn-s0", epoch=1)  # type: ignore[call-arg]


def test_flags_override_a_recipe_and_win_over_set():
    options = TrainingOptions(set=["training.epochs=3", "training.momentum=0.8"], epochs=2, seed=0, dataset="digits")
    assert options.overrides() == {
        "training": {"epochs": 2, "momentum": 0.8}, "seed": 0, "data": {"name": "digits"},
    }  # fmt: skip


def test_the_precision_is_a_setting_of_the_training_and_is_chosen_for_the_device_unless_typed():
    assert TrainingOptions(precision="bf16").overrides() == {"training": {"precision": "bf16"}}
    assert TrainingOptions().load_recipe({}).training.precision == "auto"


def test_several_values_of_a_setting_override_nothing():
    @dataclass(frozen=True, kw_only=True)
    class SearchOptions(NetworkOptions):
        lr: flags.LearningRates = None

    assert SearchOptions(lr=(0.1,)).overrides() == {"training": {"lr": 0.1}}
    assert SearchOptions(lr=(0.1, 0.2)).overrides() == {}


def test_machine_settings_are_those_of_the_flags_that_a_command_has():
    assert MadeUpOptions(run="x", out=Path("y"), force=True).machine() == MachineConfig.resolve(
        {"out": "y", "force": True}
    )
    assert not TrainingOptions(no_capture=True).machine().capture


def test_the_budget_is_that_of_the_benchmark_unless_one_is_typed():
    assert NetworkOptions().budget == PARAMETER_BUDGET
    assert normbench("summary", "--norm", "gn", "--max-params", 10, "--json").document["budget"] == 10


@pytest.mark.parametrize("path", PARAMETERS, ids="-".join)
def test_every_flag_has_help_and_states_its_setting_as_the_setting_is(path: tuple[str, ...]):
    for name, parameter in PARAMETERS[path].items():
        flag = parameter.presentation
        assert flag.text.endswith("."), name
        if isinstance(flag, Flag):
            assert "default:" not in flag.text, name
            assert flag.help.count("[") <= 1, name
            if flag.setting:
                section, key = Recipe(), flag.setting.split(".")
                for part in key[:-1]:
                    section = getattr(section, part)
                assert flag.text.startswith(type(section).model_fields[key[-1]].description), name
            if flag.variable:
                assert flag.variable == VARIABLES_OF_OTHERS.get(name, variable(name)), name
            if name in MachineConfig.model_fields:
                assert (flag.variable is not None) == (name in {*VARIABLES, *VARIABLES_OF_OTHERS}), name


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_the_flags_of_a_study_state_the_defaults_of_its_settings(study):
    shown = PARAMETERS[(study.name,)]
    defaults = study.settings.model_construct()
    for name, field in study.settings.model_fields.items():
        value = getattr(defaults, name)
        if name in shown and isinstance(value, int | str) and not isinstance(value, bool):
            assert shown[name].presentation.default == str(value), (name, field)


def test_names_in_the_help_are_those_that_there_are():
    listed = {
        ("advise", "task"): TASKS,
        ("advise", "needs"): NEEDS,
        ("train", "track"): TRACKERS,
    }
    for (name, flag), names in listed.items():
        text = PARAMETERS[(name,)][flag].presentation.help
        assert [word for word in names if not re.search(rf"\b{re.escape(word)}\b", text)] == [], flag
    advise = PARAMETERS[("advise",)]
    assert advise["batch_size"].presentation.default == str(Situation.batch_size)
    assert advise["devices"].presentation.default == str(Situation.devices)
    assert PARAMETERS[("compare",)]["margin"].presentation.default == f"{100 * MARGIN:g}"
