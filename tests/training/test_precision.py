"""One precision for every norm: the types it works in, the casts it costs, and torch's flags set and restored."""

import pytest
import torch
from helpers.small import run_config, start
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from normbench.analysis import mismatches
from normbench.config import NetworkConfig, RunConfig, TrainingConfig
from normbench.device import autocast, float32_arithmetic, resolve_precision
from normbench.networks import NETWORKS, build
from normbench.networks.blocks import Block
from normbench.norms import NORMS, Norm
from normbench.norms.layers import apply_norm
from normbench.randomness import deterministic
from normbench.runs import RunResult

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CUSTOM = f"{__file__}:Custom"
NORMALIZING = [*(name for name in NORMS if name != "none"), "gn+ws", "gn+wn", CUSTOM]


class Custom(nn.Module):
    """A norm of the user's own: a module of torch inside, as most are."""

    def __init__(self, channels):
        super().__init__()
        self.inner = nn.BatchNorm2d(channels)

    def forward(self, x):
        return self.inner(x).clamp(-3, 3)


class Kernels(TorchDispatchMode):
    """Takes down casts between types: those of images and maps, and the types from and to."""

    def __init__(self):
        super().__init__()
        self.casts = []

    def __torch_dispatch__(self, kernel, types, arguments=(), keywords=None):
        output = kernel(*arguments, **(keywords or {}))
        if "_to_copy" in kernel._schema.name and arguments[0].dim() == 4 and arguments[0].dtype != output.dtype:
            self.casts.append((arguments[0].dtype, output.dtype))
        return output


def casts_of_a_step(norm, digits):
    training = start(run_config(norm, batch_size=8, precision="bf16"), digits)
    training.network.train()
    batch = next(iter(training.batches.epoch(1)))
    with Kernels() as kernels:
        training.step(*batch)
    return sorted(map(str, kernels.casts))


CASTS_INSIDE = "normbench.norms.layers.casts_inside"


@pytest.fixture(scope="module")
def casts_of_bn(digits):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CASTS_INSIDE, lambda *_: False)
        return casts_of_a_step("bn", digits)


@pytest.mark.parametrize("norm", NORMALIZING)
def test_every_norm_costs_the_same_casts_in_a_step_of_bf16(norm, digits, casts_of_bn, monkeypatch):
    monkeypatch.setattr(CASTS_INSIDE, lambda *_: False)  # as on a GPU
    assert casts_of_a_step(norm, digits) == casts_of_bn
    assert len(casts_of_bn) > 20


@pytest.mark.parametrize("norm", ["bn", "ln"])
def test_a_cpu_kernel_that_casts_by_itself_saves_four_casts_in_each_block(norm, digits, casts_of_bn):
    network = build(run_config(norm).network, Norm.parse(norm))
    blocks = sum(isinstance(module, Block) for module in network.modules())
    assert len(casts_of_bn) - len(casts_of_a_step(norm, digits)) == 4 * blocks


@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("norm", ["bn", "ln"])
def test_a_cpu_kernel_that_casts_by_itself_gives_the_numbers_of_the_casts(norm, size, monkeypatch):
    x = (3 + 2 * torch.randn(4, 28, size, size)).bfloat16().to(memory_format=torch.channels_last)
    gradient = torch.randn_like(x)

    def outcome():
        layer, given = Norm.parse(norm).make(28), x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = apply_norm(layer, given)
        y.backward(gradient)
        return [y, given.grad, layer.weight.grad, layer.bias.grad, *(b.float() for b in layer.buffers())]

    inside = outcome()
    monkeypatch.setattr(CASTS_INSIDE, lambda *_: False)
    for ours, cast in zip(inside, outcome(), strict=True):
        assert ours.dtype == cast.dtype
        # Sums may be taken in another order: at most one rounding of the type in which they are given.
        torch.testing.assert_close(ours, cast, rtol=torch.finfo(ours.dtype).eps, atol=1e-5)


@pytest.mark.parametrize(
    "settings", [*({"name": name} for name in NETWORKS), {"block": "depthwise"}, {"block": "separable"}], ids=str
)
def test_every_norm_of_every_network_computes_in_float32(settings):
    network = build(NetworkConfig(**settings), Norm.parse("rms"))
    given = []
    for name, module in network.named_modules():
        if name.split(".")[-1] == "norm":
            module.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.zeros(2, 3, 32, 32))
    assert set(given) == {torch.float32}


@pytest.mark.parametrize("norm", NORMALIZING)
def test_under_cudas_own_autocast_every_norm_gives_the_type_that_it_is_given(norm):
    """Fake tensors follow CUDA's rules for autocast without CUDA: norms left to them would differ."""
    network = build(run_config(norm).network, Norm.parse(norm))
    inside, outside = set(), set()
    for block in (module for module in network.modules() if isinstance(module, Block)):
        block.get_submodule("norm").register_forward_hook(lambda _, given, got: inside.add((given[0].dtype, got.dtype)))
        block.get_submodule("act").register_forward_pre_hook(lambda _, given: outside.add(given[0].dtype))
    enabled, dtype = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    try:
        torch.set_autocast_enabled("cuda", True)
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
            for module in network.modules():
                for tensors in (module._parameters, module._buffers):
                    for name, tensor in tensors.items():
                        if tensor is not None:
                            tensors[name] = mode.from_tensor(tensor.detach()).to("cuda")
            network(torch.empty(2, 3, 32, 32, device="cuda"))
    finally:
        torch.set_autocast_enabled("cuda", enabled)
        torch.set_autocast_dtype("cuda", dtype)
    assert inside == {(torch.float32, torch.float32)}
    assert outside == {torch.bfloat16}


