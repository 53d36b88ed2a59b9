"""Demonstration of the source material: an MLP of 784, 512 x n and 100 units, in its own set-up, beside its figures."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import scipy
import torch
from torch import nn

from normbench import randomness
from normbench.analysis import Chart, Line, StudyResult, Table
from normbench.runs.environment import environment
from normbench.studies.depth.settings import DepthSettings
from normbench.studies.depth.study import STUDY

SEEDS = 20
"""Smallest number of seeds: the printed figures are of one network each."""
INPUTS, UNITS, OUTPUTS, BATCH = 784, 512, 100, 5
DEPTHS_WITHOUT_NORM, DEPTHS_WITH_NORM = range(10), range(30)


@dataclass(frozen=True)
class PrintedNetwork:
    """One network of the demonstration, and the figures that the source prints for it."""

    label: str
    norm: Callable[[int], nn.Module] | None
    """Makes the norm of so many units; None for no norm."""
    position: str
    """`pre`: norm, linear layer with a bias, ReLU; `post`: linear layer without a bias, norm, ReLU."""
    first: float
    """Printed norm of the output without a hidden layer."""
    printed: tuple[float, ...]
    """Printed norms by number of hidden layers, from one on; two values are the range over 1 to 29."""

    @property
    def depths(self) -> range:
        """Numbers of hidden layers."""
        return DEPTHS_WITHOUT_NORM if self.norm is None else DEPTHS_WITH_NORM

    @property
    def is_range(self) -> bool:
        """True if the source prints a range rather than a figure per depth."""
        return self.norm is not None

    def expected(self, depth: int) -> tuple[float, float]:
        """Smallest and largest printed figure for a number of hidden layers."""
        if depth == 0:
            return self.first, self.first
        if self.is_range:
            return self.printed[0], self.printed[1]
        return self.printed[depth - 1], self.printed[depth - 1]


def _batch_norm(units: int) -> nn.Module:
    return nn.BatchNorm1d(units, affine=False)


def _layer_norm(units: int) -> nn.Module:
    return nn.LayerNorm(units, bias=False)


PRINTED_NETWORKS = (
    PrintedNetwork("no norm", None, "", 12.4, (5.22, 2.24, 0.873, 0.367, 0.145, 0.0638, 0.0266, 0.0100, 0.00452)),
    PrintedNetwork("bn pre", _batch_norm, "pre", 12.0, (5.0, 5.6)),
    PrintedNetwork("ln pre", _layer_norm, "pre", 13.0, (4.6, 5.8)),
    PrintedNetwork("bn post", nn.BatchNorm1d, "post", 13.4, (8.6, 9.9)),
    PrintedNetwork("ln post", nn.LayerNorm, "post", 12.1, (7.9, 10.8)),
)


def build(network: PrintedNetwork, depth: int) -> nn.Sequential:
    """Build a network of so many hidden layers, with torch's default initialization."""
    layers: list[nn.Module] = [nn.Flatten()]
    units = INPUTS
    for _ in range(depth):
        linear = nn.Linear(units, UNITS, bias=network.position == "pre")
        match network.position:
            case "pre":
                assert network.norm is not None
                layers += [network.norm(units), linear]
            case "post":
                assert network.norm is not None
                layers += [linear, network.norm(UNITS)]
            case _:
                layers.append(linear)
        layers.append(nn.ReLU())
        units = UNITS
    return nn.Sequential(*layers, nn.Linear(units, OUTPUTS, bias=network.position == "pre"))


def output_norms(network: PrintedNetwork, seeds: range) -> list[list[float]]:
    """Norms of the output by number of hidden layers, one per seed."""
    by_seed = [_norms_of_seed(network, seed) for seed in seeds]
    return [list(at_depth) for at_depth in zip(*by_seed, strict=True)]


def _norms_of_seed(network: PrintedNetwork, seed: int) -> list[float]:
    """Frobenius norms of the output (5, 100) for inputs (5, 28, 28) of N(0, 1), in train mode, at initialization.

    The hidden layers are those of one network; every depth has an output layer of its own.
    """
    x = torch.randn(BATCH, 28, 28, generator=randomness.generator(seed, "order"))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        randomness.seed_global(seed, "init")
        *hidden, last = build(network, network.depths[-1])
        norms: list[float] = []
        for layer in hidden:
            x = layer(x)
            if isinstance(layer, nn.Flatten | nn.ReLU) and len(norms) < network.depths[-1]:
                norms.append(float(nn.Linear(x.shape[1], OUTPUTS, bias=last.bias is not None)(x).norm()))
        return [*norms, float(last(x).norm())]


