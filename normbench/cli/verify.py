"""`normbench verify`: every norm against its definition in float64."""

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.options import Options
from normbench.errors import RUN_FAILED, UsageError, unknown

if TYPE_CHECKING:
    from normbench.studies.verify import Verified

CASES = 12
STANDARDIZED = "+ws"
LONGEST_NAME = 80
"""Characters of a factory's name in a folder's."""


@flags("norm", "reference", "seed", "cases", "out", "name", *OUTPUT)
def command(given: Options) -> None:
    """Check every norm, weight standardization and dropout against float64 definitions: forward, gradients, buffers.

    On seeded random inputs, on hard ones (constant, huge, tiny, offset, single values) and at the shapes of the
    network's layers over several training steps, in float32 and float64, within bounds derived from the number of
    roundings. Exit code 1 if an error is out of bounds.

    A norm of your own is checked against a NumPy function of yours: --norm file.py:factory --reference file.py:function
    """
    from normbench.cli.study import conclude
    from normbench.studies.verify import finding

    seed, cases = given["seed"] or 0, CASES if given["cases"] is None else given["cases"]
    found = finding(_verified(given, seed, cases), seed, cases)
    conclude(given, found, given["name"] or _experiment(given["norm"]))
    if not found.values["passed"]:
        raise typer.Exit(RUN_FAILED)


def _verified(given: Options, seed: int, count: int) -> "list[Verified]":
    from normbench.norms import Norm
    from normbench.norms.registry import OTHER_NAMES
    from normbench.studies.verify import draw_cases, subjects, verify_own, verify_registered

    norm, reference = given["norm"], given["reference"]
    known = {subject.name: subject for subject in subjects()}
    chosen = list(known) if norm is None else _parts(norm)
    for name in chosen:
        if name not in known and ":" not in name:
            raise unknown("norm", name, known, OTHER_NAMES)
        if ":" in name:
            Norm.parse(name)  # what cannot be imported is said before a reference is asked for
    undefined = [name for name in chosen if name not in known or not known[name].defined]
    if reference is not None and (norm is None or not undefined):
        raise UsageError(
            "--reference goes with a norm of your own, or one without a definition",
            "Name it too: --norm file.py:factory",
        )
    cases = draw_cases(seed, count)
    return [
        verify_own(name, reference, cases)
        if name in undefined and norm is not None
        else verify_registered(known[name], cases)
        for name in chosen
    ]


def _parts(norm: str) -> list[str]:
    """A norm and what goes with it: `gn+ws` is `gn` and `+ws`."""
    name = norm.removesuffix(STANDARDIZED)
    return [part for part in (name, STANDARDIZED * (name != norm)) if part]


def _experiment(norm: str | None) -> str:
    """A folder per norm, so that no check overwrites another's; norms of your own are told apart by their file."""
    if norm is None:
        return "verify"
    source, colon, name = norm.rpartition(":")
    if not colon:
        return f"verify-{norm}"
    path = str(Path(source).expanduser().resolve()) if source.endswith(".py") else source
    plain = re.sub(r"[^A-Za-z0-9_+-]", "-", name)[:LONGEST_NAME]
    return f"verify-{plain}-{hashlib.sha256(f'{path}:{name}'.encode()).hexdigest()[:8]}"