def test_bf16_leaves_the_statistics_in_float32():
    """A mean far above the standard deviation, which bfloat16 statistics would lose."""
    block = Block(nn.Identity(), 8, Norm.parse("bn"), run_config().network)
    block.act = nn.Identity()
    x = (100 + torch.randn(64, 8, 4, 4)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y = block(x)
    expected = torch.batch_norm(x.float(), None, None, None, None, True, 0.1, 1e-5, False)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, expected.bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("setting", "on_cuda", "on_cpu"),
    [("auto", "tf32", "fp32"), ("fp32", "fp32", "fp32"), ("tf32", "tf32", "fp32"), ("bf16", "bf16", "bf16")],
)
def test_what_a_setting_means_is_the_devices_own(setting, on_cuda, on_cpu):
    assert (resolve_precision(setting, CUDA), resolve_precision(setting, CPU)) == (on_cuda, on_cpu)


def flags():
    """In both of torch's ways, of which the older one raises where the two contradict each other."""
    older = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    newer = torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision
    assert older == tuple(mode == "tf32" for mode in newer)
    return newer


@pytest.mark.parametrize(("setting", "mode"), [("fp32", "ieee"), ("tf32", "tf32"), ("auto", "tf32"), ("bf16", "ieee")])
def test_convolutions_and_matrix_products_share_a_precision_on_cuda_and_the_flags_come_back(setting, mode):
    before = flags()
    with pytest.raises(KeyError), float32_arithmetic(CUDA, setting):
        assert flags() == (mode, mode)
        raise KeyError
    assert flags() == before


@pytest.mark.parametrize("general", ["tf32", "ieee"])
def test_a_general_setting_of_the_users_is_overruled_and_comes_back(general):
    before = torch.backends.fp32_precision
    torch.backends.fp32_precision = general
    try:
        own = flags_of_all()
        for setting, mode in (("fp32", "ieee"), ("tf32", "tf32")):
            with float32_arithmetic(CUDA, setting):
                assert flags_of_all()[:3] == (mode, mode, mode)
            assert flags_of_all() == own
    finally:
        torch.backends.fp32_precision = before


def flags_of_all():
    backends = torch.backends
    return (
        backends.cudnn.conv.fp32_precision, backends.cudnn.rnn.fp32_precision, backends.cuda.matmul.fp32_precision,
        backends.fp32_precision,
    )  # fmt: skip


def test_a_step_sets_the_flags_for_its_backward_pass_too(digits, monkeypatch):
    training = start(run_config("bn", batch_size=8, precision="fp32"), digits)
    batch = next(iter(training.batches.epoch(1)))
    training.device = CUDA  # as far as the flags go
    seen = []
    training.network.C1.conv.weight.register_hook(lambda _: seen.append(flags()))
    training.step(*batch)
    assert seen == [("ieee", "ieee")]


def test_a_forward_pass_alone_sets_them_as_well():
    before = flags()
    with autocast(CUDA, "fp32"):
        assert flags() == ("ieee", "ieee")
    assert flags() == before


def test_deterministic_mode_fills_no_memory_searches_no_kernels_and_is_left_again():
    def state():
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.benchmark,
            torch.utils.deterministic.fill_uninitialized_memory,
        )

    before = state()
    for enabled in (True, False):
        with deterministic(enabled):
            assert state() == (enabled, enabled, False, False)
        assert state() == before


def test_a_new_choice_of_precision_moves_no_fingerprint_of_the_others():
    assert RunConfig(norm="bn").model_dump(mode="json")["training"]["precision"] == "auto"
    prints = {RunConfig(norm="bn", training=TrainingConfig(precision=p)).fingerprint for p in ("auto", "fp32", "tf32")}
    assert len(prints) == 3


def result(norm, precision, device="GPU"):
    return RunResult(
        status="done", norm=norm, seed=0, dataset="digits", network="c10", parameters=1, epochs=1, batch_size=1, lr=0.1,
        weight_decay=0.0, train_accuracy=0.5, train_loss=1.0, test_accuracy=0.5, test_loss=1.0, train_images=1,
        test_images=1, seconds=1.0, device=device, torch="2", fingerprint="0", precision=precision,
    )  # fmt: skip


def test_runs_of_different_precision_are_not_on_equal_terms():
    assert "precision: tf32 (bn); bf16 (gn)" in mismatches([result("bn", "tf32"), result("gn", "bf16")])[0]
    assert "not recorded" in mismatches([result("bn", "tf32"), result("gn", None)])[0]
    assert mismatches([result("bn", "fp32", "CPU, 1 thread"), result("gn", None, "CPU, 1 thread")]) == []
