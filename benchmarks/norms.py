"""Cost of each norm in one training step: forward, backward, and memory kept between, at the real shapes.

The layers and their timing are those of `normbench cost`.
"""

from collections.abc import Sequence

import torch

from benchmarks.measure import OtherWork, spread
from benchmarks.records import NormCost
from normbench.config import RunConfig
from normbench.studies.cost.measure import Bench, noise
from normbench.studies.cost.profiling import repeatable, seconds


def norm_costs(config: RunConfig, norms: Sequence[str], device: torch.device, repeats: int) -> list[NormCost]:
    """Time the layers of each norm, norms taking turns in every repeat; the first turn warms up."""
    data = noise(config.training.batch_size, device)
    layers = {norm: Bench(config.model_copy(update={"norm": norm}), data).layers for norm in norms}
    passes = {norm: repeatable(of_norm.passes(), device) for norm, of_norm in layers.items()}
    work = OtherWork()
    with work.watching():
        times = [
            {norm: [1000 * seconds(of_norm, device) for of_norm in works] for norm, works in passes.items()}
            for _ in range(1 + repeats)
        ][1:]
    return [
        NormCost(
            norm=norm,
            layers=len(of_norm.layers),
            forward_milliseconds=spread([turn[norm][0] for turn in times], work.load),
            backward_milliseconds=spread([turn[norm][1] for turn in times], work.load),
            saved_bytes=of_norm.saved_bytes(),
        )
        for norm, of_norm in layers.items()
    ]
