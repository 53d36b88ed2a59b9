"""One factory of results that no training made, for the tests of statistics, tables and reports."""

from typing import Any

from normbench.runs import RunResult

FIELDS: dict[str, Any] = {
    "status": "done", "dataset": "digits", "network": "c10", "parameters": 40_000, "epochs": 20, "batch_size": 128,
    "lr": 0.1, "weight_decay": 5e-4, "train_images": 96, "test_images": 360, "seconds": 1.0, "device": "cpu",
    "torch": "2", "fingerprint": "f",
}  # fmt: skip


def make_result(norm: str = "bn", seed: int = 0, test_accuracy: float | None = None, **fields: Any) -> RunResult:
    """A result with plausible settings; accuracies are fractions, and further fields those of a result."""
    return RunResult.model_validate(FIELDS | {"norm": norm, "seed": seed, "test_accuracy": test_accuracy} | fields)


def make_results(**accuracies: list[float] | tuple[float, ...]) -> list[RunResult]:
    """Results by norm, from the test accuracies of seeds 0, 1, 2, ..."""
    return [make_result(norm, seed, value) for norm, values in accuracies.items() for seed, value in enumerate(values)]
