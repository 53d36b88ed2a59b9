"""Verification of the chosen norms."""

from dataclasses import dataclass

from normbench.config.norm_names import NormName
from normbench.errors import UsageError
from normbench.norms import NORMS, Norm, canonical_name, is_custom
from normbench.norms.resolve import unknown_norm
from normbench.studies.study import StudyContext
from normbench.studies.verify.builtin import built_in, subjects, verify_builtin
from normbench.studies.verify.cases import draw_cases
from normbench.studies.verify.checks import Verification
from normbench.studies.verify.custom import verify_custom
from normbench.studies.verify.settings import VerifySettings


@dataclass(frozen=True)
class Measurement:
    """Verifications of the norms, and the seed and number of their ordinary inputs."""

    verifications: tuple[Verification, ...]
    seed: int
    cases: int

    @property
    def defined(self) -> list[Verification]:
        """Verifications of norms that have a definition."""
        return [verification for verification in self.verifications if verification.defined]


def measure(settings: VerifySettings, context: StudyContext) -> Measurement:  # noqa: ARG001
    """Verify the norms of the settings on one set of cases.

    Raises:
        UsageError: A norm or its reference is unknown, cannot be imported or fails.
    """
    requested, reference = settings.requested, settings.reference
    known = {subject.name: subject for subject in subjects()}
    for norm in requested:
        for name in _parts(norm):
            if NormName.parse(name).base not in {*known, ""} and not is_custom(name):
                besides = [subject for subject in known if subject not in NORMS]
                raise unknown_norm(NormName.parse(norm), NORMS, besides)
            if name not in known:
                Norm.parse(name)  # a failed import is reported before a missing reference
            if name not in known and not is_custom(name):
                known[name] = built_in(name)
    names = list(dict.fromkeys(name for norm in requested for name in _parts(norm))) or list(known)
    undefined = [name for name in names if name not in known or not known[name].defined]
    if reference is not None and (len(requested) != 1 or not undefined):
        raise UsageError(
            "--reference goes with a custom norm, or one without a definition",
            "Name it too: --norm file.py:factory",
        )
    cases = draw_cases(settings.seed, settings.cases, settings.network)
    verifications = [
        verify_custom(name, reference, cases) if name in undefined and requested else verify_builtin(known[name], cases)
        for name in names
    ]
    return Measurement(tuple(verifications), settings.seed, settings.cases)


def _parts(norm: str) -> list[str]:
    """Split a norm into its canonical name and its switch: `gn+ws` into `gn` and `+ws`."""
    name = NormName.parse(norm)
    base = str(name.alone)
    if name.base in NORMS or name.is_custom:
        base = canonical_name(base)
    return [part for part in (base, name.weights) if part]
