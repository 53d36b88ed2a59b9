"""Networks of the kinds that users bring to `--network`, right ones and wrong ones."""

from torch import nn


class Tiny(nn.Module):
    """Two strided convolutions, each with a norm; its attributes are named as in ResNets."""

    def __init__(self, norm, classes):
        super().__init__()
        self.conv1 = norm.conv(3, 8, 3, stride=2, padding=1, bias=False)
        self.bn1 = norm.make(8)
        self.conv2 = norm.conv(8, 16, 3, stride=2, padding=1, bias=False)
        self.norm = norm.make(16)
        self.head = nn.Linear(16, classes)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        x = self.norm(self.conv2(x)).relu()
        return self.head(x.mean((2, 3)))


def zero_scale(norm, classes):
    """The scale of its last norm starts at zero, as in ResNets."""
    network = Tiny(norm, classes)
    nn.init.zeros_(network.norm.weight)
    return network


def without_norm(norm, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, classes))


def batch_norm_only(norm, classes):
    convolution = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    return nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))


def mixed(norm, classes):
    """One norm of its own beside one of `norm.make`, and convolutions that are not of `norm.conv`."""
    first = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.BatchNorm2d(8), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(8, 8, 1), norm.make(8))
    return nn.Sequential(first, second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))


def large(norm, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 100), nn.Linear(100, classes))


def five_classes(norm, classes):
    return Tiny(norm, 5)


def pair(norm, classes):
    class Pair(Tiny):
        def forward(self, x):
            return super().forward(x), x

    return Pair(norm, classes)


def other_size(norm, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 28 * 28, classes))


def nothing_to_train(norm, classes):
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten())


def fails(norm, classes):
    raise ValueError("not today")


def text(norm, classes):
    return "a network"


def one_argument(norm):
    return Tiny(norm, 10)


class Counting(Tiny):
    """A Python counter moves its output, and is not in its state dict."""

    def __init__(self, norm, classes):
        super().__init__(norm, classes)
        self.steps = 0

    def forward(self, x):
        self.steps += self.training
        return super().forward(x) + self.steps


class Drawing(Tiny):
    """Drops channels at random while it is trained."""

    def forward(self, x):
        return super().forward(nn.functional.dropout2d(x, 0.1, self.training))


_CACHE = []


def cached(norm, classes):
    """The same module each time."""
    if not _CACHE:
        _CACHE.append(Tiny(norm, classes))
    return _CACHE[0]


def autocast_dtype(norm, classes):
    """Notes the type in which its norm computes."""

    class Noting(Tiny):
        def forward(self, x):
            inner = self.bn1.norm
            hook = inner.register_forward_hook(lambda module, inputs, output: self.types.append(output.dtype))
            try:
                return super().forward(x)
            finally:
                hook.remove()

    network = Noting(norm, classes)
    network.types = []
    return network