def demonstration_result(settings: DepthSettings) -> StudyResult:
    """Measure the demonstration on the CPU, over at least `SEEDS` seeds, and set it beside the printed figures."""
    seeds = range(settings.seed, settings.seed + max(settings.seeds, SEEDS))
    measured = {network.label: output_norms(network, seeds) for network in PRINTED_NETWORKS}
    agree = {network.label: _agrees(network, measured[network.label]) for network in PRINTED_NETWORKS}
    other = [label for label, inside in agree.items() if not inside]
    basis = f"the 95 % prediction intervals of {len(seeds)} seeds"
    conclusion = (
        f"Printed figures of {', '.join(other)} lie outside of {basis}."
        if other
        else f"Every figure that the source prints, each of one network, lies within {basis} (Bonferroni)."
    )
    return StudyResult(
        study=STUDY.name,
        title="What does the source material's demonstration of vanishing activations give?",
        conclusions=(conclusion, *_conclusions(measured)),
        caption=(
            f"MLP 784 - 512 x n - 100, ReLU, torch's default initialization; a batch of {BATCH} inputs from N(0, 1), "
            f"in train mode; Frobenius norm of the output ({BATCH} x {OUTPUTS} values); "
            f"seeds {seeds[0]} to {seeds[-1]}, per seed one batch and one network with an output layer at every depth; "
            f"CPU, torch {torch.__version__}."
        ),
        tables=(_table_without(measured[PRINTED_NETWORKS[0].label]), _table_with(measured)),
        charts=(_chart(measured),),
        environment=environment(torch.device("cpu")),
        values={label: {"norms": norms, "printed_agrees": agree[label]} for label, norms in measured.items()},
    )


def _agrees(network: PrintedNetwork, norms: Sequence[Sequence[float]]) -> bool:
    """Test whether each printed figure lies in the 95 % prediction interval of one more network.

    The intervals hold together for all figures (Bonferroni). The ends of a printed range are those of one network per
    depth, and are compared with the networks of all depths.
    """
    hidden = [value for at_depth in norms[1:] for value in at_depth]
    for depth, at_depth in enumerate(norms):
        values = hidden if depth and network.is_range else at_depth
        low, high = prediction_interval(values)
        if not all(low <= printed <= high for printed in network.expected(depth)):
            return False
    return True


def prediction_interval(values: Sequence[float]) -> tuple[float, float]:
    """Interval for one more value like these (Student's t), at the level that all printed figures share."""
    figures = sum(len(network.depths) for network in PRINTED_NETWORKS)
    quantile = float(scipy.special.stdtrit(len(values) - 1, 1 - 0.05 / (2 * figures)))
    half = quantile * stdev(values) * math.sqrt(1 + 1 / len(values))
    return fmean(values) - half, fmean(values) + half


def _conclusions(measured: dict[str, list[list[float]]]) -> list[str]:
    means = [fmean(values) for values in measured[PRINTED_NETWORKS[0].label]]
    factor = (means[1] / means[-1]) ** (1 / (len(means) - 2))
    kept = [
        f"{label} {min(map(fmean, norms[1:])):.1f} to {max(map(fmean, norms[1:])):.1f}"
        for label, norms in measured.items()
        if label != PRINTED_NETWORKS[0].label
    ]
    return [
        f"Without a norm each hidden layer divides the output by {factor:.2f} (√6 = {math.sqrt(6):.2f} in theory).",
        f"With one it does not fall from 1 to 29 hidden layers; means over the seeds: {', '.join(kept)}.",
    ]


def _table_without(norms: Sequence[Sequence[float]]) -> Table:
    rows = tuple(
        (
            str(depth),
            f"{fmean(values):.3g}",
            f"{min(values):.3g} to {max(values):.3g}",
            f"{PRINTED_NETWORKS[0].expected(depth)[0]:.3g}",
        )
        for depth, values in enumerate(norms)
    )
    columns = ("hidden layers", "mean", "seeds", "printed")
    return Table(title="Norm of the output without a norm layer", columns=columns, rows=rows)


def _table_with(measured: dict[str, list[list[float]]]) -> Table:
    rows = []
    for network in PRINTED_NETWORKS[1:]:
        first, *hidden = measured[network.label]
        values = [value for at_depth in hidden for value in at_depth]
        low, high = network.expected(1)
        rows.append(
            (network.label, f"{min(first):.1f} to {max(first):.1f}", f"{network.first:g}",
             f"{min(values):.1f} to {max(values):.1f}", f"{low:g} to {high:g}")
        )  # fmt: skip
    note = (
        "pre: norm (bn without gamma and beta, ln without beta), linear layer with a bias, ReLU. post: linear layer "
        "without a bias, norm, ReLU. Ranges are over seeds, and for 1 to 29 hidden layers over depths."
    )
    columns = ("norm", "0 hidden layers", "printed for 0", "1 to 29", "printed for 1 to 29")
    return Table(
        title="Norm of the output with a norm in every hidden layer", columns=columns, rows=tuple(rows), note=note
    )


def _chart(measured: dict[str, list[list[float]]]) -> Chart:
    lines = tuple(
        Line(label=label, x=tuple(map(float, range(len(norms)))), y=tuple(map(fmean, norms)))
        for label, norms in measured.items()
    )
    return Chart(
        name="demonstration", title="Norm of the output by hidden layers", x_label="hidden layers", y_label="norm",
        lines=lines, log_y=True,
    )  # fmt: skip
