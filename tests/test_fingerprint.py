"""The fingerprint: another for every setting that can move a number, the same for those that cannot."""

import pytest

from normbench.config import DataConfig, NetworkConfig, RunConfig, TrainingConfig

# A value other than the default for every setting there is.
OTHER = {
    "": {
        "norm": "gn",
        "groups": 8,
        "seed": 1,
        "norm_source": "ab" * 32,
        "read_test": False,
        "deterministic": True,
    },
    "network": {
        "name": "dwnet",
        "widths": (8,) * 10,
        "residual": False,
        "dropout": 0.1,
        "activation": "gelu",
        "block": "depthwise",
        "init": "xavier",
        "multiplier": 3,
    },
    "data": {"name": "digits", "subset": 100, "val_split": 0.1, "crop_padding": 2, "flip": False},
    "training": {
        "epochs": 3,
        "batch_size": 64,
        "lr": 0.01,
        "momentum": 0.8,
        "nesterov": False,
        "weight_decay": 1e-3,
        "l1": 1e-5,
        "schedule": "cosine",
        "step_size": 5,
        "gamma": 0.1,
        "label_smoothing": 0.1,
        "precision": "fp32",
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
    assert set(OTHER[""]) | set(PARTS) | {"max_params"} == set(RunConfig.model_fields)
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
