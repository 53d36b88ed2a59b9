"""LocalResponseNorm: torch's constants, and what AlexNet's are in torch's terms."""

import torch
from torch import nn

from normbench.norms import NORMS, Norm, default_arguments


def alexnet(x: torch.Tensor, size: int = 5, alpha: float = 1e-4, power: float = 0.75, k: float = 2.0) -> torch.Tensor:
    """As Krizhevsky et al. write it (section 3.3): alpha times the sum over the neighbours, which is not divided."""
    squares = nn.functional.pad(x.square(), (0, 0, 0, 0, size // 2, size // 2))
    sums = sum(squares[:, shift : shift + x.shape[1]] for shift in range(size))
    return x / (k + alpha * sums) ** power


def test_alexnets_norm_is_torchs_with_k_2_and_alpha_times_5() -> None:
    x = 100 * torch.randn(2, 12, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(nn.LocalResponseNorm(5, alpha=5e-4, k=2)(x), alexnet(x))


def test_lrn_has_torchs_constants_by_default_as_its_page_says() -> None:
    info = NORMS["lrn"]
    module, x = Norm.parse("lrn").make(8), 100 * torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(module(x), alexnet(x, alpha=1e-4 / 5, k=1.0))
    assert default_arguments(info) == {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1}
    assert not torch.allclose(module(x), alexnet(x), rtol=0.1)
    assert "AlexNet" not in info.when or "torch's constants" in info.when
    assert any("lrn(alpha=0.0005,k=2)" in mistake for mistake in info.mistakes)
    torch.testing.assert_close(Norm.parse("lrn(alpha=0.0005,k=2)").make(8)(x), alexnet(x))
