"""ConvNeXt, narrowed (arXiv:2201.03545): depthwise 7x7 convolutions, one norm per block, downsampling apart."""

from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.networks.blocks import ConvNorm, PreNorm, feed_forward
from normbench.norms import Norm

CONVNEXT_WIDTHS = (16, 24, 32)
"""Channels of the three stages."""
BLOCKS = 2
"""Blocks in a stage."""
EXPANSION = 4
PATCH = 2
"""Side of the stem's patches: the paper's 4 would leave 8x8 positions of an image of 32x32 pixels."""


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7 convolution, norm, then 1x1 convolutions with an activation between them; all around a shortcut."""

    def __init__(self, channels: int, norm: Norm, config: NetworkConfig) -> None:
        super().__init__()
        depthwise = norm.conv(channels, channels, 7, padding=3, groups=channels, bias=False)
        self.depthwise = ConvNorm(depthwise, channels, norm)
        layers = feed_forward(channels, EXPANSION * channels, norm, config)
        self.pointwise = nn.Sequential()
        for name, layer in layers.items():
            self.pointwise.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y: Tensor = x + self.pointwise(self.depthwise(x))
        return y


class ConvNeXt(nn.Module):
    """Network (N, 3, 32, 32) -> (N, classes) on maps of 16x16, 8x8 and 4x4."""

    def __init__(self, norm: Norm, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        w1, w2, w3 = config.widths or CONVNEXT_WIDTHS

        def stage(channels: int) -> nn.Sequential:
            return nn.Sequential(*(ConvNeXtBlock(channels, norm, config) for _ in range(BLOCKS)))

        def downsampling(inputs: int, outputs: int) -> PreNorm:
            return PreNorm(norm, inputs, {"conv": norm.conv(inputs, outputs, 2, stride=2)})

        self.stem = ConvNorm(norm.conv(3, w1, PATCH, stride=PATCH, bias=False), w1, norm)
        self.stage1 = stage(w1)
        self.down1 = downsampling(w1, w2)
        self.stage2 = stage(w2)
        self.down2 = downsampling(w2, w3)
        self.stage3 = stage(w3)
        self.GAP = nn.AdaptiveAvgPool2d(1)
        # After the pool: the mean over positions of an InstanceNorm is its shift, whatever the image.
        self.head = PreNorm(norm, w3, {"classifier": nn.Conv2d(w3, classes, 1)}, vectors=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, 3, 32, 32)."""
        x = self.stage1(self.stem(x))
        x = self.stage2(self.down1(x))
        x = self.stage3(self.down2(x))
        logits: Tensor = self.head(self.GAP(x))
        return logits.flatten(1)
