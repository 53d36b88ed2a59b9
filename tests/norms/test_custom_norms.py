"""Norms of the user's own: from a file or a package, and in words what is wrong with one."""

from pathlib import Path

import pytest
import torch
from torch import nn

from normbench.config import NetworkConfig
from normbench.errors import UsageError
from normbench.networks import build
from normbench.norms import Norm, source_digest
from normbench.norms.layers import StandardizedConv2d

SOURCE = """
from torch import nn

def halves(channels):
    return nn.GroupNorm(2, channels)

def fails(channels):
    raise ValueError("not today")

def text(channels):
    return "a norm"

class Cropped(nn.Module):
    def __init__(self, channels):
        super().__init__()

    def forward(self, x):
        return x[:, :, 1:-1, 1:-1]

class Averaged(Cropped):
    def forward(self, x):
        return x.mean((2, 3))

class Mixed(Cropped):
    def forward(self, x):
        return x.mean(0, keepdim=True)

number = 7
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def test_a_factory_in_a_file_makes_the_norm(file):
    norm = Norm.parse(f"{file}:halves").make(8)
    assert isinstance(norm, nn.GroupNorm)
    assert (norm.num_groups, norm.num_channels) == (2, 8)


def test_a_factory_in_a_package_makes_the_norm(file, monkeypatch):
    package = file.parent / "normbench_test_package"
    package.mkdir()
    file.rename(package / "mine.py")
    monkeypatch.syspath_prepend(str(file.parent))
    assert isinstance(Norm.parse("normbench_test_package.mine:halves").make(8), nn.GroupNorm)


def test_a_norm_class_of_torch_itself_is_a_factory():
    network = build(NetworkConfig(), Norm.parse("torch.nn:BatchNorm2d"))
    assert isinstance(network.C1.norm, nn.BatchNorm2d)


def test_ws_goes_with_a_norm_of_the_users_own(file):
    norm = Norm.parse(f"{file}:halves+ws")
    assert norm.name == f"{file}:halves+ws"
    network = build(NetworkConfig(), norm)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert [module for module in convolutions if not isinstance(module, StandardizedConv2d)] == [network.C10]
    assert isinstance(network.C9.norm, nn.GroupNorm)


def test_an_own_norm_starts_from_the_same_convolutions_as_a_registered_one(file):
    own = build(NetworkConfig(), Norm.parse(f"{file}:halves"), seed=3)
    registered = build(NetworkConfig(), Norm.parse("bn"), seed=3)
    assert torch.equal(own.C9.conv.weight, registered.C9.conv.weight)


def test_a_file_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.py does not exist"):
        Norm.parse(f"{tmp_path}/gone.py:halves")


def test_a_file_that_cannot_be_imported_says_why(tmp_path):
    (tmp_path / "broken.py").write_text("import no_such_module_anywhere\n")
    with pytest.raises(UsageError, match=r"cannot import .*broken\.py: ModuleNotFoundError.*no_such_module_anywhere"):
        Norm.parse(f"{tmp_path}/broken.py:halves")


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(UsageError, match="cannot import no_such_package_anywhere"):
        Norm.parse("no_such_package_anywhere:halves")


def test_a_missing_factory_is_answered_with_the_callables_there_are(file):
    with pytest.raises(UsageError, match="nothing called 'thirds'") as error:
        Norm.parse(f"{file}:thirds")
    assert error.value.hint == "Callables there: Averaged, Cropped, Mixed, fails, halves, text."


@pytest.mark.parametrize("spec", ["mine.py:", ":halves"])
def test_half_a_name_is_refused(spec):
    with pytest.raises(UsageError, match=r"not of the form file\.py:factory"):
        Norm.parse(spec)


def test_a_factory_that_raises_is_quoted(file):
    with pytest.raises(UsageError, match=r"factory\(16\) failed: ValueError: not today") as error:
        build(NetworkConfig(), Norm.parse(f"{file}:fails"))
    assert "takes the number of channels" in error.value.hint


def test_a_factory_that_returns_no_module_is_refused(file):
    with pytest.raises(UsageError, match=r"factory\(16\) returned str, not a module"):
        build(NetworkConfig(), Norm.parse(f"{file}:text"))


def test_a_factory_that_is_a_number_is_refused(file):
    with pytest.raises(UsageError, match=r"factory\(16\) failed: TypeError"):
        build(NetworkConfig(), Norm.parse(f"{file}:number"))


@pytest.mark.parametrize("name", ["Cropped", "Averaged", "Mixed"])
@pytest.mark.parametrize("network", ["c10", "dwnet"])
def test_a_norm_that_changes_the_shape_is_refused_before_training(file, name, network):
    with pytest.raises(UsageError, match=f"{name}' changes the shape: ") as error:
        build(NetworkConfig(name=network, residual=False), Norm.parse(f"{file}:{name}"))
    assert error.value.hint == "A norm maps (N, C, H, W) to (N, C, H, W)."


def test_the_digest_is_that_of_the_file_and_moves_with_it(file):
    before = source_digest(f"{file}:halves")
    assert source_digest(f"{file}:halves+ws") == before
    file.write_text(SOURCE + "\n# another version\n")
    assert source_digest(f"{file}:halves") != before


def test_registered_norms_have_no_digest():
    assert source_digest("gn") is None
    assert source_digest("gn+ws") is None
