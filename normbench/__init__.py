"""Small, honest, fast experiments on normalization layers.

    import normbench as nb

    nb.train("gn", epochs=5)                                # one run, as `normbench train`
    nb.compare(["bn", "gn", MyNorm], seeds=3)               # several norms on equal terms, as `normbench compare`
    nb.tune(["bn", "gn"], trials=16).recipe                 # settings searched on equal budgets, as `normbench tune`
    nb.study("depth", no_train=True)                        # a study, as `normbench depth`
    nb.summary("bn"); nb.verify("gn"); nb.load("runs/baseline/gn-s0-1a2b3c4d").network
    nb.swap(model, "gn", groups=8)                          # the norm layers of any torch model, replaced

Importing normbench imports no torch: each name below is looked up when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from normbench.api import (
        ComparisonResult,
        Swapped,
        TuningResult,
        compare,
        load,
        norm,
        register_norm,
        study,
        summary,
        swap,
        train,
        tune,
        verify,
    )

__version__ = "0.1.0"

__all__ = [
    "ComparisonResult",
    "Swapped",
    "TuningResult",
    "compare",
    "load",
    "norm",
    "register_norm",
    "study",
    "summary",
    "swap",
    "train",
    "tune",
    "verify",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(import_module("normbench.api"), name)
    raise AttributeError(f"module 'normbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
