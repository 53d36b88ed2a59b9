"""Vision transformer, narrowed (arXiv:2010.11929): 64 patches, and blocks with the norm first (arXiv:2002.04745).

Tokens are (N, C, T, 1), so that every norm of maps takes them: those over the channels of a position treat every token
alone, those over positions average over all tokens of an image.
"""

import math

import torch
from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.errors import UsageError
from normbench.networks.blocks import PreNorm, feed_forward
from normbench.norms import Norm

VIT_WIDTHS = (32, 64, 64, 64, 64, 64)
"""Channels of a token, then of the MLP in each block."""
PATCH = 4
TOKENS = (32 // PATCH) ** 2
HEADS = 4


class PositionEmbedding(nn.Module):
    """Learned vector of every position, added to its token."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(channels, TOKENS, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Add them to tokens (N, C, T, 1)."""
        return x + self.weight


class DotProductAttention(nn.Module):
    """Scaled dot products of queries and keys, as weights of the values (arXiv:1706.03762, section 3.2)."""

    sees_whole_image = True

    def forward(self, x: Tensor) -> Tensor:
        """Map queries, keys and values of all heads (N, 3C, T, 1) to (N, C, T, 1)."""
        query, key, value = x.flatten(2).unflatten(1, (3, HEADS, -1)).unbind(1)
        weights = (query.transpose(-2, -1) @ key / math.sqrt(query.shape[-2])).softmax(-1)
        y: Tensor = value @ weights.transpose(-2, -1)
        return y.flatten(1, 2).unsqueeze(-1)


class TransformerBlock(nn.Module):
    """Attention and an MLP, each after a norm and with a shortcut around both."""

    def __init__(self, channels: int, hidden: int, norm: Norm, config: NetworkConfig) -> None:
        super().__init__()
        qkv, output = norm.conv(channels, 3 * channels, 1), norm.conv(channels, channels, 1)
        attention = {"qkv": qkv, "product": DotProductAttention(), "output": output}
        self.attention = PreNorm(norm, channels, attention)
        self.mlp = PreNorm(norm, channels, feed_forward(channels, hidden, norm, config))

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (N, C, T, 1) to the same shape."""
        x = x + self.attention(x)
        y: Tensor = x + self.mlp(x)
        return y


class VisionTransformer(nn.Module):
    """Network (N, 3, 32, 32) -> (N, classes): tokens, blocks, the mean over tokens, a norm and a classifier."""

    def __init__(self, norm: Norm, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        channels, *hidden = config.widths or VIT_WIDTHS
        if channels % HEADS:
            raise UsageError(
                f"{HEADS} attention heads do not divide {channels} channels of a token",
                f"Give vit a first width that is a multiple of {HEADS}.",
            )
        self.patches = norm.conv(3, channels, PATCH, stride=PATCH)
        self.positions = PositionEmbedding(channels)
        self.blocks = nn.Sequential(*(TransformerBlock(channels, units, norm, config) for units in hidden))
        self.GAP = nn.AdaptiveAvgPool2d(1)
        # After the pool: the mean over positions of an InstanceNorm is its shift, whatever the image.
        self.head = PreNorm(norm, channels, {"classifier": nn.Conv2d(channels, classes, 1)}, vectors=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, 3, 32, 32)."""
        tokens = self.positions(self.patches(x).flatten(2).unsqueeze(-1))
        logits: Tensor = self.head(self.GAP(self.blocks(tokens)))
        return logits.flatten(1)
