"""Modules of torch on the pages of norms: each takes the shapes that stand beside it, and computes the norm."""

import pytest
import torch
from torch import nn

from normbench.norms import NORMS, Norm

SIZES = {"N": 3, "C": 4, "L": 5, "D": 2, "H": 6, "W": 7, "groups": 4, "nn": nn}
CALLS = [
    (name, call, tuple(shape.split(", ")))
    for name, info in NORMS.items()
    for call, shapes in info.torch
    for shape in shapes.replace(" or ", ", ").removeprefix("(").removesuffix(")").split("), (")
]


def test_the_norms_of_torch_have_modules_for_one_two_and_three_dimensions() -> None:
    for name in ("bn", "gn", "ln", "in", "lrn", "ln-chw"):
        dimensions = {len(shape) for norm, _, shape in CALLS if norm == name}
        assert dimensions >= {3, 4, 5}


@pytest.mark.parametrize(("name", "call", "shape"), CALLS, ids=str)
def test_a_module_computes_the_norm_on_the_shapes_beside_it(name: str, call: str, shape: tuple[str, ...]) -> None:
    module = eval(call, dict(SIZES))
    x = torch.randn([SIZES[letter] for letter in shape], generator=torch.Generator().manual_seed(0))
    last = shape[-1] == "C"
    maps = x.movedim(-1, 1) if last else x
    maps = maps.reshape(*maps.shape[:2], -1, 1)  # every position is one of a map's
    layer = Norm.parse(name).make(4)
    if last or name != "ln-chw":
        expected = layer(maps)
        output = module(x)
        output = output.movedim(-1, 1) if last else output
        torch.testing.assert_close(output.reshape(expected.shape), expected, atol=1e-5, rtol=1e-5)
    else:
        torch.testing.assert_close(module(x), nn.GroupNorm(1, 4, affine=False)(x), atol=1e-5, rtol=1e-5)
