"""LSTM over the rows of an image: with norms inside the cell (arXiv:1607.06450, equations 20 to 22).

Every step normalizes vectors, (N, C, 1, 1): norms over channels take those of one image at one step, batch statistics
are those of all images at one step, and the running ones are shared by the steps.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.networks.blocks import ConvNorm, NormedSequential, conv1x1, make_norm
from normbench.norms import Norm

LSTM_WIDTHS = (64,)
"""Units of the hidden state."""
GATES = 4
SIDE = 32


class Shift(nn.Module):
    """Learned number per channel, added to it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Shift (N, C, H, W)."""
        return x + self.bias


class VectorNorm(NormedSequential):
    """`norm` of vectors that no weights come before; a norm without a shift gets one, which weights would have had."""

    def __init__(self, norm: Norm, channels: int) -> None:
        super().__init__()
        self.add_module("norm", make_norm(norm, channels, vectors=True))
        if not norm.info.adds_bias:
            self.add_module("shift", Shift(channels))

    def norm_parameters(self) -> Iterator[nn.Parameter]:
        """Yield scale and shift."""
        yield from self.parameters()


class LSTM(nn.Module):
    """Network (N, 3, 32, 32) -> (N, classes): a step per row, the mean of the hidden states, and a classifier."""

    def __init__(self, norm: Norm, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        (self.units,) = config.widths or LSTM_WIDTHS
        gates = GATES * self.units
        self.rows = norm.conv(3, gates, (1, SIDE), bias=False)
        self.row = VectorNorm(norm, gates)
        self.recurrent = ConvNorm(conv1x1(self.units, gates, norm), gates, norm, vectors=True)
        self.cell = VectorNorm(norm, self.units)
        self.GAP = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self.classifier = nn.Conv2d(self.units, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, 3, 32, 32)."""
        rows = self.rows(x)
        hidden = cell = rows.new_zeros(len(rows), self.units, 1, 1)
        states = []
        for row in rows.split(1, dim=2):
            gates = self.recurrent(hidden) + self.row(row)
            forget, enter, leave, candidate = gates.chunk(GATES, dim=1)
            cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
            hidden = leave.sigmoid() * self.cell(cell).tanh()
            states.append(hidden)
        logits: Tensor = self.classifier(self.drop(self.GAP(torch.cat(states, dim=2))))
        return logits.flatten(1)
