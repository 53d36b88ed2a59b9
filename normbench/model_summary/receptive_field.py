"""Receptive fields, followed through a forward pass. The input pixels that the outputs of every layer depend on.

Convolutions and pools widen a field, shortcuts and skip connections join several, and attention sees the whole image.
Statistics of norms are left out. Padding counts as pixels, so a field may be larger than the image.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Extent:
    """Pixels along one axis that the positions of a map depend on, periodic in the positions.

    Position `q * len(first) + r` depends on the pixels `first[r] + q * step` to `last[r] + q * step`.
    """

    first: tuple[int, ...] = (0,)
    last: tuple[int, ...] = (0,)
    step: int = 1
    is_whole: bool = False
    """True if every position depends on all pixels, whatever layers follow."""

    @property
    def size(self) -> int:
        """Pixels that one position depends on; the most, where positions differ."""
        return max(last - first for first, last in zip(self.first, self.last, strict=True)) + 1

    @property
    def jump(self) -> int | float:
        """Distance of two neighbouring positions in pixels."""
        period = len(self.first)
        return self.step / period if self.step % period else self.step // period

    def first_of(self, position: int) -> int:
        """Return the first pixel that a position depends on."""
        period = len(self.first)
        return self.first[position % period] + position // period * self.step

    def last_of(self, position: int) -> int:
        """Return the last pixel that a position depends on."""
        period = len(self.last)
        return self.last[position % period] + position // period * self.step

    def window(self, size: int, stride: int = 1, padding: int = 0) -> "Extent":
        """Return the extent after a window over so many positions, as of a convolution (dilation included)."""
        if self.is_whole:
            return replace(self, step=self.step * stride)
        periods = math.lcm(len(self.first), stride) // len(self.first)
        starts = [i * stride - padding for i in range(periods * len(self.first) // stride)]
        return Extent(
            tuple(self.first_of(start) for start in starts),
            tuple(self.last_of(start + size - 1) for start in starts),
            self.step * periods,
        )

    def spread(self, taps: int, stride: int, padding: int = 0, dilation: int = 1) -> "Extent":
        """Return the extent after a transposed convolution, or after repeating every position (taps = stride)."""
        if self.is_whole:
            return replace(self, first=self.first * stride, last=self.last * stride)
        sources = []
        for end in range(padding, padding + len(self.first) * stride):
            offsets = range(end, end - taps * dilation, -dilation)
            sources.append([offset // stride for offset in offsets if offset % stride == 0] or [end // stride])
        return Extent(
            tuple(self.first_of(min(positions)) for positions in sources),
            tuple(self.last_of(max(positions)) for positions in sources),
            self.step,
        )

    def whole(self, positions: int, side: int) -> "Extent":
        """Return the extent of a value made of all positions of a map, which has one such value for every image."""
        if self.is_whole:
            return replace(self, step=side * len(self.first))
        return Extent((self.first_of(0),), (self.last_of(positions - 1),), side, is_whole=True)

    def joined(self, other: "Extent") -> "Extent":
        """Return the extent of values made of two maps, position by position."""
        if self.is_whole or other.is_whole or self.jump != other.jump:
            # A value for the whole image, as of a gate, meets a map: all of its positions then depend on everything.
            finer = min(self, other, key=lambda extent: extent.jump)
            larger = max(self, other, key=lambda extent: extent.size)
            span = larger.first_of(0), larger.first_of(0) + larger.size - 1
            period = len(finer.first)
            return Extent(span[:1] * period, span[1:] * period, finer.step, is_whole=True)
        period = math.lcm(len(self.first), len(other.first))
        return Extent(
            tuple(min(self.first_of(i), other.first_of(i)) for i in range(period)),
            tuple(max(self.last_of(i), other.last_of(i)) for i in range(period)),
            self.step * period // len(self.first),
        )


@dataclass(frozen=True)
class Field:
    """Receptive field of the values of a tensor, along both axes of the image."""

    height: Extent = Extent()
    width: Extent = Extent()

    @property
    def size(self) -> int:
        """Side of the square of pixels that one value depends on."""
        return max(self.height.size, self.width.size)

    @property
    def jump(self) -> int | float:
        """Distance of two neighbouring positions in pixels."""
        return max(self.height.jump, self.width.jump)

    @property
    def is_whole(self) -> bool:
        """True if every value depends on the whole image."""
        return self.height.is_whole and self.width.is_whole

    def window(self, size: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]) -> "Field":
        """Return the field after a window, as of a convolution or a pool."""
        return Field(
            self.height.window(size[0], stride[0], padding[0]), self.width.window(size[1], stride[1], padding[1])
        )

    def spread(
        self,
        taps: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int] = (0, 0),
        dilation: tuple[int, int] = (1, 1),
    ) -> "Field":
        """Return the field after a transposed convolution or an upsampling."""
        return Field(
            self.height.spread(taps[0], stride[0], padding[0], dilation[0]),
            self.width.spread(taps[1], stride[1], padding[1], dilation[1]),
        )

    def whole(self, positions: tuple[int, int], side: int) -> "Field":
        """Return the field of a value made of all positions of a map."""
        return Field(self.height.whole(positions[0], side), self.width.whole(positions[1], side))

    def joined(self, other: "Field") -> "Field":
        """Return the field of values made of two maps."""
        return Field(self.height.joined(other.height), self.width.joined(other.width))


class ReceptiveFields(TorchFunctionMode):
    """Mode that follows the field of every tensor that depends on an image.

    Layers tell their windows to `after`; any other operation keeps the fields of its inputs, and sees the whole of a
    map of which it makes single values.

    Args:
        image: The network's input, (N, C, H, W).
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.side = max(image.shape[2:])
        # The tensors are kept, so that none that comes later has the identity of one of them.
        self._fields: dict[int, tuple[Tensor, Field]] = {id(image): (image, Field())}

    def __torch_function__(self, function: Any, _types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        """Call a function of torch, and join the fields of its inputs for its outputs."""
        output = function(*arguments, **(keywords or {}))
        inputs = [tensor for tensor in _tensors((arguments, keywords)) if id(tensor) in self._fields]
        for tensor in _tensors(output) if inputs else ():
            self._set(tensor, _join(self._seen_by(source, tensor) for source in inputs))
        return output

    def field_of(self, tensor: Tensor) -> Field:
        """Return the field of a tensor; that of a single pixel, where it depends on no image."""
        return self._fields[id(tensor)][1] if id(tensor) in self._fields else Field()

    def after(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor, *, is_norm: bool) -> Field:
        """Set the field of a layer's output by its windows, and return it; a norm leaves the field of its input."""
        sources = [tensor for tensor in _tensors(inputs) if id(tensor) in self._fields]
        if sources and isinstance(output, Tensor):
            field = _join(self.field_of(source) for source in sources)
            if is_norm:
                self._set(output, field)
            elif getattr(module, "sees_whole_image", False):
                whole = Extent((0,), (self.side - 1,), self.side, is_whole=True)
                self._set(output, Field(_with_jump(whole, field.height), _with_jump(whole, field.width)))
            elif (after := _windowed(module, field, sources[0], output)) is not None:
                self._set(output, after)
        return self.field_of(output)

    def _set(self, tensor: Tensor, field: Field) -> None:
        self._fields[id(tensor)] = (tensor, field)

    def _seen_by(self, source: Tensor, output: Tensor) -> Field:
        field = self.field_of(source)
        if _positions(source) > 1 and _positions(output) == 1:
            height, width = (*source.shape[2:], 1)[:2]
            return field.whole((height, width), self.side)
        return field


def _with_jump(whole: Extent, before: Extent) -> Extent:
    return replace(whole, first=whole.first * len(before.first), last=whole.last * len(before.last), step=before.step)


def _join(fields: Iterable[Field]) -> Field:
    first, *others = fields
    for other in others:
        first = first.joined(other)
    return first


def _windowed(module: nn.Module, field: Field, x: Tensor, output: Tensor) -> Field | None:
    """Return the field after a layer that looks at windows; None for any other, which keeps what it is."""
    if (window := _window(module, x, output)) is not None:
        return field.window(*map(_pair, window))
    if isinstance(module, nn.ConvTranspose2d):
        return field.spread(*map(_pair, (module.kernel_size, module.stride, module.padding, module.dilation)))
    return _upsampled(module, field, x, output) if isinstance(module, nn.Upsample) else None


def _window(module: nn.Module, x: Tensor, output: Tensor) -> tuple[Any, Any, Any] | None:
    """Return size (dilation included), stride and padding of the windows of a layer."""
    match module:
        case nn.Module(window=(size, stride, padding)):
            return size, stride, padding
        case nn.Conv2d():
            padding = module._reversed_padding_repeated_twice  # also of padding="same", last axis first
            return _extent(module), module.stride, (padding[2], padding[0])
        case nn.MaxPool2d() | nn.AvgPool2d():
            return _extent(module), module.stride, module.padding
        case nn.AdaptiveAvgPool2d() | nn.AdaptiveMaxPool2d() if _positions(output) > 1:
            size = (x.shape[2] // output.shape[2], x.shape[3] // output.shape[3])
            return size, size, 0
        case nn.ZeroPad2d(padding=(left, _, top, _)):
            return 1, 1, (top, left)
    return None


def _upsampled(layer: nn.Upsample, field: Field, x: Tensor, output: Tensor) -> Field:
    rows, columns = output.shape[2] // x.shape[2], output.shape[3] // x.shape[3]
    taps = TAPS[layer.mode]
    return field.spread(
        (taps * rows, taps * columns), (rows, columns), ((taps - 1) * rows // 2, (taps - 1) * columns // 2)
    )


TAPS = {"nearest": 1, "nearest-exact": 1, "bilinear": 2, "bicubic": 4}
"""Positions along an axis that a value between them is made of."""


def _extent(layer: nn.Module) -> tuple[int, int]:
    """Return the kernel's extent, dilation included."""
    size, dilation = _pair(layer.kernel_size), _pair(getattr(layer, "dilation", 1))
    return dilation[0] * (size[0] - 1) + 1, dilation[1] * (size[1] - 1) + 1


def _pair(value: Any) -> tuple[int, int]:
    rows, columns = value if isinstance(value, tuple) else (value, value)
    return int(rows), int(columns)


def _positions(tensor: Tensor) -> int:
    return math.prod(tensor.shape[2:])


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
