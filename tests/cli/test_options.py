"""Options: a misspelt flag is a bug of ours, not a flag that nobody typed; and flags become settings of a recipe."""

import pytest
import typer
from helpers.cli import normbench

from normbench.cli.flags import flags
from normbench.cli.options import SETTINGS, Options
from normbench.config import PARAMETER_BUDGET, Recipe


def test_a_name_that_is_no_flag_of_the_command_raises() -> None:
    options = Options({"epochs": None, "lr": "0.1"})
    assert options["epochs"] is None
    for name in ("epoch", "seed"):
        with pytest.raises(KeyError, match=name):
            options[name]


def test_a_command_receives_all_its_flags_and_no_others() -> None:
    received: list[Options] = []

    @flags("epochs", "seed", "force", "set", "json")
    def command(options: Options) -> None:
        received.append(options)

    app = typer.Typer()
    app.command()(command)
    app(["--seed", "0"], standalone_mode=False)
    assert received[0].values == {"epochs": None, "seed": 0, "force": None, "set": None, "json": None}
    assert received[0].typed("epochs", "seed", "force", "trust") == {"seed": 0}


def test_every_setting_that_a_flag_sets_is_one_of_a_recipe() -> None:
    settings = Recipe().model_dump()
    for path in SETTINGS.values():
        section = settings
        for key in path:
            assert key in section, path
            section = section[key]


def test_the_budget_is_that_of_the_benchmark_unless_one_is_typed() -> None:
    assert Options({"max_params": None}).max_params == PARAMETER_BUDGET
    assert normbench("summary", "--norm", "gn", "--max-params", 10, "--json").document["budget"] == 10
