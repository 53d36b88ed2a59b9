"""What was measured of depth, as a finding."""

from dataclasses import asdict
from typing import Any

import torch

from normbench.analysis import StudyResult
from normbench.device import describe
from normbench.runs.environment import environment
from normbench.studies.depth.measure import CONTROL, KINDS, TRAINED_WIDTH, Depth
from normbench.studies.depth.sentences import depth_answer
from normbench.studies.depth.signal import BATCH
from normbench.studies.depth.tables import depth_charts, depth_tables

STUDY = "depth"
TITLE = "What does depth do to signal, gradient and training, with and without a norm?"


def depth_finding(depth: Depth, device: torch.device) -> StudyResult:
    """The finding of `normbench depth`."""
    kinds = [kind for kind in KINDS if any(one.variant.kind == kind for one in depth.measured)]
    by_kind = {kind: [one for one in depth.measured if one.variant.kind == kind] for kind in kinds}
    return StudyResult(
        study=STUDY,
        title=TITLE,
        answer=depth_answer(depth, by_kind),
        conditions=_conditions(depth, device),
        tables=depth_tables(depth, by_kind),
        charts=depth_charts(depth, by_kind),
        warnings=depth.left_out,
        environment=environment(device),
        values=_values(depth),
    )


def _conditions(depth: Depth, device: torch.device) -> str:
    config, data = depth.config, depth.data
    seeds = (
        f"seed {config.seed}" if config.seeds == 1 else f"{config.seeds} seeds ({config.seed}-{config.all_seeds[-1]})"
    )
    parts = [
        f"{config.activation}, weights drawn as `{config.init}` does, no shortcut, and no bias "
        "but the norm's (with `none` and `lrn`: that of the weights)",
        f"signal and gradient: N(0, 1) noise, batch {BATCH}, train mode, before any training",
    ]
    if data is not None:
        parts.append(
            f"training: {data.name} ({len(data.train):,} train, {len(data.validation or ()):,} validation and "
            f"{len(data.test):,} test images), {_epochs(config.epochs)}, batch {config.batch_size}, SGD with momentum "
            f"0.9, learning rate the best of {', '.join(f'{lr:g}' for lr in config.lrs)} by validation accuracy, "
            f"widths {TRAINED_WIDTH['mlp']} (mlp) and {TRAINED_WIDTH['conv']} (conv)"
        )
    return "; ".join([*parts, seeds, describe(device), f"torch {torch.__version__}"]) + "."


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count > 1 else ''}"


def _values(depth: Depth) -> dict[str, Any]:
    """By kind and then by norm and place, as `values["mlp"]["bn pre"]`."""
    found: dict[str, Any] = {kind: {} for kind in KINDS}
    for one in depth.measured:
        trained = {str(place): [run and asdict(run) for run in runs] for place, runs in one.trained.items()}
        found[one.variant.kind][one.variant.label] = {**asdict(one.signal), "trained": trained}
    return {"config": depth.config.model_dump(mode="json"), "control": CONTROL, **found}
