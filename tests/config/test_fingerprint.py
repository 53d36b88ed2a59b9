"""The fingerprint: another for every setting that can move a number, the same for those that cannot."""

import json
from functools import reduce
from operator import getitem

import pytest

from normbench.config import DataConfig, NetworkConfig, RunConfig, TrainingConfig
from normbench.config.settings import ADDED_LATER, MOVES_NO_NUMBER
from normbench.norms import NORMS

# A value other than the default for every setting there is.
OTHER = {
    "": {
        "norm": "gn",
        "groups": 8,
        "seed": 1,
        "norm_source": "ab" * 32,
        "norm_revision": 2,
        "network_source": "ab" * 32,
        "read_test": False,
        "deterministic": True,
    },
    "network": {
        "name": "dwnet",
        "widths": (8,) * 10,
        "residual": False,
        "dropout": 0.1,
        "init_gain": 2.0,
        "hidden_dropout": [0.0, 0.1],
        "activation": "gelu",
        "block": "depthwise",
        "init": "xavier",
        "multiplier": 3,
    },
    "data": {"name": "digits", "subset": 100, "val_split": 0.1, "split_seed": 1, "crop_padding": 2, "flip": False},
    "training": {
        "epochs": 3,
        "batch_size": 64,
        "optimizer": "adam",
        "lr": 0.01,
        "momentum": 0.8,
        "nesterov": False,
        "weight_decay": 1e-3,
        "l1": 1e-5,
        "schedule": "cosine",
        "step_size": 5,
        "gamma": 0.1,
        "patience": 3,
        "cycles": 3,
        "cycle_base": 0.5,
        "warmup": 0.3,
        "label_smoothing": 0.1,
        "precision": "fp32",
        "decay_norms": False,
    },
}
PARTS = {"network": NetworkConfig, "data": DataConfig, "training": TrainingConfig}
START = {"norm": "bn"}


def fingerprint(settings: dict) -> str:
    return RunConfig.model_validate(settings).fingerprint


@pytest.mark.parametrize(("part", "name"), [(part, name) for part, settings in OTHER.items() for name in settings])
def test_every_setting_moves_the_fingerprint(part, name):
    one = {name: OTHER[part][name]}
    changed = START | ({part: one} if part else one)
    assert fingerprint(changed) != fingerprint(START)


def test_no_setting_is_left_out_above():
    assert set(OTHER[""]) | set(PARTS) | set(MOVES_NO_NUMBER) == set(RunConfig.model_fields)
    for part, model in PARTS.items():
        assert set(OTHER[part]) == set(model.model_fields)


def test_no_two_settings_share_a_fingerprint():
    changed = [
        START | ({part: {name: value}} if part else {name: value})
        for part, settings in OTHER.items()
        for name, value in settings.items()
    ]
    assert len({fingerprint(settings) for settings in changed}) == len(changed)


def test_the_budget_moves_no_number_and_no_fingerprint():
    assert fingerprint(START | {"max_params": 100_000}) == fingerprint(START)


def test_the_fingerprint_survives_the_way_through_json():
    config = RunConfig(norm="gn", network=NetworkConfig(widths=(8,) * 10), training=TrainingConfig(lr=0.1 + 0.2))
    assert RunConfig.model_validate_json(config.model_dump_json()).fingerprint == config.fingerprint


def test_spelling_out_a_default_is_the_same_run():
    defaults = {part: model().model_dump() for part, model in PARTS.items()}
    assert fingerprint(START | defaults) == fingerprint(START)


# Of runs that were made before there was any setting of ADDED_LATER (commit a44c7b7), with `before` as their settings.
RECORDED = {
    "bn": "8514c725f1be62f1",
    "gn": "a671a15d86bd4e2d",
    "ln": "79fd7bbd3a5ebf44",
    "in": "99c0ffcc64e41f65",
    "ln-c": "4e06e27be943a436",
    "ln-chw": "aabe285ec4da6c43",
    "rms": "81117ee2c71d864b",
    "gn+ws": "ca6fb68a156d7b48",
    "none": "26bcc208abaa5a58",
    "lrn": "1892a418ae0c8e92",
}
LRS = {"bn": 0.08, "ln": 0.02}


def before(norm: str) -> dict:
    """The recipe `baseline` as it was recorded."""
    return {
        "norm": norm,
        "network": {"activation": "silu"},
        "data": {"crop_padding": 2},
        "training": {"batch_size": 64, "lr": LRS.get(norm, 0.04), "step_size": 8},
    }


@pytest.mark.parametrize("norm", RECORDED)
def test_runs_of_before_keep_their_fingerprints(norm):
    assert fingerprint(before(norm))[:16] == RECORDED[norm]


@pytest.mark.parametrize("norm", RECORDED)
def test_only_norms_that_compute_something_else_now_are_other_runs(norm):
    revision = NORMS[norm.removesuffix("+ws")].revision
    assert (fingerprint(before(norm) | {"norm_revision": revision})[:16] != RECORDED[norm]) == (norm in {"none", "lrn"})


@pytest.mark.parametrize("path", ADDED_LATER)
def test_a_setting_that_was_added_later_counts_only_at_another_value_than_before(path):
    *sections, name = path.split(".")
    config = json.loads(RunConfig.model_validate(START).model_dump_json())
    section = reduce(getitem, sections, config)
    assert section.pop(name) == ADDED_LATER[path], "its default is what was done before there was the setting"
    assert fingerprint(config) == fingerprint(START)
    section[name] = OTHER[".".join(sections)][name]
    assert fingerprint(config) != fingerprint(START)
