"""`normbench verify` at the shapes of training: it detects every wrong norm, and accepts every right one."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from helpers.mutants import RIGHT, mutants

from normbench.studies.verify.builtin import subjects, verify_builtin
from normbench.studies.verify.cases import Case, draw_cases
from normbench.studies.verify.checks import severity

SUBJECTS = {subject.name: subject for subject in subjects()}
CASES = draw_cases(0, 1)
NETWORK = [case for case in CASES if case.of_network]


def killed(subject, cases: Sequence[Case]) -> bool:
    """Test if some case detects the fault, the cheapest first; one is enough."""
    cheapest_first = sorted(cases, key=lambda case: case.steps[0].size * len(case.steps))
    return any(not verify_builtin(subject, [case]).passed for case in cheapest_first)


def test_every_mutant_is_killed_at_the_shapes_of_the_network(capsys):
    table = mutants()
    names = [(mutant.norm, mutant.fault) for mutant in table]
    assert len(set(names)) == len(names) >= 60
    survivors = [
        (mutant.norm, mutant.fault)
        for mutant in table
        if not killed(replace(SUBJECTS[mutant.norm], make=mutant.make), NETWORK)
    ]
    with capsys.disabled():
        print(f"\nkilled {len(table) - len(survivors)} of {len(table)}")  # noqa: T201
    assert survivors == []


@pytest.mark.parametrize("name", RIGHT)
def test_the_norms_that_mutants_are_made_of_are_right(name):
    verification = verify_builtin(replace(SUBJECTS[name], make=RIGHT[name]), [*NETWORK, *CASES[:1]])
    assert verification.problems == ()
    assert verification.passed, max(verification.checks, key=severity)
