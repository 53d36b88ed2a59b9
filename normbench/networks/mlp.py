"""Multilayer perceptron on pooled images: 8x8 pixels, 192-128-64-10, with norms on vectors and with dropout."""

from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.networks.blocks import Block, conv1x1
from normbench.norms import Norm

MLP_WIDTHS = (128, 64)
"""Units of the two hidden layers."""
POOL = 4
"""Side of the squares of pixels that are averaged."""
INPUTS = 3 * 8 * 8


class MLP(nn.Module):
    """Network (N, 3, 32, 32) -> (N, classes); its linear layers are 1x1 convolutions on vectors as (N, C, 1, 1)."""

    def __init__(self, norm: Norm, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        first, second = config.widths or MLP_WIDTHS
        self.pool = nn.AvgPool2d(POOL)
        self.hidden1 = Block(conv1x1(INPUTS, first, norm), first, norm, config, vectors=True)
        self.drop1 = _dropout(config.hidden_dropout[0])
        self.hidden2 = Block(conv1x1(first, second, norm), second, norm, config, vectors=True)
        self.drop2 = _dropout(config.hidden_dropout[1])
        self.classifier = nn.Conv2d(second, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, 3, 32, 32)."""
        x = self.pool(x).flatten(1)[:, :, None, None]
        x = self.drop2(self.hidden2(self.drop1(self.hidden1(x))))
        logits: Tensor = self.classifier(x)
        return logits.flatten(1)


def _dropout(rate: float) -> nn.Module:
    return nn.Dropout(rate) if rate else nn.Identity()
