"""U-Net, narrowed (arXiv:1505.04597): encoder, decoder and skip connections, then a classifier instead of the mask."""

import torch
from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.networks.blocks import Block, conv3x3
from normbench.norms import Norm

UNET_WIDTHS = (16, 24, 24)
"""Channels at 32x32, at 16x16 and at 8x8 positions."""


class UNet(nn.Module):
    """Network (N, 3, 32, 32) -> (N, classes) of two levels down and up again."""

    def __init__(self, norm: Norm, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        w1, w2, w3 = config.widths or UNET_WIDTHS

        def double(inputs: int, outputs: int) -> nn.Sequential:
            first = Block(conv3x3(inputs, outputs, norm), outputs, norm, config)
            return nn.Sequential(first, Block(conv3x3(outputs, outputs, norm), outputs, norm, config))

        def up(inputs: int, outputs: int) -> nn.Sequential:
            # Padding at the end keeps the side, which the 2x2 kernel would shorten by one.
            padding = nn.ZeroPad2d((0, 1, 0, 1))
            return nn.Sequential(nn.Upsample(scale_factor=2), padding, norm.conv(inputs, outputs, 2))

        self.encoder1 = double(3, w1)
        self.pool1 = nn.MaxPool2d(2)
        self.encoder2 = double(w1, w2)
        self.pool2 = nn.MaxPool2d(2)
        self.bottom = double(w2, w3)
        self.up2 = up(w3, w2)
        self.decoder2 = double(2 * w2, w2)
        self.up1 = up(w2, w1)
        self.decoder1 = double(2 * w1, w1)
        self.GAP = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Conv2d(w1, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, 3, 32, 32)."""
        fine = self.encoder1(x)
        coarse = self.encoder2(self.pool1(fine))
        x = self.up2(self.bottom(self.pool2(coarse)))
        x = self.up1(self.decoder2(torch.cat([coarse, x], dim=1)))
        x = self.decoder1(torch.cat([fine, x], dim=1))
        logits: Tensor = self.classifier(self.GAP(x))
        return logits.flatten(1)
