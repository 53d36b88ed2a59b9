"""Generator of CycleGAN, narrowed: arXiv:1703.10593, section 7.2, with a classifier in place of the output image."""

from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.networks.blocks import Block, ConvNorm, conv3x3
from normbench.norms import Norm

CYCLEGAN_WIDTHS = (16, 16, 24, 16, 16)
"""Channels after the 7x7 convolution, the two downsamplings (the last also in the blocks) and the two upsamplings."""
BLOCKS = 3


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with norms, an activation between them and none after the addition."""

    def __init__(self, channels: int, norm: Norm, config: NetworkConfig) -> None:
        super().__init__()
        self.first = Block(conv3x3(channels, channels, norm), channels, norm, config)
        self.second = ConvNorm(conv3x3(channels, channels, norm), channels, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y: Tensor = x + self.second(self.first(x))
        return y


class Generator(nn.Module):
    """Network (N, 3, 32, 32) -> (N, classes): down to 8x8 positions, residual blocks, up to 32x32 again."""

    def __init__(self, norm: Norm, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        wide, half, quarter, up2, up1 = config.widths or CYCLEGAN_WIDTHS

        def down(inputs: int, outputs: int) -> Block:
            return Block(norm.conv(inputs, outputs, 3, stride=2, padding=1, bias=False), outputs, norm, config)

        def up(inputs: int, outputs: int) -> Block:
            conv = nn.Sequential(nn.Upsample(scale_factor=2), conv3x3(inputs, outputs, norm))
            return Block(conv, outputs, norm, config)

        self.stem = Block(norm.conv(3, wide, 7, padding=3, bias=False), wide, norm, config)
        self.down1, self.down2 = down(wide, half), down(half, quarter)
        self.blocks = nn.Sequential(*(ResidualBlock(quarter, norm, config) for _ in range(BLOCKS)))
        self.up2, self.up1 = up(quarter, up2), up(up2, up1)
        self.GAP = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Conv2d(up1, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, 3, 32, 32)."""
        x = self.blocks(self.down2(self.down1(self.stem(x))))
        logits: Tensor = self.classifier(self.GAP(self.up1(self.up2(x))))
        return logits.flatten(1)
