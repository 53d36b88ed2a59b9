"""The fingerprints of today's recipes with the built-in norms, recorded: a run that was made stays the same run."""

import json
from pathlib import Path

import pytest

from normbench.config import load_recipe, recipe_names

RECORDED = json.loads(Path(__file__).with_suffix(".json").read_text())
"""By recipe and norm; `none` and `lrn` have none here, since their networks had no bias once."""


def test_every_recipe_has_recorded_fingerprints() -> None:
    assert sorted(RECORDED) == recipe_names()


@pytest.mark.parametrize(("recipe", "norm"), [(recipe, norm) for recipe, norms in RECORDED.items() for norm in norms])
def test_a_run_keeps_its_fingerprint(recipe: str, norm: str) -> None:
    assert load_recipe(recipe).run(norm, 0).fingerprint == RECORDED[recipe][norm]
