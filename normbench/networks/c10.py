"""Network of the assignment, called c10. C1 C2 c3 P1 C3 C4 C5 c6 P2 C7 C8 C9 GAP C10.

Capital C: a 3x3 block (convolution, norm, optional dropout, activation); small c: a 1x1 block;
P: 2x2 max-pool; GAP: global average pool; C10: the 1x1 classifier.
"""

from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.errors import UsageError
from normbench.networks.blocks import Block, Separable, conv1x1, conv3x3, depthwise_separable
from normbench.norms import Norm

# C1 C2 c3 | C3 C4 C5 c6 | C7 C8 C9
IMAGE_CHANNELS = 3
C10_WIDTHS = (16, 32, 16, 28, 28, 28, 20, 32, 32, 32)


class C10(nn.Module):
    """Network (N, 3, 32, 32) -> (N, classes) with residual adds around C4, C5, C8 and C9."""

    def __init__(self, norm: Norm, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        w1, w2, n3, w3, w4, w5, n6, w7, w8, w9 = config.widths or C10_WIDTHS
        self.residual = config.residual
        if config.residual and not (w3 == w4 == w5 and w7 == w8 == w9):
            raise UsageError(
                f"residual adds need equal widths for C3 C4 C5 and for C7 C8 C9, not {w3} {w4} {w5} and {w7} {w8} {w9}",
                "Make them equal, or turn the adds off: --set network.residual=false.",
            )

        def capital(inputs: int, outputs: int) -> Block:
            if config.block == "plain" or (config.block == "separable" and inputs == IMAGE_CHANNELS):
                conv: nn.Module = conv3x3(inputs, outputs, norm)
            elif config.block == "separable":
                conv = Separable(inputs, outputs, norm)
            else:
                conv = depthwise_separable(inputs, outputs, norm)
            return Block(conv, outputs, norm, config)

        def small(inputs: int, outputs: int) -> Block:
            return Block(conv1x1(inputs, outputs, norm), outputs, norm, config)

        self.C1, self.C2, self.c3 = capital(IMAGE_CHANNELS, w1), capital(w1, w2), small(w2, n3)
        self.P1 = nn.MaxPool2d(2)
        self.C3, self.C4, self.C5, self.c6 = capital(n3, w3), capital(w3, w4), capital(w4, w5), small(w5, n6)
        self.P2 = nn.MaxPool2d(2)
        self.C7, self.C8, self.C9 = capital(n6, w7), capital(w7, w8), capital(w8, w9)
        self.GAP = nn.AdaptiveAvgPool2d(1)
        self.C10 = nn.Conv2d(w9, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, 3, 32, 32)."""
        x = self.P1(self.c3(self.C2(self.C1(x))))
        x = self._add(self.C5, self._add(self.C4, self.C3(x)))
        x = self.P2(self.c6(x))
        x = self._add(self.C9, self._add(self.C8, self.C7(x)))
        logits: Tensor = self.C10(self.GAP(x))
        return logits.flatten(1)

    def _add(self, block: Block, x: Tensor) -> Tensor:
        """Apply a block, with a shortcut around it where the config asks for residual adds."""
        y: Tensor = block(x)
        return x + y if self.residual else y
