"""Choice of the norms to verify, and the check of each."""

from normbench.config.norm_names import WEIGHT_STANDARDIZATION, NormName
from normbench.errors import UsageError, unknown
from normbench.norms import NORMS, Norm, canonical_name, is_custom
from normbench.norms.registry import OTHER_NAMES
from normbench.studies.verify.builtin import built_in, subjects, verify_builtin
from normbench.studies.verify.cases import draw_cases
from normbench.studies.verify.checks import Verified
from normbench.studies.verify.custom import verify_custom
from normbench.studies.verify.settings import VerifySettings


def verify(settings: VerifySettings) -> list[Verified]:
    """Check the norms of the settings on one set of cases.

    Raises:
        UsageError: A norm or its reference is unknown, cannot be imported or fails.
    """
    norm, reference = settings.norm, settings.reference
    known = {subject.name: subject for subject in subjects()}
    chosen = list(known) if norm is None else _parts(norm)
    for name in chosen:
        if NormName.parse(name).base not in {*known, ""} and not is_custom(name):
            raise unknown("norm", name, known, OTHER_NAMES)
        if name not in known:
            Norm.parse(name)  # a failed import is reported before a missing reference
        if name not in known and not is_custom(name):
            known[name] = built_in(name)
    undefined = [name for name in chosen if name not in known or not known[name].defined]
    if reference is not None and (norm is None or not undefined):
        raise UsageError(
            "--reference goes with a custom norm, or one without a definition",
            "Name it too: --norm file.py:factory",
        )
    cases = draw_cases(settings.seed, settings.cases)
    return [
        verify_custom(name, reference, cases)
        if name in undefined and norm is not None
        else verify_builtin(known[name], cases)
        for name in chosen
    ]


def _parts(norm: str) -> list[str]:
    """A norm by its canonical name, and its switch: `gn+ws` is `gn` and `+ws`."""
    name = NormName.parse(norm)
    alone = str(name.without_ws)
    if name.base in NORMS or name.is_custom:
        alone = canonical_name(alone)
    return [part for part in (alone, WEIGHT_STANDARDIZATION * name.weight_standardization) if part]
