"""The norms keep their promises: shape, finiteness, gradients, and what the registry says of batch and mode."""

import pytest
import torch
from torch import Tensor

from normbench.config import NetworkConfig
from normbench.errors import UsageError
from normbench.networks import build
from normbench.norms import NORMS, Norm

CHANNELS = 8
WIDTHS = (4, 8, 4, 8, 8, 8, 4, 8, 8, 8)
every_norm = pytest.mark.parametrize("name", NORMS)


def images(seed: int = 0) -> Tensor:
    return 3 * torch.randn(4, CHANNELS, 6, 5, generator=torch.Generator().manual_seed(seed)) + 1


def layer(name: str) -> torch.nn.Module:
    """A norm layer whose shape is known and whose affine parameters are not the trivial ones."""
    made = Norm.parse(name).make(CHANNELS)
    made.eval()(images())
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=chance))
    return made.train()


@every_norm
def test_a_norm_keeps_the_shape(name):
    assert layer(name)(images()).shape == images().shape


@every_norm
@pytest.mark.parametrize("constant", [0.0, 1e4])
def test_a_norm_stays_finite_on_images_without_contrast(name, constant):
    flat = torch.full((4, CHANNELS, 6, 5), constant)
    assert layer(name)(flat).isfinite().all()


@every_norm
def test_a_norm_passes_gradients_to_its_input_and_its_parameters(name):
    x, norm = images().requires_grad_(), layer(name)
    (norm(x) * images(seed=2)).sum().backward()
    for tensor in (x, *norm.parameters()):
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().max() > 0


@every_norm
def test_a_norm_trains_in_the_network(name):
    network = build(NetworkConfig(widths=WIDTHS), Norm.parse(name))
    network(torch.rand(4, 3, 32, 32)).square().mean().backward()
    for parameter in network.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().max() > 0


@every_norm
def test_train_and_eval_differ_exactly_where_the_registry_says_so(name):
    norm = layer(name)
    trained = norm(images())
    assert torch.allclose(norm.eval()(images()), trained, atol=1e-6) is not NORMS[name].train_eval_differ


@every_norm
def test_an_image_depends_on_its_neighbours_exactly_where_the_registry_says_so(name):
    norm = layer(name)
    changed = images()
    changed[0] = images(seed=3)[0]
    unmoved = torch.allclose(norm(images())[1:], norm(changed)[1:], atol=1e-6)
    assert unmoved is not NORMS[name].batch_statistics


@every_norm
def test_no_norm_mixes_images_in_eval_mode(name):
    norm = layer(name).eval()
    changed = images()
    changed[0] = images(seed=3)[0]
    torch.testing.assert_close(norm(images())[1:], norm(changed)[1:])


@pytest.mark.parametrize(("groups", "fitting"), [(3, "1, 2, 4, 8"), (16, "1, 2, 4, 8")])
def test_groups_that_do_not_divide_are_refused_with_those_that_do(groups, fitting):
    with pytest.raises(UsageError, match=f"{groups} groups do not divide 8 channels") as error:
        Norm.parse("gn", groups).make(8)
    assert f"divide 8: {fitting}." in error.value.hint


def test_the_hint_on_groups_proposes_none_that_do_not_divide():
    with pytest.raises(UsageError) as error:
        Norm.parse("gn", 4).make(10)
    assert "--groups 4" not in error.value.hint


def test_a_misspelt_norm_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="unknown norm 'bnn'") as error:
        Norm.parse("bnn")
    assert "Did you mean 'bn'?" in error.value.hint
