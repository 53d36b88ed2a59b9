"""ResNet-20 for CIFAR, narrowed: one convolution and three stages of three residual blocks (arXiv:1512.03385)."""

import torch.nn.functional as F
from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.errors import UsageError
from normbench.networks.blocks import ACTIVATIONS, Block, ConvNorm, conv3x3
from normbench.norms import Norm

RESNET_WIDTHS = (8, 16, 24)
"""Channels of the three stages; the paper has 16, 32 and 64, which is 270,000 parameters."""
BLOCKS = 3
"""Residual blocks in a stage: n of the paper's 6n + 2 layers."""


class Shortcut(nn.Module):
    """Shortcut without parameters: every second position, and channels of zeros (option A of section 4.2)."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride
        self.window = (1, stride, 0)  # size, stride and padding, for the receptive field

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, channels, H / stride, W / stride)."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.channels - x.shape[1]))


class ResidualBlock(nn.Module):
    """Convolution, norm, activation, convolution, norm; then the shortcut is added, and an activation."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm, config: NetworkConfig) -> None:
        super().__init__()
        first = norm.conv(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.first = Block(first, outputs, norm, config)
        self.second = ConvNorm(conv3x3(outputs, outputs, norm), outputs, norm)
        self.shortcut = nn.Identity() if inputs == outputs and stride == 1 else Shortcut(outputs, stride)
        self.act = ACTIVATIONS[config.activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y: Tensor = self.act(self.second(self.first(x)) + self.shortcut(x))
        return y


class ResNet(nn.Module):
    """Network (N, 3, 32, 32) -> (N, classes) of 20 layers; the second and third stage begin with stride 2."""

    def __init__(self, norm: Norm, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        narrow, middle, wide = config.widths or RESNET_WIDTHS
        if not narrow <= middle <= wide:
            raise UsageError(
                f"the shortcuts of resnet add channels and take none away: widths {narrow} {middle} {wide} decrease",
                "Give three widths that do not decrease, as --set network.widths=[8,16,24].",
            )

        def stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
            first = ResidualBlock(inputs, outputs, stride, norm, config)
            return nn.Sequential(first, *(ResidualBlock(outputs, outputs, 1, norm, config) for _ in range(BLOCKS - 1)))

        self.stem = Block(conv3x3(3, narrow, norm), narrow, norm, config)
        self.stage1, self.stage2, self.stage3 = (
            stage(narrow, narrow, 1),
            stage(narrow, middle, 2),
            stage(middle, wide, 2),
        )
        self.GAP = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Conv2d(wide, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, 3, 32, 32)."""
        logits: Tensor = self.classifier(self.GAP(self.stage3(self.stage2(self.stage1(self.stem(x))))))
        return logits.flatten(1)
