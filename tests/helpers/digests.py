"""Digests of short trainings, so that a change that moves a number is seen to move it.

`python tests/helpers/digests.py` records those of new norms and networks, for this build of torch and this kind of CPU;
with `--anew` all of them: only after a change that is meant to move numbers, and that the changelog names.
"""

import hashlib
import json
import sys
from pathlib import Path

import torch

from helpers.small import timeless, train_epoch
from normbench.config import DataConfig, MachineConfig, NetworkConfig, RunConfig, TrainingConfig
from normbench.config.norm_names import NormName
from normbench.data import DataSet, load
from normbench.evaluation import evaluate
from normbench.networks import NETWORKS, build_for
from normbench.norms import NORMS
from normbench.training import DivergedError, Training

RECORDED = Path(__file__).with_name("digests.json")
OF_VECTORS = {"convnext", "mlp", "vit", "lstm"}
"""Networks of which a norm gets vectors."""


def fits(network: str, norm: str) -> bool:
    """Test if a built-in norm has a meaning in a network."""
    return network not in OF_VECTORS or NORMS[NormName.parse(norm).base].single_value_statistic(64) is None


CASES = [
    (network, norm) for network in NETWORKS for norm in (*NORMS, "gn+ws", "gn+wn", "gn+cwn") if fits(network, norm)
]


def platform() -> str:
    """The build of torch and the kind of CPU that the last digits depend on; one thread always."""
    return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"


def few_digits() -> DataSet:
    """64 training and 72 validation images."""
    return load(DataConfig(name="digits", subset=64, val_split=0.05), MachineConfig(), torch.device("cpu"))


def digest(network: str, norm: str, data: DataSet) -> str:
    """SHA-256 of the weights, the epochs' metrics and the final scores of a training of two epochs."""
    config = RunConfig(
        norm=norm,
        network=NetworkConfig(name=network),
        data=DataConfig(name="digits"),
        training=TrainingConfig(epochs=2, batch_size=16, lr=0.02, step_size=1),
    )
    training = Training(config, build_for(config), data)
    try:
        rows = [timeless(train_epoch(training, epoch)) for epoch in (1, 2)]
        outcome: object = [rows, vars(evaluate(training.network, data.train, data, "fp32"))]
    except DivergedError as error:
        outcome = error.message
    content = hashlib.sha256(json.dumps(outcome, sort_keys=True).encode())
    for name, tensor in sorted(training.network.state_dict().items()):
        content.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return content.hexdigest()


def main() -> None:
    """Record the digests of this platform that are missing, or with `--anew` all; those of others stay."""
    torch.set_num_threads(1)
    data = few_digits()
    recorded = json.loads(RECORDED.read_text()) if RECORDED.is_file() else {}
    known = {} if "--anew" in sys.argv[1:] else recorded.get(platform(), {})
    names = {f"{network} {norm}": (network, norm) for network, norm in CASES}
    recorded[platform()] = {name: known.get(name) or digest(*case, data) for name, case in names.items()}
    RECORDED.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
