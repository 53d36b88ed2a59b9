"""Networks of the source material: `dwnet` (5,882 parameters with BatchNorm) and `lnet`."""

from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.networks.blocks import Block, conv3x3, squeeze
from normbench.norms import Norm

# Output channels of C1 .. C7; C2, C4 and C6 have twice their input channels in between.
DWNET_WIDTHS = (16, 8, 16, 8, 16, 8, 16)


class SqueezeNet(nn.Module):
    """C1 C2 P1 C3 C4 P2 C5 C6 C7 GAP and a linear classifier: (N, 3, 32, 32) -> (N, classes).

    C2, C4 and C6 widen with a 3x3 convolution and narrow with 1x1; C5 is dilated, so 8x8 becomes 6x6.
    """

    def __init__(self, widths: tuple[int, ...], grouped: bool, norm: Norm, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        w1, w2, w3, w4, w5, w6, w7 = widths

        def narrow(inputs: int, outputs: int) -> Block:
            conv = squeeze(inputs, 2 * inputs, outputs, inputs if grouped else 1, norm)
            return Block(conv, outputs, norm, config)

        self.C1 = Block(conv3x3(3, w1, norm, bias=True), w1, norm, config)
        self.C2 = narrow(w1, w2)
        self.P1 = nn.MaxPool2d(2)
        self.C3 = Block(conv3x3(w2, w3, norm), w3, norm, config)
        self.C4 = narrow(w3, w4)
        self.P2 = nn.MaxPool2d(2)
        self.C5 = Block(conv3x3(w4, w5, norm, dilation=2), w5, norm, config)
        self.C6 = narrow(w5, w6)
        self.C7 = Block(conv3x3(w6, w7, norm), w7, norm, config)
        self.GAP = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(w7, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, 3, 32, 32)."""
        x = self.P1(self.C2(self.C1(x)))
        x = self.P2(self.C4(self.C3(x)))
        x = self.GAP(self.C7(self.C6(self.C5(x))))
        logits: Tensor = self.linear(x.flatten(1))
        return logits


def dwnet(norm: Norm, config: NetworkConfig, classes: int) -> nn.Module:
    """Build the network with grouped convolutions in C2, C4 and C6."""
    return SqueezeNet(config.widths or DWNET_WIDTHS, grouped=True, norm=norm, config=config, classes=classes)


def lnet(norm: Norm, config: NetworkConfig, classes: int) -> nn.Module:
    """Build the network with every width times `multiplier` and plain instead of grouped convolutions."""
    widths = tuple(width * config.multiplier for width in config.widths or DWNET_WIDTHS)
    return SqueezeNet(widths, grouped=False, norm=norm, config=config, classes=classes)
